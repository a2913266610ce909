// What a person chooses for the whole page: the time range, and for admins the client.

import { byId, element } from "./dom.js";
import { RANGES, rangeOf } from "./ranges.js";

const PLACE = "weir.range";

function remembered() {
  try {
    return sessionStorage.getItem(PLACE);
  } catch {
    return null;
  }
}

function remember(name) {
  try {
    sessionStorage.setItem(PLACE, name);
  } catch (error) {
    console.info("The range is kept until this page is left:", error.name);
  }
}

/** Make the range's buttons; `choose(range)` is called for the first one at once, then for each change. */
export function installRanges(choose) {
  const chosen = rangeOf(remembered());
  for (const range of RANGES) {
    const input = element("input", { type: "radio", name: "range", value: range.name, checked: range === chosen });
    input.addEventListener("change", () => {
      remember(range.name);
      choose(range);
    });
    byId("range").append(element("label", {}, input, element("span", { title: range.words }, range.label)));
  }
  choose(chosen);
}

/** `choose(clientId)` is called for each change; the empty one is all clients. */
export function installClients(choose) {
  byId("client").addEventListener("change", () => choose(byId("client").value));
}

/** Offer these clients, and the one that is chosen. */
export function offerClients(names) {
  const select = byId("client");
  const chosen = select.value;
  const wanted = [...new Set([...names, ...(chosen ? [chosen] : [])])].sort();
  const offered = [...select.options].slice(1).map((option) => option.value);
  if (wanted.join("\n") === offered.join("\n")) return;
  const options = wanted.map((name) => element("option", { value: name, selected: name === chosen }, name));
  select.replaceChildren(select.options[0], ...options);
}

/** An admin chooses; others are told whose numbers these are. */
export function showWhose(clientId, isAdmin) {
  byId("client-choice").hidden = !isAdmin;
  byId("whose").hidden = isAdmin || clientId === null;
  byId("whose").textContent = clientId === null ? "" : `Client ${clientId}`;
}

export function forgetClients() {
  byId("client").replaceChildren(byId("client").options[0]);
  byId("client-choice").hidden = byId("whose").hidden = true;
}
