// What a moderator of a room, or the game's server, does to its players, and learns of them. It
// holds at once for who is there, and for whoever joins; each may be asked twice.

/** @import { RoomPlayers } from "./room-players.js" */
/** @import { Runtime } from "./runtime.js" */

import { Api, badReply } from "./api.js";
import { moderatesRoom } from "./claims.js";
import { readPlayers } from "./room-players.js";
import { browserRuntime } from "./runtime.js";

/**
 * @typedef {{ room: string, token: () => string | Promise<string>, edge?: string,
 *   runtime?: Runtime }} ModerationOptions
 */

export class RoomModeration {
  #api;
  #room;

  /** @param {ModerationOptions} options */
  constructor({ room, token, edge, runtime = browserRuntime }) {
    this.#api = new Api({ edge, token, runtime });
    this.#room = room;
  }

  /** Whether the token allows it: moderate in all channels of the room. */
  async allowed() {
    await this.#api.ready();
    return this.#api.claims !== null && moderatesRoom(this.#api.claims, this.#room);
  }

  /**
   * Nobody hears the player for so long, whatever he does.
   *
   * @param {string} player
   * @param {number} seconds 1 to a year
   * @throws {import("./problem.js").VoiceError}
   */
  async mute(player, seconds) {
    await this.#ask("PUT", "mutes", player, { seconds });
  }

  /** @param {string} player @throws {import("./problem.js").VoiceError} */
  async unmute(player) {
    await this.#ask("DELETE", "mutes", player);
  }

  /**
   * Removes the player and keeps him out for so long.
   *
   * @param {string} player
   * @param {number} seconds 1 to a year
   * @throws {import("./problem.js").VoiceError}
   */
  async ban(player, seconds) {
    await this.#ask("PUT", "bans", player, { seconds });
  }

  /** @param {string} player @throws {import("./problem.js").VoiceError} */
  async unban(player) {
    await this.#ask("DELETE", "bans", player);
  }

  /**
   * Removes the player, who may come back.
   *
   * @param {string} player
   * @throws {import("./problem.js").VoiceError}
   */
  async kick(player) {
    await this.#ask("DELETE", "players", player);
  }

  /**
   * Who is in the room's voice now, by their numbers in it: a thousand at most, and those behind
   * `after`, the `next` of the page before.
   *
   * @param {number} [after]
   * @returns {Promise<RoomPlayers>}
   * @throws {import("./problem.js").VoiceError} `no-live-relay` while its relay is silent
   */
  async players(after) {
    const path = `/v1/rooms/${encodeURIComponent(this.#room)}/players`;
    const page = readPlayers(await this.#api.repeat("GET", path, { query: { after } }));
    if (!page) throw badReply();
    return page;
  }

  /**
   * @param {"PUT" | "DELETE"} method
   * @param {string} kind
   * @param {string} player
   * @param {{ seconds: number }} [body]
   */
  async #ask(method, kind, player, body) {
    const [room, whom] = [this.#room, player].map(encodeURIComponent);
    await this.#api.repeat(method, `/v1/rooms/${room}/${kind}/${whom}`, { body });
  }
}
