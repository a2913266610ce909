// What uPlot needs to draw our axes: times in 24 hours, values in short, quiet colours.

import { colour } from "./colours.js";
import { clock, day, hourMinute } from "./format.js";

const FONT = "12px system-ui, sans-serif";
const DAY_SECONDS = 86_400;
const STEPS = Array.from({ length: 13 }, (_, index) => [1, 2, 5].map((step) => Number(`${step}e${index - 1}`))).flat();

function look() {
  return {
    font: FONT,
    stroke: () => colour("--quiet"),
    grid: { stroke: () => colour("--grid"), width: 1 },
    ticks: { show: false },
  };
}

export function timeAxis() {
  return { ...look(), space: 64, size: 28, gap: 6, values: (_, splits, __, ___, step) => splits.map((at) => label(at, step)) };
}

/** The day where a day begins, the hour elsewhere. */
function label(at, stepSeconds) {
  const date = new Date(at * 1000);
  if (stepSeconds >= DAY_SECONDS || (date.getHours() === 0 && date.getMinutes() === 0 && date.getSeconds() === 0)) return day(date);
  return stepSeconds < 60 ? clock(date) : hourMinute(date);
}

/** `leastStep` is 1 for what has no halves. */
export function valueAxis(format, leastStep) {
  return { ...look(), incrs: STEPS.filter((step) => step >= leastStep), space: 36, size: 52, gap: 6, values: (_, splits) => splits.map(format) };
}

/** A scale from zero to a little more than the highest value, and to `least` at least. */
export function fromZero(least) {
  return (_, __, highest) => [0, Math.max(least, (highest ?? 0) * 1.12)];
}
