// A chat service in memory with the API's rules as far as a client can see them: numbers, keys,
// versions, pages, waiting, blocks.

import { FakeService, problem, reply, tokenOf } from "./fake-service.js";

export const ME = "p-me";
export const CHANNEL = "room~lobby~main";

/**
 * @typedef {{ seq: number, at_ms: number, version: number, author?: string, name?: string,
 *   text?: string, phrase?: string, system?: unknown, reply_to?: number, deleted?: string,
 *   edited_at_ms?: number, reactions?: unknown[] }} Stored
 */

export class FakeChat extends FakeService {
  /** @type {Stored[]} */
  messages = [];
  /** @type {Map<string, number>} */
  keys = new Map();
  /** @type {Set<string>} */
  blocked = new Set();
  /** Message number and reaction to players. @type {Map<number, Map<string, Set<string>>>} */
  reactions = new Map();
  settings = { locked: false, slow_s: 0 };
  read = 0;
  /** What this player last said of himself. @type {any} */
  presence = null;
  /** Whether a request for what comes next waits for it. */
  waits = true;
  /** What it says to those who would wait and have nothing. @type {number | undefined} */
  pollAfterMs = 2000;
  /** A problem that answers the next post, and for how many seconds to wait. */
  refusals = /** @type {{ problem: string, status: number, retryAfter?: number }[]} */ ([]);
  /** What the relay is handed. @type {(event: any) => void} */
  push = () => {};

  /** A token as the dev endpoint makes them. @param {string[]} permissions */
  static token(permissions = ["speak", "listen", "chat"], serial = 0) {
    const grants = [{ room: "lobby", channels: ["*"], permissions }];
    return tokenOf({ sub: ME, name: "Mé", serial, grants });
  }

  get lastSeq() {
    return this.messages.at(-1)?.seq ?? 0;
  }

  /** What this player sees. */
  visible() {
    const seen = this.messages.filter(({ author }) => !author || !this.blocked.has(author));
    return seen.map((message) => ({ ...message, reactions: this.#counts(message.seq) }));
  }

  /** @param {number} seq */
  #counts(seq) {
    const counts = [...(this.reactions.get(seq) ?? [])].filter(([, players]) => players.size > 0);
    return counts
      .sort(([a], [b]) => (a < b ? -1 : 1))
      .map(([reaction, who]) => ({ reaction, count: who.size, mine: who.has(ME) }));
  }

  // ---- what others and this player do ----------------------------------------------------------

  /** @param {Partial<Stored>} content */
  post(content) {
    // Numbers jump where everything had expired.
    const jump = this.random() < 0.01 ? 63 : 0;
    const seq = this.lastSeq + 1 + jump;
    const message = { seq, at_ms: this.clock.nowMs, version: 1, ...content };
    this.messages.push(message);
    this.push({ kind: "posted", message: { ...message }, tail: `tail-${seq}` });
    return message;
  }

  /** @param {number} seq @param {Partial<Stored>} change */
  change(seq, change) {
    const message = this.messages.find((one) => one.seq === seq);
    if (!message) return;
    Object.assign(message, change, { version: message.version + 1 });
    if (change.deleted) {
      delete message.text;
      this.reactions.delete(seq);
    }
    this.push({ kind: "changed", message: { ...message } });
    return message;
  }

  /** @param {number} seq @param {string} player @param {string} reaction @param {boolean} added */
  react(seq, player, reaction, added) {
    const ways = this.reactions.get(seq) ?? new Map();
    this.reactions.set(seq, ways);
    const who = ways.get(reaction) ?? new Set();
    ways.set(reaction, who);
    if (who.has(player) === added) return;
    if (added) who.add(player);
    else who.delete(player);
    this.push({ kind: "reacted", seq, player, reaction, added });
  }

  // ---- the routes -----------------------------------------------------------------------------

  /**
   * @override
   * @protected
   * @param {URL} url
   * @param {RequestInit} init
   */
  async answer({ pathname, searchParams }, { method, body, signal }) {
    const json = typeof body === "string" ? JSON.parse(body) : null;
    if (pathname === "/v1/chat/blocks") return reply(200, { players: [...this.blocked] });
    if (pathname.startsWith("/v1/chat/blocks/")) return this.#block(method, pathname);
    if (pathname === "/v1/chat/unread") return this.#unread();
    if (pathname === "/v1/chat/presence") return this.#presence(method, json, searchParams);
    const path = pathname.replace(/^\/v1\/chat\/channels\/[^/]+/, "");
    if (path === "/messages" && method === "GET") {
      return await this.#history(searchParams, signal ?? undefined);
    }
    if (path === "/messages") return this.#take(json);
    if (path === "/read") {
      this.read = Math.max(this.read, json.seq);
      return reply(200, { seq: this.read });
    }
    if (path === "/typing") return reply(202);
    const [, seq, reaction] = /^\/messages\/(\d+)(?:\/reactions\/(.+))?$/.exec(path) ?? [];
    if (!seq) return problem(404, "unknown-route");
    if (reaction) {
      this.react(Number(seq), ME, decodeURIComponent(reaction), method === "PUT");
      return reply(204);
    }
    return this.#rewrite(Number(seq), method === "DELETE" ? { deleted: "author" } : json);
  }

  /** @param {any} json */
  #take({ key, text, phrase, reply_to }) {
    const refusal = this.refusals.shift();
    if (refusal) return problem(refusal.status, refusal.problem, refusal.retryAfter);
    const known = this.messages.find(({ seq }) => seq === this.keys.get(key));
    const message = known ?? this.post({ author: ME, name: "Mé", text, phrase, reply_to });
    this.keys.set(key, message.seq);
    return reply(201, { message, tail: known ? undefined : `tail-${message.seq}` });
  }

  /** @param {number} seq @param {any} change */
  #rewrite(seq, change) {
    const message = this.messages.find((one) => one.seq === seq && !one.deleted);
    if (!message) return problem(404, "unknown-message");
    if (change.text !== undefined && change.version !== message.version) {
      const repeated = message.version === change.version + 1 && message.text === change.text;
      return repeated ? reply(200, { message }) : problem(409, "version-conflict");
    }
    const { version: _, ...content } = change;
    return reply(200, { message: this.change(seq, content) });
  }

  /** @param {URLSearchParams} query @param {AbortSignal} [signal] */
  async #history(query, signal) {
    const number = (/** @type {string} */ name) => {
      const value = query.get(name);
      return value === null ? null : Number(value);
    };
    const [after, before] = [number("after"), number("before")];
    const limit = Math.min(number("limit") ?? 50, 100);
    const waitMs = (number("wait") ?? 0) * 1000;
    const untilMs = this.clock.nowMs + (this.waits ? waitMs : 0);
    const look = () => {
      const all = this.messages;
      if (after !== null) return all.filter(({ seq }) => seq > after).slice(0, limit);
      return all.filter(({ seq }) => before === null || seq < before).slice(-limit);
    };
    let found = look();
    while (after !== null && found.length === 0 && this.clock.nowMs < untilMs) {
      await this.clock.sleep(250, signal);
      if (signal?.aborted) break;
      found = look();
    }
    const more = found.length === limit;
    const next = (after === null ? found[0] : found.at(-1))?.seq;
    const holdsLast = after === null ? before === null : !more;
    const shown = new Map(this.visible().map((message) => [message.seq, message]));
    const messages = found.flatMap(({ seq }) => shown.get(seq) ?? []);
    const settings = holdsLast && found.length > 0 ? this.settings : undefined;
    const tail = settings && `tail-${this.lastSeq}`;
    const poll_after_ms = found.length === 0 && waitMs > 0 ? this.pollAfterMs : undefined;
    return reply(200, { messages, next, more, settings, tail, poll_after_ms });
  }

  #unread() {
    const unread = Math.max(0, this.lastSeq - this.read);
    return reply(200, {
      channels: [{ channel: CHANNEL, last: this.lastSeq, read: this.read, unread }],
    });
  }

  /** @param {string | undefined} method @param {any} json @param {URLSearchParams} query */
  #presence(method, json, query) {
    if (method === "PUT") {
      this.presence = json;
      return reply(204);
    }
    const players = (query.get("players") ?? "").split(",");
    const status = (/** @type {string} */ player) => (player === "p-a" ? "busy" : "somewhere");
    return reply(200, { players: players.map((player) => ({ player, status: status(player) })) });
  }

  /** @param {string | undefined} method @param {string} pathname */
  #block(method, pathname) {
    const player = decodeURIComponent(pathname.split("/").at(-1) ?? "");
    if (method === "PUT") this.blocked.add(player);
    else this.blocked.delete(player);
    return reply(204);
  }
}
