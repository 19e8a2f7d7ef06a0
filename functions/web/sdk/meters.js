// The two clocks of a room: own level for the meter, and the quality of the connection.

/** @import { Peer } from "./peer.js" */
/** @import { Counters, Grade, Measures } from "./quality.js" */
/** @import { Runtime } from "./runtime.js" */

import { smooth } from "./level.js";
import { grade, measure, settle } from "./quality.js";

const LEVEL_EVERY_MS = 66;
const QUALITY_EVERY_MS = 1000;

/**
 * `heardBytes` are those of voice that was received since the join, on the wire, over all
 * connections.
 *
 * @typedef {Measures & { quality: Grade, heardBytes: number }} QualityDetail
 *
 * @typedef {{ runtime: Runtime, level: () => number, peer: () => Peer | null,
 *   rtt: () => number | null, onLevel: (level: number) => void,
 *   onQuality: (quality: QualityDetail) => void }} MeterOptions
 */

export class Meters {
  #options;
  /** Cancellations of the timers. @type {Map<number, () => void>} */
  #timers = new Map();
  #level = 0;
  #measured = /** @type {Peer | null} */ (null);
  #counters = /** @type {Counters | null} */ (null);
  #heardBytes = 0;
  #grade = /** @type {{ shown: Grade, better: number } | null} */ (null);

  /** @param {MeterOptions} options */
  constructor(options) {
    this.#options = options;
  }

  start() {
    this.#every(LEVEL_EVERY_MS, () => this.#readLevel());
    this.#every(QUALITY_EVERY_MS, () => this.#readQuality());
  }

  stop() {
    for (const cancel of this.#timers.values()) cancel();
    this.#timers.clear();
  }

  /**
   * @param {number} ms
   * @param {() => void} read
   */
  #every(ms, read) {
    const turn = () => {
      this.#every(ms, read);
      read();
    };
    this.#timers.set(ms, this.#options.runtime.later(ms, turn));
  }

  /** The connection is gone: said at once, not at the next measurement. */
  reportLost() {
    this.#grade = { shown: "lost", better: 0 };
    const nothing = { rtt: null, loss: null, jitter: null };
    this.#options.onQuality({ quality: "lost", ...nothing, heardBytes: this.#heardBytes });
  }

  #readLevel() {
    const level = smooth(this.#level, this.#options.level());
    if (level === this.#level) return;
    this.#level = level;
    this.#options.onLevel(level);
  }

  async #readQuality() {
    const peer = this.#options.peer();
    // Another connection counts from zero.
    if (peer !== this.#measured) this.#counters = null;
    this.#measured = peer;
    if (!peer) return;
    const reports = await peer.stats().catch(() => []);
    if (peer !== this.#options.peer()) return;
    const { measures, counters } = measure(reports, this.#counters, this.#options.rtt());
    this.#heardBytes += Math.max(0, counters.bytes - (this.#counters?.bytes ?? 0));
    this.#counters = counters;
    this.#grade = settle(this.#grade, grade(measures));
    const heardBytes = this.#heardBytes;
    this.#options.onQuality({ quality: this.#grade.shown, ...measures, heardBytes });
  }
}
