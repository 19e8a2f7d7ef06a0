// How far regions are from this browser, by what a page can measure: the time of small requests to
// an address that stands beside a region's relays.

/** @import { Api } from "./api.js" */
/** @import { Regions } from "./match-messages.js" */
/** @import { Runtime } from "./runtime.js" */

import { readRules } from "./match-messages.js";
import { queuePath } from "./match-ticket.js";
import { browserRuntime } from "./runtime.js";

/** The longest time that measuring takes, and that asking for what to measure takes before it. */
const BUDGET_MS = 1500;
/** Requests to each region. The first opens the connection, and is slower for it. */
const REQUESTS = 4;
/** As many as the service takes. */
const REGIONS_MAX = 64;
/** Players do not move much. */
const FRESH_MS = 300_000;

/**
 * @typedef {object} MeasureOptions
 * @property {string} [edge] origin of the edge, for probes that are paths of it
 * @property {number} [budgetMs] the longest time that it takes
 * @property {AbortSignal} [signal] ends it early
 * @property {Runtime} [runtime] time and network; for tests
 */

/**
 * Measures round-trip times to regions, all at once: for each the best of a few requests. A region
 * that does not answer in time is left out; a slow one may be told with the time in which its
 * connection was opened, which is more than its round trip.
 *
 * @param {Regions} regions as in the rules of a queue
 * @param {MeasureOptions} [options]
 * @returns {Promise<Record<string, number>>} milliseconds
 */
export async function measureLatency(
  regions,
  { edge = "", budgetMs = BUDGET_MS, signal, runtime = browserRuntime } = {},
) {
  return within(budgetMs, signal, runtime, async (stop) => {
    const base = edge.replace(/\/+$/, "");
    const listed = Object.entries(regions).slice(0, REGIONS_MAX);
    const measured = listed.map(async ([region, { probe }]) => {
      const url = probe.startsWith("/") ? `${base}${probe}` : probe;
      return [region, await bestOf(url, stop, runtime)];
    });
    const known = (await Promise.all(measured)).filter(([, ms]) => Number.isFinite(ms));
    return Object.fromEntries(known);
  });
}

/**
 * The shortest of a few requests, milliseconds; infinite when none was answered.
 *
 * @param {string} url
 * @param {AbortSignal} signal
 * @param {Runtime} runtime
 */
async function bestOf(url, signal, runtime) {
  let best = Infinity;
  for (let request = 0; request < REQUESTS && !signal.aborted; request += 1) {
    const startedMs = runtime.elapsed();
    try {
      // What it answers does not matter, and other origins need not allow to read it.
      await runtime.fetch(url, {
        method: "HEAD",
        mode: "no-cors",
        cache: "no-store",
        credentials: "omit",
        referrerPolicy: "no-referrer",
        signal,
      });
    } catch {
      break;
    }
    best = Math.min(best, Math.round(runtime.elapsed() - startedMs));
  }
  return best;
}

/**
 * Does something with a signal that fires when its time is over.
 *
 * @template T
 * @param {number} ms
 * @param {AbortSignal | undefined} signal
 * @param {Runtime} runtime
 * @param {(stop: AbortSignal) => Promise<T>} action
 */
async function within(ms, signal, runtime, action) {
  const stop = new AbortController();
  const end = () => stop.abort();
  const cancel = runtime.later(ms, end);
  signal?.addEventListener("abort", end);
  if (signal?.aborted) end();
  try {
    return await action(stop.signal);
  } finally {
    cancel();
    signal?.removeEventListener("abort", end);
  }
}

/** What was measured lately, by queue. */
export class Latencies {
  #context;
  #measured = /** @type {Map<string, { atMs: number, latencyMs: Record<string, number> }>} */ (
    new Map()
  );

  /** @param {{ api: Api, edge?: string, runtime: Runtime }} context */
  constructor(context) {
    this.#context = context;
  }

  /**
   * Round-trip times to a queue's regions; `undefined` when it names none or they are not known.
   * Never fails: who knows nothing can still queue.
   *
   * @param {string} queue
   * @param {AbortSignal} [signal]
   * @returns {Promise<Record<string, number> | undefined>}
   */
  async of(queue, signal) {
    const { edge, runtime } = this.#context;
    let known = this.#measured.get(queue);
    if (!known || runtime.now() - known.atMs > FRESH_MS) {
      const regions = await this.#regions(queue, signal);
      if (!regions) return undefined;
      const latencyMs = await measureLatency(regions, { edge, signal, runtime });
      if (signal?.aborted) return undefined;
      // Whom no region answers may have no network for a moment, and is measured again.
      if (Object.keys(latencyMs).length === 0) return undefined;
      known = { atMs: runtime.now(), latencyMs };
      this.#measured.set(queue, known);
    }
    return known.latencyMs;
  }

  /** @param {string} queue @param {AbortSignal} [signal] */
  async #regions(queue, signal) {
    const { api, runtime } = this.#context;
    const ask = (/** @type {AbortSignal} */ stop) =>
      api.call("GET", queuePath(queue), { signal: stop });
    try {
      return readRules(await within(BUDGET_MS, signal, runtime, ask))?.regions ?? null;
    } catch {
      return null;
    }
  }
}
