// Time, chance and a bad network for tests: everything happens when the test turns the clock.

/** @import { Runtime } from "../sdk/runtime.js" */

/**
 * A generator of numbers from 0 to 1: the same seed gives the same ones (xorshift32).
 *
 * @param {number} seed
 * @returns {() => number}
 */
export function randomOf(seed) {
  let state = (Math.imul(seed + 1, 0x9e3779b9) >>> 0) || 1;
  return () => {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    return (state >>> 0) / 2 ** 32;
  };
}

/** So many timers due at one time are a loop. */
const TURNS_MAX = 100_000;

export class VirtualClock {
  nowMs = 1_000_000;
  #sequence = 0;
  /** @type {Map<number, { atMs: number, action: () => void }>} */
  #timers = new Map();

  /**
   * @param {number} ms
   * @param {() => void} action
   */
  later(ms, action) {
    const id = (this.#sequence += 1);
    this.#timers.set(id, { atMs: this.nowMs + Math.max(0, ms), action });
    return () => void this.#timers.delete(id);
  }

  /**
   * @param {number} ms
   * @param {AbortSignal} [signal]
   * @returns {Promise<void>}
   */
  sleep(ms, signal) {
    return new Promise((resolve) => {
      if (signal?.aborted || ms <= 0) return resolve();
      const cancel = this.later(ms, done);
      function done() {
        cancel();
        signal?.removeEventListener("abort", done);
        resolve();
      }
      signal?.addEventListener("abort", done);
    });
  }

  /**
   * Lets time pass, timer by timer.
   *
   * @param {number} ms
   */
  async pass(ms) {
    const untilMs = this.nowMs + ms;
    for (let turns = 0; ; turns += 1) {
      if (turns > TURNS_MAX) throw new Error(`timers without an end at ${this.nowMs} ms`);
      await settled();
      /** @type {[number, { atMs: number, action: () => void }] | null} */
      let next = null;
      for (const timer of this.#timers) if (!next || timer[1].atMs < next[1].atMs) next = timer;
      if (!next || next[1].atMs > untilMs) break;
      this.#timers.delete(next[0]);
      if (next[1].atMs > this.nowMs) turns = 0;
      this.nowMs = next[1].atMs;
      next[1].action();
    }
    this.nowMs = untilMs;
  }
}

/** Lets every promise that can go on do so. */
export function settled() {
  return new Promise((resolve) => setImmediate(resolve));
}

/**
 * Lets time pass until a promise is settled.
 *
 * @template T
 * @param {VirtualClock} clock
 * @param {Promise<T>} promise
 * @returns {Promise<T>}
 */
export async function passUntil(clock, promise) {
  let done = false;
  const end = () => (done = true);
  promise.then(end, end);
  for (let turn = 0; turn < 10_000; turn += 1) {
    await settled();
    if (done) return promise;
    await clock.pass(10);
  }
  throw new Error("not settled within 100 s");
}

/**
 * @param {VirtualClock} clock
 * @param {() => number} random
 * @param {Runtime["fetch"]} fetch
 * @returns {Runtime}
 */
export function runtimeOf(clock, random, fetch) {
  let keys = 0;
  return {
    now: () => clock.nowMs,
    elapsed: () => clock.nowMs,
    random,
    key: () => `k${(keys += 1)}`,
    later: (ms, action) => clock.later(ms, action),
    sleep: (ms, signal) => clock.sleep(ms, signal),
    fetch,
  };
}
