// What a sender does about loss, and how that is said to a browser. The table is that of the crate
// `quality` (media-core/quality/src/adapt.rs); one golden file holds both to it. Pure.

/**
 * `lostPermille` is the worse of what the relay misses of the own voice and what those lose who
 * hear it.
 *
 * @typedef {{ lostPermille: number, rttMs: number | null, jitterMs: number }} Measured
 *
 * `level` is against loss, 0 to 3; `congested` means that the network queues; `calm` and `clear`
 * count measurements in a row that would allow a lower level, and that saw no queue.
 *
 * @typedef {{ level: number, congested: boolean, calm: number, clear: number }} Adaptation
 *
 * `fecPercent` is the loss for which in-band FEC is made, 0 for none; `copies` are the earlier
 * frames that each packet repeats (RED).
 *
 * @typedef {{ fecPercent: number, copies: number, packetMs: number, bitrateBps: number }} Settings
 */

const UP = [8, 30, 120];
const DOWN = [4, 15, 80];
const CALM_BEFORE_DOWN = 3;
const QUEUE = { rttMs: 400, jitterMs: 80 };
const NO_QUEUE = { rttMs: 250, jitterMs: 40 };

/** @type {[Settings, Settings, Settings, Settings]} */
const LEVELS = [
  { fecPercent: 0, copies: 0, packetMs: 20, bitrateBps: 32_000 },
  { fecPercent: 10, copies: 0, packetMs: 20, bitrateBps: 32_000 },
  { fecPercent: 10, copies: 1, packetMs: 20, bitrateBps: 24_000 },
  { fecPercent: 20, copies: 2, packetMs: 20, bitrateBps: 16_000 },
];

/** @type {Adaptation} */
export const AT_REST = { level: 0, congested: false, calm: 0, clear: 0 };

/**
 * How the encoder is to be set.
 *
 * @param {Adaptation} adaptation
 * @returns {Settings}
 */
export function settingsOf({ level, congested }) {
  const settings = LEVELS[level] ?? LEVELS[3];
  if (!congested) return settings;
  const { fecPercent, copies, bitrateBps } = settings;
  const [fewer, less] = [Math.min(copies, 1), Math.min(bitrateBps, 16_000)];
  return { fecPercent, copies: fewer, packetMs: 40, bitrateBps: less };
}

/**
 * Where a sender stands after a measurement: one step up at once, one down after some calm.
 *
 * @param {Measured} measured
 * @param {Adaptation} current
 * @returns {Adaptation}
 */
export function adapt({ lostPermille, rttMs, jitterMs }, current) {
  let { level, calm, congested, clear } = current;
  const wanted = UP.filter((from) => lostPermille >= from).length;
  const mayLeave = level > 0 && lostPermille < (DOWN[level - 1] ?? 0);
  calm = wanted <= level && mayLeave ? calm + 1 : 0;
  if (wanted > level) level = wanted;
  if (calm >= CALM_BEFORE_DOWN) [level, calm] = [level - 1, 0];

  const rtt = rttMs ?? 0;
  const isClear = congested && rtt < NO_QUEUE.rttMs && jitterMs < NO_QUEUE.jitterMs;
  clear = isClear ? clear + 1 : 0;
  if (rtt >= QUEUE.rttMs || jitterMs >= QUEUE.jitterMs) congested = true;
  if (clear >= CALM_BEFORE_DOWN) [congested, clear] = [false, 0];
  return { level, congested, calm, clear };
}

/**
 * The relay's answer as if it asked for these settings: a browser takes packet time and codec of
 * what it sends from there. The relay itself need not know, since it takes all of them.
 *
 * @param {string} sdp
 * @param {Settings} settings
 */
export function tuned(sdp, { packetMs, copies }) {
  const [session = "", microphone = "", ...others] = sdp.split(/^(?=m=)/m);
  const red = /^a=rtpmap:(\d+) red\//im.exec(microphone)?.[1];
  const timed = microphone.replace(/^a=ptime:\d+/m, `a=ptime:${packetMs}`);
  const first = (/** @type {string} */ line) => {
    const [media, port, profile, ...types] = line.split(" ");
    return [media, port, profile, red, ...types.filter((type) => type !== red)].join(" ");
  };
  const ordered = red && copies > 0 ? timed.replace(/^m=.*/, first) : timed;
  return [session, ordered, ...others].join("");
}
