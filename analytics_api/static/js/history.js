// What the API knows of the past.

import { ask } from "./api.js";
import { RANGES, boundsOf } from "./ranges.js";

const ZONE = Intl.DateTimeFormat().resolvedOptions().timeZone || "UTC"; // a day's bucket is a day of the reader
const LONGEST = RANGES[RANGES.length - 1];

/**
 * Stored events in the buckets of a range: {from, to, at, counts, total}, times in seconds. Raises CallError, as all of
 * these.
 */
export async function readCounts(range, clientId) {
  const bounds = boundsOf(range);
  const answer = await ask("analytics/events-by-type", {
    ...bounds, interval: range.interval, tz: ZONE, group_by: "none", client_id: clientId,
  });
  const [from, to] = [bounds.from, bounds.to].map((time) => Date.parse(time) / 1000);
  const at = answer.rows.map((row) => Date.parse(row.bucket) / 1000);
  return { from, to, at, counts: answer.rows.map((row) => row.count), total: answer.total };
}

/**
 * Latencies from receipt to stored in the buckets of a range: {at, p50, p95, p99}, milliseconds, null where nothing was
 * stored.
 */
export async function readLatencies(range, clientId) {
  const answer = await ask("analytics/processing-metrics", {
    ...boundsOf(range), interval: range.interval, tz: ZONE, client_id: clientId,
  });
  const column = (name) => answer.series.map((row) => row.latency_ms[name]);
  const at = answer.series.map((row) => Date.parse(row.bucket) / 1000);
  return { at, p50: column("p50"), p95: column("p95"), p99: column("p99") };
}

/** What waited of late, as long as the API remembers: {at, lag}, times in seconds. */
export async function readLag() {
  const { samples } = await ask("live/lag");
  return { at: samples.map((sample) => Date.parse(sample.at) / 1000), lag: samples.map((sample) => sample.lag) };
}

/** Stored events of a range by type. */
export async function readTypes(range, clientId) {
  const answer = await ask("analytics/events-by-type", { ...boundsOf(range), client_id: clientId });
  return answer.rows;
}

/** The clients that sent anything of late. */
export async function readClients() {
  const answer = await ask("analytics/events-by-type", { ...boundsOf(LONGEST), group_by: "client_id" });
  return answer.rows.map((row) => row.client_id);
}

/** The latest failed events of a range, one more than asked for if there is one. */
export async function readFailed(range, clientId, most) {
  const answer = await ask("audit/failed-events", { ...boundsOf(range), client_id: clientId, limit: most + 1 });
  return answer.failed_events;
}

/** The latest calls of a day. */
export async function readAudit(question, clientId, most) {
  const answer = await ask("audit/logs", { ...question, client_id: clientId, limit: most });
  return answer.logs;
}

/** The latest events of the longest range. */
export async function readEvents(clientId, type, most) {
  const answer = await ask("events", { from: boundsOf(LONGEST).from, client_id: clientId, event_type: type, limit: most });
  return answer.events;
}
