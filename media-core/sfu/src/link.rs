//! A link: one client's connection, with its str0m instance, keys, paths and data channel. It knows
//! in which room it is and as which member, and nothing of what goes on there.

mod ciphers;
mod handshakes;
mod heartbeats;
mod inbound;
mod keys;
mod outbox;
mod paths;
mod questions;
mod reception;
mod reports;
mod rtc;
mod srtp;
mod stun;

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::BytesMut;
use rtc_srtp::crypto::RTCCryptoProvider;
use str0m::{Reason, Rtc, RtcError};

use heartbeats::Heartbeats;
use inbound::Inbound;
use keys::KeySlot;
use outbox::Outbox;
use paths::Paths;
use reports::RoundTrip;
use srtp::{MasterKey, Outbound, ntp};

pub(crate) use keys::TappedCrypto;
pub(crate) use outbox::Unread;
pub(crate) use srtp::is_rtcp;
pub(crate) use stun::{Stun, username};

use crate::budget::Budget;
use crate::config::Config;
use crate::deadline::Deadline;
use crate::idents::SessionId;
use crate::path::Path;
use crate::places::Place;
use crate::protocol::{Admission, Quality};
use crate::room::Entry;
use crate::rtp::{Opened, ReportBlock, Sent};
use crate::stats::{EndReason, ReportFlaw};
use crate::timers::Alarm;

/// Longest time in which str0m's ICE agent is not called.
const ICE_REST: Duration = Duration::from_secs(10);
/// Who reports to a client that is sent no voice.
const SSRC_WITHOUT_SLOTS: u32 = 1;

/// Where a session stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Phase {
    /// Admitted; DTLS has until then.
    Handshake { until: Instant },
    /// In its room, as this member.
    Live { member: usize },
    /// Out of its room; the last message has until then to arrive.
    Ending { until: Instant, reason: EndReason },
    /// To be removed by whoever holds it.
    Gone { reason: EndReason },
}

/// What the ticket says of the connection.
pub(crate) struct Credentials {
    pub(crate) ufrag: String,
    pub(crate) password: String,
    pub(crate) expires_at_unix_s: u64,
    /// First 16 bytes of the SHA-256 fingerprint of the client's certificate.
    fingerprint: [u8; 16],
}

pub(crate) struct Link {
    pub(crate) id: SessionId,
    pub(crate) room: usize,
    /// What the room will know of him.
    pub(crate) entry: Entry,
    pub(crate) credentials: Credentials,
    /// Boxed, so that what forwarding looks at lies close together.
    pub(crate) rtc: Box<Rtc>,
    pub(crate) phase: Phase,
    /// What it holds of its player's places.
    pub(crate) place: Place,
    /// It is to introduce itself: a hello must come, once it is in its room.
    pub(crate) says_hello: bool,
    /// Until when; none before it is in its room, and once it came.
    pub(crate) hello_until: Option<Instant>,
    pub(crate) paths: Paths,
    keys: KeySlot,
    /// Once there are keys.
    inbound: Option<Inbound>,
    outbound: Option<Outbound>,
    /// The source whose report is to be told back.
    asked_of: Option<u32>,
    pub(crate) round_trip: RoundTrip,
    /// How well he is heard and hears, when it was looked at last, and as he was told.
    pub(crate) quality: Option<Quality>,
    pub(crate) told: Option<Quality>,
    pub(crate) outbox: Outbox,
    pub(crate) budget: Budget,
    pub(crate) last_heard: Instant,
    /// Something came that only a client sends whose handshake is done.
    pub(crate) is_confirmed: bool,
    pub(crate) alarm: Alarm,
    /// When str0m wants to be called.
    pub(crate) rtc_at: Instant,
    /// When the next reports are due.
    pub(crate) report_at: Option<Instant>,
    pub(crate) migrate_at: Option<Instant>,
    /// When it ends who was asked to migrate and has not.
    pub(crate) leave_by: Option<Instant>,
    /// Of [`Admission::home_epoch`].
    pub(crate) home_epoch: u8,
    /// When the session ends.
    pub(crate) deadline: Deadline,
    /// It is in the queue of those who have something to send.
    pub(crate) dirty: bool,
}

impl Link {
    /// A link for `admission`, whose first authenticated datagram came at `now`: its owner gives it
    /// a room and an alarm. `client` is the client's own username fragment, and `entry` what the
    /// room will know of him.
    pub(crate) fn new(
        now: Instant,
        (config, crypto): (&Config, &TappedCrypto),
        (admission, entry): (Admission, Entry),
        (ufrag, client): (&str, &str),
    ) -> Result<Self, RtcError> {
        let rtc = rtc::build(now, (config, crypto), &admission, ufrag, client)?;
        Ok(Self {
            id: admission.session,
            room: usize::MAX,
            entry,
            credentials: Credentials {
                ufrag: ufrag.to_owned(),
                password: admission.ice_password,
                expires_at_unix_s: admission.expires_at_unix_s,
                fingerprint: admission.fingerprint,
            },
            rtc: Box::new(rtc),
            phase: Phase::Handshake {
                until: now + config.handshake_timeout,
            },
            place: Place::HalfOpen,
            says_hello: admission.says_hello,
            hello_until: None,
            paths: Paths::new(config.paths, config.consent_timeout),
            keys: crypto.newest_keys(),
            inbound: None,
            outbound: None,
            asked_of: None,
            round_trip: RoundTrip::default(),
            quality: None,
            told: None,
            outbox: Outbox::new(now),
            budget: Budget::default(),
            last_heard: now,
            is_confirmed: false,
            alarm: Alarm::default(),
            rtc_at: now,
            report_at: None,
            migrate_at: None,
            leave_by: None,
            home_epoch: admission.home_epoch,
            deadline: Deadline::unknown(now),
            dirty: false,
        })
    }

    /// Who he is in his room, while he is in it.
    pub(crate) fn member(&self) -> Option<usize> {
        match self.phase {
            Phase::Live { member } => Some(member),
            Phase::Handshake { .. } | Phase::Ending { .. } | Phase::Gone { .. } => None,
        }
    }

    /// Notes that str0m wants to be called at `at`. Its ICE agent wants so every 3 s, as one that
    /// sends checks must; this one does not, and the client's checks bring it there as often.
    pub(crate) fn note_timeout(&mut self, now: Instant, at: Instant) {
        let is_ice = self.member().is_some() && self.rtc.last_timeout_reason() == Reason::Ice;
        let is_idle = is_ice && !self.may_retransmit();
        self.rtc_at = if is_idle { at.max(now + ICE_REST) } else { at };
    }

    /// Whether DTLS or SCTP may have a timer: str0m names the earliest of all only, and with a rest
    /// for that of ICE a later one would be late. DTLS has one until the client has shown that it
    /// got the end of the handshake, SCTP while something is not acknowledged.
    fn may_retransmit(&mut self) -> bool {
        let buffered = self.outbox.buffered(&mut self.rtc);
        !self.is_confirmed || buffered.is_some_and(|bytes| bytes > 0)
    }

    /// Notes an authentic connectivity check. True when str0m's ICE agent need not see it.
    pub(crate) fn handle_check(&mut self, now: Instant, from: Path, nominates: bool) -> bool {
        self.last_heard = now;
        let has_seen = self.paths.handle_check(now, from, nominates);
        has_seen && self.member().is_some()
    }

    /// Where a datagram of str0m goes that it wants to send to `to`. Answers to checks go back to
    /// where they came from. None where nothing goes now, and for RTCP: str0m has nothing to
    /// report, and its nonces may have been used here.
    pub(crate) fn route(&self, to: Path, data: &[u8]) -> Option<Path> {
        let is_stun = data.first().is_some_and(|byte| *byte < 4);
        if is_stun {
            return Some(to);
        }
        if is_rtcp(data) {
            return None;
        }
        self.paths.route()
    }

    /// Takes note of what DTLS opened of a datagram from `from`: it is the client's, and may answer
    /// what was asked there.
    pub(crate) fn note_opened(&mut self, now: Instant, from: Path) {
        let (has_opened, answer, can_ask) = self.keys.heartbeats(|beats| {
            let (opened, answer) = (beats.take_has_opened(), beats.take_answer());
            (opened, answer, beats.can_ask())
        });
        if can_ask {
            self.paths.handle_association(now);
        }
        if has_opened {
            self.paths.note_fresh(now, from);
        }
        if let Some(answer) = answer {
            self.paths.handle_answer(now, from, |nonce| nonce == answer);
        }
    }

    /// Has the next poll of str0m seal a question to the client; false when he answers none.
    #[must_use]
    pub(crate) fn ask(&mut self, nonce: u64) -> bool {
        self.keys.heartbeats(|beats| {
            beats.ask(nonce);
            beats.can_ask()
        })
    }

    /// The question that was sealed.
    pub(crate) fn take_question(&mut self) -> Option<Vec<u8>> {
        self.keys.heartbeats(Heartbeats::take_sealed)
    }

    /// Takes the keys that the handshake exported. False when there are none of any use.
    #[must_use]
    pub(crate) fn take_keys(&mut self, crypto: &dyn RTCCryptoProvider) -> bool {
        debug_assert!(self.outbound.is_none(), "a key is used by one context");
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
        let opened = self.inbound.as_mut()?.open_rtp(now, packet, crypto)?;
        (self.last_heard, self.is_confirmed) = (now, true);
        Some(opened)
    }

    /// Opens a report, and takes note of one of a sender who was heard; nothing is in one of a
    /// sender who was not. None before there are keys, or when it is not the client's.
    pub(crate) fn open_report(
        &mut self,
        now: Instant,
        packet: &[u8],
        crypto: &dyn RTCCryptoProvider,
    ) -> Option<Option<BytesMut>> {
        self.inbound.as_mut()?.open_report(now, packet, crypto)
    }

    /// What an opened report says of the streams that he is sent.
    pub(crate) fn report_blocks(
        plain: &[u8],
    ) -> impl Iterator<Item = Result<ReportBlock, ReportFlaw>> + '_ {
        reports::blocks(plain)
    }

    /// Jitter of the source that was heard last, ticks of its clock.
    pub(crate) fn jitter_ticks(&self) -> u32 {
        self.inbound.as_ref().map_or(0, Inbound::jitter_ticks)
    }

    /// Seals an RTP packet.
    pub(crate) fn seal_rtp(&mut self, packet: &[u8]) -> Option<BytesMut> {
        self.outbound.as_mut()?.seal_rtp(packet)
    }

    /// Seals reports: of what was `sent` to the client, whose first stream has `ssrc`, and of what
    /// came from it. None when there is nothing to report.
    pub(crate) fn seal_reports(
        &mut self,
        now: Instant,
        unix_ms: u64,
        (sent, ssrc): (&[Sent], Option<u32>),
    ) -> Option<BytesMut> {
        let received = self.inbound.as_mut()?.take_reports(now);
        if sent.is_empty() && received.is_empty() {
            return None;
        }
        let ssrc = ssrc.unwrap_or(SSRC_WITHOUT_SLOTS);
        let outbound = self.outbound.as_mut()?;
        let ntp_time = ntp(unix_ms);
        if !sent.is_empty() {
            self.round_trip.note_sent(now, ntp_time);
        }
        outbound.seal_reports(ssrc, ntp_time, sent, received)
    }

    /// Seals a report of what was `sent` whose time is off by less than a second, which the client
    /// tells back with its next one. None when nothing was sent.
    pub(crate) fn seal_question(
        &mut self,
        now: Instant,
        (unix_ms, nonce): (u64, u64),
        sent: &[Sent],
    ) -> Option<BytesMut> {
        let ssrc = sent.first()?.ssrc;
        self.asked_of = Some(ssrc);
        let outbound = self.outbound.as_mut()?;
        let ntp_time = questions::time(ntp(unix_ms), nonce);
        self.round_trip.note_sent(now, ntp_time);
        outbound.seal_reports(ssrc, ntp_time, sent, Vec::new())
    }

    /// Takes a report of the client, who was asked by one.
    pub(crate) fn handle_answer(
        &mut self,
        now: Instant,
        (from, packet): (Path, &[u8]),
        crypto: &dyn RTCCryptoProvider,
    ) {
        let plain = self.inbound.as_ref();
        let plain = plain.and_then(|inbound| inbound.open_answer(packet, crypto));
        if let (Some(plain), Some(source)) = (plain, self.asked_of)
            && let Some(told) = questions::told(&plain, source)
        {
            let is_answer = |nonce| questions::is_answer(nonce, told);
            self.paths.handle_answer(now, from, is_answer);
        }
    }

    /// Queues a message; false when the client has let too many pile up.
    #[must_use]
    pub(crate) fn queue(&mut self, message: Arc<[u8]>) -> bool {
        self.outbox.queue(message)
    }

    /// Queues a pushed message; false when the client has no channel or too much waiting.
    #[must_use]
    pub(crate) fn queue_push(&mut self, message: Arc<[u8]>) -> bool {
        self.outbox.queue_push(&mut self.rtc, message)
    }

    /// Hands queued messages to the data channel.
    pub(crate) fn flush_outbox(&mut self) -> Result<(), Unread> {
        self.outbox.flush(&mut self.rtc)
    }

    /// Whether the certificate that DTLS saw is the one of the ticket.
    pub(crate) fn fingerprint_matches(&mut self) -> bool {
        let expected = self.credentials.fingerprint;
        let api = self.rtc.direct_api();
        api.remote_dtls_fingerprint()
            .is_some_and(|seen| seen.hash_func == "sha-256" && seen.bytes.starts_with(&expected))
    }
}
