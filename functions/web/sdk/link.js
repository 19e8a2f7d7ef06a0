// One connection to one relay, as far as it can be decided without one: how long to wait for what,
// who is there, whether the relay is. Pure: each function gives the link that follows. It is used
// once; the next connection is another link.

/** @import { Heartbeat } from "./heartbeat.js" */
/** @import { QualityTold, RelayMessage } from "./messages.js" */
/** @import { Problem } from "./problem.js" */
/** @import { Changed, RoomView } from "./roster.js" */

import { beat, beatDueAt, heard, newHeartbeat, ponged } from "./heartbeat.js";
import { problemOf } from "./problem.js";
import { emptyView, reduce } from "./roster.js";
import { icePatience, JOIN_MAX_MS, WELCOME_MAX_MS } from "./schedule.js";

/** How long an orderly leave waits for the relay's word before the connection is cut. */
const LEAVE_MAX_MS = 300;

/**
 * - `token`: the application fetches one, for as long as it likes
 * - `asking`: offered, and the edge is to reply
 * - `opening`: the relay is to answer the connectivity checks and to say welcome
 * - `welcome`: in the room
 * - `leaving`: said goodbye, and the relay is to hear it
 *
 * `until` is when the step is given up, `iceUntil` when the checks are; `isOpen` tells whether the
 * data channel takes messages, `relay` which one it is, once the edge has replied; `quality` is what
 * it said last of that.
 *
 * @typedef {{ id: number, step: "token" | "asking" | "opening" | "welcome" | "leaving",
 *   until: number | null, iceUntil: number | null, isOpen: boolean, hello: string,
 *   relay: string | null, view: RoomView, welcomedAt: number, heart: Heartbeat | null,
 *   quality: QualityTold | null }} Link
 */

/**
 * @param {number} id
 * @param {number} slots
 * @returns {Link}
 */
export function newLink(id, slots) {
  const view = emptyView(slots);
  const waits = { until: null, iceUntil: null, isOpen: false, hello: "", relay: null };
  return { id, step: "token", ...waits, view, welcomedAt: 0, heart: null, quality: null };
}

/**
 * The offer is made, and the edge gets it.
 *
 * @param {Link} link
 * @param {number} now
 * @returns {Link}
 */
export function asked(link, now) {
  return { ...link, step: "asking", until: now + JOIN_MAX_MS };
}

/**
 * The edge has replied: the relay must answer the connectivity checks soon and say welcome a
 * little later.
 *
 * @param {Link} link
 * @param {{ hello: string, relay: string | null }} reply
 * @param {number} attempt
 * @param {number} now
 * @returns {Link}
 */
export function replied(link, { hello, relay }, attempt, now) {
  const iceUntil = now + icePatience(attempt);
  return { ...link, step: "opening", until: now + WELCOME_MAX_MS, iceUntil, hello, relay };
}

/**
 * Waits for the relay to hear the goodbye that was sent.
 *
 * @param {Link} link
 * @param {number} now
 * @returns {Link}
 */
export function leaving(link, now) {
  return { ...link, step: "leaving", until: now + LEAVE_MAX_MS, iceUntil: null, heart: null };
}

/**
 * When `handleTimeout` is due; Infinity while nothing is waited for.
 *
 * @param {Link} link
 */
export function linkDueAt({ until, iceUntil, heart }) {
  return Math.min(until ?? Infinity, iceUntil ?? Infinity, heart ? beatDueAt(heart) : Infinity);
}

/**
 * Lets time pass; harmless before it is due.
 *
 * @param {Link} link
 * @param {number} now
 * @returns {{ link: Link, ping: number | null, problem: Problem | null }} the id of a ping to send,
 *   or why the link is over
 */
export function handleTimeout(link, now) {
  const { heart, iceUntil, step, until } = link;
  let problem = null;
  if (iceUntil !== null && now >= iceUntil) problem = NO_ANSWER;
  else if (until !== null && now >= until) problem = step === "asking" ? NO_REPLY : NO_WELCOME;
  if (problem || !heart) return { link, ping: null, problem };
  const turned = beat(heart, now);
  const { ping, dead } = turned;
  return { link: { ...link, heart: turned.heart }, ping, problem: dead ? SILENCE : null };
}

const NO_REPLY = problemOf("network", "The voice service could not be reached.");
const NO_ANSWER = problemOf(
  "relay-unreachable",
  "The voice relay does not answer. A firewall may be in the way.",
);
const NO_WELCOME = problemOf(
  "relay-unreachable",
  "The voice relay answered but did not let us in.",
);
const SILENCE = problemOf("connection-lost", "Nothing was heard from the relay.");

/**
 * Takes what the relay said; null for what is no message that we know, but a sign of life.
 *
 * @param {Link} link
 * @param {RelayMessage | null} message
 * @param {number} now
 * @returns {{ link: Link, changed: Changed }}
 */
export function receive(link, message, now) {
  let { heart, step, until, iceUntil, welcomedAt, view, quality } = link;
  let changed = { roster: false, speaking: false, slots: false };
  if (heart) heart = heard(heart, now);
  if (message?.type === "pong") {
    if (heart) heart = ponged(heart, message.id, now);
  } else if (message?.type === "quality") {
    quality = message;
  } else if (message) {
    if (message.type === "welcome" && step !== "welcome") {
      [step, until, iceUntil, welcomedAt] = ["welcome", null, null, now];
      heart = newHeartbeat(now);
    }
    ({ view, changed } = reduce(view, message));
  }
  const next = { ...link, heart, step, until, iceUntil, welcomedAt, view, quality };
  return { link: next, changed };
}
