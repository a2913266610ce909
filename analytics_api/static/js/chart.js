// One chart: its head with the values of a moment, the plot by uPlot, and words for those who cannot see it.

import { fromZero, timeAxis, valueAxis } from "./axes.js";
import { colour } from "./colours.js";
import { element, setText } from "./dom.js";
import { clock, day, hourMinute } from "./format.js";

const { uPlot } = globalThis;
const together = uPlot.sync("weir"); // one pointer for all charts

/**
 * `figure` is filled. `spec` has `title`, `unit`, `format(value)` for its values, `axisFormat(value)` for its axis,
 * `least` that the axis reaches, whether buckets are bars (`hasBars`), the `leastStep` between its marks, and
 * `lines`: {name, label, colour, fill?}, in the order of the columns.
 */
export class Chart {
  #spec;
  #plot;
  #room;
  #when;
  #hollow;
  #foot;
  #keysOf = new Map();
  #drawn = null;
  #bucketSeconds = 0;

  constructor(figure, spec) {
    this.#spec = spec;
    this.#room = element("div", { className: "plot", tabIndex: 0 });
    this.#room.setAttribute("role", "img");
    this.#hollow = element("span");
    this.#room.append(element("p", { className: "hollow" }, this.#hollow));
    this.#when = element("span", { className: "when" });
    this.#foot = element("p", { className: "foot", hidden: true });
    const head = element("figcaption", { className: "chart-head" }, element("h3", {}, spec.title), this.#when);
    figure.replaceChildren(head, this.#keys(), this.#room, this.#foot);
    this.#room.addEventListener("keydown", (event) => this.#onKey(event));
    this.#room.addEventListener("blur", () => this.#point(null));
    new ResizeObserver(() => this.#plot?.setSize(this.#size())).observe(this.#room);
  }

  /**
   * Show columns: seconds first, then one a line; `from` and `to` are the ends of the time axis. `bucketSeconds` is
   * the length of what each value stands for; 0 is a moment.
   */
  show(columns, from, to, bucketSeconds = 0) {
    const isOther = this.#bucketSeconds !== bucketSeconds;
    this.#bucketSeconds = bucketSeconds;
    this.#drawn = columns;
    if (this.#plot === undefined || isOther) this.#make(columns);
    this.#plot.batch(() => {
      this.#plot.setData(columns, false);
      this.#plot.setScale("x", { min: from, max: to });
    });
    this.#tell();
  }

  /** Say why there is nothing to see; empty when there is. */
  explain(text) {
    setText(this.#hollow, text);
    this.#hollow.hidden = text === "";
  }

  footnote(text) {
    setText(this.#foot, text);
    this.#foot.hidden = text === "";
  }

  /** Draw again, as after a change of colours. */
  repaint() {
    for (const [line, { mark }] of this.#keysOf) mark.style.background = colour(line.colour);
    if (this.#drawn !== null) this.#make(this.#drawn, this.#plot?.scales.x);
  }

  #keys() {
    const keys = element("div", { className: "keys" });
    for (const line of this.#spec.lines) {
      const mark = element("i", { className: "key-mark" });
      mark.style.background = colour(line.colour);
      const value = element("b");
      this.#keysOf.set(line, { mark, value });
      keys.append(element("span", {}, mark, `${line.label} `, value));
    }
    return keys;
  }

  #make(columns, scale) {
    this.#plot?.destroy();
    const { lines, axisFormat, least, leastStep } = this.#spec;
    const options = {
      ...this.#size(),
      padding: [10, 18, 0, 0],
      legend: { show: false },
      cursor: { y: false, drag: { x: false, y: false }, sync: { key: together.key }, points: { size: 7 } },
      scales: { x: { time: true, auto: false, ...(scale && { min: scale.min, max: scale.max }) }, y: { range: fromZero(least) } },
      axes: [timeAxis(), valueAxis(axisFormat, leastStep)],
      series: [{}, ...lines.map((line) => this.#series(line))],
      hooks: { setCursor: [() => this.#tell()] },
    };
    this.#plot = new uPlot(options, columns, this.#room);
  }

  #series(line) {
    const { hasBars } = this.#spec;
    return {
      label: line.label,
      width: hasBars ? 0 : 1.75,
      paths: hasBars ? uPlot.paths.bars({ size: [0.8, 40], align: 1 }) : uPlot.paths.linear(),
      stroke: () => colour(line.colour),
      ...((line.fill || hasBars) && { fill: () => colour(hasBars ? line.colour : line.fill) }),
      points: { show: this.#bucketSeconds > 0 && !hasBars, size: 4, fill: () => colour(line.colour) },
    };
  }

  #size() {
    return { width: Math.max(80, this.#room.clientWidth), height: Math.max(80, this.#room.clientHeight) };
  }

  /** The values under the pointer, or the latest; and the whole in words. */
  #tell() {
    if (this.#drawn === null || this.#plot === undefined) return;
    const pointed = this.#plot.cursor.idx;
    const isPointed = pointed !== null && pointed !== undefined && this.#plot.cursor.left >= 0;
    const index = isPointed ? pointed : this.#latest();
    this.#spec.lines.forEach((line, place) => {
      const value = this.#drawn[place + 1][index];
      setText(this.#keysOf.get(line).value, this.#spec.format(value));
    });
    setText(this.#when, isPointed ? this.#moment(this.#drawn[0][index]) : (this.#spec.unit ?? ""));
    if (!isPointed) this.#room.setAttribute("aria-label", this.#words(index));
  }

  #latest() {
    const [at, ...values] = this.#drawn;
    for (let index = at.length - 1; index >= 0; index -= 1) {
      if (values.some((column) => typeof column[index] === "number")) return index;
    }
    return at.length - 1;
  }

  #moment(seconds) {
    const date = new Date(seconds * 1000);
    if (this.#bucketSeconds >= 86_400) return day(date);
    if (this.#bucketSeconds >= 3600) return `${day(date)}, ${hourMinute(date)}–${hourMinute(new Date((seconds + this.#bucketSeconds) * 1000))}`;
    return this.#bucketSeconds >= 60 ? hourMinute(date) : clock(date);
  }

  #words(index) {
    const { title, lines, format } = this.#spec;
    const each = lines.map((line, place) => {
      const known = this.#drawn[place + 1].filter((value) => typeof value === "number");
      if (known.length === 0) return `${line.label}: nothing known`;
      const highest = known.reduce((most, value) => Math.max(most, value));
      return `${line.label}: last ${format(this.#drawn[place + 1][index])}, highest ${format(highest)}`;
    });
    return `${title}. ${each.join("; ")}. Left and right arrow keys read single moments.`;
  }

  #onKey(event) {
    const steps = { ArrowLeft: -1, ArrowRight: 1, Home: -Infinity, End: Infinity };
    if (!(event.key in steps) || this.#drawn === null || this.#drawn[0].length === 0) return;
    event.preventDefault();
    const last = this.#drawn[0].length - 1;
    const now = this.#plot.cursor.idx ?? last;
    this.#point(Math.min(last, Math.max(0, now + steps[event.key])));
    const words = this.#spec.lines.map((line) => `${line.label} ${this.#keysOf.get(line).value.textContent}`);
    this.#room.setAttribute("aria-label", `${this.#when.textContent}: ${words.join(", ")}`);
  }

  #point(index) {
    if (this.#plot === undefined) return;
    const left = index === null ? -10 : this.#plot.valToPos(this.#drawn[0][index], "x");
    this.#plot.setCursor({ left, top: 10 });
  }
}
