// What the live connection told, kept in this page: every second of the last minutes, before that a minute each.

const FINE_SECONDS = 16 * 60;
const MOST_MINUTES = 24 * 60;
const MEANS = ["accepted", "stored", "failed", "p50", "p95", "p99"];
const HIGHEST = ["lag"]; // a short peak is what one looks for

export class Samples {
  #fine = [];
  #coarse = [];

  clear() {
    this.#fine = [];
    this.#coarse = [];
  }

  /** Keep a message of the connection. One that is not later than the last (a clock was set) is left out. */
  add(message) {
    const at = Date.parse(message.at) / 1000;
    if (!(at > this.#last)) return;
    const { p50, p95, p99 } = message.latency_ms ?? {};
    this.#fine.push({ at, ...message.rates, lag: message.lag, p50, p95, p99 });
    while (this.#fine[0].at < at - FINE_SECONDS) this.#fold();
  }

  /** The first moment that is known, in seconds; Infinity when none is. */
  get since() {
    return this.#all[0]?.at ?? Infinity;
  }

  get #last() {
    return this.#fine[this.#fine.length - 1]?.at ?? -Infinity;
  }

  get #all() {
    return [...this.#coarse, ...this.#fine];
  }

  /** All samples of the first minute become one. */
  #fold() {
    const end = Math.floor(this.#fine[0].at / 60) * 60 + 60;
    const count = this.#fine.findIndex((sample) => sample.at >= end);
    this.#coarse.push({ at: this.#fine[0].at, ...summary(this.#fine.splice(0, count)) });
    if (this.#coarse.length > MOST_MINUTES) this.#coarse.shift();
  }

  /**
   * Columns by name, and "at" (seconds): one value a step from `from` on. A step in which nothing was heard is null
   * in every column: the chart shows a gap, as there was one.
   */
  columns(from, stepSeconds) {
    const columns = Object.fromEntries(["at", ...MEANS, ...HIGHEST].map((name) => [name, []]));
    if (this.since === Infinity) return columns;
    const first = Math.floor(Math.max(from, this.since) / stepSeconds) * stepSeconds;
    for (const [index, step] of this.#steps(first, stepSeconds).entries()) {
      columns.at.push(first + index * stepSeconds);
      for (const [name, value] of Object.entries(summary(step))) columns[name].push(value);
    }
    return columns;
  }

  #steps(first, stepSeconds) {
    const length = Math.max(0, Math.floor((this.#last - first) / stepSeconds) + 1);
    const steps = Array.from({ length }, () => []);
    for (const sample of this.#all) steps[Math.floor((sample.at - first) / stepSeconds)]?.push(sample);
    return steps;
  }
}

function summary(samples) {
  const of = (name) => samples.map((sample) => sample[name]).filter((value) => typeof value === "number");
  return Object.fromEntries([
    ...MEANS.map((name) => [name, mean(of(name))]),
    ...HIGHEST.map((name) => [name, of(name).reduce((most, value) => Math.max(most ?? value, value), null)]),
  ]);
}

function mean(values) {
  return values.length ? values.reduce((sum, value) => sum + value, 0) / values.length : null;
}
