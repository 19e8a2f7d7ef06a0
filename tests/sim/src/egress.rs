//! What the relay sends to one listener is at most what the speakers of his room could cause if all
//! of them kept to the limits, whatever some of them send.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use crate::model::Model;

/// Time over which voice is counted.
const WINDOW: Duration = Duration::from_secs(1);
/// What one speaker may cause: packets at once and in a second, and bytes of payload; the relay's
/// limits, said again.
const BURST_PACKETS: f64 = 25.0;
const PACKETS_PER_S: f64 = 110.0;
const BURST_BYTES: f64 = 10_000.0;
const BYTES_PER_S: f64 = 12_000.0;
/// Header, its extensions and the tag of SRTP.
const PACKET_BYTES: f64 = 48.0;

/// Voice that was sent to each client since a moment.
#[derive(Default)]
pub(crate) struct Egress {
    sent: BTreeMap<usize, Sent>,
}

struct Sent {
    since: Instant,
    packets: u32,
    bytes: usize,
}

impl Egress {
    /// Voice of `bytes` is sent to client `n`.
    pub(crate) fn handle_sent(&mut self, now: Instant, n: usize, bytes: usize) {
        let sent = self.sent.entry(n).or_insert(Sent {
            since: now,
            packets: 0,
            bytes: 0,
        });
        sent.packets += 1;
        sent.bytes += bytes;
    }

    /// Compares it with what the model allows.
    pub(crate) fn check(&mut self, now: Instant, model: &Model) -> Result<(), String> {
        for (n, sent) in &self.sent {
            let room = model.members[*n].plan.room;
            let spoke = |at: Instant| at >= sent.since;
            let others = model.members.iter().enumerate();
            let speakers = others.filter(|(s, other)| {
                s != n && other.plan.room == room && other.last_voice.is_some_and(spoke)
            });
            let speakers = speakers.count() as f64;
            let time = now.saturating_duration_since(sent.since).as_secs_f64();
            let packets = speakers * (BURST_PACKETS + PACKETS_PER_S * time);
            let bytes = speakers * (BURST_BYTES + BYTES_PER_S * time) + packets * PACKET_BYTES;
            if f64::from(sent.packets) > packets || sent.bytes as f64 > bytes {
                return Err(format!(
                    "client {n} was sent {} packets and {} bytes in {time} s, \
                     more than {speakers} compliant speakers cause",
                    sent.packets, sent.bytes
                ));
            }
        }
        let is_young = |sent: &Sent| now.saturating_duration_since(sent.since) < WINDOW;
        self.sent.retain(|_, sent| is_young(sent));
        Ok(())
    }
}
