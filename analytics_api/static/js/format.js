// Numbers, spans and times as people read them. Pure, but for the time zone of the browser.

const whole = new Intl.NumberFormat("en", { maximumFractionDigits: 0 });
const tenth = new Intl.NumberFormat("en", { minimumFractionDigits: 1, maximumFractionDigits: 1 });
const short = new Intl.NumberFormat("en", { notation: "compact", maximumFractionDigits: 1 });
export const NOTHING = "–";

/** 1234567 as "1,234,567". */
export function count(number) {
  return isNumber(number) ? whole.format(number) : NOTHING;
}

/** As `count`, but never longer than "12.3M". */
export function shortCount(number) {
  return isNumber(number) ? (Math.abs(number) < 100_000 ? whole : short).format(number) : NOTHING;
}

/** Marks of an axis: "500", "20K", "1.5M". */
export function mark(number) {
  return (number < 10_000 ? whole : short).format(number);
}

/** Per second: a decimal where it says something. */
export function rate(number) {
  if (!isNumber(number)) return NOTHING;
  if (number === 0 || number >= 10) return shortCount(number);
  return number < 0.1 ? "<0.1" : tenth.format(number);
}

/** Milliseconds with the unit that fits, as [number, unit]. */
export function spanParts(ms) {
  if (!isNumber(ms)) return [NOTHING, ""];
  if (ms < 10) return [tenth.format(ms), "ms"];
  if (ms < 1000) return [whole.format(ms), "ms"];
  if (ms < 10_000) return [(ms / 1000).toFixed(2), "s"];
  if (ms < 100_000) return [tenth.format(ms / 1000), "s"];
  const minutes = Math.floor(ms / 60_000);
  if (minutes < 100) return [`${minutes}:${String(Math.floor(ms / 1000) % 60).padStart(2, "0")}`, "min"];
  return minutes < 2880 ? [tenth.format(minutes / 60), "h"] : [tenth.format(minutes / 1440), "days"];
}

export function span(ms) {
  return spanParts(ms).join(" ").trim();
}

/** As `span`, for round numbers: "0", "50 ms", "1.5 s". */
export function roundSpan(ms) {
  if (ms === 0) return "0";
  if (ms < 1000) return `${Number(ms.toPrecision(3))} ms`;
  return ms < 100_000 ? `${Number((ms / 1000).toPrecision(3))} s` : span(ms);
}

export function percent(part, all) {
  if (!all) return NOTHING;
  const share = (100 * part) / all;
  return share > 0 && share < 0.1 ? "<0.1 %" : `${tenth.format(share)} %`;
}

const two = (number) => String(number).padStart(2, "0");
const MONTHS = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];

/** Local time of day. */
export function clock(date) {
  return `${two(date.getHours())}:${two(date.getMinutes())}:${two(date.getSeconds())}`;
}

export function hourMinute(date) {
  return `${two(date.getHours())}:${two(date.getMinutes())}`;
}

export function day(date) {
  return `${MONTHS[date.getMonth()]} ${date.getDate()}`;
}

/** The time of day, and the day unless it is today's. */
export function moment(date, now = new Date()) {
  return date.toDateString() === now.toDateString() ? clock(date) : `${day(date)}, ${hourMinute(date)}`;
}

/** "1 event", "2 events". */
export function plural(number, word) {
  return `${count(number)} ${word}${number === 1 ? "" : "s"}`;
}

/** Words as a sentence: a capital at its beginning, and an end. */
export function sentence(text) {
  const begun = text.charAt(0).toUpperCase() + text.slice(1);
  return begun === "" || /[.!?]$/.test(begun) ? begun : `${begun}.`;
}

function isNumber(value) {
  return typeof value === "number" && Number.isFinite(value);
}
