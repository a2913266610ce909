// Throughput, latency and lag over time.

import { Chart } from "../chart.js";
import { byId } from "../dom.js";
import { count, hourMinute, rate, roundSpan, shortCount, span } from "../format.js";
import { STEP_SECONDS } from "../ranges.js";

const LIVE_RANGE = "15m";
const LIVE_STEPS = { "15m": 5, "1h": 60, "6h": 60, "24h": 300, "7d": 1800, "30d": 7200 };
const MINUTE = STEP_SECONDS.minute;
const SEEN_SHARE = 0.03; // of the width: less is a dot
const line = (name, label, colour, fill = "") => ({ name, label, colour, fill });

const THROUGHPUT = {
  title: "Throughput",
  format: count,
  axisFormat: shortCount,
  least: 1,
  isWhole: true,
  lines: [line("stored", "stored", "--accent", "--accent-soft")],
};
const THROUGHPUT_LIVE = {
  ...THROUGHPUT,
  format: (value) => `${rate(value)}/s`,
  axisFormat: rate,
  isWhole: false,
  lines: [...THROUGHPUT.lines, line("accepted", "accepted", "--violet"), line("failed", "failed", "--bad")],
};
const LATENCY = {
  title: "Receipt to stored",
  format: span,
  axisFormat: roundSpan,
  least: 10,
  lines: [line("p99", "p99", "--pink"), line("p95", "p95", "--violet"), line("p50", "p50", "--accent")],
};
const LAG = {
  title: "Waiting",
  format: count,
  axisFormat: shortCount,
  least: 1,
  isWhole: true,
  lines: [line("lag", "events", "--warn", "--warn-soft")],
};

export class OverTime {
  #range;
  #showsSeconds = false;
  #past = null;
  #samples;
  #throughput;
  #latency = new Chart(byId("chart-latency"), { ...LATENCY, unit: "of the minute before" });
  #lag = new Chart(byId("chart-lag"), { ...LAG, unit: "not stored yet" });

  constructor(samples) {
    this.#samples = samples;
  }

  choose(range) {
    this.#range = range;
    this.#past = null;
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

  /** What the live connection told; to be called with each message. */
  showLive(now = Date.now() / 1000) {
    const from = now - this.#range.seconds;
    const known = this.#samples.columns(from, LIVE_STEPS[this.#range.name]);
    const columns = (lines) => [known.at, ...lines.map(({ name }) => known[name])];
    if (this.#range.name === LIVE_RANGE && this.#showsSeconds !== known.at.length > 0) this.#makeThroughput();
    if (this.#showsSeconds) this.#throughput.show(this.#withPast(columns(THROUGHPUT_LIVE.lines)), from, now);
    this.#latency.show(columns(LATENCY.lines), from, now);
    this.#lag.show(columns(LAG.lines), from, now);
    this.#explain(known, from, now);
  }

  /** Before the first second that was heard, the whole minutes that are stored, as a rate each. */
  #withPast([seconds, ...values]) {
    const { at = [], counts = [] } = this.#past ?? {};
    const before = at.filter((start) => start + MINUTE <= seconds[0]);
    const empty = before.map(() => null);
    const rates = before.map((_, index) => counts[index] / MINUTE);
    const past = values.map((_, line) => (line === 0 ? rates : empty));
    return [[...before.map((start) => start + MINUTE / 2), ...seconds], ...values.map((column, line) => [...past[line], ...column])];
  }

  #explain(known, from, now) {
    const { since } = this.#samples;
    const isRecent = since > from + MINUTE && since < Infinity;
    const note = isRecent ? `Since this page was opened, ${hourMinute(new Date(since * 1000))}` : "";
    this.#latency.footnote(note);
    this.#lag.footnote(note);
    this.#latency.explain(known.p50.some((value) => value !== null) ? "" : "No event was stored since this page was opened");
    const isDot = now - since < this.#range.seconds * SEEN_SHARE;
    this.#lag.explain(isDot && this.#range.name !== LIVE_RANGE ? "What waited before this page was opened is not kept" : "");
  }
}
