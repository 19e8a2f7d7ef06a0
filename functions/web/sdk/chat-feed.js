// Keeps a channel's log up to date: by what the relay pushes while there is a relay, by asking and
// waiting while there is none. A push may lose, double or reorder anything; what is missing is
// fetched, and now and then everything that is shown is compared.

/** @import { HistoryPage } from "./chat-messages.js" */
/** @import { ChatLog } from "./chat-log.js" */
/** @import { Runtime } from "./runtime.js" */

import { asVoiceError, VoiceError, verdict } from "./problem.js";
import { delayBefore } from "./schedule.js";

/** Messages of a page; the most that the service gives. */
export const PAGE = 100;
/** How long a request waits for the next message, in seconds; the most that the service waits. */
const WAIT_S = 20;
/** Shortest pause between two such requests. */
const POLL_PAUSE_MS = 250;
/** When there is nothing new and the service does not say when to ask again, and the longest. */
const POLL_DEFAULT_MS = 1000;
const POLL_MAX_MS = 30_000;
/** Chance, so that players who got the same message do not ask together for ever. */
const POLL_SPREAD = 0.1;
/**
 * A missing message may still be on its way. Chance spreads the requests of all who missed the
 * same one.
 */
const GAP_FIRST_MS = 50;
const GAP_SPREAD_MS = 250;
/** How many pages of missed messages are fetched before the newest page replaces the window. */
const FILL_PAGES_MAX = 5;
/** A lost change or last message is noticed after about this long, pushed to or polling. */
const COMPARE_LIVE_MS = 60_000;
const COMPARE_POLLING_MS = 20_000;

/**
 * - `loading`: nothing is known yet
 * - `live`: the relay pushes
 * - `polling`: there is no relay that pushes; new messages come by asking
 * - `offline`: the service does not answer; `problem` says why, and it goes on by itself
 * - `refused`: final; `problem` says why
 * - `closed`: final
 *
 * @typedef {"loading" | "live" | "polling" | "offline" | "refused" | "closed"} FeedState
 *
 * @typedef {{ after?: number, before?: number, limit?: number, wait?: number }} HistoryQuery
 *
 * @typedef {{ runtime: Runtime, log: ChatLog, signal: AbortSignal,
 *   history: (query: HistoryQuery, signal: AbortSignal) => Promise<HistoryPage>,
 *   prepare: () => Promise<void>, onChange: () => void,
 *   onState: (state: FeedState, problem: VoiceError | null) => void }} FeedOptions
 */

export class ChatFeed {
  #runtime;
  #log;
  #signal;
  #options;
  #wake = new AbortController();
  #live = false;
  /** How much is to be looked at again. @type {"nothing" | "newest" | "everything"} */
  #stale = "everything";
  #comparedMs = 0;
  /** Numbers of messages whose push said only that they changed. @type {Set<number>} */
  #wanted = new Set();

  /** @param {FeedOptions} options */
  constructor(options) {
    this.#options = options;
    this.#runtime = options.runtime;
    this.#log = options.log;
    this.#signal = options.signal;
    options.signal.addEventListener("abort", () => this.#poke());
  }

  /** Runs until the signal fires or the service refuses for good. */
  async run() {
    for (let attempt = 0; !this.#signal.aborted; ) {
      this.#wake = new AbortController();
      try {
        await this.#step();
        attempt = 0;
      } catch (error) {
        if (this.#signal.aborted) return;
        if (this.#wake.signal.aborted && !isRefusal(error)) continue;
        const problem = asVoiceError(error);
        if (verdict(problem) === "stop") return this.#options.onState("refused", problem);
        attempt += 1;
        this.#options.onState("offline", problem);
        const pause = delayBefore(attempt, this.#runtime.random(), problem.retryAfterMs);
        await this.#runtime.sleep(pause, this.#wake.signal);
      }
    }
  }

  /**
   * Whether the relay pushes this channel.
   *
   * @param {boolean} live
   */
  setLive(live) {
    if (live === this.#live) return;
    this.#live = live;
    // What was said between the last push and this moment is fetched.
    this.refresh();
  }

  /** Looks at everything again. */
  refresh() {
    this.#stale = "everything";
    this.#poke();
  }

  /** Something was pushed that does not follow what is here. */
  noteGap() {
    if (this.#live) this.#poke();
  }

  /**
   * A message was pushed by its number only.
   *
   * @param {number} seq
   */
  want(seq) {
    if (seq > this.#log.top) this.#staleAtLeast("newest");
    else if (seq > this.#log.floor && this.#wanted.size < PAGE) this.#wanted.add(seq);
    this.#poke();
  }

  /** @param {"nothing" | "newest" | "everything"} what */
  #staleAtLeast(what) {
    if (this.#stale !== "everything" && what !== "nothing") this.#stale = what;
  }

  #poke() {
    this.#wake.abort();
  }

  async #step() {
    if (this.#stale !== "nothing") return await this.#compare();
    if (this.#log.hasGap && this.#log.atEnd) return await this.#fillGap();
    const [wanted] = this.#wanted;
    if (wanted !== undefined) return await this.#fetchOne(wanted);
    const left = this.#comparedMs - this.#runtime.now();
    if (left <= 0) this.#staleAtLeast("newest");
    else if (this.#live) await this.#runtime.sleep(left, this.#wake.signal);
    else await this.#poll();
  }

  async #compare() {
    const what = this.#stale;
    this.#stale = "nothing";
    try {
      if (what === "everything") await this.#options.prepare();
      await this.#takeNewest(what === "everything");
    } catch (error) {
      this.#staleAtLeast(what);
      throw error;
    }
    const every = this.#live ? COMPARE_LIVE_MS : COMPARE_POLLING_MS;
    this.#comparedMs = this.#runtime.now() + every * (0.75 + this.#runtime.random() / 2);
    this.#options.onChange();
    // If the relay came meanwhile, what was missed before it pushed is still to be fetched.
    if (this.#stale !== "nothing") return;
    this.#options.onState(this.#live ? "live" : "polling", null);
  }

  /** @param {boolean} everything */
  async #takeNewest(everything) {
    const log = this.#log;
    const mark = log.mark();
    const known = { loaded: log.loaded, top: log.top };
    const page = await this.#history({ limit: PAGE });
    const fits = log.takeNewest(page, !known.loaded);
    if (fits) log.forgetEarly(mark);
    else if (log.atEnd) await this.#fill();
    if (everything && known.loaded) {
      await this.#lookAgain(fits ? (page.next ?? 0) : known.top + 1);
    }
  }

  /**
   * Fetches what is in the window below `before` again.
   *
   * @param {number} before
   */
  async #lookAgain(before) {
    while (before > this.#log.floor + 1) {
      const page = await this.#history({ before, limit: PAGE });
      this.#log.takeBefore(before, page, false);
      if (!page.more || page.next === null) return;
      before = page.next;
    }
  }

  async #fillGap() {
    const pause = GAP_FIRST_MS + this.#runtime.random() * GAP_SPREAD_MS;
    await this.#runtime.sleep(pause, this.#signal);
    if (!this.#log.hasGap) return;
    await this.#fill();
    this.#options.onChange();
  }

  /** Fetches what follows the window. */
  async #fill() {
    const log = this.#log;
    for (let pages = 0; pages < FILL_PAGES_MAX; pages += 1) {
      const mark = log.mark();
      const after = log.top;
      const page = await this.#history({ after, limit: PAGE });
      log.takeAfter(after, page);
      if (!page.more) return log.forgetEarly(mark);
    }
    const mark = log.mark();
    log.takeNewest(await this.#history({ limit: PAGE }), true);
    log.forgetEarly(mark);
  }

  /** @param {number} seq */
  async #fetchOne(seq) {
    this.#log.takeAfter(seq - 1, await this.#history({ after: seq - 1, limit: 1 }));
    this.#wanted.delete(seq);
    this.#options.onChange();
  }

  async #poll() {
    const log = this.#log;
    const after = log.atEnd ? log.top : log.latest;
    const signal = AbortSignal.any([this.#signal, this.#wake.signal]);
    const startedMs = this.#runtime.now();
    const query = { after, limit: PAGE, wait: WAIT_S };
    const page = await this.#options.history(query, signal);
    if (log.atEnd) log.takeAfter(after, page);
    else log.noteLatest(page.next ?? 0);
    this.#options.onState("polling", null);
    if (page.next !== null) this.#options.onChange();
    // A host that does not keep requests that wait says when to ask again instead.
    const said = page.next === null ? (page.pollAfterMs ?? POLL_DEFAULT_MS) : 0;
    const spread = 1 + this.#runtime.random() * POLL_SPREAD;
    const left = startedMs + Math.min(POLL_MAX_MS, said * spread) - this.#runtime.now();
    await this.#runtime.sleep(Math.max(POLL_PAUSE_MS * spread, left), this.#wake.signal);
  }

  /** @param {HistoryQuery} query */
  #history(query) {
    return this.#options.history(query, this.#signal);
  }
}

/** @param {unknown} error */
function isRefusal(error) {
  return error instanceof VoiceError && error.status >= 400 && verdict(error) === "stop";
}
