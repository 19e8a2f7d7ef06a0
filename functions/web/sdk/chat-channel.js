// A chat channel as an application sees it: its messages, own ones on their way included, and what
// can be done with them.

/** @import { ChannelSettings, ChatEvent, Message } from "./chat-messages.js" */
/** @import { FeedState } from "./chat-feed.js" */
/** @import { ChatMessage } from "./chat-view.js" */
/** @import { Draft } from "./chat-outbox.js" */
/** @import { ChatApi } from "./chat-api.js" */
/** @import { Runtime } from "./runtime.js" */

import { channelPath, messagePath } from "./chat-api.js";
import { ChatFeed, PAGE } from "./chat-feed.js";
import { ChatLog } from "./chat-log.js";
import { Outbox } from "./chat-outbox.js";
import { viewOf } from "./chat-view.js";
import { isId, isObject } from "./check.js";
import { grants } from "./claims.js";
import { Emitter } from "./emitter.js";
import { VoiceError } from "./problem.js";

/** Least time between two notes that this player types. */
const TYPING_EVERY_MS = 3000;
/** Somebody types for so long after he last said so. */
const TYPING_FOR_MS = 6000;
/** Players who are shown to type. */
const TYPING_MAX = 20;
/** Read markers are gathered for so long before one is sent. */
const MARK_AFTER_MS = 700;

/**
 * @typedef {{ state: FeedState, problem: VoiceError | null }} ChatState
 *
 * `arrived` are new messages of others, in order, for a sound or an announcement.
 *
 * @typedef {{
 *   state: ChatState,
 *   messages: ChatMessage[],
 *   arrived: ChatMessage[],
 *   typing: string[],
 *   unread: { unread: number, read: number },
 *   settings: ChannelSettings,
 * }} ChatChannelEvents
 *
 * @typedef {{ name: string, api: ChatApi, runtime: Runtime, isHidden: (player: string) => boolean,
 *   loadBlocks: () => Promise<void>, windowMax?: number }} ChatChannelOptions
 */

/** @extends {Emitter<ChatChannelEvents>} */
export class ChatChannel extends Emitter {
  #options;
  #api;
  #runtime;
  #abort = new AbortController();
  #log;
  #feed;
  #outbox;
  #state = /** @type {ChatState} */ ({ state: "loading", problem: null });
  #tail = { seq: -1, text: /** @type {string | null} */ (null) };
  #typing = /** @type {Map<string, () => void>} */ (new Map());
  #typedMs = -Infinity;
  #read = /** @type {number | null} */ (null);
  #marking = /** @type {(() => void) | null} */ (null);
  #arrived = /** @type {number | null} */ (null);
  #view = /** @type {ChatMessage[] | null} */ (null);
  #touched = false;
  #told = { settings: "", unread: -1, read: -1 };
  /** Pages on their way, by direction. @type {Map<string, Promise<void>>} */
  #paging = new Map();
  #lastPage = Promise.resolve();

  /** @param {ChatChannelOptions} options */
  constructor(options) {
    super();
    this.#options = options;
    const { api, runtime } = options;
    this.#api = api;
    this.#runtime = runtime;
    this.#log = new ChatLog(options.windowMax);
    const { signal } = this.#abort;
    const onChange = () => this.#touch();
    this.#outbox = new Outbox({
      runtime,
      signal,
      onChange,
      post: (key, draft) => this.#post(key, draft),
      latest: () => this.#log.latest,
      onSent: (message) => this.#take(message),
    });
    this.#feed = new ChatFeed({
      runtime,
      signal,
      onChange,
      log: this.#log,
      history: (query, stop) => this.#history(query, stop),
      prepare: () => this.#prepare(),
      onState: (state, problem) => this.#setState(state, problem),
    });
    this.#feed.run();
  }

  // ---- what is so -------------------------------------------------------------------------

  /** `room~ROOM~CHANNEL`, `party~ROOM`, `direct~PLAYER` or `world~REGION`. */
  get name() {
    return this.#options.name;
  }

  /** @returns {ChatState} */
  get detail() {
    return this.#state;
  }

  get state() {
    return this.#state.state;
  }

  /** The messages that are here, in order; own ones on their way last. */
  get messages() {
    const isShown = (/** @type {Message} */ { author }) => !this.#isHidden(author);
    this.#view ??= viewOf(this.#log.messages.filter(isShown), this.#outbox.entries, {
      player: this.self,
      name: this.#api.claims?.name ?? null,
    });
    return this.#view;
  }

  /** Whether there may be messages before those that are here. */
  get hasOlder() {
    return this.#log.loaded && !this.#log.atStart;
  }

  /** Whether there are messages after those that are here. */
  get hasNewer() {
    return this.#log.loaded && !this.#log.atEnd;
  }

  /** @returns {ChannelSettings} */
  get settings() {
    return this.#log.settings;
  }

  /** Players who type, without this one. */
  get typing() {
    return [...this.#typing.keys()].filter((player) => !this.#options.isHidden(player));
  }

  /** This player's id, "" before there is a token. */
  get self() {
    return this.#api.claims?.player ?? "";
  }

  /** What the token allows here, as far as it says. */
  get may() {
    const { claims } = this.#api;
    const may = (/** @type {"chat" | "moderate"} */ permission) =>
      claims !== null && grants(claims, this.name, permission);
    return { write: may("chat"), moderate: may("moderate") };
  }

  /** Everything up to this number is read. */
  get read() {
    return this.#read ?? 0;
  }

  /** How many messages of others are unread. */
  get unread() {
    if (this.#read === null || !this.#log.loaded) return 0;
    const { floor, top, latest } = this.#log;
    const read = this.#read;
    const isUnread = (/** @type {Message} */ { seq, author, deleted }) =>
      seq > read && author !== this.self && !deleted && !this.#isHidden(author);
    const here = this.#log.messages.filter(isUnread).length;
    return here + Math.max(0, floor - read) + Math.max(0, latest - Math.max(top, read));
  }

  // ---- writing ----------------------------------------------------------------------------

  /**
   * Sends a message. It is in `messages` at once, as pending; what becomes of it shows there.
   *
   * @param {string | Draft} draft text, or one of text and phrase with what goes along
   * @returns {string} the message's key, for `retry` and `discard`
   * @throws {VoiceError} `outbox-full`
   */
  send(draft) {
    const whole = typeof draft === "string" ? { text: draft } : draft;
    // Whoever looks at old messages wants to see his own.
    this.loadNewest().catch(() => {});
    return this.#outbox.add(whole);
  }

  /**
   * Sends a quick-chat phrase, which each client shows in its own language.
   *
   * @param {string} phrase
   */
  sendPhrase(phrase) {
    return this.send({ phrase });
  }

  /**
   * Tries a failed message again, with the key that it had: it does not appear twice.
   *
   * @param {string} key
   */
  retry(key) {
    this.#outbox.retry(key);
  }

  /**
   * Forgets a failed message.
   *
   * @param {string} key
   */
  discard(key) {
    this.#outbox.discard(key);
  }

  /**
   * Edits an own text.
   *
   * @param {number} seq
   * @param {string} text
   * @throws {VoiceError} `version-conflict` when it changed meanwhile; the list then has it anew
   */
  async edit(seq, text) {
    const version = this.#log.find(seq)?.version;
    if (version === undefined) throw new VoiceError("unknown-message", "This message is gone.");
    try {
      this.#take(await this.#api.edit(this.name, seq, text, version));
    } catch (error) {
      this.#feed.want(seq);
      throw error;
    }
  }

  /**
   * Deletes a message: an own one, or any for those who moderate.
   *
   * @param {number} seq
   */
  async delete(seq) {
    this.#take(await this.#api.delete(this.name, seq));
  }

  /**
   * Reacts, or takes it back; without `added`, the other of the two.
   *
   * @param {number} seq
   * @param {string} reaction an emoji or a word
   * @param {boolean} [added]
   */
  async react(seq, reaction, added) {
    const known = this.#log.find(seq)?.reactions.find((one) => one.reaction === reaction);
    const adds = added ?? !known?.mine;
    await this.#api.react(this.name, seq, reaction, adds);
    this.#handleReacted({ seq, player: this.self, reaction, added: adds });
  }

  /** Call at every key press; the others are told now and then. Fails silently. */
  type() {
    const now = this.#runtime.now();
    if (now - this.#typedMs < TYPING_EVERY_MS || !this.may.write) return;
    this.#typedMs = now;
    // Nobody is harmed when this is lost.
    this.#api.call("POST", `${channelPath(this.name)}/typing`).catch(() => {});
  }

  /**
   * Marks everything up to a message as read.
   *
   * @param {number} [seq] default: the last message
   */
  markRead(seq = this.#log.latest) {
    if (this.#read === null || seq <= this.#read) return;
    this.#read = seq;
    this.#touch();
    this.#marking ??= this.#runtime.later(MARK_AFTER_MS, () => this.#sendMark());
  }

  /**
   * Reports a message, with those around it, to the moderators.
   *
   * @param {number} seq
   * @param {string} reason
   */
  async report(seq, reason) {
    await this.#api.repeat("POST", `${messagePath(this.name, seq)}/report`, { body: { reason } });
  }

  // ---- moderating, for those whose token allows -------------------------------------------

  /**
   * @param {string} player
   * @param {number} seconds
   * @param {string} [reason] for the audit trail
   */
  async mute(player, seconds, reason = "") {
    await this.#api.repeat("PUT", this.#mutePath(player), { body: { seconds, reason } });
  }

  /** @param {string} player */
  async unmute(player) {
    await this.#api.repeat("DELETE", this.#mutePath(player));
  }

  /**
   * Locks the channel or slows it down.
   *
   * @param {Partial<ChannelSettings>} change
   */
  async setSettings(change) {
    this.#take(await this.#api.setSettings(this.name, { ...this.settings, ...change }));
    this.#feed.refresh();
  }

  /** Who moderated what, newest first, as in the API's document. */
  async audit() {
    return listIn(await this.#api.repeat("GET", `${channelPath(this.name)}/audit`), "entries");
  }

  /** What was reported, newest first, as in the API's document. */
  async reports() {
    return listIn(await this.#api.repeat("GET", `${channelPath(this.name)}/reports`), "reports");
  }

  /** @param {string} player */
  #mutePath(player) {
    return `${channelPath(this.name)}/mutes/${encodeURIComponent(player)}`;
  }

  // ---- looking around ---------------------------------------------------------------------

  /** Fetches a page of older messages. When too many are here, the newest ones go. */
  async loadOlder() {
    await this.#page("older", () => this.hasOlder, async () => {
      const before = this.#log.floor + 1;
      const page = await this.#history({ before, limit: PAGE }, this.#abort.signal);
      this.#log.takeBefore(before, page);
    });
  }

  /** Fetches the page that follows what is here. */
  async loadNewer() {
    await this.#page("newer", () => this.hasNewer, async () => {
      const after = this.#log.top;
      const page = await this.#history({ after, limit: PAGE }, this.#abort.signal);
      this.#log.takeAfter(after, page);
    });
  }

  /** Goes to the channel's newest messages, dropping what does not join them. */
  async loadNewest() {
    await this.#page("newest", () => this.hasNewer, async () => {
      const page = await this.#history({ limit: PAGE }, this.#abort.signal);
      this.#log.takeNewest(page, true);
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
  #page(direction, isNeeded, load) {
    if (!isNeeded()) return Promise.resolve();
    const known = this.#paging.get(direction);
    if (known) return known;
    const done = this.#lastPage
      .then(() => (isNeeded() ? load() : undefined))
      .finally(() => {
        this.#paging.delete(direction);
        this.#touch();
      });
    this.#paging.set(direction, done);
    this.#lastPage = done.catch(() => {});
    return done;
  }

  /** Looks at everything again now. */
  refresh() {
    this.#feed.refresh();
  }

  // ---- what `Chat` tells ------------------------------------------------------------------

  /**
   * Whether the relay pushes this channel.
   *
   * @internal
   * @param {boolean} live
   */
  setLive(live) {
    this.#feed.setLive(live);
  }

  /**
   * @internal
   * @param {ChatEvent} event
   */
  handle(event) {
    switch (event.kind) {
      case "posted":
        if (event.tail) this.#takeTail(event.message.seq, event.tail);
        if (event.message.author) this.#stopTyping(event.message.author);
        return this.#take(event.message);
      case "changed":
        return this.#take(event.message);
      case "reacted":
        return this.#handleReacted(event);
      case "typing":
        return this.#handleTyping(event.player);
      case "fetch":
        return this.#feed.want(event.seq);
    }
  }

  /** The list of blocked players changed. @internal */
  handleBlocks() {
    this.#touch();
    this.#feed.refresh();
    this.#emitTyping();
  }

  /** Ends everything; nothing is sent any more. @internal */
  close() {
    if (this.#abort.signal.aborted) return;
    if (this.#marking) this.#sendMark();
    this.#abort.abort();
    for (const cancel of this.#typing.values()) cancel();
    this.#typing.clear();
    if (this.state !== "refused") this.#setState("closed", null);
    this.forgetHandlers();
  }

  // ---- inside -----------------------------------------------------------------------------

  /**
   * @param {string} key
   * @param {Draft} draft
   */
  async #post(key, draft) {
    const { text: tail } = this.#tail;
    const reply = await this.#api.post(this.name, key, draft, tail, this.#abort.signal);
    if (reply.tail) this.#takeTail(reply.message.seq, reply.tail);
    return reply.message;
  }

  /**
   * @param {import("./chat-feed.js").HistoryQuery} query
   * @param {AbortSignal} signal
   */
  async #history(query, signal) {
    const page = await this.#api.history(this.name, query, signal);
    if (page.tail) this.#takeTail(page.messages.at(-1)?.seq ?? 0, page.tail);
    return page;
  }

  /** Before the first page: what is hidden and what was read. */
  async #prepare() {
    await this.#options.loadBlocks();
    if (this.#read !== null) return;
    const query = { in: this.name };
    const reply = await this.#api.repeat("GET", "/v1/chat/unread", { query });
    const [first] = listIn(reply, "channels");
    this.#read = isObject(first) && isId(first.read) ? first.read : 0;
  }

  /** @param {Message} message */
  #take(message) {
    const what = this.#log.receive(message);
    if (what === "gap") this.#feed.noteGap();
    else if (what !== "nothing") this.#touch();
  }

  /**
   * @param {number} seq
   * @param {string} text
   */
  #takeTail(seq, text) {
    if (seq >= this.#tail.seq) this.#tail = { seq, text };
  }

  /** @param {{ seq: number, player: string, reaction: string, added: boolean }} event */
  #handleReacted(event) {
    if (this.#isHidden(event.player)) return;
    if (this.#log.react(event, event.player === this.self)) this.#touch();
  }

  /** @param {string} player */
  #handleTyping(player) {
    if (player === this.self || this.#isHidden(player)) return;
    const cancel = this.#typing.get(player);
    if (!cancel && this.#typing.size >= TYPING_MAX) return;
    cancel?.();
    const stop = this.#runtime.later(TYPING_FOR_MS, () => this.#stopTyping(player));
    this.#typing.set(player, stop);
    if (!cancel) this.#emitTyping();
  }

  /** @param {string} player */
  #stopTyping(player) {
    const cancel = this.#typing.get(player);
    if (!cancel) return;
    cancel();
    this.#typing.delete(player);
    this.#emitTyping();
  }

  #emitTyping() {
    this.emit("typing", this.typing);
  }

  #sendMark() {
    this.#marking?.();
    this.#marking = null;
    const body = { seq: this.read };
    // The next marker makes up for a lost one.
    this.#api.repeat("PUT", `${channelPath(this.name)}/read`, { body }).catch(() => {});
  }

  /**
   * @param {FeedState} state
   * @param {VoiceError | null} problem
   */
  #setState(state, problem) {
    const same = state === this.#state.state && problem?.problem === this.#state.problem?.problem;
    if (same || this.#state.state === "closed") return;
    this.#state = { state, problem };
    this.emit("state", this.#state);
  }

  /** Something changed: tells it once, soon. */
  #touch() {
    this.#view = null;
    if (this.#touched) return;
    this.#touched = true;
    queueMicrotask(() => {
      this.#touched = false;
      if (this.#abort.signal.aborted) return;
      // What is not at the end of what is shown is found where it is.
      this.#outbox.settle((seq) => seq <= this.#log.top || !this.#log.atEnd);
      this.#tell();
    });
  }

  #tell() {
    const news = this.#news();
    this.emit("messages", this.messages);
    if (news.length > 0) this.emit("arrived", news);
    const { locked, slowS } = this.settings;
    const [settings, unread, read] = [`${locked} ${slowS}`, this.unread, this.read];
    const told = this.#told;
    this.#told = { settings, unread, read };
    if (settings !== told.settings) this.emit("settings", this.settings);
    if (unread !== told.unread || read !== told.read) this.emit("unread", { unread, read });
  }

  /** Messages of others above what has been told. The first page is no news. */
  #news() {
    if (!this.#log.loaded || !this.#log.atEnd) return [];
    const since = this.#arrived ?? this.#log.top;
    this.#arrived = Math.max(since, this.#log.top);
    return this.messages.filter(
      ({ seq, self, deleted }) => seq !== null && seq > since && !self && !deleted,
    );
  }

  /** @param {string | null} author */
  #isHidden(author) {
    return author !== null && author !== this.self && this.#options.isHidden(author);
  }

}

/**
 * @param {unknown} value
 * @param {string} name
 * @returns {unknown[]}
 */
function listIn(value, name) {
  const list = isObject(value) ? value[name] : null;
  return Array.isArray(list) ? list : [];
}
