// Time, chance and network as arguments, so that a test can turn them by hand.

import { sleep } from "./deadline.js";

/**
 * `elapsed` is a clock for durations, milliseconds with fractions, that nobody sets; `later`
 * returns the timer's cancellation; `key` makes a name that nobody has used before.
 *
 * @typedef {{ now: () => number, elapsed: () => number, random: () => number, key: () => string,
 *   later: (ms: number, action: () => void) => () => void,
 *   sleep: (ms: number, signal: AbortSignal) => Promise<void>,
 *   fetch: (url: string, init: RequestInit) => Promise<Response> }} Runtime
 */

/** @type {Runtime} */
export const browserRuntime = {
  now: () => Date.now(),
  elapsed: () => performance.now(),
  random: () => Math.random(),
  key: randomKey,
  later(ms, action) {
    const timer = setTimeout(action, ms);
    return () => clearTimeout(timer);
  },
  sleep,
  fetch: (url, init) => fetch(url, init),
};

/** 128 random bits in hex; unlike `crypto.randomUUID` it is there on plain http too. */
function randomKey() {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  return [...bytes].map((byte) => byte.toString(16).padStart(2, "0")).join("");
}
