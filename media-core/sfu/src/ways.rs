//! How well voice comes through, to and from one participant.

/// How well a participant is heard and hears: each way as it was when there was last a second of
/// voice to tell by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Quality {
    /// From him to the relay; none before.
    pub up: Option<Way>,
    /// From the relay to him, by his own reports; none before.
    pub down: Option<Way>,
    /// There and back, milliseconds; none before he has answered a report.
    pub rtt_ms: Option<u16>,
    /// What those lose who hear him on their own way from the relay, per mille: the mean over up
    /// to 64 of them; none while he does not talk or nobody tells.
    pub listeners_lost_permille: Option<u16>,
}

/// How well voice comes through one way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Way {
    /// Packets lost, per mille.
    pub lost_permille: u16,
    /// Frames lost for good, per mille: what neither RED nor, as far as the relay can see it,
    /// in-band FEC made good. From the relay to a client an estimate.
    pub concealed_permille: u16,
    /// Interarrival jitter (RFC 3550), milliseconds.
    pub jitter_ms: u16,
    /// R of the wideband E-model (ITU-T G.107.1), 0 to 100. An estimate: of Opus there are no
    /// official figures, and of the whole way from mouth to ear this is one half.
    pub rating: u8,
    /// The mean opinion score that belongs to it, hundredths: 100 to 450.
    pub mos_centi: u16,
}
