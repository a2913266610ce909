// Events by type: stored in the chosen range, and in the last minute.

import { byId, element, setText, showRows } from "../dom.js";
import { count, percent, plural } from "../format.js";

const LARGEST = 8;
const MOVING = 4; // and what is rare, but came just now: one looks for the event one has posted
const body = byId("types").tBodies[0];
let stored = new Map();
let words = "";
let recent = new Map();

/** Counts of a range: rows of the API's events-by-type. */
export function showCountsByType(rows, range) {
  stored = new Map(rows.map((row) => [row.event_type, row.count]));
  words = range.label;
  draw();
}

/** Counts of the last minute: `counts_by_type` of the live connection. */
export function showRecentByType(counts) {
  recent = new Map(counts.map((row) => [row.event_type, row.count]));
  draw();
}

export function clearTypes() {
  stored = recent = new Map();
  draw();
}

function draw() {
  const rows = busiest();
  const all = rows.reduce((sum, row) => sum + row.stored, 0);
  const most = Math.max(1, ...rows.map((row) => row.stored));
  showRows(body, rows, (row) => row.key, makeRow, (row, item) => fillRow(row, item, all, most));
  setText(byId("types-range"), words);
  setText(byId("types-total"), all ? plural(all, "event") : "");
  byId("types").hidden = rows.length === 0;
  byId("types-empty").hidden = rows.length !== 0;
}

/** Types of the last minute count as well: a new one shows before the range is asked for again. */
function busiest() {
  const named = [...new Set([...stored.keys(), ...recent.keys()])].filter((type) => type !== null);
  const rows = named.map((type) => ({
    key: `t:${type}`, type, recent: recent.get(type) ?? 0, stored: Math.max(stored.get(type) ?? 0, recent.get(type) ?? 0),
  }));
  const shown = chosen(rows.sort((a, b) => b.stored - a.stored || (a.type < b.type ? -1 : 1)));
  const rest = rows.filter((row) => !shown.includes(row));
  if (rest.length === 0) return rows;
  const sum = (name) => rest.reduce((total, row) => total + row[name], 0);
  return [...shown, { key: "rest", type: null, number: rest.length, recent: sum("recent") + (recent.get(null) ?? 0), stored: sum("stored") }];
}

/** Of rows sorted by size, those that are shown, in the same order. */
function chosen(rows) {
  const moving = rows.slice(LARGEST).filter((row) => row.recent > 0).sort((a, b) => b.recent - a.recent).slice(0, MOVING);
  const shown = new Set([...rows.slice(0, LARGEST), ...moving]);
  for (const row of rows) if (shown.size < LARGEST + MOVING) shown.add(row);
  return rows.filter((row) => shown.has(row));
}

function makeRow(item) {
  const name = element("th", { scope: "row", className: "wrap" }, element("span"), element("span", { className: "bar", ariaHidden: "true" }, element("i")));
  const row = element("tr", { className: item.type === null ? "rest" : "" }, name);
  for (const name of ["number", "number", "number spare"]) row.append(element("td", { className: name }));
  return row;
}

function fillRow(row, item, all, most) {
  setText(row.querySelector("span"), item.type ?? `${plural(item.number, "more type")}`);
  row.querySelector("i").style.width = item.type === null ? "0" : `${(100 * item.stored) / most}%`;
  setText(row.cells[1], count(item.recent));
  setText(row.cells[2], count(item.stored));
  setText(row.cells[3], percent(item.stored, all));
}
