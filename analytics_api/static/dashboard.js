"use strict";
// Asks the API once a second and shows its numbers. Text goes in by textContent only: event types are strangers' words.

const KEY = "weir.key";
const EVERY_MS = 1000;
const $ = (id) => document.getElementById(id);
const count = (number) => number === null ? "?" : number.toLocaleString("en");
const SHOWN_TYPES = 20;
const COULD_BE_A_KEY = /^[\x21-\x7e]+$/; // other characters cannot be sent in a header
const seconds = (number) => number < 100 ? `${number.toFixed(1)} s` : `${count(Math.round(number))} s`;
let timer = 0;
let round = 0; // answers to questions of an earlier key are not shown

function say(text, trouble) {
  if ($("state").textContent !== text) $("state").textContent = text;
  $("state").toggleAttribute("data-trouble", trouble);
}

function fill(id, rows) {
  $(id).replaceChildren(...rows.map((cells) => {
    const row = document.createElement("tr");
    for (const cell of cells) row.appendChild(document.createElement("td")).textContent = cell;
    return row;
  }));
}

function busiest(rows) {
  const sorted = [...rows].sort((a, b) => b.count - a.count);
  const rest = sorted.slice(SHOWN_TYPES);
  const shown = sorted.slice(0, SHOWN_TYPES).map((r) => [r.event_type, count(r.count)]);
  const sum = rest.reduce((total, r) => total + r.count, 0);
  return rest.length ? [...shown, [`… and ${count(rest.length)} more`, count(sum)]] : shown;
}

function show(queue, counts) {
  fill("streams", queue.streams.map((s) =>
    [s.name, s.shard, count(s.length), count(s.lag), count(s.pending), seconds(s.oldest_age_seconds)]));
  fill("consumers", queue.consumers.map((c) => [c.name, c.stream, count(c.pending), seconds(c.idle_seconds)]));
  fill("types", busiest(counts.rows));
  $("total").textContent = count(counts.total);
  $("failed").textContent = count(queue.failed);
  $("numbers").hidden = false;
}

async function ask(path, key) {
  const answer = await fetch(path, { headers: { "X-API-Key": key } });
  const body = await answer.json();
  if (answer.ok) return body;
  throw Object.assign(new Error(body.detail || body.title), {
    refused: answer.status === 401 || answer.status === 403,
    waitMs: 1000 * Number(answer.headers.get("Retry-After") || 0),
  });
}

async function refresh(mine) {
  const key = sessionStorage.getItem(KEY);
  let waitMs = EVERY_MS;
  try {
    const answers = await Promise.all(
      [ask("/api/v1/analytics/queue-status", key), ask("/api/v1/analytics/events-by-type", key)]);
    if (mine !== round) return;
    show(...answers);
    say(`Live, ${new Date().toLocaleTimeString([], { hourCycle: "h23" })}`, false);
  } catch (error) {
    if (mine !== round) return;
    if (error.refused) return forget(error.message);
    waitMs = Math.max(waitMs, error.waitMs || 0);
    say(`Not up to date: ${error.message}`, true);
  }
  timer = setTimeout(refresh, waitMs, mine);
}

function start() {
  $("ask").hidden = true;
  $("forget").hidden = false;
  say("Connecting", false);
  refresh(++round);
}

function forget(reason) {
  clearTimeout(timer);
  round += 1;
  sessionStorage.removeItem(KEY);
  $("numbers").hidden = true;
  $("forget").hidden = true;
  $("ask").hidden = false;
  say(reason || "Needs a key.", Boolean(reason));
  $("key").focus();
}

$("ask").addEventListener("submit", (event) => {
  event.preventDefault();
  const key = $("key").value.trim();
  $("key").value = "";
  if (!COULD_BE_A_KEY.test(key)) return forget("That is no key: it holds characters that no key has.");
  sessionStorage.setItem(KEY, key);
  start();
});
$("forget").addEventListener("click", () => forget(""));
if (sessionStorage.getItem(KEY)) start();
