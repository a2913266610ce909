// The tail: events as they are accepted, in one long answer that is asked for again when it breaks.

import { openStream } from "./api.js";
import { waitMs } from "./backoff.js";
import { eventsOf } from "./event_stream.js";

/**
 * Dispatches "event" (detail: the event), "skipped" (detail: how many could not be shown) and "state" (detail: {name,
 * why}; name is "open" or "closed").
 */
export class Tail extends EventTarget {
  #abort = new AbortController();
  #wait = 0;

  /** Follow events that match the parameters, until `stop`. */
  follow(parameters) {
    this.stop();
    const abort = new AbortController();
    this.#abort = abort;
    this.#keepOpen(parameters, abort.signal);
  }

  stop() {
    clearTimeout(this.#wait);
    this.#abort.abort();
  }

  async #keepOpen(parameters, signal) {
    for (let failures = 1; !signal.aborted; failures += 1) {
      let why = "";
      try {
        const bytes = await openStream("live/events", parameters, signal);
        this.#tell("open");
        failures = 0;
        why = await this.#read(bytes);
      } catch (error) {
        if (signal.aborted) return;
        why = error.message;
        if (error.isRefusal) return this.#tell("closed", why);
      }
      if (signal.aborted) return;
      this.#tell("closed", why);
      await new Promise((resolve) => (this.#wait = setTimeout(resolve, waitMs(failures + 1))));
    }
  }

  /** Read to the end; why it ended, if the server said so. */
  async #read(bytes) {
    let why = "";
    for await (const { type, data } of eventsOf(bytes)) {
      const content = JSON.parse(data);
      if (type === "event") this.dispatchEvent(new CustomEvent("event", { detail: content }));
      else if (type === "skipped") this.dispatchEvent(new CustomEvent("skipped", { detail: content.skipped }));
      else if (type === "closed") why = content.reason;
    }
    return why;
  }

  #tell(name, why = "") {
    this.dispatchEvent(new CustomEvent("state", { detail: { name, why } }));
  }
}
