// Light or dark: the system's choice, until a person chooses here.

import { setText } from "./dom.js";

const PLACE = "weir.theme";
const system = matchMedia("(prefers-color-scheme: dark)");

function shown() {
  return document.documentElement.dataset.theme ?? (system.matches ? "dark" : "light");
}

/** Make `button` switch between the two; `changed()` is called whenever the colours are others. */
export function installTheme(button, changed) {
  const tell = () => {
    setText(button, shown() === "dark" ? "Light" : "Dark");
    button.setAttribute("aria-label", `Switch to ${shown() === "dark" ? "light" : "dark"} colours`);
    changed();
  };
  button.addEventListener("click", () => {
    choose(shown() === "dark" ? "light" : "dark");
    tell();
  });
  system.addEventListener("change", tell);
  tell();
}

/** What the system has anyway is not kept, so that the page follows it again. */
function choose(theme) {
  const isSystems = theme === (system.matches ? "dark" : "light");
  if (isSystems) delete document.documentElement.dataset.theme;
  else document.documentElement.dataset.theme = theme;
  try {
    if (isSystems) localStorage.removeItem(PLACE);
    else localStorage.setItem(PLACE, theme);
  } catch (error) {
    console.info("The theme is kept until this page is left:", error.name);
  }
}
