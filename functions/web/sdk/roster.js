// Who is in the room, who talks, who sits in which slot: a pure reducer over the relay's messages.

/** @import { RelayMessage, RelayParticipant } from "./messages.js" */

import { NAMELESS } from "./messages.js";

/**
 * One relay's view of the room. Never changed in place. In a large room `peers` are oneself, those
 * of one's small channels and who talked last, and `count` is how many are there; null while
 * everybody is named.
 *
 * @typedef {{ self: number | null, peers: ReadonlyMap<number, RelayParticipant>,
 *   count: number | null, speaking: ReadonlySet<number>,
 *   slots: readonly (number | null)[] }} RoomView
 *
 * A participant as an application sees him. `id` is the player's id and stays the same when the
 * room moves to another relay. `serverMuted`: a moderator or the game's server has silenced him.
 *
 * @typedef {{ id: string, name: string, self: boolean, speaking: boolean, muted: boolean,
 *   serverMuted: boolean, deafened: boolean, speaker: boolean, channels: string[],
 *   slot: number | null }} Participant
 *
 * @typedef {{ roster: boolean, speaking: boolean, slots: boolean }} Changed
 */

/**
 * @param {number} slots
 * @returns {RoomView}
 */
export function emptyView(slots) {
  const free = Array(slots).fill(null);
  return { self: null, peers: new Map(), count: null, speaking: new Set(), slots: free };
}

/**
 * @param {RoomView} view
 * @param {RelayMessage} message
 * @returns {{ view: RoomView, changed: Changed }}
 */
export function reduce(view, message) {
  switch (message.type) {
    case "welcome": {
      const peers = new Map(message.participants.map((peer) => [peer.id, peer]));
      const fresh = emptyView(view.slots.length);
      const { participant: self, count } = message;
      return result({ ...fresh, self, peers, count }, true, true, true);
    }
    case "roster":
      return reduceRoster(view, message);
    case "slots": {
      const slots = [...view.slots];
      for (const { slot, participant } of message.slots) {
        if (slot < slots.length) slots[slot] = participant;
      }
      return result({ ...view, slots }, false, false, message.slots.length > 0);
    }
    case "speaking": {
      const speaking = new Set(view.speaking);
      for (const id of message.started) if (view.peers.has(id)) speaking.add(id);
      for (const id of message.stopped) speaking.delete(id);
      const same = speaking.size === view.speaking.size && subset(speaking, view.speaking);
      return result({ ...view, speaking }, false, !same, false);
    }
    default:
      return result(view, false, false, false);
  }
}

/**
 * @param {RoomView} view
 * @param {import("./messages.js").RosterChange} message
 */
function reduceRoster(view, message) {
  const peers = new Map(view.peers);
  const speaking = new Set(view.speaking);
  for (const peer of [...message.joined, ...message.changed]) peers.set(peer.id, peer);
  // Oneself is here, although a large room may not name one any more.
  const left = message.left.filter((id) => id !== view.self);
  for (const id of left) {
    peers.delete(id);
    speaking.delete(id);
  }
  // Someone who muted himself is not talking, whatever was said a moment ago.
  for (const id of speaking) {
    const peer = peers.get(id);
    if (peer?.muted || peer?.serverMuted) speaking.delete(id);
  }
  // Only who left frees his slot: a slot may name someone whose roster entry is still on its way.
  const gone = new Set(left);
  const slots = view.slots.map((id) => (id !== null && gone.has(id) ? null : id));
  const quieter = speaking.size !== view.speaking.size;
  const emptied = slots.some((id, slot) => id !== view.slots[slot]);
  const count = message.count ?? view.count;
  return result({ ...view, peers, count, speaking, slots }, true, quieter, emptied);
}

/**
 * The participants for an application: self first, then by name. When a player is there twice (his
 * second session replaces the first), the newer one counts.
 *
 * @param {RoomView} view
 * @returns {Participant[]}
 */
export function participantsOf(view) {
  /** @type {Map<string, Participant>} */
  const byPlayer = new Map();
  for (const peer of [...view.peers.values()].sort((a, b) => a.id - b.id)) {
    const slot = view.slots.indexOf(peer.id);
    // Most are about to say who they are; whoever does not is shown when he is heard.
    if (peer.player.startsWith(NAMELESS) && slot < 0) continue;
    byPlayer.set(peer.player, {
      id: peer.player,
      name: peer.name || peer.player,
      self: peer.id === view.self,
      speaking: view.speaking.has(peer.id),
      muted: peer.muted,
      serverMuted: peer.serverMuted,
      deafened: peer.deafened,
      speaker: peer.speaker,
      channels: peer.channels,
      slot: slot < 0 ? null : slot,
    });
  }
  return [...byPlayer.values()].sort(order);
}

/**
 * @param {Participant} a
 * @param {Participant} b
 */
function order(a, b) {
  if (a.self !== b.self) return a.self ? -1 : 1;
  return compare(a.name.toLowerCase(), b.name.toLowerCase()) || compare(a.id, b.id);
}

/**
 * @param {string} a
 * @param {string} b
 */
function compare(a, b) {
  return a < b ? -1 : a > b ? 1 : 0;
}

/**
 * The player in each slot.
 *
 * @param {RoomView} view
 * @returns {(string | null)[]}
 */
export function playersInSlots(view) {
  return view.slots.map((id) => (id === null ? null : (view.peers.get(id)?.player ?? null)));
}

/**
 * @param {RoomView} view
 * @param {boolean} roster
 * @param {boolean} speaking
 * @param {boolean} slots
 */
function result(view, roster, speaking, slots) {
  return { view, changed: { roster, speaking, slots } };
}

/**
 * @template T
 * @param {ReadonlySet<T>} a
 * @param {ReadonlySet<T>} b
 */
function subset(a, b) {
  for (const item of a) if (!b.has(item)) return false;
  return true;
}
