// The two clocks of a room: own level for the meter, and the quality of the connection, to which
// what is sent adapts.

/** @import { QualityTold, Way } from "./messages.js" */
/** @import { Peer } from "./peer.js" */
/** @import { Counters, Grade, Measures } from "./quality.js" */
/** @import { Runtime } from "./runtime.js" */

import { adapt, AT_REST, settingsOf } from "./adapt.js";
import { smooth } from "./level.js";
import { grade, measure, measuredOf, scoreOf, settle } from "./quality.js";

const LEVEL_EVERY_MS = 66;
const QUALITY_EVERY_MS = 1000;
/** The relay says what has changed; what it has not said again still holds. */
const ADAPT_EVERY_MS = 5000;

/**
 * `heardBytes` are those of voice that was received since the join, on the wire, over all
 * connections. `uplink` is how one's voice comes to the relay and `downlink` how others' comes
 * from it, as the relay sees it; null where it has not said it. `score` is that of the worse.
 *
 * @typedef {Measures & { quality: Grade, heardBytes: number, uplink: Way | null,
 *   downlink: Way | null, score: number | null }} QualityDetail
 *
 * @typedef {{ runtime: Runtime, level: () => number, peer: () => Peer | null,
 *   rtt: () => number | null, told: () => QualityTold | null, adaptive: boolean,
 *   onLevel: (level: number) => void,
 *   onQuality: (quality: QualityDetail) => void }} MeterOptions
 */

const REST = settingsOf(AT_REST);

export class Meters {
  #options;
  /** Cancellations of the timers. @type {Map<number, () => void>} */
  #timers = new Map();
  #level = 0;
  #measured = /** @type {Peer | null} */ (null);
  #counters = /** @type {Counters | null} */ (null);
  #heardBytes = 0;
  #grade = /** @type {{ shown: Grade, better: number } | null} */ (null);
  #adaptation = AT_REST;
  #adaptedTo = /** @type {QualityTold | null} */ (null);
  #adaptAt = 0;
  /** How the present peer sends. */
  #sent = REST;

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
    const ways = { uplink: null, downlink: null, score: null };
    const nothing = { rtt: null, loss: null, jitter: null, ...ways };
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
    if (peer !== this.#measured) [this.#counters, this.#sent] = [null, REST];
    this.#measured = peer;
    if (!peer) return;
    this.#adapt(peer);
    const reports = await peer.stats().catch(() => []);
    if (peer !== this.#options.peer()) return;
    const { measures, counters } = measure(reports, this.#counters, this.#options.rtt());
    this.#heardBytes += Math.max(0, counters.bytes - (this.#counters?.bytes ?? 0));
    this.#counters = counters;
    const told = this.#options.told();
    const score = scoreOf(told);
    this.#grade = settle(this.#grade, grade({ ...measures, score }));
    const ways = { uplink: told?.up ?? null, downlink: told?.down ?? null, score };
    const heardBytes = this.#heardBytes;
    this.#options.onQuality({ quality: this.#grade.shown, ...measures, ...ways, heardBytes });
  }

  /** @param {Peer} peer */
  #adapt(peer) {
    const { runtime, told: last, adaptive } = this.#options;
    const told = last();
    const measured = measuredOf(told);
    const now = runtime.elapsed();
    if (adaptive && measured && (told !== this.#adaptedTo || now >= this.#adaptAt)) {
      this.#adaptedTo = told;
      this.#adaptAt = now + ADAPT_EVERY_MS;
      this.#adaptation = adapt(measured, this.#adaptation);
    }
    const settings = settingsOf(this.#adaptation);
    if (JSON.stringify(settings) === JSON.stringify(this.#sent)) return;
    this.#sent = settings;
    // A browser that cannot goes on as it is.
    peer.adapt(settings).catch(() => {});
  }
}
