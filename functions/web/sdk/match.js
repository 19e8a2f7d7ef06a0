// A match that was found: who plays with whom, and the way into its voice room and chat. Its token
// is all that this takes, and it is renewed by itself.

/** @import { Api } from "./api.js" */
/** @import { ChatChannel } from "./chat-channel.js" */
/** @import { MatchData } from "./match-messages.js" */
/** @import { RoomOptions } from "./room.js" */
/** @import { Runtime } from "./runtime.js" */

import { badReply } from "./api.js";
import { Chat, roomChannel } from "./chat.js";
import { readMatch } from "./match-messages.js";
import { VoiceError } from "./problem.js";
import { VoiceRoom } from "./room.js";

/**
 * A token is given out for so long after it came. By the clock of this device it cannot be told
 * when one expires, and one request more for each reconnect is cheap.
 */
const TOKEN_FRESH_MS = 60_000;

/**
 * @typedef {{ edge?: string, api: Api, runtime: Runtime }} MatchContext
 *
 * What the voice room of a match is joined with; the match knows the rest.
 *
 * @typedef {Omit<RoomOptions, "room" | "token" | "edge" | "region" | "channels">} MatchVoiceOptions
 *
 * The chat has a channel of each of the match's, own team's first.
 *
 * @typedef {{ voice: VoiceRoom, chat: Chat, channels: ChatChannel[] }} JoinedMatch
 */

export class Match {
  #context;
  #renewal;
  #data;
  #tokenAtMs = 0;
  /** How far the service's clock is ahead of this device's. */
  #aheadMs;
  #asked = /** @type {Promise<string> | null} */ (null);

  /**
   * @param {MatchContext} context
   * @param {MatchData} data
   * @param {{ method?: "GET" | "POST", path?: string, nowMs?: number }} [more] the request that
   *   gives a new token, and the service's clock
   */
  constructor(context, data, { method = "GET", path = matchPath(data.id), nowMs } = {}) {
    this.#context = context;
    this.#renewal = { method, path };
    this.#data = data;
    this.#aheadMs = (nowMs ?? data.formedAtMs) - context.runtime.now();
    this.update(data);
  }

  get id() {
    return this.#data.id;
  }

  get queue() {
    return this.#data.queue;
  }

  get mode() {
    return this.#data.mode;
  }

  get status() {
    return this.#data.status;
  }

  /** The region that its voice room is in. */
  get region() {
    return this.#data.region;
  }

  /** Its voice room. */
  get room() {
    return this.#data.room;
  }

  get teams() {
    return this.#data.teams;
  }

  /** Own team; null for a spectator. */
  get team() {
    const player = playerOf(this.#context);
    return this.teams.find(({ players }) => players.includes(player)) ?? null;
  }

  /** The players of the other teams, who are not heard. */
  get opponents() {
    const own = this.team;
    return own ? this.teams.filter((team) => team !== own).flatMap(({ players }) => players) : [];
  }

  /** Who has accepted, while that is asked. */
  get accepted() {
    return this.#data.accepted;
  }

  /** The time that everybody has to accept, milliseconds; null when nobody is asked. */
  get acceptMs() {
    const { acceptUntilMs, formedAtMs } = this.#data;
    return acceptUntilMs === null ? null : Math.max(0, acceptUntilMs - formedAtMs);
  }

  /** What is left of it, for a countdown; this device's clock may be wrong. */
  get acceptLeftMs() {
    const { acceptUntilMs } = this.#data;
    const nowMs = this.#context.runtime.now() + this.#aheadMs;
    return acceptUntilMs === null ? null : Math.max(0, acceptUntilMs - nowMs);
  }

  get quality() {
    return this.#data.quality;
  }

  /** Whether `join` can succeed. */
  get joinable() {
    return this.#data.seat !== null;
  }

  /** Channels that this player has, own team's first; none before all have accepted. */
  get channels() {
    return this.#data.seat?.channels ?? [];
  }

  /**
   * Takes what the service says now. For the SDK.
   *
   * @param {MatchData} data
   */
  update(data) {
    this.#data = { ...data, seat: data.seat ?? this.#data.seat };
    if (data.seat) this.#tokenAtMs = this.#context.runtime.now();
  }

  /**
   * A token for this match's room and chat, as the `token` of a VoiceRoom or a Chat.
   *
   * @returns {Promise<string>}
   * @throws {VoiceError}
   */
  async token() {
    const seat = this.#data.seat;
    const age = this.#context.runtime.now() - this.#tokenAtMs;
    if (seat && age >= 0 && age < TOKEN_FRESH_MS) return seat.token;
    this.#asked ??= this.#renew().finally(() => (this.#asked = null));
    return this.#asked;
  }

  async #renew() {
    const { method, path } = this.#renewal;
    const data = readMatch(await this.#context.api.repeat(method, path));
    if (!data) throw badReply();
    this.update(data);
    if (data.seat) return data.seat.token;
    throw new VoiceError("match-not-running", "The match has no place for this player now.");
  }

  /**
   * The match's voice room, not joined yet.
   *
   * @param {MatchVoiceOptions} [options]
   */
  voice(options = {}) {
    const { edge } = this.#context;
    const { room, region, channels } = this;
    return new VoiceRoom({ ...options, edge, room, region, channels, token: () => this.token() });
  }

  /**
   * The match's chat with its channels open.
   *
   * @returns {Omit<JoinedMatch, "voice">}
   */
  chat() {
    const { edge, runtime } = this.#context;
    const chat = new Chat({ edge, runtime, token: () => this.token() });
    const channels = this.channels.map((name) => chat.channel(roomChannel(this.room, name)));
    return { chat, channels };
  }

  /**
   * Joins voice and opens the chat. `voice.leave()` and `chat.close()` end it.
   *
   * @param {MatchVoiceOptions} [options]
   * @returns {Promise<JoinedMatch>}
   * @throws {VoiceError} as `VoiceRoom.join` does
   */
  async join(options) {
    const voice = this.voice(options);
    await voice.join();
    const { chat, channels } = this.chat();
    chat.attach(voice);
    return { voice, chat, channels };
  }
}

/**
 * Whose token it is, "" before there is one.
 *
 * @param {MatchContext} context
 */
export function playerOf({ api }) {
  return api.claims?.player ?? "";
}

/** @param {string} id */
export function matchPath(id) {
  return `/v1/match/matches/${encodeURIComponent(id)}`;
}
