// The tail's panel and its stream, together: what was there before, then what comes.

import { shortCount } from "./format.js";
import { readEvents } from "./history.js";
import { addToTail, clearTail, installTail, sayTail } from "./panels/tail.js";
import { Tail } from "./tail.js";
import { showWelcome } from "./welcome.js";

const FIRST_EVENTS = 20;

export class TailView {
  #tail = new Tail();
  #clientId = "";
  #type = "";
  #isPaused = false;
  #skipped = 0;
  #round = 0; // an answer to an earlier question is not shown

  constructor() {
    installTail({ pause: (isPaused) => this.#pause(isPaused), choose: (type) => this.#choose(type) });
    this.#tail.addEventListener("event", ({ detail }) => {
      this.hasEvents();
      addToTail(detail);
    });
    this.#tail.addEventListener("skipped", ({ detail }) => this.#skip(detail));
    this.#tail.addEventListener("state", ({ detail }) => this.#say(detail));
  }

  start(clientId) {
    this.#clientId = clientId;
    this.#begin();
  }

  stop() {
    this.#round += 1;
    this.#tail.stop();
  }

  clear() {
    clearTail();
  }

  /** There is something to see, so nobody needs to be told how to post a first event. */
  hasEvents() {
    showWelcome(false);
  }

  async #begin() {
    this.stop();
    const round = this.#round;
    const choice = { ...(this.#type && { event_type: this.#type }), ...(this.#clientId && { client_id: this.#clientId }) };
    if (!this.#isPaused) this.#tail.follow(choice);
    const events = await readEvents(this.#clientId, this.#type, FIRST_EVENTS).catch(() => null); // the stream is what counts
    if (round !== this.#round || events === null) return;
    addToTail(...events);
    if (!this.#type && !this.#clientId) showWelcome(events.length === 0);
  }

  #choose(type) {
    this.#type = type;
    clearTail();
    this.#begin();
  }

  #pause(isPaused) {
    this.#isPaused = isPaused;
    if (isPaused) {
      this.stop();
      sayTail("paused");
    } else this.#begin();
  }

  /** More come than can be shown: the server sends so many a second, and passes over the rest. */
  #skip(number) {
    this.#skipped += number;
    if (!this.#isPaused) sayTail(`following, ${shortCount(this.#skipped)} passed over`);
  }

  #say({ name, why }) {
    this.#skipped = 0;
    if (this.#isPaused) return;
    sayTail(name === "open" ? "following" : why || "not connected");
  }
}
