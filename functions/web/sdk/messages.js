// What the relay says over the data channel, checked before anything believes it. Unknown types
// and fields are ignored; a message whose known fields are wrong is dropped whole.

/** The largest message taken, in characters: what browsers deliver in one piece anyway. */
export const MESSAGE_CHARS_MAX = 262144;
/** The largest slot index, exclusive. */
export const SLOTS_MAX = 16;

/**
 * A participant as one relay knows him. `id` counts within that relay's room only.
 *
 * @typedef {{ id: number, player: string, name: string, channels: string[], muted: boolean,
 *   deafened: boolean, speaker: boolean }} Peer
 *
 * @typedef {{ slot: number, participant: number | null }} SlotChange
 *
 * @typedef {"kicked" | "left" | "replaced" | "relay-stopping" | "protocol" | "timeout"} EndReason
 *
 * @typedef {{ type: "welcome", participant: number, room: string, slots: number,
 *   participants: Peer[] }} Welcome
 * @typedef {{ type: "roster", joined: Peer[], left: number[], changed: Peer[] }} RosterChange
 * @typedef {{ type: "slots", slots: SlotChange[] }} SlotsChange
 * @typedef {{ type: "speaking", started: number[], stopped: number[] }} SpeakingChange
 * @typedef {{ type: "pong", id: number }} Pong
 * @typedef {{ type: "migrate" }} Migrate
 * @typedef {{ type: "ended", reason: EndReason }} Ended
 * @typedef {Welcome | RosterChange | SlotsChange | SpeakingChange | Pong | Migrate | Ended}
 *   RelayMessage
 */

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
    case "migrate":
      return { type: "migrate" };
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
  return joined && left && changed ? { type: "roster", joined, left, changed } : null;
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
 * @returns {Peer | null}
 */
function readPeer(value) {
  if (!isObject(value) || !isId(value.id) || typeof value.player !== "string") return null;
  return {
    id: value.id,
    player: value.player,
    name: typeof value.name === "string" ? value.name : "",
    channels: listOf(value.channels, (item) => (typeof item === "string" ? item : null)) ?? [],
    muted: value.muted === true,
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

/** @param {unknown} value */
function readId(value) {
  return isId(value) ? value : null;
}

/**
 * A list in which every item is good; an absent one is empty.
 *
 * @template T
 * @param {unknown} value
 * @param {(item: unknown) => T | null} read
 * @returns {T[] | null}
 */
function listOf(value, read) {
  if (value === undefined || value === null) return [];
  if (!Array.isArray(value)) return null;
  const items = [];
  for (const raw of value) {
    const item = read(raw);
    if (item === null) return null;
    items.push(item);
  }
  return items;
}

/**
 * @param {unknown} value
 * @returns {value is number}
 */
function isId(value) {
  return typeof value === "number" && Number.isSafeInteger(value) && value >= 0;
}

/**
 * @param {unknown} value
 * @returns {value is Record<string, unknown>}
 */
function isObject(value) {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
