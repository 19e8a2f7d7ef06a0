// How good the connection is, from the browser's counters and the round-trip time of our pings.

/**
 * @typedef {"good" | "fair" | "poor" | "lost"} Grade
 *
 * `rtt` and `jitter` are milliseconds, `loss` is a share from 0 to 1; null where nothing was
 * measured yet.
 *
 * @typedef {{ rtt: number | null, loss: number | null, jitter: number | null }} Measures
 *
 * `bytes` are those on the wire of what was received.
 *
 * @typedef {{ received: number, lost: number, bytes: number }} Counters
 */

/** RTP header, tag of SRTP, UDP and IPv4 headers: what a packet has besides its payload. */
const PACKET_OVERHEAD_BYTES = 12 + 16 + 28;

const FAIR = { rtt: 180, loss: 0.02, jitter: 30 };
const POOR = { rtt: 400, loss: 0.08, jitter: 80 };

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
export function grade({ rtt, loss, jitter }) {
  /** @param {typeof FAIR} limit */
  const beyond = (limit) =>
    (rtt ?? 0) > limit.rtt || (loss ?? 0) > limit.loss || (jitter ?? 0) > limit.jitter;
  if (beyond(POOR)) return "poor";
  return beyond(FAIR) ? "fair" : "good";
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
