// An HTTP service in memory, and the ways in which a network can fail it.

/** @import { VirtualClock } from "./virtual.js" */

const PREFIX = "https://lifeverse.dev/problems/";

/**
 * `lose` is the chance that a request does not arrive, `loseReply` that its reply does not,
 * `busy` that the service is overloaded.
 *
 * @typedef {{ lose: number, loseReply: number, busy: number, delayMs: number }} Weather
 */

/** @type {Weather} */
export const FINE = { lose: 0, loseReply: 0, busy: 0, delayMs: 5 };

export class FakeService {
  /** Every request as "METHOD path". @type {string[]} */
  requests = [];
  /** Tokens that are not good any more. @type {Set<string>} */
  expired = new Set();
  online = true;
  weather = FINE;

  /**
   * @param {VirtualClock} clock
   * @param {() => number} random
   */
  constructor(clock, random) {
    this.clock = clock;
    this.random = random;
  }

  /** @param {string} url @param {RequestInit} init @returns {Promise<Response>} */
  fetch = async (url, init) => {
    const { signal } = init;
    const unreachable = new TypeError("network");
    const trip = () => {
      const ms = this.random() * this.weather.delayMs;
      return this.clock.sleep(ms, signal ?? undefined);
    };
    if (!this.online || this.random() < this.weather.lose) {
      await trip();
      throw unreachable;
    }
    await trip();
    if (signal?.aborted) throw unreachable;
    this.requests.push(`${init.method} ${url}`);
    const reply = await this.#reply(url, init);
    const isLost = this.random() < this.weather.loseReply;
    await trip();
    if (isLost || !this.online || signal?.aborted) throw unreachable;
    return reply;
  };

  /** @param {string} url @param {RequestInit} init */
  async #reply(url, init) {
    const authorization = /** @type {Record<string, string>} */ (init.headers).authorization ?? "";
    if (this.expired.has(authorization)) return problem(401, "token-expired");
    if (this.random() < this.weather.busy) return problem(503, "overloaded", 1);
    return this.answer(new URL(url, "http://edge.test"), init, authorization);
  }

  /**
   * What the service answers to a request that arrived.
   *
   * @protected
   * @param {URL} url
   * @param {RequestInit} init
   * @param {string} authorization
   * @returns {Promise<Response>}
   */
  async answer(url, init, authorization) {
    throw new Error(`nobody answers ${init.method} ${url} ${authorization}`);
  }
}

/**
 * A token as the dev endpoint makes them.
 *
 * @param {Record<string, unknown>} claims
 */
export function tokenOf(claims) {
  return `e30.${Buffer.from(JSON.stringify(claims)).toString("base64url")}.sig`;
}

/** @param {number} status @param {unknown} [value] */
export function reply(status, value) {
  // As it was at this moment, whatever changes before it is read.
  const text = value === undefined ? "" : JSON.stringify(value);
  return new Response(status === 204 ? null : text, { status });
}

/** @param {number} status @param {string} name @param {number} [retryAfter] */
export function problem(status, name, retryAfter) {
  const headers = new Headers();
  if (retryAfter !== undefined) headers.set("retry-after", String(retryAfter));
  const body = { type: PREFIX + name, title: name, status, detail: name };
  return new Response(JSON.stringify(body), { status, headers });
}
