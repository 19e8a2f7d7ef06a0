// Own messages on their way: one at a time, in order, each with a key by which the service knows a
// repetition. So a retry never doubles a message.

/** @import { Attachment, Message } from "./chat-messages.js" */
/** @import { Runtime } from "./runtime.js" */

import { asVoiceError, VoiceError, verdict } from "./problem.js";
import { delayBefore } from "./schedule.js";

/** Messages that may wait, failed ones included. */
export const OUTBOX_MAX = 50;
/** A refusal that asks to wait no longer than this is waited out; a longer one is told. */
const WAIT_OUT_MS = 10_000;
/**
 * The service remembers the last 16 keys of a player in a channel. A message whose fate is unknown
 * is tried again only while its key is surely among them.
 */
const LATER_MAX = 8;

/**
 * One of `text` and `phrase`, or for moderators `notice`.
 *
 * @typedef {{ text?: string, phrase?: string, notice?: string, replyTo?: number,
 *   mentions?: string[], attachments?: Attachment[] }} Draft
 *
 * `problem` is why it failed, or what it waits for; `after` is the channel's last number when it
 * was first tried; `unsure` means that a try had no answer, `later` counts what was sent since.
 *
 * @typedef {{ key: string, draft: Draft, atMs: number, state: "pending" | "failed" | "sent",
 *   problem: VoiceError | null, seq: number | null, after: number, unsure: boolean,
 *   later: number }} Outgoing
 *
 * @typedef {{ runtime: Runtime, signal: AbortSignal,
 *   post: (key: string, draft: Draft) => Promise<Message>, latest: () => number,
 *   onChange: () => void, onSent: (message: Message) => void }} OutboxOptions
 */

export class Outbox {
  #options;
  /** @type {Outgoing[]} */
  #entries = [];
  #running = false;

  /** @param {OutboxOptions} options */
  constructor(options) {
    this.#options = options;
  }

  /** In the order in which they were sent off. @returns {readonly Outgoing[]} */
  get entries() {
    return this.#entries;
  }

  /**
   * @param {Draft} draft
   * @returns {string} the message's key
   * @throws {VoiceError} `outbox-full`
   */
  add(draft) {
    if (this.#entries.length >= OUTBOX_MAX) {
      throw new VoiceError("outbox-full", "Too many messages wait to be sent.");
    }
    const { runtime } = this.#options;
    const key = runtime.key();
    const fresh = { problem: null, seq: null, after: Infinity, unsure: false, later: 0 };
    this.#entries.push({ key, draft, atMs: runtime.now(), state: "pending", ...fresh });
    this.#options.onChange();
    this.#run();
    return key;
  }

  /**
   * Tries a failed message again.
   *
   * @param {string} key
   */
  retry(key) {
    const entry = this.#entries.find((one) => one.key === key && one.state === "failed");
    if (!entry) return;
    if (entry.unsure && entry.later > LATER_MAX) {
      entry.problem = new VoiceError("maybe-sent", "This message may have arrived already.");
      return this.#options.onChange();
    }
    entry.state = "pending";
    entry.problem = null;
    this.#options.onChange();
    this.#run();
  }

  /**
   * Forgets a failed message.
   *
   * @param {string} key
   */
  discard(key) {
    this.#drop((entry) => entry.key === key && entry.state === "failed");
  }

  /**
   * Forgets what is known to be in the list.
   *
   * @param {(seq: number) => boolean} isShown
   */
  settle(isShown) {
    this.#drop((entry) => entry.seq !== null && isShown(entry.seq));
  }

  /** @param {(entry: Outgoing) => boolean} isDone */
  #drop(isDone) {
    const kept = this.#entries.filter((entry) => !isDone(entry));
    if (kept.length === this.#entries.length) return;
    this.#entries = kept;
    this.#options.onChange();
  }

  async #run() {
    if (this.#running) return;
    this.#running = true;
    for (let next; (next = this.#entries.find(({ state }) => state === "pending")); ) {
      await this.#deliver(next);
      if (this.#options.signal.aborted) break;
    }
    this.#running = false;
  }

  /**
   * Tries until the service has answered for good.
   *
   * @param {Outgoing} entry
   */
  async #deliver(entry) {
    const { runtime, signal, onChange, onSent } = this.#options;
    entry.after = Math.min(entry.after, this.#options.latest());
    for (let attempt = 1; !signal.aborted; attempt += 1) {
      try {
        const message = await this.#options.post(entry.key, entry.draft);
        Object.assign(entry, { state: "sent", seq: message.seq, problem: null });
        for (const other of this.#entries) if (other !== entry) other.later += 1;
        onSent(message);
        return onChange();
      } catch (error) {
        if (signal.aborted) return;
        const problem = asVoiceError(error);
        // No answer, or one of a host on the way: it may have happened.
        if (problem.status === 0 || problem.status >= 500) entry.unsure = true;
        entry.problem = problem;
        if (isFinal(problem)) {
          entry.state = "failed";
          return onChange();
        }
        onChange();
        await runtime.sleep(pauseAfter(problem, attempt, runtime.random()), signal);
      }
    }
  }
}

/** @param {VoiceError} problem */
function isFinal(problem) {
  if (problem.status === 429) return (problem.retryAfterMs ?? 0) > WAIT_OUT_MS;
  return problem.status === 409 || verdict(problem) === "stop";
}

/**
 * @param {VoiceError} problem
 * @param {number} attempt
 * @param {number} random
 */
function pauseAfter(problem, attempt, random) {
  if (problem.status === 429) return Math.max(problem.retryAfterMs ?? 0, 1000) + random * 200;
  return delayBefore(attempt, random, problem.retryAfterMs);
}
