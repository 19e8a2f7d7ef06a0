// Is the relay still there? A ping each second; two seconds without a word mean no.

/** Pause between pings. */
export const PING_EVERY_MS = 1000;
/** Nothing received for this long: the connection is dead. */
export const SILENCE_MAX_MS = 2000;
/** How often `tick` wants to be called. */
export const TICK_MS = 250;
/** A tick this much too late means that this page slept, which says nothing about the relay. */
const OVERSLEPT_MS = 1000;
/** Pings remembered for the round-trip time. */
const PENDING_MAX = 8;

export class Heartbeat {
  #received;
  #ticked;
  #pinged;
  #nextId = 1;
  /** @type {Map<number, number>} */
  #pending = new Map();
  /** Last round-trip time in milliseconds, null before the first pong. */
  rtt = /** @type {number | null} */ (null);

  /** @param {number} now milliseconds of any monotonic clock */
  constructor(now) {
    this.#received = now;
    this.#ticked = now;
    this.#pinged = now - PING_EVERY_MS;
  }

  /**
   * @param {number} now
   * @returns {{ ping: number | null, dead: boolean }} the id of a ping to send, or the verdict
   */
  tick(now) {
    const overslept = now - this.#ticked > TICK_MS + OVERSLEPT_MS;
    this.#ticked = now;
    // What arrived while the page slept is still in its queue: give it one ping's time.
    if (overslept) this.#received = Math.max(this.#received, now - PING_EVERY_MS);
    if (now - this.#received >= SILENCE_MAX_MS) return { ping: null, dead: true };
    if (now - this.#pinged < PING_EVERY_MS) return { ping: null, dead: false };
    this.#pinged = now;
    const id = this.#nextId++;
    this.#pending.set(id, now);
    for (const old of this.#pending.keys()) {
      if (this.#pending.size <= PENDING_MAX) break;
      this.#pending.delete(old);
    }
    return { ping: id, dead: false };
  }

  /**
   * Any message of the relay.
   *
   * @param {number} now
   */
  handleReceived(now) {
    this.#received = now;
  }

  /**
   * @param {number} id
   * @param {number} now
   */
  handlePong(id, now) {
    const sent = this.#pending.get(id);
    if (sent === undefined) return;
    this.#pending.delete(id);
    this.rtt = now - sent;
  }
}
