// The page's colours as a canvas needs them: resolved, for the theme that is shown.

const probe = document.createElement("span");
probe.hidden = true;
document.body.append(probe);

/** The colour that the custom property `name` stands for now. */
export function colour(name) {
  probe.style.color = `var(${name})`;
  return getComputedStyle(probe).color;
}
