//! Settings of a shard.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rtc_srtp::crypto::RTCCryptoProvider;
use rtc_srtp::crypto::providers::AwsLcRsProvider;
use str0m::config::{CryptoProvider, DtlsCert};

use crate::budget::{CostTable, Meter, WorkLimits};
use crate::path::{Path, PathLimits, Transport};
use crate::places::PlaceLimits;
use crate::push::PushLimits;
use crate::room::{Settings, SpeakerLimits, SpeakingConfig};

/// A record of usage is about no more.
const MINUTE: Duration = Duration::from_secs(60);

/// Settings of one [`crate::Sfu`]. The crypto provider and the certificate are chosen by the
/// shell; everything else has a default in [`Config::new`].
#[derive(Clone)]
pub struct Config {
    /// Provider for DTLS and STUN.
    pub crypto: Arc<CryptoProvider>,
    /// Provider for SRTP.
    pub srtp: Arc<dyn RTCCryptoProvider>,
    /// The shard's certificate; its fingerprint is in every answer.
    pub certificate: DtlsCert,
    /// One local address for each address family in use, as str0m shall see it.
    pub local: Vec<SocketAddr>,
    /// The same for TCP; empty when the shell takes no connections.
    pub local_tcp: Vec<SocketAddr>,
    /// Most sessions, those in handshake included.
    pub max_sessions: usize,
    /// Most sessions of one room.
    pub max_room_sessions: usize,
    /// Most sessions of one player, and places that are kept for players without any.
    pub places: PlaceLimits,
    /// Time for the DTLS handshake after admission.
    pub handshake_timeout: Duration,
    /// Time for the hello after it, where the ticket says that one comes.
    pub hello_timeout: Duration,
    /// Time without anything authenticated after which a session ends. RFC 7675 allows 30 s.
    pub consent_timeout: Duration,
    /// Time over which roster and speaking changes of a room are gathered into one message.
    pub roster_interval: Duration,
    /// Data-channel messages that a client may send in one second.
    pub max_messages_per_s: u32,
    /// Participants that a roster names, at most: in a larger room those of one's small channels,
    /// and of the others those who talked last.
    pub max_roster: usize,
    /// How voice is told from silence.
    pub speaking: SpeakingConfig,
    /// How much of one speaker's voice is passed on.
    pub speaker: SpeakerLimits,
    /// How often the others are told what a participant has set for himself, in one second: what
    /// is more is told later, with the newest.
    pub max_states_per_s: u32,
    /// How many readers pushes may reach.
    pub push: PushLimits,
    /// What a session may make the shard do apart from voice.
    pub work: WorkLimits,
    /// Tells what that took.
    pub meter: Arc<dyn Meter>,
    /// What is sent to where a client may not be.
    pub paths: PathLimits,
    /// Longest time that a record of usage is about: a minute, or less where a record that is not
    /// made yet may be lost.
    pub usage_interval: Duration,
}

impl Config {
    /// Defaults for everything that has one.
    pub fn new(crypto: Arc<CryptoProvider>, certificate: DtlsCert, local: Vec<SocketAddr>) -> Self {
        Self {
            crypto,
            srtp: Arc::new(AwsLcRsProvider::new()),
            certificate,
            local,
            local_tcp: Vec::new(),
            max_sessions: 4096,
            max_room_sessions: 5000,
            places: PlaceLimits::default(),
            handshake_timeout: Duration::from_secs(10),
            hello_timeout: Duration::from_secs(10),
            consent_timeout: Duration::from_secs(15),
            roster_interval: Duration::from_millis(50),
            max_messages_per_s: 20,
            max_roster: 100,
            speaking: SpeakingConfig::default(),
            speaker: SpeakerLimits::default(),
            max_states_per_s: 2,
            push: PushLimits::default(),
            work: WorkLimits::default(),
            meter: Arc::new(CostTable),
            paths: PathLimits::default(),
            usage_interval: MINUTE,
        }
    }

    /// What rooms must know.
    pub(crate) fn room_settings(&self) -> Settings {
        Settings {
            roster_interval: self.roster_interval,
            speaking: self.speaking,
            speaker: self.speaker,
            states_per_s: self.max_states_per_s,
            max_shown: self.max_roster,
        }
    }

    /// The local address that str0m shall believe a datagram of `path` was sent to.
    pub(crate) fn local_for(&self, path: Path) -> Option<SocketAddr> {
        let locals = match path.transport {
            Transport::Udp => &self.local,
            Transport::Tcp => &self.local_tcp,
        };
        let v4 = path.address.is_ipv4();
        locals.iter().copied().find(|local| local.is_ipv4() == v4)
    }
}

/// Ties the monotonic clock to Unix time; tickets expire by the latter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WallClock {
    /// An instant.
    pub at: Instant,
    /// Unix time at that instant, milliseconds.
    pub unix_ms: u64,
}

impl WallClock {
    /// Unix time at `now`, milliseconds.
    pub fn unix_ms(&self, now: Instant) -> u64 {
        let since = now.saturating_duration_since(self.at).as_millis();
        self.unix_ms
            .saturating_add(u64::try_from(since).unwrap_or(u64::MAX))
    }
}
