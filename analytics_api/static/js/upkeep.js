// What is asked for again and again: one call at a time a subject, not while nobody looks, and later when the API says so.

const LOOK_MS = 500;

export class Upkeep {
  #subjects = new Map();
  #trouble;
  #timer = 0;

  /** `trouble(name, error)` is told of each failure, and with null of the next success. */
  constructor(trouble) {
    this.#trouble = trouble;
    document.addEventListener("visibilitychange", () => this.#look());
  }

  /** Run `refresh` now, and again `seconds` after each answer. A subject of the same name is replaced. */
  keep(name, seconds, refresh) {
    this.#subjects.set(name, { seconds, refresh, dueAt: 0, isRunning: false });
    this.#timer ||= setInterval(() => this.#look(), LOOK_MS);
    this.#look();
  }

  /** Run a subject, or all, without waiting for its time. */
  hurry(name = null) {
    for (const [each, subject] of this.#subjects) if (name === null || each === name) subject.dueAt = 0;
    this.#look();
  }

  stop() {
    clearInterval(this.#timer);
    this.#timer = 0;
    this.#subjects.clear();
  }

  #look() {
    if (document.hidden) return;
    for (const [name, subject] of this.#subjects) {
      if (!subject.isRunning && Date.now() >= subject.dueAt) this.#run(name, subject);
    }
  }

  async #run(name, subject) {
    subject.isRunning = true;
    subject.dueAt = Infinity; // who hurries it while it runs makes it run once more
    let waitMs = 1000 * subject.seconds;
    try {
      await subject.refresh(() => this.#subjects.get(name) === subject);
      if (this.#subjects.get(name) === subject) this.#trouble(name, null);
    } catch (error) {
      waitMs = Math.max(waitMs, error.waitMs ?? 0);
      if (this.#subjects.get(name) === subject) this.#trouble(name, error);
    }
    subject.isRunning = false;
    if (subject.dueAt === Infinity) subject.dueAt = Date.now() + waitMs;
  }
}
