// Refusals and failures: one error type, and the rule whether trying again can help.

const PREFIX = "https://lifeverse.dev/problems/";

/** The longest text taken over from a refusal, in characters. */
const TEXT_CHARS_MAX = 400;

/**
 * What a `VoiceError` says, as plain data.
 *
 * @typedef {{ problem: string, message: string, status: number, title: string,
 *   retryAfterMs: number | null }} Problem
 */

/**
 * Why something did not work. `name` of the problem is stable and made for code; `message` is a
 * sentence for people.
 *
 * Problems of the edge keep the edge's name (`token-expired`, `no-live-relay`). The SDK adds:
 * `network` (the edge was not reached), `relay-unreachable` (the edge answered, the relay did not),
 * `connection-lost`, `kicked`, `replaced`, `microphone-denied`, `microphone-absent`,
 * `microphone-busy`, `not-supported`, `bad-reply`, `left`.
 */
export class VoiceError extends Error {
  /**
   * @param {string} problem short stable name, the last part of the problem type
   * @param {string} detail a sentence that says what to change
   * @param {{ status?: number, title?: string, retryAfterMs?: number | null,
   *   cause?: unknown }} [more]
   */
  constructor(problem, detail, more = {}) {
    super(detail, { cause: more.cause });
    this.name = "VoiceError";
    /** Short stable name, for example `token-expired`. */
    this.problem = problem;
    /** HTTP status, 0 when no HTTP reply was involved. */
    this.status = more.status ?? 0;
    /** A few words for a heading. */
    this.title = more.title ?? "";
    /** What `Retry-After` asked for, in milliseconds. */
    this.retryAfterMs = more.retryAfterMs ?? null;
  }

  /** The problem type as in RFC 9457. */
  get type() {
    return PREFIX + this.problem;
  }

  /**
   * Reads a refusal. Use it in your own `token()` so that a refusal of your token service ends the
   * join instead of being tried again.
   *
   * @param {Response} response
   * @returns {Promise<VoiceError>}
   */
  static async from(response) {
    const body = await response.text().catch(() => "");
    return problemFrom(response.status, body, response.headers.get("retry-after"));
  }
}

/**
 * What was thrown, as a VoiceError.
 *
 * @param {unknown} error
 * @param {string} [problem] the name of one that is none
 * @param {string} [detail]
 */
export function asVoiceError(error, problem = "bad-reply", detail = "Something went wrong.") {
  return error instanceof VoiceError ? error : new VoiceError(problem, detail, { cause: error });
}

/**
 * A problem that no HTTP reply was involved in.
 *
 * @param {string} problem
 * @param {string} message
 * @returns {Problem}
 */
export function problemOf(problem, message) {
  return { problem, message, status: 0, title: "", retryAfterMs: null };
}

/**
 * @param {number} status
 * @param {string} body
 * @param {string | null} [retryAfter] the header, in seconds
 * @returns {VoiceError}
 */
export function problemFrom(status, body, retryAfter = null) {
  /** @type {Record<string, unknown>} */
  let fields = {};
  try {
    const parsed = JSON.parse(body);
    if (parsed && typeof parsed === "object") fields = parsed;
  } catch {
    // A proxy's HTML page, or nothing: the status alone has to do.
  }
  const type = text(fields.type);
  const problem = type.startsWith(PREFIX) ? type.slice(PREFIX.length) : `http-${status}`;
  const title = text(fields.title);
  const detail = text(fields.detail) || title || `The server answered with status ${status}.`;
  const seconds = retryAfter === null ? NaN : Number.parseInt(retryAfter, 10);
  const retryAfterMs = Number.isFinite(seconds) && seconds >= 0 ? seconds * 1000 : null;
  return new VoiceError(problem, detail, { status, title, retryAfterMs });
}

/** Refusals that the same request may survive a moment later. */
const PASSING_STATUS = new Set([408, 409, 425, 429]);

/** Failures of this side that no repetition heals. */
const FINAL_PROBLEMS = new Set([
  "kicked",
  "replaced",
  "left",
  "not-supported",
  "match-not-running",
]);

/**
 * Whether a failed attempt is worth another one. A refused token or request stays refused; an
 * unreachable edge or relay comes back.
 *
 * @param {unknown} error
 * @returns {"stop" | "retry"}
 */
export function verdict(error) {
  return error instanceof VoiceError ? verdictOf(error) : "retry";
}

/**
 * @param {Pick<Problem, "problem" | "status">} problem
 * @returns {"stop" | "retry"}
 */
export function verdictOf({ problem, status }) {
  if (FINAL_PROBLEMS.has(problem) || problem.startsWith("microphone-")) return "stop";
  const refused = status >= 400 && status < 500;
  return refused && !PASSING_STATUS.has(status) ? "stop" : "retry";
}

/** @param {unknown} value */
function text(value) {
  return typeof value === "string" ? value.slice(0, TEXT_CHARS_MAX) : "";
}
