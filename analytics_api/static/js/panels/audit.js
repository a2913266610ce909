// Recent calls, from the audit log. Equal ones in a row are one line: else this page's own would be all one sees.

import { byId, element, setText, showRows, tableRow, timeElement } from "../dom.js";
import { count, moment, span } from "../format.js";

export const MOST_CALLS = 100;
const SHOWN = 14;
const MOST_IN_ONE = 10; // so that a busy producer's are still several lines
const table = byId("audit");
const filter = byId("audit-filter");

/** What the chosen filter asks of the API. */
export function auditQuestion() {
  if (filter.value === "failed") return { endpoint: "failed" };
  return filter.value ? { service: filter.value } : {};
}

export function onAuditFilter(changed) {
  filter.addEventListener("change", changed);
}

/** Show rows of the API's audit log. */
export function showAudit(calls) {
  const groups = grouped(calls).slice(0, SHOWN);
  showRows(table.tBodies[0], groups, (group) => group.key, makeRow, fillRow);
  table.hidden = groups.length === 0;
  byId("audit-empty").hidden = groups.length !== 0;
  setText(byId("audit-empty"), "No such call in the last 24 hours.");
}

/** Runs of calls that differ in time only, each named by its oldest, so that a run that grows stays the same row. */
function grouped(calls) {
  const groups = [];
  for (const call of calls) {
    const same = JSON.stringify([call.client_id, call.method, call.endpoint, call.status, call.error]);
    const last = groups[groups.length - 1];
    if (last?.same === same && last.calls.length < MOST_IN_ONE) {
      last.calls.push(call);
      last.key = call.request_id + call.at;
    } else groups.push({ same, calls: [call], key: call.request_id + call.at });
  }
  return groups;
}

function makeRow() {
  return tableRow(
    element("td", { className: "time" }),
    element("td", { className: "wrap" }, element("span", { className: "method mono" }), element("span", { className: "mono" }), element("span", { className: "times" }), element("span", { className: "under" }), element("span", { className: "under narrow" })),
    element("td", { className: "wrap spare" }),
    element("td", { className: "number" }),
    element("td", { className: "number spare" }),
  );
}

function fillRow(row, { calls }) {
  const [newest] = calls;
  row.cells[0].replaceChildren(timeElement(moment(new Date(newest.at)), newest.at));
  const [method, endpoint, times, trouble, client] = row.cells[1].children;
  setText(method, newest.method);
  setText(endpoint, newest.endpoint === "unmatched" ? newest.path : newest.endpoint);
  const number = calls.reduce((sum, call) => sum + call.calls, 0); // a record may stand for several calls of strangers
  setText(times, number > 1 ? `× ${count(number)}` : "");
  setText(trouble, newest.error ?? "");
  row.cells[1].title = `${newest.path}\n${newest.user_agent ?? ""}`.trim();
  for (const place of [client, row.cells[2]]) setText(place, newest.client_id ?? "no key");
  setText(row.cells[3], String(newest.status));
  row.cells[3].className = `number ${statusClass(newest.status)}`;
  setText(row.cells[4], span(calls.reduce((sum, call) => sum + call.duration_ms, 0) / calls.length));
}

function statusClass(status) {
  if (status >= 500) return "status-bad";
  return status >= 400 ? "status-warn" : "status-good";
}
