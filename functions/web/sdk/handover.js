// Moving from one relay to another without a gap. Players move one by one, so for a while some are
// heard on the old relay and some on the new one. The old connection stays open until nobody is
// left there; each player is heard from exactly one of the two.

/** @import { Link } from "./link.js" */
/** @import { RoomView, Participant } from "./roster.js" */
import { participantsOf, playersInSlots } from "./roster.js";

/** The old connection is given up after this long, whoever is still there. */
export const HANDOVER_MAX_MS = 20000;
/** From a player's arrival on the new relay until he is heard from there: his audio has to come. */
export const SETTLE_MS = 250;
/** Changes of the new relay's roster that wait to settle; more come together. */
const ARRIVALS_MAX = 64;

/**
 * The relay that is being left. `settled` are the players who are heard from the new one although
 * this one is still there; `arrivals` says who will be.
 *
 * @typedef {{ link: Link, until: number, settled: ReadonlySet<string>,
 *   arrivals: readonly { at: number, players: ReadonlySet<string> }[] }} Moving
 */

/**
 * @param {Link} link to the old relay
 * @param {number} now
 * @returns {Moving}
 */
export function newMoving(link, now) {
  return { link, until: now + HANDOVER_MAX_MS, settled: new Set(), arrivals: [] };
}

/**
 * Whoever is on the new relay now is heard from there in a moment.
 *
 * @param {Moving} moving
 * @param {RoomView} view the new relay's
 * @param {number} now
 * @returns {Moving}
 */
export function settleLater(moving, view, now) {
  const arrival = { at: now + SETTLE_MS, players: playersOf(view) };
  return { ...moving, arrivals: [...moving.arrivals, arrival].slice(-ARRIVALS_MAX) };
}

/**
 * When `settle` is due.
 *
 * @param {Moving} moving
 */
export function settleDueAt({ until, arrivals }) {
  return Math.min(until, arrivals[0]?.at ?? Infinity);
}

/**
 * Lets time pass; harmless before it is due. The move is done when nobody is left on the old relay,
 * or when it took too long.
 *
 * @param {Moving} moving
 * @param {number} now
 * @returns {{ moving: Moving, isDone: boolean }}
 */
export function settle(moving, now) {
  const { link, until } = moving;
  const arrived = moving.arrivals.filter(({ at }) => now >= at);
  const isEmpty = arrived.some(({ players }) => leftBehind(link.view, players).size === 0);
  const settled = arrived.at(-1)?.players ?? moving.settled;
  const arrivals = moving.arrivals.slice(arrived.length);
  return { moving: { ...moving, settled, arrivals }, isDone: isEmpty || now >= until };
}

/**
 * @param {RoomView} view
 * @returns {Set<string>}
 */
export function playersOf(view) {
  return new Set([...view.peers.values()].map((peer) => peer.player));
}

/**
 * The players who are heard from the old relay.
 *
 * @param {RoomView} before
 * @param {ReadonlySet<string>} settled who has been on the new relay for a while
 * @returns {Set<string>}
 */
export function leftBehind(before, settled) {
  const self = before.self === null ? undefined : before.peers.get(before.self)?.player;
  const others = [...playersOf(before)].filter((player) => player !== self);
  return new Set(others.filter((player) => !settled.has(player)));
}

/**
 * What each slot of a connection should sound like, 0 to 2.
 *
 * @param {RoomView} view
 * @param {ReadonlyMap<string, number>} volumes by player; 1 when absent
 * @param {(player: string) => boolean} [audible] false for whom the other connection plays
 * @returns {number[]}
 */
export function slotGains(view, volumes, audible = () => true) {
  return playersInSlots(view).map((player) => {
    // The slot map and the audio race: a slot that nobody is known to hold is left open.
    if (player === null) return 1;
    return audible(player) ? (volumes.get(player) ?? 1) : 0;
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
  const behind = leftBehind(before, playersOf(after));
  const others = participantsOf(before).filter((person) => behind.has(person.id));
  return [...people, ...others.map((person) => ({ ...person, slot: null }))];
}
