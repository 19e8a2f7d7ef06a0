// What the relay says over the data channel, checked before anything believes it. Unknown types
// and fields are ignored; a message whose known fields are wrong is dropped whole.

/** @import { ChatEvent } from "./chat-messages.js" */

import { readEvent } from "./chat-messages.js";
import { isId, isObject, listOf, readId } from "./check.js";

/** The largest message taken, in characters: what browsers deliver in one piece anyway. */
export const MESSAGE_CHARS_MAX = 262144;
/** The largest slot index, exclusive. */
export const SLOTS_MAX = 16;

/**
 * A participant as one relay knows him. `id` counts within that relay's room only.
 *
 * @typedef {{ id: number, player: string, name: string, channels: string[],
 *   muted: boolean, serverMuted: boolean, deafened: boolean, speaker: boolean }} RelayParticipant
 *
 * @typedef {{ slot: number, participant: number | null }} SlotChange
 *
 * @typedef {"kicked" | "left" | "replaced" | "relay-stopping" | "protocol" | "timeout"} EndReason
 *
 * `count` is there in a room that is too large to name all.
 *
 * @typedef {{ type: "welcome", participant: number, room: string, slots: number,
 *   participants: RelayParticipant[], count: number | null }} Welcome
 * @typedef {{ type: "roster", joined: RelayParticipant[], left: number[],
 *   changed: RelayParticipant[], count: number | null }} RosterChange
 * @typedef {{ type: "slots", slots: SlotChange[] }} SlotsChange
 * @typedef {{ type: "speaking", started: number[], stopped: number[] }} SpeakingChange
 * @typedef {{ type: "pong", id: number }} Pong
 * How well one's voice comes through one way, with shares from 0 to 1, milliseconds, and a mean
 * opinion score of 1 to 4.5.
 *
 * @typedef {{ loss: number, concealed: number, jitter: number, score: number }} Way
 *
 * @typedef {{ type: "quality", up: Way | null, down: Way | null, rttMs: number | null,
 *   listenersLost: number | null }} QualityTold
 * @typedef {{ type: "migrate" }} Migrate
 * @typedef {{ type: "chat", channel: string, event: ChatEvent }} ChatPush
 * @typedef {{ type: "ended", reason: EndReason }} Ended
 * @typedef {Welcome | RosterChange | SlotsChange | SpeakingChange | Pong | QualityTold | Migrate
 *   | ChatPush | Ended} RelayMessage
 */

/** Begins the id that stands for the player of a session without one. */
export const NAMELESS = "~";

/** @type {Set<EndReason>} */
const END_REASONS = new Set([
  "kicked",
  "left",
  "replaced",
  "relay-stopping",
  "protocol",
  "timeout",
]);

/**
 * @param {unknown} data what the data channel delivered
 * @returns {RelayMessage | null} null for anything that is not a message we know
 */
export function parseMessage(data) {
  if (typeof data !== "string" || data.length > MESSAGE_CHARS_MAX) return null;
  let value;
  try {
    value = JSON.parse(data);
  } catch {
    return null;
  }
  return isObject(value) ? readMessage(value) : null;
}

/**
 * @param {Record<string, unknown>} value
 * @returns {RelayMessage | null}
 */
function readMessage(value) {
  switch (value.type) {
    case "welcome":
      return readWelcome(value);
    case "roster":
      return readRoster(value);
    case "slots":
      return readSlots(value);
    case "speaking":
      return readSpeaking(value);
    case "pong":
      return isId(value.id) ? { type: "pong", id: value.id } : null;
    case "quality":
      return {
        type: "quality",
        up: readWay(value.up),
        down: readWay(value.down),
        rttMs: isId(value.rtt_ms) ? value.rtt_ms : null,
        listenersLost: readShare(value.listeners_lost_permille),
      };
    case "migrate":
      return { type: "migrate" };
    case "chat":
      return readChat(value);
    case "ended": {
      // A reason of a later version still ends the session; treat it as the mildest one.
      const reason = /** @type {EndReason} */ (value.reason);
      return { type: "ended", reason: END_REASONS.has(reason) ? reason : "relay-stopping" };
    }
    default:
      return null;
  }
}

/**
 * @param {Record<string, unknown>} value
 * @returns {Welcome | null}
 */
function readWelcome(value) {
  const participants = listOf(value.participants, readPeer);
  if (!isId(value.participant) || !participants) return null;
  return {
    type: "welcome",
    participant: value.participant,
    room: typeof value.room === "string" ? value.room : "",
    slots: isId(value.slots) ? Math.min(value.slots, SLOTS_MAX) : 0,
    participants,
    count: isId(value.count) ? value.count : null,
  };
}

/**
 * @param {Record<string, unknown>} value
 * @returns {RosterChange | null}
 */
function readRoster(value) {
  const joined = listOf(value.joined, readPeer);
  const left = listOf(value.left, readId);
  const changed = listOf(value.changed, readPeer);
  const count = isId(value.count) ? value.count : null;
  return joined && left && changed ? { type: "roster", joined, left, changed, count } : null;
}

/**
 * @param {Record<string, unknown>} value
 * @returns {SlotsChange | null}
 */
function readSlots(value) {
  const slots = listOf(value.slots, readSlot);
  return slots ? { type: "slots", slots } : null;
}

/**
 * @param {Record<string, unknown>} value
 * @returns {SpeakingChange | null}
 */
function readSpeaking(value) {
  const started = listOf(value.started, readId);
  const stopped = listOf(value.stopped, readId);
  return started && stopped ? { type: "speaking", started, stopped } : null;
}

/**
 * @param {unknown} value
 * @returns {Way | null}
 */
function readWay(value) {
  if (!isObject(value)) return null;
  const [loss, concealed] = [value.lost_permille, value.concealed_permille].map(readShare);
  const { jitter_ms: jitter, mos_centi: mos } = value;
  if (typeof loss !== "number" || typeof concealed !== "number") return null;
  return isId(jitter) && isId(mos) ? { loss, concealed, jitter, score: mos / 100 } : null;
}

/** @param {unknown} value per mille */
function readShare(value) {
  return isId(value) ? Math.min(1, value / 1000) : null;
}

/**
 * @param {Record<string, unknown>} value
 * @returns {ChatPush | null}
 */
function readChat(value) {
  const event = readEvent(value.event);
  if (typeof value.channel !== "string" || !event) return null;
  return { type: "chat", channel: value.channel, event };
}

/**
 * @param {unknown} value
 * @returns {RelayParticipant | null}
 */
export function readPeer(value) {
  if (!isObject(value) || !isId(value.id)) return null;
  // Who has said no hello has no player: not yet, or never, as a WHIP client. No player's id begins
  // with a tilde.
  const { player = `${NAMELESS}${value.id}` } = value;
  if (typeof player !== "string") return null;
  return {
    id: value.id,
    player,
    name: typeof value.name === "string" ? value.name : "",
    channels: listOf(value.channels, (item) => (typeof item === "string" ? item : null)) ?? [],
    muted: value.muted === true,
    serverMuted: value.server_muted === true,
    deafened: value.deafened === true,
    speaker: value.speaker !== false,
  };
}

/**
 * @param {unknown} value
 * @returns {SlotChange | null}
 */
function readSlot(value) {
  if (!isObject(value) || !isId(value.slot) || value.slot >= SLOTS_MAX) return null;
  const participant = value.participant ?? null;
  if (participant !== null && !isId(participant)) return null;
  return { slot: value.slot, participant };
}
