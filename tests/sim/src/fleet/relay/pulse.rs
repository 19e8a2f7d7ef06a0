//! Heartbeats, as `media-core/relay/src/heartbeat.rs` sends them.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use ::relay::{Wish, wish};
use edge::http::Request;
use edge::testing::calls;
use sfu::Command;
use wire::control::open_pending;
use wire::fleet::{
    Candidate, Heartbeat, HeartbeatReply, Load, ShardState, Transport, sign_heartbeat,
};
use wire::keys::ShardKeys;
use wire::problem::ProblemKind;
use wire::ticket::TICKET_VERSION;
use wire::{RegionName, SessionId, ShardId};

use super::{Leaving, Reply, Run, Site};
use crate::fleet::REGION;

/// Time between heartbeats.
const INTERVAL: Duration = Duration::from_secs(2);
/// Time until the first retry; doubles up to [`INTERVAL`].
const RETRY_MIN: Duration = Duration::from_millis(250);
/// A difference between the clocks above which that of a refusal is believed.
const SKEW_WARN_MS: u64 = 5_000;
/// Longest wait for a reply.
const REPLY_MAX: Duration = Duration::from_secs(2);
/// Longest wait for the reply to the last heartbeat.
const LAST_REPLY_MAX: Duration = Duration::from_millis(600);

/// A heartbeat on its way.
struct Waits {
    number: u64,
    sent_at: Instant,
    sent_at_ms: u64,
    until: Instant,
}

/// The heartbeats of one run of a shard.
pub(super) struct Pulse {
    at: Instant,
    waits: Option<Waits>,
    retry: Duration,
    taken: Vec<SessionId>,
    /// The next one does not wait.
    is_urgent: bool,
    numbers: u64,
    /// How many the fleet has taken.
    pub(super) accepted: u64,
    /// The last one, and whether the fleet has it.
    farewell: Option<bool>,
}

impl Pulse {
    pub(super) fn new(now: Instant) -> Self {
        Self {
            at: now,
            waits: None,
            retry: RETRY_MIN,
            taken: Vec::new(),
            is_urgent: false,
            numbers: 0,
            accepted: 0,
            farewell: None,
        }
    }

    pub(super) fn region(&self) -> RegionName {
        REGION.parse().expect("a name of a region")
    }

    pub(super) fn next_at(&self) -> Instant {
        self.waits.as_ref().map_or(self.at, |waits| waits.until)
    }

    /// Has something that cannot wait.
    pub(super) fn beat_now(&mut self, now: Instant) {
        (self.at, self.is_urgent) = (now, true);
    }

    /// Sends a last one, whatever is on its way; until when its reply is waited for.
    pub(super) fn say_farewell(&mut self, now: Instant) -> Instant {
        (self.waits, self.at, self.farewell) = (None, now, Some(false));
        now + LAST_REPLY_MAX
    }

    pub(super) fn is_farewell_heard(&self) -> bool {
        self.farewell == Some(true)
    }

    /// The number of a heartbeat that is to be sent now.
    pub(super) fn due(&mut self, now: Instant, now_ms: u64) -> Option<u64> {
        if self.waits.as_ref().is_some_and(|waits| now >= waits.until) {
            self.fail(now);
        }
        let is_over = self.farewell == Some(true);
        if self.waits.is_some() || now < self.at || is_over {
            return None;
        }
        self.numbers += 1;
        self.is_urgent = false;
        self.waits = Some(Waits {
            number: self.numbers,
            sent_at: now,
            sent_at_ms: now_ms,
            until: now + REPLY_MAX,
        });
        Some(self.numbers)
    }

    fn fail(&mut self, now: Instant) {
        self.waits = None;
        self.at = now + self.retry;
        self.retry = (self.retry * 2).min(INTERVAL);
    }
}

impl Run {
    pub(super) fn heartbeat(
        &self,
        (shard, sequence): (&ShardId, u64),
        address: &SocketAddr,
        url: &str,
        now_ms: u64,
        site: &Site,
    ) -> Heartbeat {
        Heartbeat {
            shard: shard.clone(),
            region: site.region.clone(),
            boot: self.boot,
            epoch: 0,
            sent_at_ms: now_ms,
            sequence,
            state: match self.leaving {
                Some(Leaving::Farewell(_) | Leaving::Stopping(_)) => ShardState::Stopping,
                _ if self.is_draining => ShardState::Draining,
                _ => ShardState::Open,
            },
            candidates: vec![Candidate {
                transport: Transport::Udp,
                address: *address,
            }],
            fingerprint: self.fingerprint.clone(),
            control_url: url.to_owned(),
            ticket_version: TICKET_VERSION,
            load: Load {
                participants: self.core.participants() as u32,
                rooms: self.core.rooms() as u32,
                cpu_permille: 0,
            },
            capacity: 100,
            // No room of a run is.
            large: Vec::new(),
            refused: Vec::new(),
            taken: self.pulse.taken.clone(),
        }
    }

    pub(super) fn handle_reply(&mut self, now: Instant, keys: &ShardKeys, reply: &Reply) {
        let number = reply.number;
        let waits = self.pulse.waits.take_if(|waits| waits.number == number);
        let Some(waits) = waits else {
            return;
        };
        let between = (waits.sent_at, now);
        let date_ms = reply.date_ms;
        let reply = reply.response.as_ref();
        let Some(reply) = reply.filter(|reply| reply.status == 200) else {
            let ours_ms = self.time.unix_ms(waits.sent_at);
            if reply.is_some() && date_ms.abs_diff(ours_ms) > SKEW_WARN_MS {
                self.time.follow(between, date_ms);
            }
            let revoked = ProblemKind::ShardRevoked.name();
            if reply.is_some_and(|reply| calls::problem(reply) == revoked) {
                self.set_draining(now, true);
            }
            return self.pulse.fail(now);
        };
        self.pulse.accepted += 1;
        self.pulse.retry = RETRY_MIN;
        if let Some(heard) = &mut self.pulse.farewell {
            *heard = true;
            return;
        }
        let reply: HeartbeatReply = calls::read(reply);
        self.time.follow(between, reply.now_ms);
        for moved in &reply.moved {
            let room = sfu::RoomKey(moved.room.0);
            let epoch = moved.epoch as u8;
            self.core
                .handle_command(now, Command::Moved { room, epoch });
        }
        self.pulse.taken = match &reply.commands {
            Some(sealed) => self.carry_out(now, keys, sealed, waits.sent_at_ms),
            None => Vec::new(),
        };
        let changed = self.set_draining(now, reply.draining);
        let is_due = changed || self.pulse.is_urgent;
        self.pulse.at = if is_due { now } else { now + INTERVAL };
    }

    /// Carries out what did not arrive when it was posted, and names it.
    fn carry_out(
        &mut self,
        now: Instant,
        keys: &ShardKeys,
        sealed: &str,
        sent_at_ms: u64,
    ) -> Vec<SessionId> {
        let region = self.pulse.region();
        let pending = open_pending(sealed, keys, self.boot, sent_at_ms);
        let pending = pending.unwrap_or_default();
        for command in &pending {
            if let Ok(message) = command.message()
                && let Wish::Do(command) = wish(message, &region)
            {
                self.core.handle_command(now, command);
            }
        }
        pending.iter().map(|command| command.nonce).collect()
    }
}

/// A heartbeat, signed.
pub(super) fn request(heartbeat: &Heartbeat, keys: &ShardKeys) -> Request {
    let body = serde_json::to_vec(heartbeat).expect("a heartbeat has string keys only");
    Request {
        method: "POST".into(),
        path: format!("/v1/relays/{}/heartbeat", heartbeat.shard),
        query: None,
        authorization: Some(sign_heartbeat(keys, &body)),
        content_type: Some("application/json".into()),
        body,
    }
}
