// A chat channel as an application sees it: its messages, own ones on their way included, and what
// can be done with them.

/** @import { ChannelSettings, ChatEvent, Message } from "./chat-messages.js" */
/** @import { FeedState } from "./chat-feed.js" */
/** @import { ChatMessage } from "./chat-view.js" */
/** @import { Draft } from "./chat-outbox.js" */
/** @import { ChatApi } from "./chat-api.js" */
/** @import { Runtime } from "./runtime.js" */

import { ChatFeed } from "./chat-feed.js";
import { ChatLog } from "./chat-log.js";
import { Outbox } from "./chat-outbox.js";
import { ChatPages } from "./chat-pages.js";
import { Reading } from "./chat-reading.js";
import { Typing } from "./chat-typing.js";
import { viewOf } from "./chat-view.js";
import { grants } from "./claims.js";
import { Emitter } from "./emitter.js";
import { VoiceError } from "./problem.js";

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
  #abort = new AbortController();
  #log;
  #feed;
  #outbox;
  #state = /** @type {ChatState} */ ({ state: "loading", problem: null });
  #tail = { seq: -1, text: /** @type {string | null} */ (null) };
  #typing;
  #reading;
  #pages;
  #arrived = /** @type {number | null} */ (null);
  #view = /** @type {ChatMessage[] | null} */ (null);
  #touched = false;
  #told = { settings: "", unread: -1, read: -1 };

  /** @param {ChatChannelOptions} options */
  constructor(options) {
    super();
    this.#options = options;
    const { api, runtime } = options;
    this.#api = api;
    this.#log = new ChatLog(options.windowMax);
    const { signal } = this.#abort;
    const onChange = () => this.#touch();
    this.#typing = new Typing(runtime, () => this.#emitTyping());
    this.#reading = new Reading(options.name, api, runtime);
    this.#pages = new ChatPages(this.#log, (query) => this.#history(query, signal), onChange);
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

  /** `room~ROOM~CHANNEL`, `party~ROOM`, `direct~PLAYER`, `world~REGION` or `world~REGION~HALL`. */
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
    return this.#pages.hasOlder;
  }

  /** Whether there are messages after those that are here. */
  get hasNewer() {
    return this.#pages.hasNewer;
  }

  /** @returns {ChannelSettings} */
  get settings() {
    return this.#log.settings;
  }

  /** Players who type, without this one. */
  get typing() {
    return this.#typing.players.filter((player) => !this.#options.isHidden(player));
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
    return this.#reading.read;
  }

  /** How many messages of others are unread. */
  get unread() {
    return this.#reading.unread(this.#log, ({ author, deleted }) => {
      return author !== this.self && !deleted && !this.#isHidden(author);
    });
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
    if (!this.may.write || !this.#typing.isToTell()) return;
    // Nobody is harmed when this is lost.
    this.#api.tellTyping(this.name).catch(() => {});
  }

  /**
   * Marks everything up to a message as read.
   *
   * @param {number} [seq] default: the last message
   */
  markRead(seq = this.#log.latest) {
    if (this.#reading.mark(seq)) this.#touch();
  }

  /**
   * Reports a message, with those around it, to the moderators.
   *
   * @param {number} seq
   * @param {string} reason
   */
  async report(seq, reason) {
    await this.#api.report(this.name, seq, reason);
  }

  // ---- moderating, for those whose token allows -------------------------------------------

  /**
   * @param {string} player
   * @param {number} seconds
   * @param {string} [reason] for the audit trail
   */
  async mute(player, seconds, reason = "") {
    await this.#api.mute(this.name, player, seconds, reason);
  }

  /** @param {string} player */
  async unmute(player) {
    await this.#api.unmute(this.name, player);
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
    return this.#api.audit(this.name);
  }

  /** What was reported, newest first, as in the API's document. */
  async reports() {
    return this.#api.reports(this.name);
  }

  // ---- looking around ---------------------------------------------------------------------

  /** Fetches a page of older messages. When too many are here, the newest ones go. */
  async loadOlder() {
    await this.#pages.loadOlder();
  }

  /** Fetches the page that follows what is here. */
  async loadNewer() {
    await this.#pages.loadNewer();
  }

  /** Goes to the channel's newest messages, dropping what does not join them. */
  async loadNewest() {
    await this.#pages.loadNewest();
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
        if (event.message.author) this.#typing.end(event.message.author);
        return this.#take(event.message);
      case "changed":
        return this.#take(event.message);
      case "reacted":
        return this.#handleReacted(event);
      case "typing":
        if (event.player === this.self || this.#isHidden(event.player)) return;
        return this.#typing.begin(event.player);
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

  /** Tells nothing more; what is on its way is still sent. @internal */
  silence() {
    this.forgetHandlers();
  }

  /** Ends everything; nothing is sent any more. @internal */
  close() {
    if (this.#abort.signal.aborted) return;
    this.#reading.flush();
    this.#abort.abort();
    this.#typing.close();
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
    await this.#reading.load();
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

  #emitTyping() {
    this.emit("typing", this.typing);
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
