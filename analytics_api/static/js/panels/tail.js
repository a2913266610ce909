// The tail of events: newest first, a row opens to show its whole payload.

import { byId, element, setText, showRows, tableRow, timeElement } from "../dom.js";
import { moment } from "../format.js";

const MOST_ROWS = 60;
const DRAW_MS = 200; // a fast stream is drawn in bunches
const LINE_LETTERS = 300;
const TYPE = /^[A-Za-z0-9._:/-]{1,128}$/;
const table = byId("tail");
let events = [];
let drawing = 0;

/** Take an event in: one of the live tail, or of a list. */
export function addToTail(...added) {
  const known = new Set(added.map(keyOf));
  events = [...added, ...events.filter((event) => !known.has(keyOf(event)))];
  events.sort((a, b) => timeOf(b) - timeOf(a));
  events.length = Math.min(events.length, MOST_ROWS);
  drawing ||= setTimeout(draw, DRAW_MS);
}

export function clearTail() {
  events = [];
  draw();
}

/** The state of the tail in words, for the panel's head. */
export function sayTail(words) {
  setText(byId("tail-state"), words);
}

/**
 * `pause(isPaused)` and `choose(type)` are called when a person does so. A type that cannot be is said, not asked for.
 */
export function installTail({ pause, choose }) {
  const button = byId("tail-pause");
  button.addEventListener("click", () => {
    const isPaused = button.getAttribute("aria-pressed") !== "true";
    button.setAttribute("aria-pressed", String(isPaused));
    setText(button, isPaused ? "Go on" : "Pause");
    pause(isPaused);
  });
  const field = byId("tail-type");
  field.addEventListener("change", () => {
    const type = field.value.trim();
    const isPossible = type === "" || TYPE.test(type);
    field.setCustomValidity(isPossible ? "" : "A type has letters, digits and . _ : / - only.");
    field.setAttribute("aria-invalid", String(!isPossible));
    if (field.reportValidity()) choose(type);
  });
}

function draw() {
  clearTimeout(drawing);
  drawing = 0;
  showRows(table.tBodies[0], events, keyOf, makeRow);
  table.hidden = events.length === 0;
  byId("tail-empty").hidden = events.length !== 0;
}

function keyOf(event) {
  return `${event.client_id} ${event.event_id}`;
}

function timeOf(event) {
  return Date.parse(event.received_at);
}

/** The payload as JSON; of a large one the tail has its beginning only. */
function payloadText(event, indent) {
  return event.truncated ? `${event.payload_beginning} …` : JSON.stringify(event.payload ?? null, null, indent);
}

function makeRow(event) {
  const line = payloadText(event, 0);
  const who = `${event.client_id} · ${event.event_id}`;
  const details = element("details", {},
    element("summary", {}, who, element("span", { className: "line mono" }, line.slice(0, LINE_LETTERS))));
  details.addEventListener("toggle", () => {
    if (details.open && details.childElementCount === 1) details.append(element("pre", {}, payloadText(event, 2)));
  });
  return tableRow(
    element("td", { className: "time" }, timeElement(moment(new Date(event.received_at)), event.received_at)),
    element("td", { className: "wrap" }, event.event_type ?? ""),
    element("td", {}, details),
  );
}
