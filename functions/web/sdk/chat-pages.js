// Looking around in a channel's history: pages before and after what is here.

/** @import { HistoryPage } from "./chat-messages.js" */
/** @import { HistoryQuery } from "./chat-feed.js" */
/** @import { ChatLog } from "./chat-log.js" */

import { PAGE } from "./chat-feed.js";

export class ChatPages {
  #log;
  #history;
  #onChange;
  /** Those on their way, by direction. @type {Map<string, Promise<void>>} */
  #loading = new Map();
  #last = Promise.resolve();

  /**
   * @param {ChatLog} log
   * @param {(query: HistoryQuery) => Promise<HistoryPage>} history
   * @param {() => void} onChange
   */
  constructor(log, history, onChange) {
    this.#log = log;
    this.#history = history;
    this.#onChange = onChange;
  }

  /** Whether there may be messages before those that are here. */
  get hasOlder() {
    return this.#log.loaded && !this.#log.atStart;
  }

  /** Whether there are messages after those that are here. */
  get hasNewer() {
    return this.#log.loaded && !this.#log.atEnd;
  }

  async loadOlder() {
    await this.#load("older", () => this.hasOlder, async () => {
      const before = this.#log.floor + 1;
      this.#log.takeBefore(before, await this.#history({ before, limit: PAGE }));
    });
  }

  async loadNewer() {
    await this.#load("newer", () => this.hasNewer, async () => {
      const after = this.#log.top;
      this.#log.takeAfter(after, await this.#history({ after, limit: PAGE }));
    });
  }

  async loadNewest() {
    await this.#load("newest", () => this.hasNewer, async () => {
      this.#log.takeNewest(await this.#history({ limit: PAGE }), true);
    });
  }

  /**
   * One page after the other, and one of each direction at most.
   *
   * @param {string} direction
   * @param {() => boolean} isNeeded
   * @param {() => Promise<void>} load
   * @returns {Promise<void>}
   */
  #load(direction, isNeeded, load) {
    if (!isNeeded()) return Promise.resolve();
    const known = this.#loading.get(direction);
    if (known) return known;
    const done = this.#last
      .then(() => (isNeeded() ? load() : undefined))
      .finally(() => {
        this.#loading.delete(direction);
        this.#onChange();
      });
    this.#loading.set(direction, done);
    this.#last = done.catch(() => {});
    return done;
  }
}
