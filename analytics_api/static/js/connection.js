// The live connection: one WebSocket that tells what flows once a second, and comes back by itself.

import { ask } from "./api.js";
import { waitMs } from "./backoff.js";
import { readKey } from "./key.js";

const SILENCE_MS = 6_000; // a message is due every second: silence means that nobody is there any more
const PATH = "/api/v1/ws/metrics";

const REFUSALS = [4401, 4403]; // close codes: the key is not taken any longer, or may not see this
const TRIES = 3; // failures after which an API that answers calls is taken for one whose WebSockets do not come through

/**
 * Dispatches "metrics" (detail: the message), "state" (detail: {name, since, nextTryAt}; name is "connecting", "live",
 * "down", or "slow" where calls are answered and WebSockets are not), "status" (detail: the answer of queue-status,
 * while slow), and "refused" (detail: a sentence) when it is the key that is not taken.
 */
export class Connection extends EventTarget {
  #socket = null;
  #silence = 0;
  #retry = 0;
  #failures = 0;
  #clientId = "";
  #isWanted = false;
  #state = { name: "connecting", since: new Date(), nextTryAt: null };

  constructor() {
    super();
    addEventListener("online", () => this.tryNow());
    document.addEventListener("visibilitychange", () => document.hidden || this.tryNow());
  }

  /** Connect, and stay so; `clientId` is the one that an admin picked, or empty. */
  start(clientId) {
    this.stop();
    this.#isWanted = true;
    this.#clientId = clientId;
    this.#failures = 0;
    this.#become("connecting");
    this.#open();
  }

  stop() {
    this.#isWanted = false;
    clearTimeout(this.#retry);
    this.#drop();
  }

  /** Do not wait for the next try, if one is due. */
  tryNow() {
    if (!this.#isWanted || this.#socket !== null) return;
    clearTimeout(this.#retry);
    this.#open();
  }

  #open() {
    const scheme = location.protocol === "https:" ? "wss:" : "ws:";
    const socket = new WebSocket(`${scheme}//${location.host}${PATH}`, ["weir.v1", `weir.key.${readKey()}`]);
    this.#socket = socket;
    this.#listen(socket);
  }

  #listen(socket) {
    this.#expectWords();
    socket.onopen = () => {
      const choice = this.#clientId ? { client_id: this.#clientId } : {};
      socket.send(JSON.stringify({ type: "subscribe", ...choice }));
    };
    socket.onmessage = (message) => this.#hear(JSON.parse(message.data));
    socket.onclose = ({ code, reason }) => (REFUSALS.includes(code) ? this.#refuse(reason) : this.#lose());
  }

  #refuse(reason) {
    this.stop();
    this.dispatchEvent(new CustomEvent("refused", { detail: `This key is refused: ${reason}.` }));
  }

  #hear(message) {
    this.#expectWords();
    if (message.type === "metrics") {
      this.#failures = 0;
      if (this.#state.name !== "live") this.#become("live");
    }
    this.dispatchEvent(new CustomEvent(message.type, { detail: message }));
  }

  #expectWords() {
    clearTimeout(this.#silence);
    this.#silence = setTimeout(() => this.#lose(), SILENCE_MS);
  }

  #drop() {
    clearTimeout(this.#silence);
    const socket = this.#socket;
    this.#socket = null;
    if (socket === null) return;
    socket.onopen = socket.onmessage = socket.onclose = null;
    socket.close();
  }

  #lose() {
    this.#drop();
    if (!this.#isWanted) return;
    this.#failures += 1;
    const wait = waitMs(this.#failures);
    this.#become(this.#state.name === "slow" ? "slow" : "down", new Date(Date.now() + wait));
    this.#retry = setTimeout(() => this.tryNow(), wait);
    this.#askByCall();
  }

  /** A browser does not tell why a WebSocket was refused; a call with the same key does. */
  async #askByCall() {
    const tell = (type, detail) => this.dispatchEvent(new CustomEvent(type, { detail }));
    const isStale = () => !this.#isWanted || this.#state.name === "live";
    try {
      const status = await ask("analytics/queue-status");
      if (isStale() || this.#failures < TRIES) return;
      this.#become("slow", this.#state.nextTryAt);
      tell("status", status);
    } catch (error) {
      if (isStale()) return;
      if (error.isRefusal) tell("refused", error.message);
      else this.#become("down", this.#state.nextTryAt);
    }
  }

  #become(name, nextTryAt = null) {
    const since = this.#state.name === name ? this.#state.since : new Date();
    this.#state = { name, since, nextTryAt };
    this.dispatchEvent(new CustomEvent("state", { detail: this.#state }));
  }
}
