// The time ranges one can choose, and in which steps each is shown.

const MINUTE = 60;
const HOUR = 60 * MINUTE;
const DAY = 24 * HOUR;

/**
 * `interval` is the API's name of the buckets, `refreshSeconds` how often history is asked for again: a key's rate
 * limit may be as low as 60 calls a minute, and the gateway's calls count towards the same key.
 */
export const RANGES = [
  { name: "15m", label: "15 min", words: "last 15 minutes", seconds: 15 * MINUTE, interval: "minute", refreshSeconds: 15 },
  { name: "1h", label: "1 h", words: "last hour", seconds: HOUR, interval: "minute", refreshSeconds: 15 },
  { name: "6h", label: "6 h", words: "last 6 hours", seconds: 6 * HOUR, interval: "minute", refreshSeconds: 30 },
  { name: "24h", label: "24 h", words: "last 24 hours", seconds: DAY, interval: "hour", refreshSeconds: 60 },
  { name: "7d", label: "7 d", words: "last 7 days", seconds: 7 * DAY, interval: "hour", refreshSeconds: 120 },
  { name: "30d", label: "30 d", words: "last 30 days", seconds: 30 * DAY, interval: "day", refreshSeconds: 300 },
];

export const STEP_SECONDS = { minute: MINUTE, hour: HOUR, day: DAY };

export function rangeOf(name) {
  return RANGES.find((range) => range.name === name) ?? RANGES[0];
}

/** From and to of a range that ends now, as the API takes them: from the beginning of a minute on. */
export function boundsOf(range, nowMs = Date.now()) {
  const from = Math.floor(nowMs / 60_000) * 60_000 - range.seconds * 1000;
  return { from: new Date(from).toISOString(), to: new Date(nowMs).toISOString() };
}
