// Is the relay still there? A ping each second; two seconds without a word mean no. Pure: each
// function gives the heartbeat that follows.

/** Pause between pings. */
export const PING_EVERY_MS = 1000;
/** Nothing received for this long: the connection is dead. */
export const SILENCE_MAX_MS = 2000;
/** A turn this much too late means that this page slept, which says nothing about the relay. */
const OVERSLEPT_MS = 1000;
/** Pings remembered for the round-trip time. */
const PENDING_MAX = 8;

/**
 * Times are milliseconds of any monotonic clock. `rtt` is the last round-trip time, null before
 * the first pong; `pending` are the pings that wait for one.
 *
 * @typedef {{ receivedAt: number, pingAt: number, nextId: number, rtt: number | null,
 *   pending: readonly { id: number, at: number }[] }} Heartbeat
 */

/**
 * Begins at the welcome, with a ping that is due.
 *
 * @param {number} now
 * @returns {Heartbeat}
 */
export function newHeartbeat(now) {
  return { receivedAt: now, pingAt: now, nextId: 1, rtt: null, pending: [] };
}

/**
 * When `beat` is due.
 *
 * @param {Heartbeat} heart
 */
export function beatDueAt({ pingAt, receivedAt }) {
  return Math.min(pingAt, receivedAt + SILENCE_MAX_MS);
}

/**
 * @param {Heartbeat} heart
 * @param {number} now
 * @returns {{ heart: Heartbeat, ping: number | null, dead: boolean }} the id of a ping to send, or
 *   the verdict
 */
export function beat(heart, now) {
  let { receivedAt } = heart;
  // What arrived while the page slept is still in its queue: give it one ping's time.
  if (now - beatDueAt(heart) > OVERSLEPT_MS) receivedAt = Math.max(receivedAt, now - PING_EVERY_MS);
  if (now - receivedAt >= SILENCE_MAX_MS) return { heart, ping: null, dead: true };
  if (now < heart.pingAt) return { heart: { ...heart, receivedAt }, ping: null, dead: false };
  const ping = heart.nextId;
  const pending = [...heart.pending, { id: ping, at: now }].slice(-PENDING_MAX);
  const next = { receivedAt, pingAt: now + PING_EVERY_MS, nextId: ping + 1, pending };
  return { heart: { ...heart, ...next }, ping, dead: false };
}

/**
 * Any message of the relay.
 *
 * @param {Heartbeat} heart
 * @param {number} now
 * @returns {Heartbeat}
 */
export function heard(heart, now) {
  return { ...heart, receivedAt: now };
}

/**
 * @param {Heartbeat} heart
 * @param {number} id
 * @param {number} now
 * @returns {Heartbeat}
 */
export function ponged(heart, id, now) {
  const ping = heart.pending.find((one) => one.id === id);
  if (!ping) return heart;
  const pending = heart.pending.filter((one) => one !== ping);
  return { ...heart, pending, rtt: now - ping.at };
}
