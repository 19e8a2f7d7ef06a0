//! One participant's connection: its str0m instance and what the core knows of it.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::BytesMut;
use rtc_srtp::crypto::RTCCryptoProvider;

use str0m::channel::ChannelId;
use str0m::config::{DtlsVersion, Fingerprint};
use str0m::net::TcpType;
use str0m::{Candidate, IceCreds, Reason, Rtc, RtcConfig, RtcError};

use crate::config::Config;
use crate::forward::{PayloadTypes, Slot, Voice};
use crate::idents::{PlayerKey, SessionId};
use crate::inbound::{Inbound, Opened};
use crate::keys::{KeySlot, TappedCrypto};
use crate::path::Path;
use crate::protocol::Admission;
use crate::srtp::{MasterKey, Outbound, Sent, is_rtcp};
use crate::stats::EndReason;
use crate::timers::Deadline;

/// Paths by which one session may be reached; a client that roams replaces its oldest.
const MAX_PATHS: usize = 4;
/// Data-channel messages that may wait for the channel.
const MAX_OUTBOX: usize = 512;
/// Waiting messages and bytes above which nothing more is pushed: a client who reads slowly misses
/// pushes, but is not ended for them.
const MAX_OUTBOX_FOR_PUSH: usize = 64;
const MAX_BUFFER_FOR_PUSH_BYTES: usize = 256 * 1024;
/// Buffer of the data channel; a client that lets more pile up is ended.
const MAX_CHANNEL_BUFFER_BYTES: usize = 1024 * 1024;
/// Longest message that a client may send.
const MAX_MESSAGE_BYTES: u32 = 16 * 1024;

/// Time after a check in which str0m's ICE agent need not see another: it gives up a path after
/// 15 s without, though it takes it up again with the next.
const CHECK_REST: Duration = Duration::from_secs(8);
/// Longest time in which str0m's ICE agent is not called.
const ICE_REST: Duration = Duration::from_secs(10);
/// Who reports to a client that is sent no voice.
const SSRC_WITHOUT_SLOTS: u32 = 1;

/// Where a session stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Phase {
    /// Admitted; DTLS has until then.
    Handshake { until: Instant },
    /// In its room.
    Live,
    /// Out of its room; the last message has until then to arrive.
    Ending { until: Instant, reason: EndReason },
    /// To be removed by whoever holds it.
    Gone { reason: EndReason },
}

/// What the next roster message says of a participant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum RosterMark {
    Joined,
    Changed,
    Known,
}

pub(crate) struct Session<F> {
    pub(crate) id: SessionId,
    pub(crate) player: PlayerKey,
    pub(crate) room: usize,
    pub(crate) participant: u32,
    /// Boxed, so that what forwarding looks at lies close together.
    pub(crate) rtc: Box<Rtc>,
    pub(crate) ufrag: String,
    pub(crate) password: String,
    pub(crate) expires_at_unix_s: u64,
    pub(crate) fingerprint: [u8; 16],
    pub(crate) phase: Phase,
    paths: VecDeque<Path>,
    /// The path that the client nominated last; media goes there.
    nominated: Option<Path>,
    /// The check that str0m has seen last, of the nominated path.
    check_seen: Option<(Path, Instant)>,
    /// Where what str0m sent last went.
    sent_to: Option<Path>,
    keys: KeySlot,
    /// Once there are keys.
    inbound: Option<Inbound>,
    outbound: Option<Outbound>,
    /// When the next reports are due.
    pub(crate) report_at: Option<Instant>,
    pub(crate) last_heard: Instant,
    /// Something came that only a client sends whose handshake is done.
    pub(crate) is_confirmed: bool,

    pub(crate) profile: Option<F>,
    /// Bit n: channel n of the room.
    pub(crate) in_channels: u64,
    pub(crate) speaks_in: u64,
    pub(crate) hears_in: u64,
    pub(crate) muted: bool,
    pub(crate) deafened: bool,
    /// Gets what is pushed to the world channel.
    pub(crate) reads_world: bool,
    pub(crate) voice: Voice,

    pub(crate) slots: Vec<Slot>,
    /// Bit n: the client must be told who is in slot n.
    pub(crate) slots_changed: u16,

    pub(crate) channel: Option<ChannelId>,
    pub(crate) welcomed: bool,
    pub(crate) roster_mark: RosterMark,
    /// Channels in which the room was told that this participant speaks.
    pub(crate) announced_in: u64,
    outbox: VecDeque<Arc<[u8]>>,
    messages: RateWindow,

    pub(crate) generation: u64,
    pub(crate) deadline: Deadline,
    pub(crate) rtc_at: Instant,
    pub(crate) migrate_at: Option<Instant>,
    pub(crate) dirty: bool,
}

/// Counts messages in whole seconds.
#[derive(Debug)]
struct RateWindow {
    since: Instant,
    count: u32,
}

impl<F> Session<F> {
    /// A session for `admission`, whose first authenticated datagram came at `now`. `client` is
    /// the client's own username fragment.
    pub(crate) fn new(
        now: Instant,
        (config, crypto): (&Config, &TappedCrypto),
        admission: Admission,
        ufrag: &str,
        client: &str,
        first_seq: u64,
    ) -> Result<Self, RtcError> {
        let payload_types = PayloadTypes {
            opus: admission.opus_payload_type,
            red: admission.red_payload_type,
        };
        let rtc = build_rtc(now, (config, crypto), &admission, ufrag, client)?;
        let slots = admission
            .slot_ssrcs
            .iter()
            .map(|&ssrc| Slot::new(ssrc, first_seq));
        Ok(Self {
            id: admission.session,
            player: admission.player,
            room: usize::MAX,
            participant: 0,
            rtc: Box::new(rtc),
            ufrag: ufrag.to_owned(),
            password: admission.ice_password,
            expires_at_unix_s: admission.expires_at_unix_s,
            fingerprint: admission.fingerprint,
            phase: Phase::Handshake {
                until: now + config.handshake_timeout,
            },
            paths: VecDeque::with_capacity(1),
            nominated: None,
            check_seen: None,
            sent_to: None,
            keys: crypto.newest_keys(),
            inbound: None,
            outbound: None,
            report_at: None,
            last_heard: now,
            is_confirmed: false,
            profile: None,
            in_channels: 0,
            speaks_in: 0,
            hears_in: 0,
            muted: false,
            deafened: false,
            reads_world: false,
            voice: Voice::new(payload_types, admission.audio_level_id),
            slots: slots.collect(),
            slots_changed: 0,
            channel: None,
            welcomed: false,
            roster_mark: RosterMark::Joined,
            announced_in: 0,
            outbox: VecDeque::new(),
            messages: RateWindow {
                since: now,
                count: 0,
            },
            generation: 0,
            deadline: Deadline::default(),
            rtc_at: now,
            migrate_at: None,
            dirty: false,
        })
    }

    pub(crate) fn is_live(&self) -> bool {
        self.phase == Phase::Live
    }

    /// Notes that str0m wants to be called at `at`. Its ICE agent wants so every 3 s, as one that
    /// sends checks must; this one does not, and the client's checks bring it there as often.
    pub(crate) fn note_timeout(&mut self, now: Instant, at: Instant) {
        let is_ice = self.is_live() && self.rtc.last_timeout_reason() == Reason::Ice;
        let is_idle = is_ice && !self.may_retransmit();
        self.rtc_at = if is_idle { at.max(now + ICE_REST) } else { at };
    }

    /// Whether DTLS or SCTP may have a timer: str0m names the earliest of all only, and with a rest
    /// for that of ICE a later one would be late. DTLS has one until the client has shown that it
    /// got the end of the handshake, SCTP while something is not acknowledged.
    fn may_retransmit(&mut self) -> bool {
        let channel = self.channel.and_then(|id| self.rtc.channel(id));
        !self.is_confirmed || channel.is_some_and(|mut channel| channel.buffered_amount() > 0)
    }

    /// Notes an authentic connectivity check. True when str0m's ICE agent need not see it: it
    /// would change nothing, since the agent has seen one like it lately.
    pub(crate) fn handle_check(&mut self, now: Instant, from: Path, nominates: bool) -> bool {
        self.last_heard = now;
        if nominates {
            self.nominated = Some(from);
        }
        if self.nominated != Some(from) || !self.is_live() {
            return false;
        }
        let lately = |(path, at)| path == from && now < at + CHECK_REST;
        let has_seen = self.check_seen.is_some_and(lately);
        if !has_seen {
            self.check_seen = Some((from, now));
        }
        has_seen
    }

    /// Where a datagram goes that str0m wants to send to `to`. Its ICE-lite agent stays with the
    /// first of two paths of one priority, which is what a client has whose NAT gave it another
    /// port: he would hear nothing any more. Answers to checks go back to where they came from.
    /// None where that is no path of the session any more, and for RTCP: str0m has nothing to
    /// report, and its nonces may have been used here.
    pub(crate) fn route(&mut self, to: Path, data: &[u8]) -> Option<Path> {
        let is_stun = data.first().is_some_and(|byte| *byte < 4);
        if is_stun {
            return Some(to);
        }
        if is_rtcp(data) {
            return None;
        }
        let to = self.nominated.unwrap_or(to);
        // It may have been the way to another session since.
        if !self.paths.contains(&to) {
            return None;
        }
        self.sent_to = Some(to);
        Some(to)
    }

    /// Where voice goes; none before anything was sent.
    pub(crate) fn media_route(&self) -> Option<Path> {
        self.nominated.or(self.sent_to)
    }

    /// Takes the keys that the handshake exported. False when there are none of any use.
    #[must_use]
    pub(crate) fn take_keys(&mut self, crypto: &dyn RTCCryptoProvider) -> bool {
        let exported = self.keys.take();
        let Some((ours, theirs)) = exported.and_then(|exported| MasterKey::pair(&exported)) else {
            return false;
        };
        self.outbound = Outbound::new(&ours, crypto);
        self.inbound = Some(Inbound::new(theirs));
        self.outbound.is_some()
    }

    /// Opens an RTP packet; none before there are keys, or when it does not prove to be new and the
    /// client's.
    pub(crate) fn open_rtp(
        &mut self,
        now: Instant,
        packet: &[u8],
        crypto: &dyn RTCCryptoProvider,
    ) -> Option<Opened> {
        self.inbound.as_mut()?.open_rtp(now, packet, crypto)
    }

    /// Takes note of a sender report; false before there are keys, or when it is not the client's.
    pub(crate) fn note_report(&mut self, now: Instant, packet: &[u8]) -> bool {
        let inbound = self.inbound.as_mut();
        inbound.is_some_and(|inbound| inbound.note_report(now, packet))
    }

    /// Seals an RTP packet.
    pub(crate) fn seal_rtp(&mut self, packet: &[u8]) -> Option<BytesMut> {
        self.outbound.as_mut()?.seal_rtp(packet)
    }

    /// Seals reports about all slots and sources of which there is something to report; none when
    /// there is none.
    pub(crate) fn seal_reports(&mut self, now: Instant, unix_ms: u64) -> Option<BytesMut> {
        let reports = self.slots.iter_mut();
        let sent: Vec<Sent> = reports.filter_map(|slot| slot.take_report(now)).collect();
        let received = self.inbound.as_mut()?.take_reports(now);
        if sent.is_empty() && received.is_empty() {
            return None;
        }
        let ssrc = self.slots.first().map_or(SSRC_WITHOUT_SLOTS, Slot::ssrc);
        let outbound = self.outbound.as_mut()?;
        outbound.seal_reports(ssrc, unix_ms, &sent, received)
    }

    /// Adds a path that was proved; returns one that is given up for it.
    pub(crate) fn add_path(&mut self, path: Path) -> Option<Path> {
        self.paths.push_back(path);
        let oldest = self.paths.front().copied();
        let given_up = oldest.filter(|_| self.paths.len() > MAX_PATHS);
        if let Some(given_up) = given_up {
            self.remove_path(given_up);
        }
        given_up
    }

    /// Forgets a path: nothing is sent there any more.
    pub(crate) fn remove_path(&mut self, path: Path) {
        self.paths.retain(|known| *known != path);
        self.nominated = self.nominated.filter(|nominated| *nominated != path);
        self.sent_to = self.sent_to.filter(|sent_to| *sent_to != path);
    }

    pub(crate) fn paths(&self) -> impl Iterator<Item = Path> + '_ {
        self.paths.iter().copied()
    }

    /// Whether the client may send one more message at `now`.
    pub(crate) fn take_message(&mut self, now: Instant, max_per_s: u32) -> bool {
        if now.saturating_duration_since(self.messages.since) >= Duration::from_secs(1) {
            self.messages = RateWindow {
                since: now,
                count: 0,
            };
        }
        self.messages.count = self.messages.count.saturating_add(1);
        self.messages.count <= max_per_s
    }

    /// Queues a message; false when the client has let too many pile up.
    #[must_use]
    pub(crate) fn queue(&mut self, message: Arc<[u8]>) -> bool {
        let fits = self.outbox.len() < MAX_OUTBOX;
        if fits {
            self.outbox.push_back(message);
        }
        fits
    }

    /// Queues a pushed message; false when the client is not there for it or has too much waiting.
    #[must_use]
    pub(crate) fn queue_push(&mut self, message: Arc<[u8]>) -> bool {
        let channel = self.channel.and_then(|id| self.rtc.channel(id));
        let buffered = channel.map(|mut channel| channel.buffered_amount());
        let fits = self.welcomed
            && self.outbox.len() < MAX_OUTBOX_FOR_PUSH
            && buffered.is_some_and(|bytes| bytes < MAX_BUFFER_FOR_PUSH_BYTES);
        fits && self.queue(message)
    }

    /// Messages that wait for the data channel.
    pub(crate) fn waiting(&self) -> usize {
        self.outbox.len()
    }

    /// Hands queued messages to the data channel; an error when the client does not read what it is
    /// sent.
    pub(crate) fn flush_outbox(&mut self) -> Result<(), EndReason> {
        let Some(id) = self.channel else {
            return Ok(());
        };
        while let Some(message) = self.outbox.pop_front() {
            let Some(mut channel) = self.rtc.channel(id) else {
                self.outbox.clear();
                return Ok(());
            };
            match channel.write(false, &message) {
                Ok(true) => {}
                Ok(false) | Err(_) => return Err(EndReason::Protocol),
            }
        }
        Ok(())
    }

    /// Whether the certificate that DTLS saw is the one of the ticket.
    pub(crate) fn fingerprint_matches(&mut self) -> bool {
        let expected = self.fingerprint;
        let api = self.rtc.direct_api();
        api.remote_dtls_fingerprint()
            .is_some_and(|seen| seen.hash_func == "sha-256" && seen.bytes.starts_with(&expected))
    }
}

fn build_rtc(
    now: Instant,
    (config, crypto): (&Config, &TappedCrypto),
    admission: &Admission,
    ufrag: &str,
    client: &str,
) -> Result<Rtc, RtcError> {
    let credentials = IceCreds {
        ufrag: ufrag.to_owned(),
        pass: admission.ice_password.clone(),
    };
    let settings = RtcConfig::new()
        .set_crypto_provider(Arc::clone(&crypto.provider))
        .set_dtls_cert(config.certificate.clone())
        // 1.3 saves a round trip; a client that has only 1.2 gets that.
        .set_dtls_version(DtlsVersion::Auto)
        // The ticket has a prefix of the fingerprint; the core compares it before it accepts
        // anything of the session.
        .set_fingerprint_verification(false)
        .set_ice_lite(true)
        .set_local_ice_credentials(credentials)
        .clear_codecs()
        .set_sctp_max_buffered_amount(MAX_CHANNEL_BUFFER_BYTES)
        .set_sctp_max_message_size(MAX_MESSAGE_BYTES);
    let mut rtc = settings.build(now);
    for &local in &config.local {
        rtc.add_local_candidate(Candidate::host(local, "udp")?);
    }
    for &local in &config.local_tcp {
        let passive = Candidate::builder().tcp().host(local);
        rtc.add_local_candidate(passive.tcptype(TcpType::Passive).build()?);
    }
    let mut api = rtc.direct_api();
    // An ICE-lite agent sends no checks, so it never uses the client's password.
    let pass = "unused-by-an-ice-lite-agent".to_owned();
    api.set_remote_ice_credentials(IceCreds {
        ufrag: client.to_owned(),
        pass,
    });
    let bytes = admission.fingerprint.to_vec();
    api.set_remote_fingerprint(Fingerprint {
        hash_func: "sha-256".to_owned(),
        bytes,
    });
    api.start_dtls(false)?;
    api.start_sctp(false);
    Ok(rtc)
}
