// Matchmaking of one player: asks for a match, answers invitations, finds what he had before the
// page was loaded again.

/** @import { PlayerDetails, TicketHandlers } from "./match-ticket.js" */
/** @import { PlayerRating, QueueRules } from "./match-messages.js" */
/** @import { Runtime } from "./runtime.js" */

import { Api, badReply } from "./api.js";
import { Match, matchPath, playerOf } from "./match.js";
import { readMatch, readOwnTicket, readRating, readRules } from "./match-messages.js";
import { detailsBody, isGone, MatchTicket, queuePath, ticketPath } from "./match-ticket.js";
import { browserRuntime } from "./runtime.js";

/**
 * @typedef {object} MatchmakerOptions
 * @property {() => string | Promise<string>} token asked at first and when a token has expired
 * @property {string} [edge] origin of the edge, "" for this page's own
 * @property {Runtime} [runtime] time, chance and network; for tests
 *
 * @typedef {object} QueueOptions
 * @property {string} queue
 * @property {string[]} [modes] any of which will do; all of the queue's when absent
 * @property {string[]} [party] the other players of the party, who must join it
 * @property {AbortSignal} [signal] calls it off while the service has not answered
 * @property {TicketHandlers} [on] handlers that are in place before anything happens
 */

export class Matchmaker {
  #api;
  #context;

  /** @param {MatchmakerOptions} options */
  constructor({ edge, token, runtime = browserRuntime }) {
    this.#api = new Api({ edge, token, runtime });
    this.#context = { api: this.#api, edge, runtime };
  }

  /** This player's id, "" before there is a token. */
  get self() {
    return playerOf(this.#context);
  }

  /**
   * Asks for a match, as the leader of the party. Resolves when the service has given a place.
   * While it cannot be reached this goes on trying, with one key: a party never queues twice.
   *
   * @param {QueueOptions & PlayerDetails} options
   * @returns {Promise<MatchTicket>}
   * @throws {import("./problem.js").VoiceError} refused, for example `already-queued`: see `resume`
   */
  async queue({ queue, modes, party = [], signal, on, ...details }) {
    const key = this.#context.runtime.key();
    const others = party.map((player) => ({ player }));
    const body = () => {
      const self = { player: this.self, details: detailsBody(details) };
      return { key, modes, players: [self, ...others] };
    };
    const ticket = new MatchTicket(this.#context, { queue, on });
    await ticket.start({ method: "POST", path: `${queuePath(queue)}/tickets`, body }, signal);
    return ticket;
  }

  /**
   * Opens a ticket that names this player: an invitation, until `joinParty`.
   *
   * @param {{ queue: string, ticket: string, on?: TicketHandlers }} options
   * @returns {Promise<MatchTicket>}
   * @throws {import("./problem.js").VoiceError}
   */
  async open({ queue, ticket: id, on }) {
    const ticket = new MatchTicket(this.#context, { queue, on });
    await ticket.start({ method: "GET", path: ticketPath(queue, id) });
    return ticket;
  }

  /**
   * Finds this player's ticket again, after the page was loaded again or `already-queued`.
   *
   * @param {{ on?: TicketHandlers }} [options]
   * @returns {Promise<MatchTicket | null>} null when he has none
   * @throws {import("./problem.js").VoiceError}
   */
  async resume({ on } = {}) {
    const found = readOwnTicket(await this.#api.repeat("GET", "/v1/match/seat"));
    if (!found) return null;
    const ticket = await this.open({ ...found, on }).catch((error) => {
      if (isGone(error)) return null;
      throw error;
    });
    return ticket?.state === "ended" ? null : ticket;
  }

  /**
   * A match of this player by its id.
   *
   * @param {string} id
   * @returns {Promise<Match>}
   * @throws {import("./problem.js").VoiceError}
   */
  async match(id) {
    return this.#match("GET", matchPath(id));
  }

  /**
   * Takes a spectator's seat in a running match: hears its `all` channel.
   *
   * @param {string} id
   * @returns {Promise<Match>}
   * @throws {import("./problem.js").VoiceError}
   */
  async spectate(id) {
    return this.#match("POST", `${matchPath(id)}/spectators`);
  }

  /**
   * @param {"GET" | "POST"} method
   * @param {string} path
   */
  async #match(method, path) {
    const data = readMatch(await this.#api.repeat(method, path));
    if (!data) throw badReply();
    return new Match(this.#context, data, { method, path });
  }

  /**
   * The rules of a queue.
   *
   * @param {string} queue
   * @returns {Promise<QueueRules>}
   * @throws {import("./problem.js").VoiceError}
   */
  async rules(queue) {
    const rules = readRules(await this.#api.repeat("GET", queuePath(queue)));
    if (!rules) throw badReply();
    return rules;
  }

  /**
   * This player's own rating in a queue.
   *
   * @param {string} queue
   * @returns {Promise<PlayerRating>}
   * @throws {import("./problem.js").VoiceError}
   */
  async rating(queue) {
    await this.#api.ready();
    const path = `${queuePath(queue)}/ratings/${encodeURIComponent(this.self)}`;
    const rating = readRating(await this.#api.repeat("GET", path));
    if (!rating) throw badReply();
    return rating;
  }
}
