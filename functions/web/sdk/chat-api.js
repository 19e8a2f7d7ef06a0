// The chat routes of the edge: one player's token, and a call for each route.

/** @import { Draft } from "./chat-outbox.js" */
/** @import { ChannelSettings, HistoryPage, Message } from "./chat-messages.js" */
/** @import { Claims } from "./claims.js" */
/** @import { Runtime } from "./runtime.js" */

import { readHistory, readMessage } from "./chat-messages.js";
import { isObject } from "./check.js";
import { claimsOf } from "./claims.js";
import { VoiceError, verdict } from "./problem.js";
import { delayBefore } from "./schedule.js";

/** The longest wait for a reply. */
const REPLY_MAX_MS = 10_000;
/** How often a call that may be repeated is tried. */
const TRIES_MAX = 4;

/**
 * @typedef {{ query?: Record<string, string | number | undefined>, body?: unknown,
 *   signal?: AbortSignal }} CallOptions
 */

export class ChatApi {
  #edge;
  #source;
  #runtime;
  #token = /** @type {Promise<string> | null} */ (null);
  #claims = /** @type {Claims | null} */ (null);

  /**
   * @param {{ edge?: string, token: () => string | Promise<string>, runtime: Runtime }} options
   */
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
   * @param {string} channel
   * @param {{ after?: number, before?: number, limit?: number, wait?: number }} query
   * @param {AbortSignal} signal
   * @returns {Promise<HistoryPage>}
   */
  async history(channel, query, signal) {
    const page = readHistory(await this.call("GET", messagesPath(channel), { query, signal }));
    if (!page) throw badReply();
    return page;
  }

  /**
   * One attempt; the outbox repeats it with the same key.
   *
   * @param {string} channel
   * @param {string} key
   * @param {Draft} draft
   * @param {string | null} tail
   * @param {AbortSignal} signal
   */
  async post(channel, key, draft, tail, signal) {
    const { text, phrase, notice, replyTo: reply_to, mentions, attachments } = draft;
    const body = { key, text, phrase, notice, reply_to, mentions, attachments };
    const options = { body: { ...body, tail: tail ?? undefined }, signal };
    return replyOf(await this.call("POST", messagesPath(channel), options));
  }

  /**
   * @param {string} channel
   * @param {number} seq
   * @param {string} text
   * @param {number} version
   */
  async edit(channel, seq, text, version) {
    const body = { text, version };
    return replyOf(await this.repeat("PATCH", messagePath(channel, seq), { body })).message;
  }

  /**
   * @param {string} channel
   * @param {number} seq
   */
  async delete(channel, seq) {
    return replyOf(await this.repeat("DELETE", messagePath(channel, seq))).message;
  }

  /**
   * @param {string} channel
   * @param {number} seq
   * @param {string} reaction
   * @param {boolean} added
   */
  async react(channel, seq, reaction, added) {
    const path = `${messagePath(channel, seq)}/reactions/${encodeURIComponent(reaction)}`;
    await this.repeat(added ? "PUT" : "DELETE", path);
  }

  /**
   * @param {string} channel
   * @param {ChannelSettings} settings
   */
  async setSettings(channel, { locked, slowS }) {
    const body = { locked, slow_s: slowS };
    const reply = await this.repeat("PUT", `${channelPath(channel)}/settings`, { body });
    return replyOf(reply).message;
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
        const passing = error instanceof VoiceError && (error.status === 0 || error.status >= 500);
        const again = passing && verdict(error) === "retry" && attempt < TRIES_MAX;
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
    const cancel = this.#runtime.later(REPLY_MAX_MS, stop);
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
      throw new VoiceError("network", "The chat service could not be reached.", { cause });
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

/** @param {string} channel */
export function channelPath(channel) {
  return `/v1/chat/channels/${encodeURIComponent(channel)}`;
}

/** @param {string} channel */
function messagesPath(channel) {
  return `${channelPath(channel)}/messages`;
}

/**
 * @param {string} channel
 * @param {number} seq
 */
export function messagePath(channel, seq) {
  return `${messagesPath(channel)}/${seq}`;
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
 * @param {unknown} value
 * @returns {{ message: Message, tail: string | null }}
 */
function replyOf(value) {
  const message = isObject(value) ? readMessage(value.message) : null;
  if (!isObject(value) || !message) throw badReply();
  return { message, tail: typeof value.tail === "string" ? value.tail : null };
}

function badReply() {
  return new VoiceError("bad-reply", "The chat service sent a reply that makes no sense.");
}
