// How far this player has read in a channel, and what of it the service knows.

/** @import { Message } from "./chat-messages.js" */
/** @import { ChatApi } from "./chat-api.js" */
/** @import { ChatLog } from "./chat-log.js" */
/** @import { Runtime } from "./runtime.js" */

/** Read markers are gathered for so long before one is sent. */
const MARK_AFTER_MS = 700;

export class Reading {
  #channel;
  #api;
  #runtime;
  #read = /** @type {number | null} */ (null);
  #marking = /** @type {(() => void) | null} */ (null);

  /** @param {string} channel @param {ChatApi} api @param {Runtime} runtime */
  constructor(channel, api, runtime) {
    this.#channel = channel;
    this.#api = api;
    this.#runtime = runtime;
  }

  /** Everything up to this number is read. */
  get read() {
    return this.#read ?? 0;
  }

  /** Asks the service, once. */
  async load() {
    if (this.#read !== null) return;
    const [known] = await this.#api.unread([this.#channel]);
    this.#read = known?.read ?? 0;
  }

  /**
   * How many messages are unread; of those that are not here, all count.
   *
   * @param {ChatLog} log
   * @param {(message: Message) => boolean} counts whether one that is here does
   */
  unread({ loaded, floor, top, latest, messages }, counts) {
    if (this.#read === null || !loaded) return 0;
    const read = this.#read;
    const here = messages.filter((message) => message.seq > read && counts(message)).length;
    return here + Math.max(0, floor - read) + Math.max(0, latest - Math.max(top, read));
  }

  /**
   * @param {number} seq everything up to here is read
   * @returns {boolean} whether that is new
   */
  mark(seq) {
    if (this.#read === null || seq <= this.#read) return false;
    this.#read = seq;
    this.#marking ??= this.#runtime.later(MARK_AFTER_MS, () => this.flush());
    return true;
  }

  /** Tells the service now what it does not know yet. */
  flush() {
    if (!this.#marking) return;
    this.#marking();
    this.#marking = null;
    // The next marker makes up for a lost one.
    this.#api.markRead(this.#channel, this.read).catch(() => {});
  }
}
