// Elements without markup: strangers' words reach the page as text only.

export const byId = (id) => document.getElementById(id);

/** An element; `properties` are DOM properties, children are nodes or text. */
export function element(tag, properties = {}, ...children) {
  const made = Object.assign(document.createElement(tag), properties);
  made.append(...children.filter((child) => child !== null && child !== undefined && child !== ""));
  return made;
}

/** Set text only where it differs, so that a selection, and a screen reader's place, survive the second. */
export function setText(node, text) {
  if (node.textContent !== text) node.textContent = text;
}

/** A time as people read it, with the exact one behind. */
export function timeElement(text, iso) {
  return element("time", { dateTime: iso, title: iso }, text);
}

/**
 * Make the rows of `body` be those of `items`, in their order: `make(item)` gives a row once per key,
 * `update(row, item)` fills it each time. Rows that stay are not replaced, so focus and open details survive.
 */
export function showRows(body, items, keyOf, make, update = () => {}) {
  const known = new Map([...body.rows].map((row) => [row.dataset.key, row]));
  let place = body.firstElementChild;
  for (const item of items) {
    const key = keyOf(item);
    let row = known.get(key);
    if (row === undefined) {
      row = make(item);
      row.dataset.key = key;
    }
    known.delete(key);
    update(row, item);
    if (row === place) place = place.nextElementSibling;
    else body.insertBefore(row, place);
  }
  for (const row of known.values()) row.remove();
}

/** A table row of the given cells; strings become <td>. */
export function tableRow(...cells) {
  return element("tr", {}, ...cells.map((cell) => (typeof cell === "string" ? element("td", {}, cell) : cell)));
}
