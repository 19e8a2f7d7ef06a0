// Calls of the edge's HTTP interface by one player: his token, time limits, what is tried again.

/** @import { Claims } from "./claims.js" */
/** @import { Runtime } from "./runtime.js" */

import { claimsOf } from "./claims.js";
import { VoiceError, verdict } from "./problem.js";
import { delayBefore } from "./schedule.js";

/** The longest wait for a reply, beyond the one that a request asks for with `wait`. */
const REPLY_MAX_MS = 10_000;
/** How often a call that may be repeated is tried. */
const TRIES_MAX = 4;

/**
 * @typedef {{ query?: Record<string, string | number | undefined>, body?: unknown,
 *   signal?: AbortSignal }} CallOptions
 *
 * @typedef {{ edge?: string, token: () => string | Promise<string>, runtime: Runtime }} ApiOptions
 */

export class Api {
  #edge;
  #source;
  #runtime;
  #token = /** @type {Promise<string> | null} */ (null);
  #claims = /** @type {Claims | null} */ (null);

  /** @param {ApiOptions} options */
  constructor({ edge = "", token, runtime }) {
    this.#edge = edge.replace(/\/+$/, "");
    this.#source = token;
    this.#runtime = runtime;
  }

  /** What the token in use says; null before the first one. */
  get claims() {
    return this.#claims;
  }

  /** Waits for a token. */
  async ready() {
    await this.#fetchToken();
  }

  /**
   * A call that can be done twice: tried again when no answer came, or a passing refusal.
   *
   * @param {string} method
   * @param {string} path
   * @param {CallOptions} [options]
   */
  async repeat(method, path, options = {}) {
    for (let attempt = 1; ; attempt += 1) {
      try {
        return await this.call(method, path, options);
      } catch (error) {
        const again = error instanceof VoiceError && isPassing(error) && attempt < TRIES_MAX;
        if (!again || options.signal?.aborted) throw error;
        const pause = delayBefore(attempt, this.#runtime.random(), error.retryAfterMs);
        await this.#runtime.sleep(pause, options.signal ?? new AbortController().signal);
      }
    }
  }

  /**
   * One request; a token that has expired is replaced once.
   *
   * @param {string} method
   * @param {string} path
   * @param {CallOptions} [options]
   * @returns {Promise<unknown>} the JSON of the reply, null when it has none
   * @throws {VoiceError}
   */
  async call(method, path, options = {}) {
    const token = await this.#fetchToken();
    const response = await this.#send(method, path, token, options);
    if (response.status !== 401) return response.value;
    this.#token = null;
    const fresh = await this.#fetchToken();
    if (fresh === token) throw response.value;
    const second = await this.#send(method, path, fresh, options);
    if (second.status === 401) throw second.value;
    return second.value;
  }

  /**
   * @param {string} method
   * @param {string} path
   * @param {string} token
   * @param {CallOptions} options
   * @returns {Promise<{ status: number, value: unknown }>} with the problem as value for a 401
   */
  async #send(method, path, token, { query = {}, body, signal }) {
    const timeout = new AbortController();
    const stop = () => timeout.abort();
    const cancel = this.#runtime.later(REPLY_MAX_MS + Number(query.wait ?? 0) * 1000, stop);
    signal?.addEventListener("abort", stop);
    if (signal?.aborted) stop();
    try {
      const response = await this.#runtime.fetch(`${this.#edge}${path}${queryOf(query)}`, {
        method,
        headers: {
          authorization: `Bearer ${token}`,
          ...(body === undefined ? {} : { "content-type": "application/json" }),
        },
        body: body === undefined ? null : JSON.stringify(body),
        cache: "no-store",
        credentials: "omit",
        signal: timeout.signal,
      });
      const { status } = response;
      if (status === 401) return { status, value: await VoiceError.from(response) };
      if (!response.ok) throw await VoiceError.from(response);
      const text = status === 204 ? "" : await response.text();
      return { status, value: text === "" ? null : parse(text) };
    } catch (cause) {
      if (cause instanceof VoiceError) throw cause;
      throw new VoiceError("network", "The service could not be reached.", { cause });
    } finally {
      cancel();
      signal?.removeEventListener("abort", stop);
    }
  }

  /** The token in use, asked for once by all who need it. */
  async #fetchToken() {
    this.#token ??= Promise.resolve().then(() => this.#source());
    const asked = this.#token;
    try {
      const token = await asked;
      this.#claims = claimsOf(token);
      return token;
    } catch (cause) {
      if (this.#token === asked) this.#token = null;
      if (cause instanceof VoiceError) throw cause;
      throw new VoiceError("token-source", "No access token could be had.", { cause });
    }
  }
}

/** @param {Record<string, string | number | undefined>} query */
function queryOf(query) {
  const given = Object.entries(query).filter(([, value]) => value !== undefined);
  if (given.length === 0) return "";
  return `?${new URLSearchParams(given.map(([name, value]) => [name, String(value)]))}`;
}

/** @param {string} text */
function parse(text) {
  try {
    return JSON.parse(text);
  } catch {
    throw badReply();
  }
}

/**
 * Whether the same call may do better in a moment. `too-fast` asks the player to slow down, and
 * other refusals with status 409 say how things are.
 *
 * @param {VoiceError} error
 */
export function isPassing(error) {
  const { problem, status } = error;
  if (status === 409) return problem === "conflict";
  return verdict(error) === "retry" && problem !== "too-fast";
}

/** The error for a reply that is not as the interface says. */
export function badReply() {
  return new VoiceError("bad-reply", "The service sent a reply that makes no sense.");
}
