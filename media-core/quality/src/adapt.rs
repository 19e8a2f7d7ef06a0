//! What a sender does about loss: one step up at once, and one down after some calm, so that it
//! does not flicker. `functions/web/sdk/adapt.js` is the same table in JavaScript.

/// What was measured of a sender's voice over some seconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Measured {
    /// Packets lost before anything was made good, per mille: the worse of what the relay misses
    /// and what his listeners do.
    pub lost_permille: u16,
    /// There and back; none while it is not known.
    pub rtt_ms: Option<u16>,
    /// Interarrival jitter (RFC 3550).
    pub jitter_ms: u16,
}

/// Where a sender stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Adaptation {
    /// Against loss, 0 to 3.
    pub level: u8,
    /// The network queues: fewer and smaller packets.
    pub is_congested: bool,
    /// Measurements in a row that would allow a lower level,
    pub calm: u8,
    /// and that saw no queue.
    pub clear: u8,
}

/// How an encoder is set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Settings {
    /// In-band FEC of Opus, for the loss that the encoder is to expect, percent; 0 is off. Whoever
    /// sends the `copies` may leave it out.
    pub fec_percent: u8,
    /// Earlier frames that each packet repeats (RED).
    pub copies: u8,
    /// Voice in one packet, milliseconds.
    pub packet_ms: u8,
    /// Of the codec, without repetitions, bit/s.
    pub bitrate_bps: u32,
}

/// Loss per mille from which each level is taken, and below which it may be left.
const UP: [u16; 3] = [8, 30, 120];
const DOWN: [u16; 3] = [4, 15, 80];
/// Calm measurements before a step down. One is made every 2.5 to 7.5 s.
const CALM_BEFORE_DOWN: u8 = 3;
/// A queue is there from one of these on, and gone below both of those.
const QUEUE: (u16, u16) = (400, 80);
const NO_QUEUE: (u16, u16) = (250, 40);

/// By level. Against loss of single packets FEC is cheapest; RED makes good what FEC cannot
/// (music, and in full quality), and pays for it with bitrate, of which loss takes more than
/// fewer bits do.
const LEVELS: [Settings; 4] = [
    Settings {
        fec_percent: 0,
        copies: 0,
        packet_ms: 20,
        bitrate_bps: 32_000,
    },
    Settings {
        fec_percent: 10,
        copies: 0,
        packet_ms: 20,
        bitrate_bps: 32_000,
    },
    Settings {
        fec_percent: 10,
        copies: 1,
        packet_ms: 20,
        bitrate_bps: 24_000,
    },
    Settings {
        fec_percent: 20,
        copies: 2,
        packet_ms: 20,
        bitrate_bps: 16_000,
    },
];
/// Where the network queues, twice the packet time halves what headers take.
const CONGESTED_PACKET_MS: u8 = 40;
const CONGESTED_BITRATE_BPS: u32 = 16_000;
const CONGESTED_COPIES: u8 = 1;

impl Adaptation {
    /// How the encoder is to be set here.
    pub fn settings(self) -> Settings {
        let settings = LEVELS[usize::from(self.level).min(LEVELS.len() - 1)];
        if !self.is_congested {
            return settings;
        }
        Settings {
            fec_percent: settings.fec_percent,
            copies: settings.copies.min(CONGESTED_COPIES),
            packet_ms: CONGESTED_PACKET_MS,
            bitrate_bps: settings.bitrate_bps.min(CONGESTED_BITRATE_BPS),
        }
    }
}

/// Where a sender stands after a measurement.
pub fn adapt(measured: &Measured, current: Adaptation) -> Adaptation {
    let (level, calm) = next_level(measured.lost_permille, current);
    let (is_congested, clear) = next_congestion(measured, current);
    Adaptation {
        level,
        is_congested,
        calm,
        clear,
    }
}

fn next_level(lost: u16, current: Adaptation) -> (u8, u8) {
    let wanted = UP.iter().filter(|from| lost >= **from).count() as u8;
    let level = current.level.min(UP.len() as u8);
    if wanted > level {
        return (wanted, 0);
    }
    let may_leave = level > 0 && lost < DOWN[usize::from(level) - 1];
    if !may_leave {
        return (level, 0);
    }
    let calm = current.calm.saturating_add(1);
    if calm >= CALM_BEFORE_DOWN {
        (level - 1, 0)
    } else {
        (level, calm)
    }
}

fn next_congestion(measured: &Measured, current: Adaptation) -> (bool, u8) {
    let (rtt, jitter) = (measured.rtt_ms.unwrap_or(0), measured.jitter_ms);
    if rtt >= QUEUE.0 || jitter >= QUEUE.1 {
        return (true, 0);
    }
    let is_clear = current.is_congested && rtt < NO_QUEUE.0 && jitter < NO_QUEUE.1;
    let clear = if is_clear {
        current.clear.saturating_add(1)
    } else {
        0
    };
    if clear >= CALM_BEFORE_DOWN {
        (false, 0)
    } else {
        (current.is_congested, clear)
    }
}
