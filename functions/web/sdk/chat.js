// Text chat of one player: his channels, whom he blocked, whether he is here. Beside a voice room
// its messages come over the room's connection; without one they come by asking.

/** @import { ChannelUnread } from "./chat-api.js" */
/** @import { ChatPush } from "./messages.js" */
/** @import { VoiceRoom } from "./room.js" */
/** @import { Runtime } from "./runtime.js" */

import { ChatApi } from "./chat-api.js";
import { ChatChannel } from "./chat-channel.js";
import { WorldFollower } from "./chat-world.js";
import { isObject, listOf, readText } from "./check.js";
import { Emitter } from "./emitter.js";
import { browserRuntime } from "./runtime.js";

/** Channels open at once. */
const CHANNELS_MAX = 50;
/** A presence holds for 90 s. */
const PRESENCE_EVERY_MS = 60_000;
/** Names that one request may ask about. */
const ASKED_MAX = 50;
const ID_CHARS_MAX = 128;

/**
 * @typedef {"online" | "away" | "busy" | "offline"} PresenceStatus
 *
 * @typedef {{ blocks: string[] }} ChatEvents
 *
 * @typedef {object} ChatOptions
 * @property {() => string | Promise<string>} token asked at first and when a token has expired
 * @property {string} [edge] origin of the edge, "" for this page's own
 * @property {number} [windowMax] messages kept of each channel, default 500
 * @property {Runtime} [runtime] time, chance and network; for tests
 */

/** @extends {Emitter<ChatEvents>} */
export class Chat extends Emitter {
  #options;
  #runtime;
  #api;
  #abort = new AbortController();
  /** @type {Map<string, ChatChannel>} */
  #channels = new Map();
  #blocked = /** @type {Set<string>} */ (new Set());
  #room = /** @type {VoiceRoom | null} */ (null);
  #detach = () => {};
  /** Channels that were pushed since the relay was reached. @type {Set<string>} */
  #pushed = new Set();
  #status = /** @type {PresenceStatus | null} */ (null);
  #presence = () => {};
  #world = /** @type {WorldFollower | null} */ (null);

  /** @param {ChatOptions} options */
  constructor(options) {
    super();
    this.#options = options;
    this.#runtime = options.runtime ?? browserRuntime;
    this.#api = new ChatApi({ ...options, runtime: this.#runtime });
    globalThis.addEventListener?.("online", this.#refresh);
  }

  /** This player's id, "" before there is a token. */
  get self() {
    return this.#api.claims?.player ?? "";
  }

  /** Players whom this one blocked. */
  get blocked() {
    return [...this.#blocked];
  }

  /**
   * Opens a channel, or gives the open one.
   *
   * @param {string} name `room~ROOM~CHANNEL`, `party~ROOM`, `direct~PLAYER` or `world~REGION`; the
   *   world channel of this player: `followWorld`
   * @returns {ChatChannel}
   */
  channel(name) {
    const known = this.#channels.get(name);
    if (known) return known;
    if (this.#abort.signal.aborted) throw new Error("this chat is closed; make a new one");
    if (this.#channels.size >= CHANNELS_MAX) {
      throw new RangeError(`${CHANNELS_MAX} channels are open; close one first`);
    }
    const channel = new ChatChannel({
      name,
      api: this.#api,
      runtime: this.#runtime,
      windowMax: this.#options.windowMax,
      isHidden: (player) => this.#blocked.has(player),
      loadBlocks: () => this.#loadBlocks(),
    });
    this.#channels.set(name, channel);
    channel.setLive(this.#isLive(name));
    return channel;
  }

  /** @param {string} name */
  closeChannel(name) {
    this.#channels.get(name)?.close();
    this.#channels.delete(name);
    this.#pushed.delete(name);
  }

  /**
   * Opens the world channel, as soon as the attached room says which one is this player's: in a
   * large region it has halls. When the room moves to another hall, `show` is called again with
   * that; the one before says nothing more, and what is on its way there is still sent.
   *
   * @param {(channel: ChatChannel) => void} show
   * @returns {() => void} closes it and follows no more
   */
  followWorld(show) {
    this.#world?.close();
    const world = new WorldFollower(this, this.#runtime, show);
    this.#world = world;
    world.follow(this.#room?.world ?? null);
    return () => {
      world.close();
      if (this.#world === world) this.#world = null;
    };
  }

  /**
   * Takes messages from a voice room's connection too, as long as that is there.
   *
   * @param {VoiceRoom} room
   */
  attach(room) {
    this.detach();
    this.#room = room;
    const stops = [
      room.on("chat", (push) => this.#handlePush(push)),
      room.on("state", () => this.#handleRoomState()),
      room.on("world", () => this.#handleWorld()),
    ];
    this.#detach = () => stops.forEach((stop) => stop());
    this.#handleRoomState();
    this.#handleWorld();
  }

  detach() {
    this.#detach();
    this.#detach = () => {};
    this.#room = null;
    this.#handleRoomState();
  }

  // ---- blocking ---------------------------------------------------------------------------

  /**
   * Neither sees the other's messages or hears the other any more: at once in the attached room,
   * and in each that this player joins. On voice the newest hundred count.
   *
   * @param {string} player
   */
  async block(player) {
    await this.#api.repeat("PUT", this.#blockPath(player));
    this.#setBlocks([...this.#blocked, player]);
  }

  /** @param {string} player */
  async unblock(player) {
    await this.#api.repeat("DELETE", this.#blockPath(player));
    this.#setBlocks([...this.#blocked].filter((one) => one !== player));
  }

  /** @param {string} player */
  #blockPath(player) {
    const path = `/v1/chat/blocks/${encodeURIComponent(player)}`;
    return this.#room ? `${path}?in=${encodeURIComponent(this.#room.room)}` : path;
  }

  async #loadBlocks() {
    const reply = await this.#api.repeat("GET", "/v1/chat/blocks");
    const read = (/** @type {unknown} */ item) => readText(item, ID_CHARS_MAX);
    const players = isObject(reply) ? listOf(reply.players, read) : null;
    if (!players || sameSet(this.#blocked, players)) return;
    this.#blocked = new Set(players);
    this.emit("blocks", players);
  }

  /** @param {string[]} players */
  #setBlocks(players) {
    this.#blocked = new Set(players);
    this.emit("blocks", this.blocked);
    for (const channel of this.#channels.values()) channel.handleBlocks();
  }

  // ---- presence and unread ----------------------------------------------------------------

  /**
   * Tells others whether this player is here, again and again until it is closed or offline.
   * Direct messages are pushed only to those who tell.
   *
   * @param {PresenceStatus} status
   */
  async setPresence(status) {
    this.#presence();
    this.#status = status;
    if (status !== "offline") {
      // Chance keeps players who came together from telling together for ever.
      const pause = PRESENCE_EVERY_MS * (0.9 + this.#runtime.random() * 0.2);
      this.#presence = this.#runtime.later(pause, () => this.#tellAgain());
    }
    const body = { status, room: this.#connected()?.room };
    await this.#api.repeat("PUT", "/v1/chat/presence", { body, signal: this.#abort.signal });
  }

  #tellAgain() {
    const status = this.#status;
    // The next one makes up for a lost one.
    if (status && !this.#abort.signal.aborted) this.setPresence(status).catch(() => {});
  }

  /**
   * @param {string[]} players at most 50
   * @returns {Promise<Map<string, PresenceStatus>>}
   */
  async presence(players) {
    const query = { players: players.slice(0, ASKED_MAX).join(",") };
    const reply = await this.#api.repeat("GET", "/v1/chat/presence", { query });
    const list = isObject(reply) ? (listOf(reply.players, readPresence) ?? []) : [];
    return new Map(list);
  }

  /**
   * Counts unread messages of channels without opening them.
   *
   * @param {string[]} channels at most 50
   * @returns {Promise<ChannelUnread[]>}
   */
  async unread(channels) {
    return this.#api.unread(channels.slice(0, ASKED_MAX));
  }

  // ---- the relay --------------------------------------------------------------------------

  /** The attached room while it is connected. */
  #connected() {
    return this.#room?.state === "connected" ? this.#room : null;
  }

  /**
   * Whether the relay pushes a channel: for sure those of its room and the player's world channel,
   * others once it has.
   *
   * @param {string} name
   */
  #isLive(name) {
    const connected = this.#connected();
    if (!connected) return false;
    const { room, world } = connected;
    if (name === world || name === `party~${room}`) return true;
    return name.startsWith(`room~${room}~`) || this.#pushed.has(name);
  }

  #handleRoomState() {
    const connected = this.#connected() !== null;
    if (!connected) this.#pushed.clear();
    this.#setLive();
    if (connected && this.#status) this.#tellAgain();
  }

  #setLive() {
    for (const [name, channel] of this.#channels) channel.setLive(this.#isLive(name));
  }

  #handleWorld() {
    // Of a hall that the room has left nothing is pushed any more.
    for (const name of this.#pushed) if (name.startsWith("world~")) this.#pushed.delete(name);
    this.#setLive();
    this.#world?.follow(this.#room?.world ?? null);
  }

  /** @param {ChatPush} push */
  #handlePush({ channel: name, event }) {
    const channel = this.#channels.get(name);
    if (!channel) return;
    channel.handle(event);
    if (this.#pushed.has(name)) return;
    this.#pushed.add(name);
    channel.setLive(this.#isLive(name));
  }

  #refresh = () => {
    for (const channel of this.#channels.values()) channel.refresh();
  };

  /** Closes all channels. The voice room is left alone. */
  close() {
    globalThis.removeEventListener?.("online", this.#refresh);
    this.#detach();
    this.#world?.close();
    this.#presence();
    for (const channel of this.#channels.values()) channel.close();
    this.#channels.clear();
    this.#abort.abort();
    this.forgetHandlers();
  }
}

/**
 * The name of a room's channel.
 *
 * @param {string} room
 * @param {string} [channel]
 */
export function roomChannel(room, channel = "main") {
  return `room~${room}~${channel}`;
}

/**
 * @param {unknown} value
 * @returns {[string, PresenceStatus] | null}
 */
function readPresence(value) {
  if (!isObject(value) || typeof value.player !== "string") return null;
  const { player, status } = value;
  const here = status === "online" || status === "away" || status === "busy";
  return [player, here ? status : "offline"];
}

/**
 * @param {ReadonlySet<string>} set
 * @param {string[]} list
 */
function sameSet(set, list) {
  return set.size === list.length && list.every((item) => set.has(item));
}
