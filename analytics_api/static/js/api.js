// Calls of the API with the key of this tab.

import { sentence } from "./format.js";
import { readKey } from "./key.js";

const PATIENCE_MS = 20_000;
const SENTENCES = {
  401: "This key is refused: it is unknown, expired or switched off.",
  403: "This key may not read: it needs the scope read or admin.",
};

/** A call that was not answered well. `status` is 0 when nothing answered; `waitMs` is what the server asks for. */
export class CallError extends Error {
  constructor(message, status = 0, waitMs = 0) {
    super(message);
    this.status = status;
    this.waitMs = waitMs;
  }

  /** Whether the key is to blame: to try again with it would change nothing. */
  get isRefusal() {
    return this.status === 401 || this.status === 403;
  }
}

export function authorization() {
  return { Authorization: `Bearer ${readKey()}` };
}

/** The JSON answer of a call. Raises CallError. */
export async function ask(path, parameters = {}) {
  const given = Object.entries(parameters).filter(([, value]) => value !== null && value !== undefined && value !== "");
  const query = new URLSearchParams(given).toString();
  const answer = await send(`/api/v1/${path}${query && `?${query}`}`, AbortSignal.timeout(PATIENCE_MS));
  try {
    return await answer.json();
  } catch {
    throw new CallError("The API's answer broke off.");
  }
}

/** An answer that goes on, as a stream of bytes. Raises CallError. */
export async function openStream(path, parameters, signal) {
  const query = new URLSearchParams(parameters).toString();
  return (await send(`/api/v1/${path}${query && `?${query}`}`, signal)).body;
}

async function send(path, signal) {
  let answer;
  try {
    answer = await fetch(path, { headers: authorization(), cache: "no-store", credentials: "omit", signal });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new CallError(error.name === "TimeoutError" ? "The API does not answer in time." : "The API cannot be reached.");
  }
  if (!answer.ok) throw await refusal(answer);
  return answer;
}

/** What the API says, in its own words where there are none of ours. */
async function refusal(answer) {
  const problem = await answer.json().catch(() => ({}));
  const said = problem.detail || problem.title || `The API answers ${answer.status}.`;
  const waitMs = 1000 * (Number(answer.headers.get("Retry-After")) || 0);
  return new CallError(SENTENCES[answer.status] ?? sentence(said), answer.status, waitMs);
}
