// Failed events: what was given up, why, and what to do.

import { byId, element, setText, showRows, tableRow, timeElement } from "../dom.js";
import { count, moment, plural, sentence } from "../format.js";

export const MOST_FAILED = 8;
const table = byId("failed");
const REASONS = {
  invalid_data: "invalid data",
  unreadable_entry: "unreadable entry",
  enricher_failed: "enricher failed",
  crashed_processor: "crashed processor",
  retries_exhausted: "retries exhausted",
};

/** Show rows of the API's failed-events; `hasMore` when there are others, `kept` is how many there are of any age. */
export function showFailed(rows, rangeWords, hasMore, kept) {
  showRows(table.tBodies[0], rows, (row) => `${row.id} ${row.last_failed_at}`, makeRow);
  table.hidden = rows.length === 0;
  byId("failed-empty").hidden = rows.length !== 0;
  setText(byId("failed-empty"), `None in the ${rangeWords}.${kept > 0 ? " A longer range shows older ones." : ""}`);
  const note = hasMore ? `the last ${count(rows.length)}; all of them: weir failed list` : "";
  setText(byId("failed-note"), note);
}

function makeRow(failed) {
  const who = [failed.client_id, failed.event_id].filter(Boolean).join(" · ");
  return tableRow(
    element("td", { className: "time" }, timeElement(moment(new Date(failed.last_failed_at)), failed.last_failed_at)),
    element("td", { className: "wrap" }, failed.event_type ?? "unknown type", element("span", { className: "under" }, who)),
    element("td", { className: "wrap" },
      element("span", { className: "chip bad" }, REASONS[failed.reason] ?? failed.reason),
      element("span", { className: "under" }, `${failed.detail}${failed.sqlstate ? ` (${failed.sqlstate})` : ""}, after ${plural(failed.attempts, "attempt")}`),
      element("span", { className: "under step" }, sentence(failed.next_step ?? ""))),
  );
}
