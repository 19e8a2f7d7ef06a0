// Matchmaking of one player: asks for a match, answers invitations, finds what he had before the
// page was loaded again.

/** @import { PlayerDetails, TicketHandlers } from "./match-ticket.js" */
/** @import { Invitation, PlayerRating, QueueRules } from "./match-messages.js" */
/** @import { Runtime } from "./runtime.js" */

import { Api, badReply } from "./api.js";
import { Latencies } from "./latency.js";
import { Match, matchPath, playerOf } from "./match.js";
import { readMatch, readOwnSeat, readRating, readRules } from "./match-messages.js";
import { detailsBody, isGone, measured, MatchTicket } from "./match-ticket.js";
import { queuePath, ticketPath } from "./match-ticket.js";
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
    const context = { api: this.#api, edge, runtime };
    this.#context = { ...context, latencies: new Latencies(context) };
  }

  /** This player's id, "" before there is a token. */
  get self() {
    return playerOf(this.#context);
  }

  /**
   * Asks for a match, as the leader of the party. Resolves when the service has given a place.
   * While it cannot be reached this goes on trying, with one key: a party never queues twice.
   * Measures how far the queue's regions are, unless `latencyMs` is given.
   *
   * @param {QueueOptions & PlayerDetails} options
   * @returns {Promise<MatchTicket>}
   * @throws {import("./problem.js").VoiceError} refused, for example `already-queued`: see `resume`
   */
  async queue({ queue, modes, party = [], signal, on, ...details }) {
    const key = this.#context.runtime.key();
    const others = party.map((player) => ({ player }));
    const known = detailsBody(await measured(details, queue, this.#context, signal));
    const body = () => {
      const self = { player: this.self, details: known };
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
   * Parties that have named this player and wait for him to join, the newest first: `open` them.
   *
   * @returns {Promise<Invitation[]>}
   * @throws {import("./problem.js").VoiceError}
   */
  async invitations() {
    return (await this.#seat()).invitations;
  }

  async #seat() {
    const seat = readOwnSeat(await this.#api.repeat("GET", "/v1/match/seat"));
    if (!seat) throw badReply();
    return seat;
  }

  /**
   * Finds this player's ticket again, after the page was loaded again or `already-queued`; while
   * the match runs that came of it, with that match.
   *
   * @param {{ on?: TicketHandlers }} [options]
   * @returns {Promise<MatchTicket | null>} null when he has none
   * @throws {import("./problem.js").VoiceError}
   */
  async resume({ on } = {}) {
    const { own, match } = await this.#seat();
    if (!own) return null;
    const found = match === null ? this.open({ ...own, on }) : this.#restore(own, match, on);
    const ticket = await found.catch((error) => {
      if (isGone(error)) return null;
      throw error;
    });
    return ticket?.state === "ended" ? null : ticket;
  }

  /**
   * A match outlives its tickets.
   *
   * @param {{ queue: string, ticket: string }} own
   * @param {string} id
   * @param {TicketHandlers | undefined} on
   */
  async #restore({ queue, ticket: name }, id, on) {
    const match = await this.#read("GET", matchPath(id));
    const ticket = new MatchTicket(this.#context, { queue, on });
    const none = { sinceMs: null, pollAfterMs: null, typicalWaitS: null, ended: null };
    const rest = { modes: [match.mode], players: [], nowMs: match.formedAtMs, ...none };
    ticket.restore({ ticket: name, queue, status: "matched", match, ...rest });
    return ticket;
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
   * Takes a spectator's seat in a running match: hears all teams. Since he hears both sides, the
   * player's token must grant it: the channel `spectators` of the match's room.
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
    return new Match(this.#context, await this.#read(method, path), { method, path });
  }

  /**
   * @param {"GET" | "POST"} method
   * @param {string} path
   */
  async #read(method, path) {
    const data = readMatch(await this.#api.repeat(method, path));
    if (!data) throw badReply();
    return data;
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
   * Round-trip times to the queue's regions, milliseconds; none when it names no regions. What was
   * measured within five minutes is taken, so a menu that asks early saves the player the wait.
   *
   * @param {string} queue
   * @param {{ signal?: AbortSignal }} [options]
   * @returns {Promise<Record<string, number>>}
   */
  async latency(queue, { signal } = {}) {
    return (await this.#context.latencies.of(queue, signal)) ?? {};
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
