// One key's view: asks, listens, and hands what comes to the panels.

import { Connection } from "./connection.js";
import { forgetClients, offerClients, showWhose } from "./choices.js";
import { readAudit, readClients, readCounts, readEvents, readFailed, readLag, readLatencies, readTypes } from "./history.js";
import { MOST_CALLS, auditQuestion, showAudit } from "./panels/audit.js";
import { MOST_FAILED, showFailed } from "./panels/failed.js";
import { clearNow, showNow, showNowSlowly } from "./panels/now.js";
import { OverTime } from "./panels/over_time.js";
import { clearTypes, showCountsByType, showRecentByType } from "./panels/types.js";
import { hideWorks, processorsOf, showWorks } from "./panels/works.js";
import { Samples } from "./samples.js";
import { showConnection, showMissing, showTrouble } from "./status.js";
import { TailView } from "./tail_view.js";
import { Upkeep } from "./upkeep.js";
import { showWelcome } from "./welcome.js";

const FAILED_SECONDS = 30;
const AUDIT_SECONDS = 15;
const CLIENTS_SECONDS = 120;
const LAG_SECONDS = 300;

export class Session {
  #samples = new Samples();
  #overTime = new OverTime(this.#samples);
  #connection = new Connection();
  #upkeep = new Upkeep((subject, error) => this.#note(subject, error));
  #tail = new TailView();
  #range = null;
  #clientId = "";
  #isAdmin = null;
  #failed = null;
  #isRunning = false;
  #refused;

  /** `refused(sentence)` is called when the API takes the key no longer. */
  constructor(refused) {
    this.#refused = refused;
    this.#connection.addEventListener("metrics", ({ detail }) => this.#hear(detail));
    this.#connection.addEventListener("state", ({ detail }) => this.#changed(detail));
    this.#connection.addEventListener("status", ({ detail }) => this.#hearSlowly(detail));
    this.#connection.addEventListener("refused", ({ detail }) => this.#refused(detail));
  }

  start() {
    this.#isRunning = true;
    this.#begin();
  }

  /** End everything, and leave nothing of it on the page. */
  stop() {
    this.#isRunning = false;
    this.#connection.stop();
    this.#upkeep.stop();
    this.#tail.stop();
    this.#clientId = "";
    this.#isAdmin = null;
    this.#clear();
    forgetClients();
  }

  tryNow() {
    this.#connection.tryNow();
  }

  chooseRange(range) {
    this.#range = range;
    this.#overTime.choose(range);
    if (this.#isRunning) this.#keepRange();
  }

  chooseClient(clientId) {
    this.#clientId = clientId;
    this.#connection.stop();
    this.#clear();
    this.#begin();
  }

  chooseCalls() {
    this.#upkeep.hurry("calls");
  }

  repaint() {
    this.#overTime.repaint();
  }

  #begin() {
    this.#connection.start(this.#clientId);
    this.#tail.start(this.#clientId);
    this.#keepRange();
    this.#upkeep.keep("calls", AUDIT_SECONDS, async (isWanted) => {
      const calls = await readAudit(auditQuestion(), this.#clientId, MOST_CALLS);
      if (isWanted()) showAudit(calls);
    });
    if (this.#isAdmin) this.#keepWhole();
  }

  #keepRange() {
    const [range, clientId] = [this.#range, this.#clientId];
    this.#upkeep.keep("counts", range.refreshSeconds, async (isWanted) => {
      const counts = await readCounts(range, clientId);
      if (isWanted()) this.#overTime.showPast(counts);
    });
    this.#upkeep.keep("latencies", range.refreshSeconds, async (isWanted) => {
      const latencies = await readLatencies(range, clientId);
      if (isWanted()) this.#overTime.showLatencies(latencies);
    });
    this.#upkeep.keep("types", range.refreshSeconds, async (isWanted) => {
      const rows = await readTypes(range, clientId);
      if (isWanted()) showCountsByType(rows, range);
    });
    this.#upkeep.keep("failed events", FAILED_SECONDS, async (isWanted) => {
      const rows = await readFailed(range, clientId, MOST_FAILED);
      if (isWanted()) showFailed(rows.slice(0, MOST_FAILED), range.words, rows.length > MOST_FAILED, this.#failed);
    });
  }

  /** What only an admin's key is shown. */
  #keepWhole() {
    this.#upkeep.keep("lag", LAG_SECONDS, async (isWanted) => {
      const lag = await readLag();
      if (isWanted()) this.#overTime.showPastLag(lag);
    });
    this.#upkeep.keep("clients", CLIENTS_SECONDS, async (isWanted) => {
      const names = await readClients();
      if (isWanted()) offerClients(names);
    });
  }

  #hear(message) {
    this.#samples.add(message);
    showNow(message);
    showMissing(message.unavailable ?? []);
    showRecentByType(message.counts_by_type ?? []);
    showWorks(message);
    this.#overTime.showLag(message.client_id === null);
    this.#overTime.showLive();
    this.#know(message);
    if (message.rates?.stored > 0) this.#tail.hasEvents();
    if (this.#failed !== null && message.failed !== this.#failed) this.#upkeep.hurry("failed events");
    this.#failed = message.failed;
  }

  #hearSlowly(status) {
    showNowSlowly(status);
    showWorks({ streams: status.streams, processors: processorsOf(status.consumers) });
  }

  /** The first message tells whether the key is an admin's: others are always answered for their own client. */
  #know(message) {
    if (this.#isAdmin !== null) return;
    this.#isAdmin = message.client_id === null;
    showWhose(message.client_id, this.#isAdmin);
    hideWorks(!this.#isAdmin);
    if (this.#isAdmin) this.#keepWhole();
  }

  #changed(state) {
    showConnection(state);
    if (state.name === "live") this.#upkeep.hurry();
  }

  #note(subject, error) {
    if (error?.isRefusal) this.#refused(error.message);
    else showTrouble(subject, error?.message ?? null);
  }

  #clear() {
    this.#samples.clear();
    this.#overTime.forgetLag();
    this.#failed = null;
    clearNow();
    clearTypes();
    showFailed([], this.#range.words, false, 0);
    showAudit([]);
    showWorks({ processors: [], streams: [] });
    hideWorks(false);
    showWelcome(false);
    this.#tail.clear();
    this.#overTime.choose(this.#range);
  }
}
