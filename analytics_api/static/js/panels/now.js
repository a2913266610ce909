// The tiles: what flows at this second.

import { byId, element, setText } from "../dom.js";
import { NOTHING, hourMinute, rate, shortCount, span, spanParts } from "../format.js";

const tiles = byId("now");

/** Show a message of the live connection. */
export function showNow(message) {
  const { rates, totals, lag, oldest_age_seconds: oldest, latency_ms: latency, failed } = message;
  const since = hourMinute(new Date(message.totals_since));
  tile("accepted", rate(rates.accepted), "/s", `${shortCount(totals.accepted)} since ${since}`);
  tile("stored", rate(rates.stored), "/s", rates.duplicate > 0 ? `and ${rate(rates.duplicate)}/s duplicates` : "");
  showWaiting(lag, oldest);
  showLatency(latency);
  showFailed(failed, rates.failed);
  showLagTile(message.client_id === null);
}

function showWaiting(lag, oldestSeconds) {
  tile("lag", shortCount(lag), lag === 1 ? "event" : "events", lag > 0 && oldestSeconds !== null ? `the oldest for ${span(oldestSeconds * 1000)}` : "");
}

function showFailed(failed, perSecond) {
  tile("failed", shortCount(failed), "", perSecond > 0 ? `${rate(perSecond)}/s now` : failed > 0 ? "kept, with their reasons" : "");
  tiles.querySelector("[data-tile=failed]").toggleAttribute("data-alarm", failed > 0 || perSecond > 0);
}

function showLatency(latency) {
  if (!latency || !latency.count) return tile("latency", NOTHING, "", "nothing stored in the last minute");
  const [value, unit] = spanParts(latency.p95);
  return tile("latency", value, `${unit} p95`, `p50 ${span(latency.p50)} · p99 ${span(latency.p99)}`);
}

function showLagTile(isShown) {
  tiles.querySelector("[data-tile=lag]").hidden = !isShown;
  tiles.dataset.tiles = isShown ? "5" : "4";
}

function tile(name, value, unit, note) {
  const place = tiles.querySelector(`[data-tile=${name}]`);
  const shown = place.querySelector(".value");
  if (shown.textContent !== value + unit) shown.replaceChildren(value, unit ? element("small", {}, unit) : "");
  const noted = place.querySelector(".note");
  setText(noted, note);
  noted.title = note;
}

/** Show an answer of queue-status, which knows no rates. */
export function showNowSlowly({ streams, failed }) {
  clearNow();
  const events = streams.filter((stream) => stream.name === "events");
  const sum = events.reduce((total, stream) => total + stream.lag + stream.pending, 0);
  const oldest = Math.max(0, ...events.map((stream) => stream.oldest_age_seconds));
  showWaiting(sum, oldest);
  showFailed(failed, 0);
}

/** Before the first message, and after another key came. */
export function clearNow() {
  for (const name of ["accepted", "stored", "lag", "latency", "failed"]) tile(name, NOTHING, "", "");
}

