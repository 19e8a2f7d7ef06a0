//! Counters. Each reason enum is also a metric's label.

use crate::protocol::Quality;

/// An enum whose variants have a label and index an array of counters.
macro_rules! reason_enum {
    ($(#[$doc:meta])* $name:ident { $($(#[$vdoc:meta])* $variant:ident = $label:literal,)* }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum $name { $($(#[$vdoc])* $variant,)* }

        impl $name {
            /// All reasons, in the order of their counters.
            pub const ALL: &[Self] = &[$(Self::$variant,)*];

            /// The metric's label.
            pub fn label(self) -> &'static str {
                match self { $(Self::$variant => $label,)* }
            }
        }
    };
}

reason_enum! {
    /// Why a datagram was not accepted.
    RejectReason {
        /// Neither STUN, DTLS, RTP nor RTCP (RFC 7983).
        UnknownKind = "unknown-kind",
        /// Not STUN and from an address without a session.
        NoSession = "no-session",
        /// STUN, but not a well-formed binding request.
        StunMalformed = "stun-malformed",
        /// The username is not `ticket:client`.
        TicketMalformed = "ticket-malformed",
        /// The ticket is of another version or key epoch.
        TicketVersion = "ticket-version",
        /// The ticket does not authenticate: changed, another shard's or an earlier boot's.
        TicketSealed = "ticket-sealed",
        /// The ticket's time is over.
        TicketExpired = "ticket-expired",
        /// A check from a path that another session is using.
        PathTaken = "path-taken",
        /// The ticket's session has ended.
        TicketUsed = "ticket-used",
        /// The player was removed from the room after the ticket was made.
        Kicked = "kicked",
        /// The room has moved to another shard since the ticket was made.
        Moved = "moved",
        /// MESSAGE-INTEGRITY does not match the ticket's password.
        Integrity = "integrity",
        /// The shard is at capacity.
        Full = "full",
        /// The shard is stopping.
        Stopping = "stopping",
        /// str0m did not take it.
        Session = "session",
        /// RTP or RTCP that is forged, replayed or malformed, or that came before the keys.
        Srtp = "srtp",
        /// More than the session, or its player, may make the shard do.
        Budget = "budget",
        /// The player has as many sessions as he may.
        PlayerSessions = "player-sessions",
        /// The last places of the shard are for players without a session.
        Reserve = "reserve",
    }
}

reason_enum! {
    /// Why a session ended.
    EndReason {
        /// The client left.
        Left = "left",
        /// The edge ended it.
        Kicked = "kicked",
        /// The same player joined the room again.
        Replaced = "replaced",
        /// The shard stops.
        RelayStopping = "relay-stopping",
        /// The client broke the protocol, or did not read its messages.
        Protocol = "protocol",
        /// The time of the token by which its player joined is over.
        TokenExpired = "token-expired",
        /// Nothing authenticated was heard for too long (consent, RFC 7675).
        Timeout = "timeout",
        /// The DTLS handshake did not finish in time.
        Handshake = "handshake",
        /// The client's certificate is not the one in the ticket.
        Fingerprint = "fingerprint",
        /// For seconds it wanted more work than it may.
        Budget = "budget",
        /// Its player began another before it was through.
        HalfOpen = "half-open",
        /// It was to introduce itself, and did not in time.
        NoHello = "no-hello",
    }
}

reason_enum! {
    /// Why a voice packet or message was not passed on.
    DropReason {
        /// Silence: nobody needs it.
        Silence = "silence",
        /// The speaker is muted or may not speak.
        NotSpeaker = "not-speaker",
        /// All slots of the listener are taken.
        NoSlot = "no-slot",
        /// Older than what the slot has sent since its speaker changed.
        Late = "late",
        /// The listener's keys are used up, or are not there yet.
        Seal = "seal",
        /// Not a payload type of the ticket.
        PayloadType = "payload-type",
        /// More voice of one speaker than `SpeakerLimits` allow.
        Rate = "rate",
        /// A payload longer than voice has.
        PayloadSize = "payload-size",
        /// RED whose primary block is not found, or is not Opus.
        RedMalformed = "red-malformed",
        /// A channel of a hello for which the room has no place any more.
        ManyChannels = "many-channels",
        /// A data-channel message that is not of the protocol, or a hello that is not newer than
        /// the last.
        BadMessage = "bad-message",
        /// A position where no channel of the participant takes one.
        Position = "position",
        /// Something on a data channel that is for nothing.
        DataChannel = "data-channel",
        /// More data-channel messages in a second than allowed.
        MessageRate = "message-rate",
        /// What a participant set for himself, told to the others later, with what he set since.
        StateRate = "state-rate",
        /// A message of the edge in whose place its readers are told that there is something new.
        PushRate = "push-rate",
        /// A pushed message for a client who has too much waiting, or no open data channel.
        Backlog = "backlog",
        /// A datagram to a path from which too little came, and which has not proved that its
        /// client receives there.
        Unproved = "unproved",
    }
}

reason_enum! {
    /// Why something in a client's report was not believed.
    ReportFlaw {
        /// Not a compound packet of RTCP.
        Malformed = "malformed",
        /// More blocks than any client has streams for.
        ManyBlocks = "many-blocks",
        /// About a stream that is not one of his slots, or in which nothing was sent.
        UnknownSource = "unknown-source",
        /// About packets that were not sent yet.
        Ahead = "ahead",
        /// Older than the last.
        Old = "old",
        /// More lost than there was.
        Loss = "loss",
        /// Answered before it was sent, or a minute later.
        Delay = "delay",
    }
}

/// What a shard has counted since its start.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Stats {
    /// Datagrams given to the core.
    pub datagrams_in: u64,
    /// Datagrams that the core gave out.
    pub datagrams_out: u64,
    /// Bytes of them (UDP payload).
    pub bytes_in: u64,
    /// Bytes of them (UDP payload).
    pub bytes_out: u64,
    /// Voice packets received and authenticated.
    pub voice_in: u64,
    /// Voice packets forwarded, one for each listener.
    pub voice_out: u64,
    /// Messages of the edge passed on, one for each participant.
    pub pushed: u64,
    /// Those who were told that there is something new, in place of messages.
    pub told_of_news: u64,
    /// Sessions that proved a ticket.
    pub admitted: u64,
    /// Sessions whose handshake finished.
    pub connected: u64,
    rejected: [u64; RejectReason::ALL.len()],
    ended: [u64; EndReason::ALL.len()],
    dropped: [u64; DropReason::ALL.len()],
    flawed: [u64; ReportFlaw::ALL.len()],
    /// How well participants were heard and heard others.
    pub quality: QualityStats,
}

/// Values counted by size.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Spread<const N: usize> {
    /// Upper bound of each count.
    pub bounds: &'static [u32; N],
    /// Values up to each bound, those of the smaller ones left out; the last count is of the rest.
    pub counts: [u64; N],
    /// All values.
    pub count: u64,
    /// Their sum.
    pub sum: u64,
}

impl<const N: usize> Spread<N> {
    const fn new(bounds: &'static [u32; N]) -> Self {
        Self {
            bounds,
            counts: [0; N],
            count: 0,
            sum: 0,
        }
    }

    pub(crate) fn observe(&mut self, value: u32) {
        if let Some(n) = self.bounds.iter().position(|bound| value <= *bound) {
            self.counts[n] += 1;
        }
        self.count += 1;
        self.sum += u64::from(value);
    }
}

/// Bounds of shares, per mille; of times, milliseconds; of opinions, hundredths.
const PERMILLE: [u32; 8] = [0, 5, 10, 20, 50, 100, 200, 500];
const MILLIS: [u32; 8] = [5, 10, 20, 50, 100, 200, 400, 1000];
const OPINIONS: [u32; 7] = [200, 250, 300, 350, 400, 420, 450];

/// One way of voice, over all participants: a value each few seconds in which there was any.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WayStats {
    /// Packets lost, per mille.
    pub lost: Spread<8>,
    /// Frames that had to be concealed, per mille.
    pub concealed: Spread<8>,
    /// Interarrival jitter, milliseconds.
    pub jitter: Spread<8>,
    /// Mean opinion score, hundredths.
    pub mos: Spread<7>,
}

impl Default for WayStats {
    fn default() -> Self {
        Self {
            lost: Spread::new(&PERMILLE),
            concealed: Spread::new(&PERMILLE),
            jitter: Spread::new(&MILLIS),
            mos: Spread::new(&OPINIONS),
        }
    }
}

/// Quality over all participants.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct QualityStats {
    /// From participants to the shard.
    pub up: WayStats,
    /// From the shard to participants.
    pub down: WayStats,
    /// There and back, milliseconds.
    pub round_trip: Spread<8>,
}

impl Default for QualityStats {
    fn default() -> Self {
        Self {
            up: WayStats::default(),
            down: WayStats::default(),
            round_trip: Spread::new(&MILLIS),
        }
    }
}

impl QualityStats {
    pub(crate) fn observe(&mut self, quality: &Quality) {
        let ways = [(&mut self.up, quality.up), (&mut self.down, quality.down)];
        for (stats, way) in ways {
            if let Some(way) = way {
                stats.lost.observe(way.lost_permille.into());
                stats.concealed.observe(way.concealed_permille.into());
                stats.jitter.observe(way.jitter_ms.into());
                stats.mos.observe(way.mos_centi.into());
            }
        }
        if let Some(ms) = quality.rtt_ms {
            self.round_trip.observe(ms.into());
        }
    }
}

impl Stats {
    /// Datagrams rejected for `reason`.
    pub fn rejected(&self, reason: RejectReason) -> u64 {
        self.rejected[reason as usize]
    }

    /// Sessions ended for `reason`.
    pub fn ended(&self, reason: EndReason) -> u64 {
        self.ended[reason as usize]
    }

    /// Packets and messages dropped for `reason`.
    pub fn dropped(&self, reason: DropReason) -> u64 {
        self.dropped[reason as usize]
    }

    /// What was not believed in reports of clients, for `flaw`.
    pub fn flawed(&self, flaw: ReportFlaw) -> u64 {
        self.flawed[flaw as usize]
    }

    pub(crate) fn flaw(&mut self, flaw: ReportFlaw) {
        self.flawed[flaw as usize] += 1;
    }

    pub(crate) fn reject(&mut self, reason: RejectReason) {
        self.rejected[reason as usize] += 1;
    }

    pub(crate) fn end(&mut self, reason: EndReason) {
        self.ended[reason as usize] += 1;
    }

    pub(crate) fn drop(&mut self, reason: DropReason) {
        self.dropped[reason as usize] += 1;
    }
}

/// How much the core holds at this moment, for tests and metrics. With the core drained the first
/// three are zero.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Queues {
    /// Datagrams to be taken.
    pub transmits: usize,
    /// Events to be taken.
    pub events: usize,
    /// Sessions that have something to send.
    pub dirty: usize,
    /// Messages that wait for a data channel, in the session that has most.
    pub longest_outbox: usize,
    /// Paths that belong to a session.
    pub addresses: usize,
    /// Entries of the timer heap, those that no longer count included.
    pub timers: usize,
    /// Ended sessions whose tickets have not expired.
    pub ended: usize,
    /// Players whose work is remembered, those included who left a moment ago.
    pub players: usize,
    /// Players who have a session.
    pub holders: usize,
}
