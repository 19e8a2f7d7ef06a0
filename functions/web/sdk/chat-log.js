// The part of a channel that is kept here: a window of messages without holes, in order, and what
// was pushed from beyond it. Pure: no clock, no network.

/** @import { ChannelSettings, HistoryPage, Message } from "./chat-messages.js" */

/** Messages kept; further ones are fetched again when they are looked at. */
export const WINDOW_MAX = 500;
/** Pushed messages that wait for what is missing before them. */
const AHEAD_MAX = 256;
/** Reactions that are remembered per message until it is fetched again. */
const HEARD_MAX = 256;

/**
 * `heard` are the reactions pushed since the message was fetched, so that none counts twice.
 *
 * @typedef {{ message: Message, heard: Map<string, boolean> | null }} Entry
 *
 * What was pushed early; no message where it is not for this player.
 *
 * @typedef {{ message: Message | null, round: number }} Early
 *
 * @typedef {"added" | "changed" | "gap" | "nothing"} Received
 */

/**
 * The window covers the numbers above `floor` up to `top`: what the service shows of them is here.
 * The service leaves out authors who are blocked and messages that have expired, so numbers may be
 * missing inside the window; only a fetched page says so.
 */
export class ChatLog {
  #max;
  /** @type {Entry[]} */
  #entries = [];
  #floor = 0;
  #top = 0;
  #latest = 0;
  #settingsOf = -1;
  #round = 0;
  /** @type {Map<number, Early>} */
  #ahead = new Map();

  /** Whether anything was fetched yet. */
  loaded = false;
  /** Whether the window begins with the channel's first message. */
  atStart = false;
  /** Whether the window ends with the channel's last message, so that new ones are added. */
  atEnd = false;
  /** @type {ChannelSettings} */
  settings = { locked: false, slowS: 0 };

  /** @param {number} [max] messages kept */
  constructor(max = WINDOW_MAX) {
    this.#max = max;
  }

  /** In order of their numbers. */
  get messages() {
    return this.#entries.map((entry) => entry.message);
  }

  /** Everything above this number and up to `top` is here. */
  get floor() {
    return this.#floor;
  }

  get top() {
    return this.#top;
  }

  /** The highest number that the channel is known to have. */
  get latest() {
    return Math.max(this.#latest, this.#top);
  }

  /** Whether something was pushed that does not follow the window. */
  get hasGap() {
    return this.#ahead.size > 0;
  }

  /** @param {number} seq */
  find(seq) {
    const at = this.#indexOf(seq);
    const entry = this.#entries[at];
    return entry?.message.seq === seq ? entry.message : null;
  }

  // ---- what was pushed ------------------------------------------------------------------------

  /**
   * A message as it is, new or changed. Late, early and repeated ones are welcome.
   *
   * @param {Message} message
   * @returns {Received}
   */
  receive(message) {
    return this.#receive(message.seq, message);
  }

  /**
   * A message of this number was written that is not for this player.
   *
   * @param {number} seq
   * @returns {Received}
   */
  skip(seq) {
    return this.#receive(seq, null);
  }

  /**
   * @param {number} seq
   * @param {Message | null} message
   * @returns {Received}
   */
  #receive(seq, message) {
    if (this.loaded && seq <= this.#floor) return "nothing";
    if (this.loaded && seq <= this.#top) {
      return message && this.#change(message) ? "changed" : "nothing";
    }
    if (this.loaded && !this.atEnd) {
      this.#latest = Math.max(this.#latest, seq);
      return "changed";
    }
    const early = this.#ahead.get(seq);
    const isNewest = !early || (early.message?.version ?? 0) < (message?.version ?? 0);
    if (isNewest && (early || this.#ahead.size < AHEAD_MAX)) {
      this.#ahead.set(seq, { message, round: this.#round });
    }
    return this.#drain() ? "added" : "gap";
  }

  /**
   * @param {{ seq: number, player: string, reaction: string, added: boolean }} event
   * @param {boolean} mine
   * @returns {boolean} whether something changed
   */
  react({ seq, player, reaction, added }, mine) {
    const entry = this.#entries[this.#indexOf(seq)];
    if (entry?.message.seq !== seq || entry.message.deleted) return false;
    entry.heard ??= new Map();
    const key = `${player} ${reaction}`;
    const known = entry.message.reactions.find((count) => count.reaction === reaction);
    if (entry.heard.get(key) === added || (mine && (known?.mine ?? false) === added)) return false;
    if (entry.heard.size >= HEARD_MAX && !entry.heard.has(key)) return false;
    entry.heard.set(key, added);
    const count = (known?.count ?? 0) + (added ? 1 : -1);
    const changed = { reaction, count, mine: mine ? added : (known?.mine ?? false) };
    const others = entry.message.reactions.filter((one) => one !== known);
    const reactions = known
      ? entry.message.reactions.map((one) => (one === known ? changed : one))
      : [...others, changed];
    entry.message = { ...entry.message, reactions: reactions.filter((one) => one.count > 0) };
    return true;
  }

  /**
   * The channel has a message of this number.
   *
   * @param {number} seq
   */
  noteLatest(seq) {
    this.#latest = Math.max(this.#latest, seq);
  }

  // ---- what was fetched -----------------------------------------------------------------------

  /** Call before a fetch; hand the result to `forgetEarly` when the fetch found nothing more. */
  mark() {
    this.#round += 1;
    return this.#round;
  }

  /**
   * Drops what was pushed before the mark and has not shown up in what was fetched after it: it
   * is not for this player.
   *
   * @param {number} mark
   */
  forgetEarly(mark) {
    for (const [seq, { round }] of this.#ahead) if (round < mark) this.#ahead.delete(seq);
  }

  /**
   * The channel's newest messages. Where they touch the window they join it; else they replace it
   * when `replace` is set.
   *
   * @param {HistoryPage} page
   * @param {boolean} replace
   * @returns {boolean} whether the page is in the window now
   */
  takeNewest(page, replace) {
    const last = page.messages.at(-1)?.seq ?? page.next ?? 0;
    const from = page.more && page.next !== null ? page.next - 1 : 0;
    this.#latest = Math.max(this.#latest, last);
    const touches = this.loaded && from <= this.#top && last >= this.#floor;
    if (!touches && !replace) return false;
    if (!touches) {
      this.#entries = [];
      this.#floor = this.#top = from;
      this.atStart = this.atEnd = false;
    }
    this.loaded = true;
    // A push may have been quicker than the page.
    this.atEnd ||= last >= this.#top;
    this.#cover(from, Math.max(last, from), page.messages);
    if (this.#floor === 0) this.atStart = true;
    this.#takeSettings(page, last);
    this.#trimStart();
    this.#drain();
    return true;
  }

  /**
   * What comes before a number.
   *
   * @param {number} before
   * @param {HistoryPage} page
   * @param {boolean} [grow] false to only look again at what is here
   */
  takeBefore(before, page, grow = true) {
    if (!this.loaded || before <= this.#floor || before > this.#top + 1) return;
    const reached = page.more && page.next !== null ? page.next - 1 : 0;
    const from = grow ? reached : Math.max(reached, this.#floor);
    this.#cover(from, before - 1, page.messages);
    if (this.#floor === 0) this.atStart = true;
    if (grow) this.#trimEnd();
  }

  /**
   * @param {number} after
   * @param {HistoryPage} page what comes after that number
   */
  takeAfter(after, page) {
    if (!this.loaded || after < this.#floor || after > this.#top) return;
    const to = page.next ?? after;
    this.#cover(after, to, page.messages);
    if (!page.more && to >= this.#top) this.atEnd = true;
    if (this.atEnd) this.#takeSettings(page, to);
    this.#trimStart();
    this.#drain();
  }

  /**
   * What the service shows of the numbers above `from` up to `to`. A version that was pushed
   * meanwhile is newer than what was fetched.
   *
   * @param {number} from
   * @param {number} to
   * @param {Message[]} messages
   */
  #cover(from, to, messages) {
    const inside = (/** @type {number} */ seq) => seq > from && seq <= to;
    const known = new Map(this.#entries.map(({ message }) => [message.seq, message]));
    for (const [seq, { message }] of this.#ahead) {
      if (!inside(seq)) continue;
      this.#ahead.delete(seq);
      if (message && (known.get(seq)?.version ?? 0) < message.version) known.set(seq, message);
    }
    const fetched = messages
      .filter(({ seq }) => inside(seq))
      .map((message) => ({ message: newer(message, known.get(message.seq)), heard: null }));
    const kept = this.#entries.filter(({ message }) => !inside(message.seq));
    this.#entries = [...kept, ...fetched].sort((a, b) => a.message.seq - b.message.seq);
    this.#floor = Math.min(this.#floor, from);
    this.#top = Math.max(this.#top, to);
    for (const { message } of fetched) this.#noteSettings(message);
  }

  // ---- inside ---------------------------------------------------------------------------------

  /** Moves what follows the window into it. Returns whether anything did. */
  #drain() {
    if (!this.loaded || !this.atEnd) return false;
    const before = this.#top;
    for (let early; (early = this.#ahead.get(this.#top + 1)); ) {
      this.#top += 1;
      this.#ahead.delete(this.#top);
      if (!early.message) continue;
      this.#entries.push({ message: early.message, heard: null });
      this.#noteSettings(early.message);
    }
    for (const seq of this.#ahead.keys()) if (seq <= this.#top) this.#ahead.delete(seq);
    this.#trimStart();
    return this.#top > before;
  }

  /** @param {Message} message */
  #change(message) {
    const entry = this.#entries[this.#indexOf(message.seq)];
    if (entry?.message.seq !== message.seq) return false;
    if (entry.message.version >= message.version) return false;
    // A push does not say how many reacted.
    entry.message = newer({ ...entry.message }, message);
    return true;
  }

  /** @param {Message} message */
  #noteSettings({ seq, system }) {
    if (system?.event !== "settings" || seq <= this.#settingsOf) return;
    this.#settingsOf = seq;
    this.settings = system.settings;
  }

  /**
   * @param {HistoryPage} page
   * @param {number} seq the number as of which its settings are
   */
  #takeSettings({ settings }, seq) {
    if (!settings || seq < this.#settingsOf) return;
    this.#settingsOf = seq;
    this.settings = settings;
  }

  #trimStart() {
    const surplus = this.#entries.length - this.#max;
    if (surplus <= 0) return;
    const last = this.#entries.splice(0, surplus).at(-1);
    this.#floor = last?.message.seq ?? this.#floor;
    this.atStart = false;
  }

  #trimEnd() {
    if (this.#entries.length <= this.#max) return;
    this.#latest = Math.max(this.#latest, this.#top);
    const [first] = this.#entries.splice(this.#max);
    this.#top = first ? first.message.seq - 1 : this.#top;
    this.atEnd = false;
    this.#ahead.clear();
  }

  /** The place of the first entry whose number is not below `seq`. @param {number} seq */
  #indexOf(seq) {
    let [low, high] = [0, this.#entries.length];
    while (low < high) {
      const middle = (low + high) >> 1;
      if ((this.#entries[middle]?.message.seq ?? 0) < seq) low = middle + 1;
      else high = middle;
    }
    return low;
  }
}

/**
 * The newer of two versions, with the reactions of the first, which was fetched.
 *
 * @param {Message} fetched
 * @param {Message | undefined} pushed
 */
function newer(fetched, pushed) {
  if (!pushed || pushed.version <= fetched.version) return fetched;
  return { ...pushed, reactions: pushed.deleted ? [] : fetched.reactions };
}
