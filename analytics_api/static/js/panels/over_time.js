// Throughput, latency and lag over time.

import { Chart } from "../chart.js";
import { byId } from "../dom.js";
import { count, hourMinute, mark, rate, roundSpan, span } from "../format.js";
import { STEP_SECONDS } from "../ranges.js";

const LIVE_RANGE = "15m";
const LIVE_STEPS = { "15m": 5, "1h": 60, "6h": 60, "24h": 300, "7d": 1800, "30d": 7200 };
const MINUTE = STEP_SECONDS.minute;
const SEEN_SHARE = 0.03; // of the width: less is a dot
const line = (name, label, colour, fill = "") => ({ name, label, colour, fill });

const THROUGHPUT = {
  title: "Throughput",
  hasBars: true,
  format: count,
  axisFormat: mark,
  least: 1,
  leastStep: 1,
  lines: [line("stored", "stored", "--accent", "--accent-soft")],
};
const THROUGHPUT_LIVE = {
  ...THROUGHPUT,
  hasBars: false,
  format: (value) => `${rate(value)}/s`,
  axisFormat: rate,
  leastStep: 0.1,
  lines: [...THROUGHPUT.lines, line("accepted", "accepted", "--violet"), line("failed", "failed", "--bad")],
};
const LATENCY = {
  title: "Receipt to stored",
  format: span,
  axisFormat: roundSpan,
  least: 10,
  leastStep: 1,
  lines: [line("p99", "p99", "--pink"), line("p95", "p95", "--violet"), line("p50", "p50", "--accent")],
};
const LAG = {
  title: "Waiting",
  format: count,
  axisFormat: mark,
  least: 1,
  leastStep: 1,
  lines: [line("lag", "events", "--warn", "--warn-soft")],
};

export class OverTime {
  #range;
  #showsSeconds = false;
  #past = null;
  #latencies = null;
  #pastLag = { at: [], lag: [] };
  #samples;
  #throughput;
  #latency = new Chart(byId("chart-latency"), { ...LATENCY, unit: "percentiles" });
  #lag = new Chart(byId("chart-lag"), { ...LAG, unit: "not stored yet" });

  constructor(samples) {
    this.#samples = samples;
  }

  choose(range) {
    this.#range = range;
    this.#past = this.#latencies = null;
    this.#makeThroughput();
    this.showLive();
  }

  /** Seconds for the shortest range, once any were heard; else the buckets of what is stored. */
  #makeThroughput() {
    this.#showsSeconds = this.#range.name === LIVE_RANGE && this.#samples.since < Infinity;
    const spec = this.#showsSeconds ? THROUGHPUT_LIVE : THROUGHPUT;
    const unit = this.#showsSeconds ? "events per second" : `events per ${this.#range.interval}`;
    this.#throughput = new Chart(byId("chart-throughput"), { ...spec, unit });
  }

  /** Lag is of all clients: a key of one client is not told. */
  showLag(isShown) {
    byId("chart-lag").hidden = !isShown;
  }

  /** What waited before the page was opened: {at, lag}. */
  showPastLag(lag) {
    this.#pastLag = lag;
    this.showLive();
  }

  forgetLag() {
    this.#pastLag = { at: [], lag: [] };
  }

  repaint() {
    for (const chart of [this.#throughput, this.#latency, this.#lag]) chart.repaint();
  }

  /** What the API knows of the range: {from, to, at, counts, total}. */
  showPast(past) {
    this.#past = past;
    if (!this.#showsSeconds) this.#showBuckets();
  }

  #showBuckets() {
    const { at, counts, from, to, total } = this.#past;
    const step = STEP_SECONDS[this.#range.interval];
    this.#throughput.show([at, counts], Math.min(from, at[0]), Math.max(to, at[at.length - 1] + step), step);
    this.#throughput.explain(total === 0 ? `No events in the ${this.#range.words}` : "");
  }

  /** What the API knows of the range's latencies: {at, p50, p95, p99}. */
  showLatencies(latencies) {
    this.#latencies = latencies;
    this.showLive();
  }

  /** What the live connection told; to be called with each message. */
  showLive(now = Date.now() / 1000) {
    const from = now - this.#range.seconds;
    const known = this.#samples.columns(from, LIVE_STEPS[this.#range.name]);
    const columns = (lines) => [known.at, ...lines.map(({ name }) => known[name])];
    if (this.#range.name === LIVE_RANGE && this.#showsSeconds !== known.at.length > 0) this.#makeThroughput();
    if (this.#showsSeconds) this.#throughput.show(this.#withMinutes(columns(THROUGHPUT_LIVE.lines), this.#pastRates()), from, now);
    this.#showLatency(columns(LATENCY.lines), from, now);
    const waiting = this.#withPastLag(columns(LAG.lines), from);
    this.#lag.show(waiting, from, now);
    this.#explain(waiting[0][0] ?? Infinity, from, now);
  }

  /** By the second in the shortest range, by the API's buckets in the others. */
  #showLatency(seconds, from, now) {
    const past = this.#latencies;
    const buckets = past && [past.at, ...LATENCY.lines.map(({ name }) => past[name])];
    const isLive = this.#range.name === LIVE_RANGE;
    const shown = isLive ? this.#withMinutes(seconds, buckets) : buckets ?? [[], [], [], []];
    this.#latency.show(shown, from, now, isLive ? 0 : STEP_SECONDS[this.#range.interval]);
    const isKnown = shown.slice(1).some((column) => column.some((value) => value !== null));
    this.#latency.explain(isKnown || past === null ? "" : `Nothing was stored in the ${this.#range.words}`);
  }

  #pastRates() {
    if (this.#past === null) return null;
    const unknown = this.#past.at.map(() => null); // what was accepted, and what failed, is not asked for
    return [this.#past.at, this.#past.counts.map((count) => count / MINUTE), unknown, unknown];
  }

  /** Before the first second that was heard, whole minutes of `past`, each in its middle. */
  #withMinutes(seconds, past) {
    if (past === null) return seconds;
    const first = seconds[0][0] ?? Infinity;
    const whole = past[0].filter((start) => start + MINUTE <= first).length;
    const middles = past[0].slice(0, whole).map((start) => start + MINUTE / 2);
    return seconds.map((column, index) => [...(index === 0 ? middles : past[index].slice(0, whole)), ...column]);
  }

  /** Before the first second that was heard, which the first step may begin before, what the API remembers. */
  #withPastLag([at, lag], from) {
    const { since } = this.#samples;
    const past = this.#pastLag;
    const kept = [...past.at.keys()].filter((index) => past.at[index] >= from && past.at[index] < since);
    const heard = at.map((moment) => Math.max(moment, since));
    return [[...kept.map((index) => past.at[index]), ...heard], [...kept.map((index) => past.lag[index]), ...lag]];
  }

  /** The API remembers a day at most, and nothing from before it was started. */
  #explain(since, from, now) {
    const isRecent = since > from + MINUTE && since < Infinity;
    this.#lag.footnote(isRecent ? `Since the API was started, a day at most: from ${hourMinute(new Date(since * 1000))}` : "");
    const isDot = now - since < this.#range.seconds * SEEN_SHARE;
    this.#lag.explain(isDot && this.#range.name !== LIVE_RANGE ? "What waited longer ago is not kept" : "");
  }
}
