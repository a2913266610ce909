// Processors and streams: what works, and what waits. Admin keys only are told.

import { byId, element, setText, showRows, tableRow } from "../dom.js";
import { count, rate, span } from "../format.js";

const ALARMS = { running: "status-good", halted: "status-bad", gone: "status-bad" };
const processors = byId("processors");
const streams = byId("streams");

/** Say that this key is not told of them. */
export function hideWorks(isHidden) {
  byId("works-hidden").hidden = !isHidden;
  byId("works-shown").hidden = isHidden;
}

/** Show `processors` and `streams` of a message; null while Redis is away: then what was known stays. */
export function showWorks({ processors: working, streams: waiting }) {
  if (!working || !waiting) return;
  showProcessors(working);
  showRows(streams.tBodies[0], waiting, (stream) => `${stream.name} ${stream.shard}`, makeStream, fillStream);
}

/** Consumers of an answer of queue-status, as processors; what each is at is not told there. */
export function processorsOf(consumers) {
  const found = new Map();
  for (const { name, pending, idle_seconds: idle } of consumers) {
    const known = found.get(name) ?? { name, pending: 0, idle_seconds: idle };
    found.set(name, { ...known, pending: known.pending + pending, idle_seconds: Math.min(known.idle_seconds, idle) });
  }
  return [...found.values()];
}

function showProcessors(working) {
  showRows(processors.tBodies[0], working, (processor) => processor.name, makeProcessor, fillProcessor);
  processors.hidden = working.length === 0;
  byId("processors-empty").hidden = working.length !== 0;
}

function makeProcessor() {
  const name = element("th", { scope: "row", className: "wrap" }, element("span"), element("span", { className: "under" }));
  return tableRow(name, element("td", {}, element("span"), element("span", { className: "under wrap" })), ...numbers(2), element("td", { className: "number spare" }));
}

function fillProcessor(row, processor) {
  const [name, host] = row.cells[0].children;
  setText(name, processor.name);
  setText(host, processor.host ? `on ${processor.host}` : "");
  const [state, trouble] = row.cells[1].children;
  setText(state, processor.state ?? "unknown");
  state.className = ALARMS[processor.state] ?? "status-warn";
  setText(trouble, processor.last_error ?? "");
  setText(row.cells[2], count(processor.pending));
  setText(row.cells[3], rate(processor.stored_per_second));
  setText(row.cells[4], processor.idle_seconds === null ? "never seen" : span(processor.idle_seconds * 1000));
}

function makeStream() {
  return tableRow(element("th", { scope: "row" }), ...numbers(3));
}

function fillStream(row, stream) {
  setText(row.cells[0], stream.shard > 0 ? `${stream.name} ${stream.shard}` : stream.name);
  setText(row.cells[1], count(stream.lag));
  setText(row.cells[2], count(stream.pending));
  setText(row.cells[3], stream.oldest_age_seconds > 0 ? span(stream.oldest_age_seconds * 1000) : "–");
}

function numbers(many) {
  return Array.from({ length: many }, () => element("td", { className: "number" }));
}
