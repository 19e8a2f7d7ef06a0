// What a person's stay in a room consists of: its state, what can happen, what is to be done. Plain
// data that can be cloned and is never changed in place.

/** @import { Moving } from "./handover.js" */
/** @import { Link } from "./link.js" */
/** @import { ChatPush, RelayMessage } from "./messages.js" */
/** @import { Problem } from "./problem.js" */
/** @import { Participant } from "./roster.js" */

import { settleDueAt } from "./handover.js";
import { linkDueAt } from "./link.js";

/**
 * - `idle`: made, not joining yet
 * - `microphone`: the browser may be asking the person
 * - `connecting`: on the way in, trying until it works
 * - `connected`: in the room
 * - `reconnecting`: was in the room, on the way back by itself
 * - `refused`: final; `problem` says why
 * - `left`: final; `reason` says how
 *
 * @typedef {"idle" | "microphone" | "connecting" | "connected" | "reconnecting" | "refused"
 *   | "left"} RoomState
 *
 * @typedef {{ state: RoomState, problem: Problem | null, retryInMs: number | null,
 *   reason: "left" | "kicked" | "replaced" | null }} Detail
 *
 * `listens` means without a microphone. `attempt` counts attempts since the last connection that
 * was stable, `links` all connections that were begun; `pauseUntil` is when the next attempt
 * begins, `lost` the relay that was lost last, `joining` the connection on its way. `current` was
 * welcomed; during a move, `moving` is the one before it. To those in `leaving` goodbye was said.
 *
 * @typedef {{ slots: number, listens: boolean, detail: Detail, muted: boolean, deafened: boolean,
 *   hasMicrophone: boolean, volumes: ReadonlyMap<string, number>, people: Participant[],
 *   attempt: number, links: number, pauseUntil: number | null, lost: string | null,
 *   joining: Link | null, current: Link | null, moving: Moving | null,
 *   leaving: readonly Link[] }} Room
 */

/**
 * What happens during the stay.
 *
 * - `join`, `leave`: the application wants it
 * - `microphone`: one is in use, or none; `microphone-lost`: it was unplugged
 * - `no-microphone`: none could be opened; `unable`: the browser cannot do this at all
 * - `online`: the network is back; `pagehide`: the page is being closed
 *
 * @typedef {{ type: "join" | "leave" | "microphone-lost" | "online" | "pagehide" }} SimpleEvent
 * @typedef {{ type: "microphone", microphone: boolean }} MicrophoneEvent
 * @typedef {{ type: "no-microphone", problem: Problem } | { type: "unable", problem: Problem }
 *   | SimpleEvent | MicrophoneEvent} StayEvent
 *
 * What happens to a connection, by its number. What is said of one that is gone is ignored.
 *
 * - `asked`: there is a token, and an offer is made and brought to the edge
 * - `replied`: the edge let us in
 * - `reachable`: the relay answers connectivity checks
 * - `opened`: the data channel takes messages
 *
 * @typedef {{ type: "asked", link: number } | { type: "replied", link: number, hello: string,
 *     relay: string | null }
 *   | { type: "reachable", link: number } | { type: "opened", link: number }} ProgressEvent
 *
 * - `message`: of the relay, null when it is none that we know
 * - `failed`: the attempt or the connection ended
 * - `own-state`: be silent for all, or hear nobody
 * - `tick`: it is `dueAt`
 *
 * @typedef {{ type: "own-state", muted: boolean, deafened: boolean }} OwnState
 * @typedef {StayEvent | ProgressEvent | OwnState | { type: "tick" }
 *   | { type: "message", link: number, message: RelayMessage | null }
 *   | { type: "failed", link: number, problem: Problem }
 *   | { type: "volume", player: string, volume: number }} RoomEvent
 */

/**
 * What is to be done with a connection, by its number.
 *
 * - `open`: it (token, offer, request, answer), and tell how that goes; `lost` is the relay that
 *   was lost before
 * - `close`: it, at once and without a word
 * - `attach`: play what it receives; `detach`: play it no more
 * - `gain`: how loud its slots are
 *
 * @typedef {{ type: "open", link: number, lost: string | null }} OpenEffect
 * @typedef {{ type: "close", link: number } | { type: "attach", link: number }
 *   | { type: "detach", link: number } | { type: "gain", link: number, gains: number[] }
 *   | { type: "send", link: number, message: Record<string, unknown> }} LinkEffect
 *
 * What the application is told, as an event.
 *
 * @typedef {{ state: Detail, roster: Participant[], speaking: string[], slots: (string | null)[],
 *   error: Problem, chat: ChatPush }} Told
 * @typedef {{ [K in keyof Told]: { type: "tell", name: K, detail: Told[K] } }[keyof Told]} Tell
 *
 * - `start`: sound and meters; `end`: all that is open but connections
 * - `open-microphone`: the one that was chosen or, instead of a lost one, the system's next; and
 *   tell whether there is one
 * - `lose`: the meters show that nothing is received
 * - `playback`: tell whether it needs a gesture
 *
 * @typedef {Tell | OpenEffect | LinkEffect | OwnState | { type: "start" } | { type: "end" }
 *   | { type: "open-microphone", isReplacement: boolean }
 *   | { type: "lose" } | { type: "playback" }} RoomEffect
 */

/** No detail but the state. */
export const BLANK = { problem: null, retryInMs: null, reason: null };

/**
 * @param {{ slots: number, listens: boolean, muted: boolean }} options
 * @returns {Room}
 */
export function newRoom({ slots, listens, muted }) {
  const own = { muted, deafened: false, hasMicrophone: false, volumes: new Map(), people: [] };
  const links = { joining: null, current: null, moving: null, leaving: [] };
  const attempts = { attempt: 0, links: 0, pauseUntil: null, lost: null };
  return { slots, listens, detail: { state: "idle", ...BLANK }, ...own, ...attempts, ...links };
}

/**
 * All connections.
 *
 * @param {Room} room
 * @returns {Link[]}
 */
export function linksOf({ joining, current, moving, leaving }) {
  return [joining, current, moving?.link, ...leaving].flatMap((link) => link ?? []);
}

/**
 * When a `tick` is due; null when nothing is waited for.
 *
 * @param {Room} room
 * @returns {number | null}
 */
export function dueAt(room) {
  const { moving, pauseUntil } = room;
  const moveUntil = moving ? settleDueAt(moving) : Infinity;
  const first = Math.min(pauseUntil ?? Infinity, moveUntil, ...linksOf(room).map(linkDueAt));
  return first === Infinity ? null : first;
}

/**
 * Whether nothing is sent of the own microphone: muted, or none.
 *
 * @param {Room} room
 */
export function isSilent({ muted, hasMicrophone }) {
  return muted || !hasMicrophone;
}

/**
 * Whether a connection is on its way, or will be after a pause.
 *
 * @param {Room} room
 */
export function isJoining({ pauseUntil, joining }) {
  return pauseUntil !== null || joining !== null;
}

/**
 * Whether the state is a final one.
 *
 * @param {Room} room
 */
export function isOver({ detail: { state } }) {
  return state === "left" || state === "refused";
}
