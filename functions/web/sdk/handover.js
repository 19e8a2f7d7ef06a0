// Moving from one relay to another without a gap. Players move one by one, so for a while some are
// heard on the old relay and some on the new one. The old connection stays open until nobody is
// left there; each player is heard from exactly one of the two.

/** @import { RoomView, Participant } from "./roster.js" */
import { participantsOf, playersInSlots } from "./roster.js";

/** The old connection is given up after this long, whoever is still there. */
export const HANDOVER_MAX_MS = 20000;

/**
 * The players who are heard only on the old relay.
 *
 * @param {RoomView} before
 * @param {RoomView} after
 * @returns {Set<string>}
 */
export function leftBehind(before, after) {
  const arrived = new Set([...after.peers.values()].map((peer) => peer.player));
  const players = [...before.peers.values()].filter((peer) => peer.id !== before.self);
  return new Set(players.map((peer) => peer.player).filter((player) => !arrived.has(player)));
}

/**
 * @param {RoomView} before
 * @param {RoomView} after
 * @param {number} sinceMs time since the new connection was welcomed
 */
export function handoverIsOver(before, after, sinceMs) {
  return sinceMs >= HANDOVER_MAX_MS || leftBehind(before, after).size === 0;
}

/**
 * What each slot of a connection should sound like, 0 to 2.
 *
 * @param {RoomView} view
 * @param {ReadonlyMap<string, number>} volumes by player; 1 when absent
 * @param {ReadonlySet<string> | null} [only] when given, everybody else is silent
 * @returns {number[]}
 */
export function slotGains(view, volumes, only = null) {
  return playersInSlots(view).map((player) => {
    // The slot map and the audio race: a slot that nobody is known to hold is left open.
    if (player === null) return only ? 0 : 1;
    if (only && !only.has(player)) return 0;
    return volumes.get(player) ?? 1;
  });
}

/**
 * Everybody, during a handover: the new relay's participants and those still on the old one, whose
 * slots are not slots of the current connection.
 *
 * @param {RoomView} after
 * @param {RoomView | null} before
 * @returns {Participant[]}
 */
export function everybody(after, before) {
  const people = participantsOf(after);
  if (!before) return people;
  const behind = leftBehind(before, after);
  const others = participantsOf(before).filter((person) => behind.has(person.id));
  return [...people, ...others.map((person) => ({ ...person, slot: null }))];
}
