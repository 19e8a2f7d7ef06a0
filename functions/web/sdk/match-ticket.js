// A party that looks for a match, from asking for a place to the match or the end: asks the service
// when that says so, and goes on by itself after everything that passes.

/** @import { Latencies } from "./latency.js" */
/** @import { MatchContext } from "./match.js" */
/** @import { MatchData, Member, ModeExplanation, TicketData } from "./match-messages.js" */
/** @import { TicketEnd, TicketStatus } from "./match-messages.js" */

import { badReply, isPassing } from "./api.js";
import { Emitter } from "./emitter.js";
import { Match, matchPath, playerOf } from "./match.js";
import { readExplanation, readMatch, readTicket } from "./match-messages.js";
import { VoiceError } from "./problem.js";
import { delayBefore } from "./schedule.js";

/** When the service does not say. */
const POLL_DEFAULT_MS = 2000;
/** Well below the time that a ticket lives unasked, which is 75 s. */
const POLL_MAX_MS = 30_000;
/** How long a request waits for a match, in seconds; the most that the service waits. */
const WAIT_S = 20;
/** Chance, so that players who came together do not ask together for ever. */
const POLL_SPREAD = 0.1;

/**
 * `queueing` is before the service has answered, the others are its own.
 *
 * @typedef {"queueing" | TicketStatus} TicketState
 *
 * `problem` is what the SDK is dealing with, or why it ended; `retryInMs` the pause before the next
 * attempt. `reason` is there once it has ended: `expired` when nobody asked for too long, `refused`
 * when the service says so, `closed` when `close` was called.
 *
 * @typedef {{ state: TicketState, problem: VoiceError | null, retryInMs: number | null,
 *   reason: TicketEnd | "expired" | "refused" | "closed" | null }} TicketDetail
 *
 * @typedef {{
 *   state: TicketDetail,
 *   party: Member[],
 *   proposed: Match,
 *   accepted: string[],
 *   requeued: Match,
 *   matched: Match,
 *   ended: TicketDetail,
 * }} TicketEvents
 *
 * @typedef {{ [K in keyof TicketEvents]?: (detail: TicketEvents[K]) => void }} TicketHandlers
 *
 * What matchmaking goes by, of this player.
 *
 * @typedef {object} PlayerDetails
 * @property {Record<string, number | string | string[]>} [attributes] what the mode's rules look at
 * @property {Record<string, number>} [latencyMs] round trips to regions, where the game measures
 *   them itself
 * @property {string[]} [languages] the best first
 * @property {string[]} [blocks] players not to meet, besides those blocked in chat
 *
 * @typedef {MatchContext & { latencies: Latencies }} TicketContext
 *
 * The body is made when the token, and with it the player, is known.
 *
 * @typedef {{ method: string, path: string, body?: () => unknown }} FirstCall
 */

/** @extends {Emitter<TicketEvents>} */
export class MatchTicket extends Emitter {
  #context;
  #queue;
  #data = /** @type {TicketData | null} */ (null);
  #match = /** @type {Match | null} */ (null);
  #detail = /** @type {TicketDetail} */ ({ ...BLANK, state: "queueing" });
  /** How far the service's clock is ahead of this device's. */
  #aheadMs = 0;
  #abort = new AbortController();
  #wake = new AbortController();

  /**
   * Made by a Matchmaker.
   *
   * @param {TicketContext} context
   * @param {{ queue: string, on?: TicketHandlers }} options
   */
  constructor(context, { queue, on = {} }) {
    super();
    this.#context = context;
    this.#queue = queue;
    for (const [name, handler] of Object.entries(on)) {
      this.on(/** @type {keyof TicketEvents} */ (name), /** @type {any} */ (handler));
    }
    globalThis.addEventListener?.("online", this.#hurry);
    globalThis.document?.addEventListener("visibilitychange", this.#hurry);
  }

  // ---- what is so -------------------------------------------------------------------------

  /** Its id, "" before the service has given one. */
  get id() {
    return this.#data?.ticket ?? "";
  }

  get queue() {
    return this.#queue;
  }

  /** The modes that will do. */
  get modes() {
    return this.#data?.modes ?? [];
  }

  get state() {
    return this.#detail.state;
  }

  /** The state with its details, as in the last `state` event. */
  get detail() {
    return this.#detail;
  }

  /** The party, its leader first. */
  get party() {
    return this.#data?.players ?? [];
  }

  /** Whether this player leads the party. */
  get isLeader() {
    return this.party[0]?.player === playerOf(this.#context);
  }

  /** Whether this player was invited and has not joined the party yet. */
  get isInvited() {
    const player = playerOf(this.#context);
    return this.party.some((member) => member.player === player && !member.joined);
  }

  /** The wait so far, milliseconds; null before all have joined. It goes on after a requeueing. */
  get waitedMs() {
    const since = this.#data?.sinceMs ?? null;
    const nowMs = this.#context.runtime.now() + this.#aheadMs;
    return since === null ? null : Math.max(0, nowMs - since);
  }

  /** How long others waited lately: the median, seconds. */
  get typicalWaitS() {
    return this.#data?.typicalWaitS ?? null;
  }

  /** The match that is proposed or found. */
  get match() {
    return this.#match;
  }

  get #ended() {
    return this.#abort.signal.aborted;
  }

  // ---- what one can do --------------------------------------------------------------------

  /**
   * Answers an invitation: joins the party.
   *
   * @param {PlayerDetails} [details]
   * @throws {VoiceError}
   */
  async joinParty(details = {}) {
    const body = detailsBody(await measured(details, this.#queue, this.#context));
    this.#take(await this.#change("PUT", `${this.#path}/party`, body));
  }

  /**
   * Accepts the proposed match.
   *
   * @throws {VoiceError} `not-accepted` when somebody else was quicker to decline
   */
  async accept() {
    await this.#answer(true);
  }

  /**
   * Declines the proposed match, which ends this ticket; the others go on waiting.
   *
   * @throws {VoiceError}
   */
  async decline() {
    await this.#answer(false).catch((error) => {
      // That it was not accepted is what was asked for.
      if (error.problem !== "not-accepted") throw error;
    });
  }

  /**
   * Takes the ticket back; for the leader of the party. After a match it gives up the place in it.
   *
   * @throws {VoiceError}
   */
  async cancel() {
    await this.#giveUp(this.#path);
  }

  /**
   * Leaves the party, or declines the invitation. This ends the ticket for all. After a match it
   * gives up the place in it.
   *
   * @throws {VoiceError}
   */
  async leave() {
    await this.#giveUp(`${this.#path}/party`);
  }

  /**
   * Why it waits, for each mode.
   *
   * @returns {Promise<ModeExplanation[]>}
   * @throws {VoiceError}
   */
  async explain() {
    const { signal } = this.#abort;
    const reply = await this.#context.api.repeat("GET", `${this.#path}/explanation`, { signal });
    const modes = readExplanation(reply);
    if (!modes) throw badReply();
    return modes;
  }

  /** Asks no more. The ticket ends by itself a while later, unless `Matchmaker.resume` finds it. */
  close() {
    this.#finish({ reason: "closed" });
  }

  // ---- talking to the service -------------------------------------------------------------

  get #path() {
    return ticketPath(this.#queue, this.id);
  }

  /**
   * Makes the first call, and from its reply on follows the ticket. For the Matchmaker.
   *
   * @param {FirstCall} call
   * @param {AbortSignal} [signal] gives up; a ticket that was made nevertheless is taken back
   * @throws {VoiceError} the refusal
   */
  async start({ method, path, body }, signal) {
    const giveUp = () => this.close();
    signal?.addEventListener("abort", giveUp);
    if (signal?.aborted) giveUp();
    const { api } = this.#context;
    try {
      const data = await this.#persist(async () => {
        await api.ready();
        const reply = readTicket(await api.call(method, path, { body: body?.() }));
        if (!reply) throw badReply();
        return reply;
      });
      if (data) this.#take(data);
      if (this.#detail.reason !== "closed") return void this.#follow();
      if (data && method === "POST") this.cancel().catch(() => {});
      throw new VoiceError("left", "The search was called off.");
    } catch (error) {
      this.#finish(endBy(/** @type {VoiceError} */ (error)));
      throw error;
    } finally {
      signal?.removeEventListener("abort", giveUp);
    }
  }

  /**
   * Takes up a ticket of which the service told in another way. For the Matchmaker.
   *
   * @param {TicketData} data
   */
  restore(data) {
    this.#take(data);
    this.#stop();
  }

  async #follow() {
    const { runtime } = this.#context;
    let askedMs = runtime.now();
    while (!this.#ended) {
      const pause = this.#data?.pollAfterMs ?? null;
      if (pause === null && this.state === "matched") return this.#stop();
      const spread = 1 + runtime.random() * POLL_SPREAD;
      const pauseMs = Math.min(POLL_MAX_MS, (pause ?? POLL_DEFAULT_MS) * spread);
      // The service may have kept the last request for as long.
      await this.#pause(Math.max(0, askedMs + pauseMs - runtime.now()));
      askedMs = runtime.now();
      try {
        let sentMs = askedMs;
        const data = await this.#persist(() => {
          sentMs = runtime.now();
          return this.#read();
        });
        if (data) this.#take(data, sentMs);
      } catch (error) {
        this.#finish(endBy(/** @type {VoiceError} */ (error)));
      }
    }
  }

  async #read() {
    const { signal } = this.#abort;
    // Whoever does not know yet that it waits wants to be told of that at once.
    const query = { wait: this.state === "waiting" ? WAIT_S : undefined };
    const data = readTicket(await this.#context.api.call("GET", this.#path, { query, signal }));
    if (!data) throw badReply();
    return data;
  }

  /**
   * Tries until there is a reply or a refusal; null when it was ended meanwhile.
   *
   * @param {() => Promise<TicketData>} action
   * @returns {Promise<TicketData | null>}
   */
  async #persist(action) {
    for (let attempt = 1; !this.#ended; attempt += 1) {
      try {
        return await action();
      } catch (error) {
        if (this.#ended) break;
        if (!(error instanceof VoiceError) || !isPassing(error)) throw error;
        const pause = delayBefore(attempt, this.#context.runtime.random(), error.retryAfterMs);
        this.#setDetail({ problem: error, retryInMs: pause });
        await this.#pause(pause);
      }
    }
    return null;
  }

  /**
   * Sleeps, but not longer than until somebody is in a hurry.
   *
   * @param {number} ms
   */
  async #pause(ms) {
    this.#wake = new AbortController();
    const signal = AbortSignal.any([this.#abort.signal, this.#wake.signal]);
    await this.#context.runtime.sleep(ms, signal);
  }

  /** A hidden page's timers are slow, and an offline one's requests were for nothing. */
  #hurry = () => this.#wake.abort();

  /**
   * @param {string} method
   * @param {string} path
   * @param {unknown} [body]
   */
  async #change(method, path, body) {
    const { signal } = this.#abort;
    const data = readTicket(await this.#context.api.repeat(method, path, { body, signal }));
    if (!data) throw badReply();
    return data;
  }

  /** @param {boolean} accept */
  async #answer(accept) {
    const match = this.#match;
    if (!match) throw new VoiceError("unknown-match", "There is no match to accept.");
    try {
      const body = { accept };
      const path = `${matchPath(match.id)}/acceptance`;
      const data = readMatch(await this.#context.api.repeat("POST", path, { body }));
      if (data && match === this.#match) this.#takeMatch(data)();
    } finally {
      // What became of it is in the ticket.
      this.#hurry();
    }
  }

  /** @param {string} path */
  async #giveUp(path) {
    if (this.id === "") return this.close();
    try {
      await this.#context.api.repeat("DELETE", path);
    } catch (error) {
      this.#hurry();
      if (!isGone(error)) throw error;
    }
    this.#finish({ reason: "cancelled" });
  }

  // ---- what the service says --------------------------------------------------------------

  /**
   * @param {TicketData} data
   * @param {number} [sentMs] when it was asked for; the service may have kept the request since
   */
  #take(data, sentMs = this.#context.runtime.now()) {
    if (this.#ended) {
      this.#data ??= data;
      return;
    }
    const before = this.#data;
    this.#data = data;
    // The service looked at its clock between the question and the answer.
    const least = data.nowMs - this.#context.runtime.now();
    this.#aheadMs = Math.min(data.nowMs - sentMs, Math.max(least, this.#aheadMs));
    if (JSON.stringify(before?.players) !== JSON.stringify(data.players)) {
      this.emit("party", data.players);
    }
    if (data.status === "ended") return this.#finish({ reason: data.ended ?? "cancelled" });
    const found = data.status === "proposed" || data.status === "matched" ? data.match : null;
    const abandoned = this.#match?.id === found?.id ? null : this.#match;
    if (abandoned) this.#match = null;
    const tell = found ? this.#takeMatch(found) : () => {};
    this.#setDetail({ state: data.status, problem: null, retryInMs: null });
    if (abandoned) this.emit("requeued", abandoned);
    tell();
    if (data.status === "matched" && before?.status !== "matched" && this.#match) {
      this.emit("matched", this.#match);
    }
  }

  /**
   * @param {MatchData} data
   * @returns {() => void} tells what is new
   */
  #takeMatch(data) {
    const known = this.#match?.id === data.id ? this.#match : null;
    const accepted = known?.accepted.join() ?? "";
    const nowMs = this.#context.runtime.now() + this.#aheadMs;
    const match = known ?? new Match(this.#context, data, { nowMs });
    match.update(data);
    this.#match = match;
    return () => {
      if (!known && data.status === "proposed") this.emit("proposed", match);
      if (accepted !== match.accepted.join()) this.emit("accepted", match.accepted);
    };
  }

  /** @param {Partial<TicketDetail>} change */
  #setDetail(change) {
    const next = { ...this.#detail, ...change };
    const keys = /** @type {(keyof TicketDetail)[]} */ (Object.keys(next));
    if (keys.every((key) => next[key] === this.#detail[key])) return;
    this.#detail = next;
    this.emit("state", next);
  }

  /** @param {Partial<TicketDetail>} change */
  #finish(change) {
    if (this.state === "ended") return;
    this.#stop();
    this.#setDetail({ problem: null, ...change, state: "ended", retryInMs: null });
    this.emit("ended", this.#detail);
    this.forgetHandlers();
  }

  #stop() {
    this.#abort.abort();
    globalThis.removeEventListener?.("online", this.#hurry);
    globalThis.document?.removeEventListener("visibilitychange", this.#hurry);
  }
}

const BLANK = { problem: null, retryInMs: null, reason: null };

/** Refusals that say that there is no such ticket or match of this player any more. */
const GONE = new Set([
  "ticket-expired",
  "unknown-ticket",
  "not-in-party",
  "unknown-match",
  "not-in-match",
]);

/** @param {unknown} error */
export function isGone(error) {
  return error instanceof VoiceError && GONE.has(error.problem);
}

/**
 * @param {VoiceError} problem
 * @returns {Partial<TicketDetail>}
 */
function endBy(problem) {
  return { reason: isGone(problem) ? "expired" : "refused", problem };
}

/**
 * With round trips to the queue's regions, unless the game has given some.
 *
 * @param {PlayerDetails} details
 * @param {string} queue
 * @param {TicketContext} context
 * @param {AbortSignal} [signal]
 * @returns {Promise<PlayerDetails>}
 */
export async function measured(details, queue, { latencies }, signal) {
  return { ...details, latencyMs: details.latencyMs ?? (await latencies.of(queue, signal)) };
}

/** @param {PlayerDetails} details */
export function detailsBody({ attributes, latencyMs, languages, blocks }) {
  const latency = Object.entries(latencyMs ?? {}).map(([name, ms]) => [name, Math.round(ms)]);
  const latency_ms = latencyMs && Object.fromEntries(latency);
  return { attributes, latency_ms, languages, blocks };
}

/** @param {string} queue */
export function queuePath(queue) {
  return `/v1/match/queues/${encodeURIComponent(queue)}`;
}

/**
 * @param {string} queue
 * @param {string} ticket
 */
export function ticketPath(queue, ticket) {
  return `${queuePath(queue)}/tickets/${encodeURIComponent(ticket)}`;
}
