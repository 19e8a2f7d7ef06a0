// The two clocks of a room: own level for the meter, and the quality of the connection.

/** @import { Connection } from "./connection.js" */
/** @import { Counters, Grade, Measures } from "./quality.js" */

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
 * @typedef {{ level: () => number, connection: () => Connection | null,
 *   onLevel: (level: number) => void, onQuality: (quality: QualityDetail) => void }} MeterOptions
 */

export class Meters {
  #options;
  #timers = /** @type {ReturnType<typeof setInterval>[]} */ ([]);
  #level = 0;
  #measured = /** @type {Connection | null} */ (null);
  #counters = /** @type {Counters | null} */ (null);
  #heardBytes = 0;
  #grade = /** @type {{ shown: Grade, better: number } | null} */ (null);

  /** @param {MeterOptions} options */
  constructor(options) {
    this.#options = options;
  }

  start() {
    this.#timers.push(setInterval(() => this.#readLevel(), LEVEL_EVERY_MS));
    this.#timers.push(setInterval(() => this.#readQuality(), QUALITY_EVERY_MS));
  }

  stop() {
    for (const timer of this.#timers.splice(0)) clearInterval(timer);
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
    const connection = this.#options.connection();
    // Another connection counts from zero.
    if (connection !== this.#measured) this.#counters = null;
    this.#measured = connection;
    if (!connection) return;
    const reports = await connection.stats().catch(() => []);
    if (connection !== this.#options.connection()) return;
    const { measures, counters } = measure(reports, this.#counters, connection.rtt);
    this.#heardBytes += Math.max(0, counters.bytes - (this.#counters?.bytes ?? 0));
    this.#counters = counters;
    this.#grade = settle(this.#grade, grade(measures));
    const heardBytes = this.#heardBytes;
    this.#options.onQuality({ quality: this.#grade.shown, ...measures, heardBytes });
  }
}
