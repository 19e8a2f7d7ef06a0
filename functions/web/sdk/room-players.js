// Who is in a room's voice, as the service tells those who moderate it.

/** @import { RelayParticipant } from "./messages.js" */

import { isId, isObject, listOf } from "./check.js";
import { readPeer } from "./messages.js";

/**
 * One session in a room's voice. `id` is his number there, and counts on one relay only.
 *
 * @typedef {RelayParticipant & { session: string, talking: boolean, sinceMs: number }} RoomPlayer
 *
 * Those behind a number, and what to ask for next where there are more.
 * @typedef {{ players: RoomPlayer[], next: number | null }} RoomPlayers
 */

/**
 * @param {unknown} value the reply of the service
 * @returns {RoomPlayers | null} null for anything else
 */
export function readPlayers(value) {
  if (!isObject(value) || !Array.isArray(value.players)) return null;
  const players = listOf(value.players, readPlayer);
  return players && { players, next: isId(value.next) ? value.next : null };
}

/**
 * @param {unknown} value
 * @returns {RoomPlayer | null}
 */
function readPlayer(value) {
  const peer = readPeer(value);
  if (!peer || !isObject(value) || typeof value.session !== "string") return null;
  return {
    ...peer,
    session: value.session,
    talking: value.talking === true,
    sinceMs: isId(value.since_ms) ? value.since_ms : 0,
  };
}
