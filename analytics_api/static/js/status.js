// Whether what one sees is live; and if not, since when, and what happens now. Changes are said once, politely.

import { byId, setText } from "./dom.js";
import { moment, span } from "./format.js";

const TITLE = "Weir";
const SLOW = "The live connection does not come through: a proxy on the way may not pass WebSockets. "
  + "What waits is asked for every few seconds instead; rates and latencies are not known.";
const PARTS = {
  redis: "Redis does not answer: nothing is accepted, and what waits is not known.",
  postgresql: "PostgreSQL does not answer: events are still accepted and wait; counts and lists stand still.",
};
let connection = null;
let missing = "";
const troubles = new Map();

/** Show a state of the connection: {name, since, nextTryAt}. */
export function showConnection(state) {
  connection = state;
  if (state.name !== "live") missing = "";
  draw();
}

/** Show which servers behind the API do not answer; a list of names. */
export function showMissing(names) {
  const words = names.map((name) => PARTS[name] ?? `${name} does not answer.`).join(" ");
  if (words === missing) return;
  missing = words;
  draw();
}

/** Show that a list cannot be brought up to date, and why; null when it can again. */
export function showTrouble(subject, why) {
  if (why === null ? !troubles.delete(subject) : troubles.get(subject) === why) return;
  if (why !== null) troubles.set(subject, why);
  draw();
}

export function showSignedOut() {
  connection = null;
  missing = "";
  troubles.clear();
  draw();
}

/** `tryNow()` is called by the banner's button. */
export function installStatus(tryNow) {
  byId("try-now").addEventListener("click", tryNow);
  setInterval(countDown, 250);
}

function draw() {
  const name = connection?.name ?? "idle";
  const isDown = name === "down";
  document.body.dataset.connection = name;
  byId("state").dataset.state = name;
  setText(byId("state-word"), { idle: "Needs a key", connecting: "Connecting", live: "Live", slow: "Not live", down: "Disconnected" }[name]);
  document.title = isDown ? `Disconnected · ${TITLE}` : TITLE;
  const banner = byId("banner");
  const part = (name === "slow" ? SLOW : missing) || troubleWords();
  banner.hidden = !isDown && part === "";
  banner.dataset.kind = isDown ? "down" : "part";
  setText(byId("banner-what"), isDown ? `Disconnected since ${moment(connection.since)}.` : part);
  byId("try-now").hidden = !isDown;
  countDown();
}

function troubleWords() {
  const [why] = troubles.values();
  return why === undefined ? "" : `Not up to date: ${[...troubles.keys()].join(", ")}. ${why}`;
}

/** Not in the part that is read out: it changes each second. */
function countDown() {
  if (connection?.name !== "down") return setText(byId("banner-more"), "");
  const left = Math.ceil((connection.nextTryAt - Date.now()) / 1000);
  const next = left > 0 ? `Trying again in ${left} s.` : "Trying again …";
  const age = Date.now() - connection.since;
  setText(byId("banner-more"), `What you see is from then${age > 60_000 ? `, ${span(age)} ago` : ""}. ${next}`);
}

