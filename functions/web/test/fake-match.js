// A matchmaking service in memory, with the API's rules as far as a client can see them: parties,
// keys, the time that a ticket lives unasked, acceptance, requeueing, and who may do what.

import { claimsOf } from "../sdk/claims.js";
import { checkExchange } from "./interface.js";
import { FakeService, problem, reply, tokenOf } from "./fake-service.js";

const GRACE_MS = 75_000;
const SEAT_S = 3600;
export const MODE = {
  mode: "squads-2v2",
  teams: [{ name: "team", count: 2, players: { min: 2, max: 2 } }],
  party: { max: 2 },
  acceptance: { timeout_s: 20 },
};

/**
 * @typedef {{ id: string, queue: string, key: string, status: string, ended?: string,
 *   players: { player: string, joined: boolean }[], details: Map<string, any>, sinceMs?: number,
 *   askedMs: number, match?: FoundMatch }} Ticket
 *
 * @typedef {{ id: string, status: string, tickets: Ticket[], teams: string[][],
 *   accepted: Set<string>, untilMs: number, formedMs: number }} FoundMatch
 */

/** @param {Response} answer @returns {Promise<unknown>} */
async function statusOf(answer) {
  return (await answer.clone().json()).status;
}

export class FakeMatch extends FakeService {
  /** @type {Map<string, Ticket>} */
  tickets = new Map();
  /** @type {Map<string, FoundMatch>} */
  matches = new Map();
  /** Players of each of the two teams. */
  teamSize = 2;
  /** Time to accept; 0 when nobody is asked. */
  acceptMs = 20_000;
  pollMs = 1000;
  /** Whether it keeps requests that wait for a match. */
  keeps = false;
  /** Problems that answer the next requests, whatever these are. @type {[number, string][]} */
  refusals = [];
  /** Regions that the queue names. @type {Record<string, { probe: string }>} */
  regions = {};
  #serial = 0;

  /** @param {string} player */
  static token(player) {
    return tokenOf({ sub: player, grants: [] });
  }

  /** How far its clock is ahead of the players'. */
  aheadMs = 0;

  serviceNowMs() {
    return Math.round(this.clock.nowMs + this.aheadMs);
  }

  /** Tickets that are not over. */
  get open() {
    return [...this.tickets.values()].filter(({ status }) => status !== "ended");
  }

  /**
   * A party that somebody else has queued.
   *
   * @param {string[]} players
   */
  arrive(...players) {
    const details = new Map(players.map((player) => [player, {}]));
    return this.#make("squads", `other-${players[0]}`, players, details);
  }

  /** @param {string} player @param {boolean} accept */
  answerFor(player, accept) {
    const match = [...this.matches.values()].find(
      ({ status, teams }) => status === "proposed" && teams.flat().includes(player),
    );
    if (match) this.#answered(match, player, accept);
  }

  /**
   * @override
   * @protected
   * @param {URL} url
   * @param {RequestInit} init
   * @param {string} authorization
   */
  async answer({ pathname, searchParams }, { method = "", body, signal }, authorization) {
    const json = typeof body === "string" ? JSON.parse(body) : null;
    const player = claimsOf(authorization)?.player ?? "";
    let answer = this.#route(pathname, method, json, player);
    const waitMs = this.keeps ? Number(searchParams.get("wait")) * 1000 : 0;
    const endMs = this.clock.nowMs + Math.min(waitMs, this.pollMs);
    while (this.clock.nowMs < endMs && (await statusOf(answer)) === "waiting") {
      await this.clock.sleep(50, signal ?? undefined);
      const next = this.#route(pathname, method, json, player);
      if ((await statusOf(next)) !== "waiting") answer = next;
    }
    await checkExchange(method, pathname, json, answer);
    return answer;
  }

  /** @param {string} pathname @param {string} method @param {any} json @param {string} player */
  #route(pathname, method, json, player) {
    const refusal = this.refusals.shift();
    if (refusal) return problem(...refusal);
    this.#expire();
    const [kind = "", name = "", part = "", id = "", end = ""] = pathname.split("/").slice(3);
    if (kind === "seat") return this.#seat(player);
    if (kind === "matches") return this.#matchRoute(method, name, part, player, json);
    if (name !== "squads") return problem(404, "unknown-queue");
    if (part === "") return reply(200, { version: 3, modes: [MODE], regions: this.regions });
    const rating = { mu: 25, sigma: 8 };
    if (part === "ratings") return reply(200, { player: id, rating, matches: 0 });
    if (method === "POST") return this.#queueUp(name, json, player);
    return this.#ticketRoute(method, id, end, player, json);
  }

  // ---- tickets ----------------------------------------------------------------------------

  /** @param {string} queue @param {any} json @param {string} player */
  #queueUp(queue, { key, players }, player) {
    const names = players.map((/** @type {any} */ one) => one.player);
    const known = [...this.tickets.values()].find(
      (ticket) => ticket.key === key && ticket.players[0]?.player === player,
    );
    if (known) return reply(201, this.#view(known, player));
    if (names.length > this.teamSize) return problem(422, "party-too-large");
    if (names[0] !== player) return problem(403, "not-leader");
    if (this.#ticketOf(player)) return problem(409, "already-queued");
    const details = new Map(
      players.flatMap((/** @type {any} */ one) => (one.details ? [[one.player, one.details]] : [])),
    );
    return reply(201, this.#view(this.#make(queue, key, names, details), player));
  }

  /**
   * @param {string} queue
   * @param {string} key
   * @param {string[]} names
   * @param {Map<string, any>} details
   */
  #make(queue, key, names, details) {
    const id = `t${(this.#serial += 1)}`;
    const players = names.map((player) => ({ player, joined: details.has(player) }));
    const askedMs = this.clock.nowMs;
    /** @type {Ticket} */
    const ticket = { id, queue, key, status: "gathering", players, details, askedMs };
    this.tickets.set(id, ticket);
    this.#gather(ticket);
    return ticket;
  }

  /** @param {Ticket} ticket */
  #gather(ticket) {
    if (ticket.status !== "gathering" || !ticket.players.every(({ joined }) => joined)) return;
    ticket.status = "waiting";
    ticket.sinceMs = this.serviceNowMs();
    this.form();
  }

  /**
   * @param {string | undefined} method
   * @param {string} id
   * @param {string} end
   * @param {string} player
   * @param {any} json
   */
  #ticketRoute(method, id, end, player, json) {
    const ticket = this.tickets.get(id);
    if (!ticket) return problem(404, "unknown-ticket");
    const member = ticket.players.find((one) => one.player === player);
    if (!member) return problem(403, "not-in-party");
    if (ticket.ended === "expired") return problem(410, "ticket-expired");
    ticket.askedMs = this.clock.nowMs;
    if (end === "explanation") return reply(200, { modes: [this.#explain(ticket)] });
    if (end === "party" && method === "PUT") {
      member.joined = true;
      ticket.details.set(player, json);
      this.#gather(ticket);
    }
    if (method !== "DELETE") return reply(200, this.#view(ticket, player));
    if (end === "" && ticket.players[0] !== member) return problem(403, "not-leader");
    ticket.status = "ended";
    ticket.ended = "cancelled";
    return reply(204);
  }

  /** @param {Ticket} ticket */
  #explain({ sinceMs = 0 }) {
    const waited_s = Math.floor((this.serviceNowMs() - sinceMs) / 1000);
    const candidates = [{ rule: "latency.max_ms", tickets: 0 }];
    const next = { next_expansion_s: 12, next_expansion_paths: ["latency.max_ms"] };
    const why = { blocked_by: ["latency.max_ms"], candidates, ...next };
    return { mode: "squads-2v2", matchable: false, waited_s, players_missing: 2, ...why };
  }

  #expire() {
    for (const ticket of this.open) {
      const isIdle = this.clock.nowMs - ticket.askedMs > GRACE_MS;
      if (!isIdle || ticket.key.startsWith("other-") || ticket.status === "matched") continue;
      ticket.status = "ended";
      ticket.ended = "expired";
    }
    for (const match of this.matches.values()) {
      const isLate = match.status === "proposed" && this.serviceNowMs() > match.untilMs;
      const slow = match.teams.flat().find((player) => !match.accepted.has(player));
      if (isLate && slow) this.#answered(match, slow, false);
    }
  }

  /** @param {string} player */
  #ticketOf(player) {
    const isHis = (/** @type {{ player: string, joined: boolean }} */ one) =>
      one.player === player && one.joined;
    return this.open.find(({ players }) => players.some(isHis));
  }

  /** @param {string} player */
  #seat(player) {
    const found = this.#ticketOf(player);
    const isAsked = (/** @type {{ player: string, joined: boolean }} */ one) =>
      one.player === player && !one.joined;
    const asking = this.open.filter(({ players }) => players.some(isAsked));
    const invitations = asking.map(({ id, queue, players }) => {
      return { ticket: id, queue, leader: players[0]?.player };
    });
    const match = found?.match?.status === "ready" ? found.match.id : undefined;
    return reply(200, { ticket: found?.id, queue: found?.queue, match, invitations });
  }

  // ---- matches ----------------------------------------------------------------------------

  /** Forms a match of those who waited longest, if there are enough. */
  form() {
    const waiting = this.open.filter(({ status }) => status === "waiting");
    const teams = /** @type {string[][]} */ ([[], []]);
    const tickets = waiting.filter((ticket) => {
      const team = teams.find((one) => one.length + ticket.players.length <= this.teamSize);
      team?.push(...ticket.players.map(({ player }) => player));
      return team !== undefined;
    });
    if (teams.flat().length < 2 * this.teamSize) return;
    const id = `m${(this.#serial += 1)}`;
    const status = this.acceptMs > 0 ? "proposed" : "ready";
    const [formedMs, accepted] = [this.serviceNowMs(), new Set()];
    const untilMs = formedMs + this.acceptMs;
    const match = { id, status, tickets, teams, accepted, formedMs, untilMs };
    this.matches.set(id, match);
    for (const ticket of tickets) {
      ticket.match = match;
      ticket.status = this.acceptMs > 0 ? "proposed" : "matched";
    }
  }

  /** @param {FoundMatch} match @param {string} player @param {boolean} accept */
  #answered(match, player, accept) {
    if (accept) match.accepted.add(player);
    else match.status = "abandoned";
    const isReady = match.accepted.size === match.teams.flat().length;
    if (isReady) match.status = "ready";
    for (const ticket of match.tickets) {
      if (isReady) ticket.status = "matched";
      if (accept) continue;
      const isOwn = ticket.players.some((one) => one.player === player);
      ticket.status = isOwn ? "ended" : "waiting";
      ticket.ended = isOwn ? "not-accepted" : undefined;
      ticket.match = undefined;
    }
  }

  /**
   * @param {string | undefined} method
   * @param {string} id
   * @param {string} part
   * @param {string} player
   * @param {any} json
   */
  #matchRoute(method, id, part, player, json) {
    const match = this.matches.get(id);
    if (!match) return problem(404, "unknown-match");
    if (part === "spectators") return reply(200, this.#matchView(match, player, ["all"]));
    if (!match.teams.flat().includes(player)) return problem(403, "not-in-match");
    if (part === "acceptance" && method === "POST") {
      if (match.status === "abandoned") return problem(409, "not-accepted");
      if (match.status === "proposed") this.#answered(match, player, json.accept);
      if (!json.accept) return problem(409, "not-accepted");
    }
    return reply(200, this.#matchView(match, player));
  }

  // ---- what is said -----------------------------------------------------------------------

  /** @param {Ticket} ticket @param {string} player */
  #view(ticket, player) {
    const { id, queue, status, players, sinceMs, match, ended } = ticket;
    const isFinal = status === "ended" || status === "matched";
    return {
      ticket: id,
      queue,
      modes: ["squads-2v2"],
      status,
      players,
      now_ms: this.serviceNowMs(),
      since_ms: sinceMs,
      poll_after_ms: isFinal ? undefined : this.pollMs,
      typical_wait_s: 40,
      ended,
      match: match && this.#matchView(match, player),
    };
  }

  /** @param {FoundMatch} match @param {string} player @param {string[]} [channels] */
  #matchView({ id, status, teams, accepted, formedMs, untilMs }, player, channels) {
    const isProposed = status === "proposed";
    const team = teams.findIndex((players) => players.includes(player)) + 1;
    const token = FakeMatch.token(`${player}-${(this.#serial += 1)}`);
    const expires_at = Math.floor(this.clock.nowMs / 1000) + SEAT_S;
    const seat = { token, expires_at, channels: channels ?? [`team-${team}`, "all"] };
    return {
      id,
      queue: "squads",
      mode: "squads-2v2",
      rules_version: 3,
      region: "dev",
      room: `match-${id}`,
      status,
      formed_at_ms: formedMs,
      accept_until_ms: isProposed ? untilMs : undefined,
      accepted: isProposed ? [...accepted] : undefined,
      teams: teams.map((players, n) => {
        return { name: `team-${n + 1}`, channel: `team-${n + 1}`, players };
      }),
      quality: { rating_spread: 1.5, favourite: 0.55 },
      seat: status === "ready" ? seat : undefined,
    };
  }
}
