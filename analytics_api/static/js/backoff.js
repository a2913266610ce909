// How long to wait before the next try: longer each time, and never in step with other pages.

const FIRST_MS = 500;
const MOST_MS = 15_000;

/** Half to all of a wait that doubles with every failure. Pure, but for the dice. */
export function waitMs(failures, random = Math.random) {
  const most = Math.min(MOST_MS, FIRST_MS * 2 ** Math.max(0, failures - 1));
  return most / 2 + (random() * most) / 2;
}
