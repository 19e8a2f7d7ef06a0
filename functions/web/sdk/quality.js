// How good the connection is, from the browser's counters and the round-trip time of our pings.

/** @import { QualityTold } from "./messages.js" */

/**
 * @typedef {"good" | "fair" | "poor" | "lost"} Grade
 *
 * `rtt` and `jitter` are milliseconds, `loss` is a share from 0 to 1, `score` a mean opinion score
 * of 1 to 4.5, by the E-model and as the relay sees it; null where nothing was measured yet.
 *
 * @typedef {{ rtt: number | null, loss: number | null, jitter: number | null,
 *   score?: number | null }} Measures
 *
 * `bytes` are those on the wire of what was received.
 *
 * @typedef {{ received: number, lost: number, bytes: number }} Counters
 */

/** RTP header, tag of SRTP, UDP and IPv4 headers: what a packet has besides its payload. */
const PACKET_OVERHEAD_BYTES = 12 + 16 + 28;

/** Below the scores some are dissatisfied, or nearly all (ITU-T G.107 annex B: R 70 and 50). */
const FAIR = { rtt: 180, loss: 0.02, jitter: 30, score: 3.6 };
const POOR = { rtt: 400, loss: 0.08, jitter: 80, score: 2.58 };

/** So many better measurements in a row before the grade rises. */
const BETTER_BEFORE_RISE = 2;
/** Fewer packets than this say nothing about loss. */
const PACKETS_MIN = 20;

/**
 * @param {Iterable<Record<string, any>>} reports the values of an RTCStatsReport
 * @param {Counters | null} before the counters of the last call
 * @param {number | null} pingRtt milliseconds
 * @returns {{ measures: Measures, counters: Counters }}
 */
export function measure(reports, before, pingRtt) {
  const counters = { received: 0, lost: 0, bytes: 0 };
  let jitter = null;
  let upstream = null;
  for (const report of reports) {
    if (report.type === "inbound-rtp" && report.kind === "audio") {
      counters.received += report.packetsReceived ?? 0;
      counters.lost += Math.max(0, report.packetsLost ?? 0);
      counters.bytes += report.bytesReceived ?? 0;
      counters.bytes += PACKET_OVERHEAD_BYTES * (report.packetsReceived ?? 0);
      if ((report.packetsReceived ?? 0) > 0 && typeof report.jitter === "number") {
        jitter = Math.max(jitter ?? 0, report.jitter * 1000);
      }
    }
    if (report.type === "remote-inbound-rtp" && typeof report.fractionLost === "number") {
      upstream = Math.max(upstream ?? 0, report.fractionLost);
    }
  }
  const downstream = lossSince(counters, before);
  const loss = downstream === null ? upstream : Math.max(downstream, upstream ?? 0);
  return { measures: { rtt: pingRtt, loss, jitter }, counters };
}

/**
 * @param {Counters} now
 * @param {Counters | null} before
 */
function lossSince(now, before) {
  if (!before) return null;
  const lost = Math.max(0, now.lost - before.lost);
  const total = Math.max(0, now.received - before.received) + lost;
  return total < PACKETS_MIN ? null : lost / total;
}

/**
 * The grade of one measurement.
 *
 * @param {Measures} measures
 * @returns {Grade}
 */
export function grade({ rtt, loss, jitter, score }) {
  /** @param {typeof FAIR} limit */
  const beyond = (limit) =>
    (rtt ?? 0) > limit.rtt ||
    (loss ?? 0) > limit.loss ||
    (jitter ?? 0) > limit.jitter ||
    (score ?? 5) < limit.score;
  if (beyond(POOR)) return "poor";
  return beyond(FAIR) ? "fair" : "good";
}

/**
 * The worse of both ways, as the relay sees them.
 *
 * @param {QualityTold | null} told
 */
export function scoreOf(told) {
  const scores = [told?.up, told?.down].flatMap((way) => way?.score ?? []);
  return scores.length > 0 ? Math.min(...scores) : null;
}

/**
 * What a sender adapts to; null before the relay has said anything of his voice.
 *
 * @param {QualityTold | null} told
 */
export function measuredOf(told) {
  if (!told?.up) return null;
  const lost = Math.max(told.up.loss, told.listenersLost ?? 0);
  return { lostPermille: Math.round(lost * 1000), rttMs: told.rttMs, jitterMs: told.up.jitter };
}

const RANK = { lost: 0, poor: 1, fair: 2, good: 3 };

/**
 * The grade to show: it falls at once and rises only after two better measurements in a row, so
 * that it does not flicker.
 *
 * @param {{ shown: Grade, better: number } | null} before
 * @param {Grade} measured
 * @returns {{ shown: Grade, better: number }}
 */
export function settle(before, measured) {
  if (!before || before.shown === "lost") return { shown: measured, better: 0 };
  if (RANK[measured] <= RANK[before.shown]) return { shown: measured, better: 0 };
  const better = before.better + 1;
  return better >= BETTER_BEFORE_RISE
    ? { shown: measured, better: 0 }
    : { shown: before.shown, better };
}
