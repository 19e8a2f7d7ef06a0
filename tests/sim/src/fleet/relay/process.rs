//! A process with one shard: what it says of itself, does when it is told, and how it ends.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use ::relay::{EdgeClock, ReplayGuard, SealedProtocol, Wish, wish};
use edge::http::{Request, Response};
use edge::ports::RelayReply;
use edge::testing::calls;
use sfu::{Command, Sfu};
use str0m::config::CryptoProvider;
use wire::control::{ControlMessage, NotTaken, open_pending, page_of, seal_players};
use wire::fleet::{
    Candidate, Heartbeat, HeartbeatReply, Load, ShardState, Transport, sign_heartbeat,
};
use wire::keys::ShardKeys;
use wire::problem::ProblemKind;
use wire::ticket::TICKET_VERSION;
use wire::{BootId, RegionName, SessionId, ShardId};

use super::pulse::{INTERVAL, Pulse, RETRY_MIN};
use crate::fleet::ledger::Ledger;

/// Time over which a drain asks: the relay's default.
pub(in crate::fleet) const DRAIN_OVER: Duration = Duration::from_secs(10);
/// From the order to stop until the process ends.
const STOP_MAX: Duration = Duration::from_millis(700);
/// Whoever was sent here just before the fleet knew has come after this long.
const LATE: Duration = Duration::from_secs(1);
/// A difference between the clocks above which that of a refusal is believed.
const SKEW_WARN_MS: u64 = 5_000;

/// What the machines of a run have in common.
pub(in crate::fleet) struct Site {
    pub(in crate::fleet) crypto: Arc<CryptoProvider>,
    pub(in crate::fleet) region: RegionName,
    pub(in crate::fleet) seed: u64,
}

/// The edge's reply to a heartbeat, or that there is none.
pub(in crate::fleet) struct Reply {
    /// That of the heartbeat.
    pub(in crate::fleet) number: u64,
    pub(in crate::fleet) response: Option<Response>,
    /// When the edge made it, by its own clock, to the second: Unix milliseconds.
    pub(in crate::fleet) date_ms: u64,
}

/// A process.
pub(in crate::fleet) struct Run {
    pub(in crate::fleet) core: Sfu<SealedProtocol>,
    pub(in crate::fleet) ledger: Ledger,
    pub(in crate::fleet) boot: BootId,
    pub(in crate::fleet) fingerprint: String,
    pub(super) pulse: Pulse,
    pub(in crate::fleet) replay: ReplayGuard,
    /// Unix time by the edge's clock.
    pub(in crate::fleet) time: EdgeClock,
    pub(in crate::fleet) clock_at: Instant,
    /// Drains, by whoever's wish.
    pub(in crate::fleet) is_draining: bool,
    pub(in crate::fleet) leaving: Option<Leaving>,
    /// Asks nobody to go: to see that it is seen.
    pub(in crate::fleet) drains_silently: bool,
}

/// How far a process is on its way to its end.
#[derive(Debug, Clone, Copy)]
pub(in crate::fleet) enum Leaving {
    /// Waits until the fleet knows: it had taken so many heartbeats before.
    Told {
        before: u64,
        until: Instant,
        ends_at: Instant,
    },
    /// Waits for those who were sent here just before the fleet knew.
    Late { until: Instant, ends_at: Instant },
    /// Waits until nobody is left.
    Drains { ends_at: Instant },
    /// Says farewell to the fleet until then.
    Farewell(Instant),
    /// Has ended its sessions.
    Stopping(Instant),
}

impl Run {
    /// How many heartbeats of it the fleet has taken, as it knows.
    pub(in crate::fleet) fn accepted(&self) -> u64 {
        self.pulse.accepted
    }

    pub(in crate::fleet) fn set_draining(&mut self, now: Instant, wanted: bool) -> bool {
        let wanted = wanted || self.leaving.is_some();
        if self.is_draining == wanted {
            return false;
        }
        self.is_draining = wanted;
        let command = match wanted {
            true => Command::Drain { over: DRAIN_OVER },
            false => Command::Undrain,
        };
        if !self.drains_silently {
            self.core.handle_command(now, command);
        }
        true
    }

    /// Takes one sealed message, as the control endpoint does.
    pub(in crate::fleet) fn control(
        &mut self,
        now: Instant,
        keys: &ShardKeys,
        sealed: &str,
    ) -> RelayReply {
        let refuse = |kind: ProblemKind| RelayReply {
            status: kind.status(),
            body: Vec::new(),
        };
        let message = match ControlMessage::open(sealed, keys, self.boot) {
            Ok(message) => message,
            Err(NotTaken::Seal) => return refuse(ProblemKind::SignatureInvalid),
            Err(NotTaken::Unknown) => return refuse(ProblemKind::CommandUnknown),
        };
        let nonce = message.nonce;
        let now_ms = self.time.unix_ms(now);
        if self.replay.check(message.at_ms, nonce, now_ms).is_err() {
            return refuse(ProblemKind::SignatureInvalid);
        }
        let region = self.pulse.region();
        match wish(message, &region) {
            Wish::Do(command) => {
                self.core.handle_command(now, command);
                RelayReply {
                    status: 202,
                    body: b"{}".to_vec(),
                }
            }
            Wish::Tell(question) => {
                let page = page_of(question.look(&self.core, now));
                RelayReply {
                    status: 200,
                    body: seal_players(&page, keys, self.boot, nonce).into_bytes(),
                }
            }
        }
    }

    /// Goes on towards its end; whether that has come.
    pub(in crate::fleet) fn advance_leaving(&mut self, now: Instant) -> bool {
        match self.leaving {
            Some(Leaving::Told {
                before,
                until,
                ends_at,
            }) if now >= until || self.pulse.accepted > before => {
                let until = now + LATE;
                self.leaving = Some(Leaving::Late { until, ends_at });
            }
            Some(Leaving::Late { until, ends_at }) if now >= until => {
                self.leaving = Some(Leaving::Drains { ends_at });
            }
            Some(Leaving::Drains { ends_at }) if now >= ends_at || self.core.sessions() == 0 => {
                let until = self.pulse.say_farewell(now);
                self.leaving = Some(Leaving::Farewell(until));
            }
            Some(Leaving::Farewell(until)) if now >= until || self.pulse.is_farewell_heard() => {
                self.core.handle_command(now, Command::Stop);
                self.leaving = Some(Leaving::Stopping(now + STOP_MAX));
            }
            Some(Leaving::Stopping(until)) => return now >= until,
            _ => {}
        }
        false
    }
}

impl Leaving {
    pub(in crate::fleet) fn next_at(self) -> Instant {
        match self {
            Self::Told { until, .. } | Self::Late { until, .. } => until,
            Self::Farewell(until) | Self::Stopping(until) => until,
            // Sessions end when they do; nobody says so.
            Self::Drains { ends_at } => ends_at,
        }
    }
}

impl Run {
    pub(in crate::fleet) fn heartbeat(
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

    pub(in crate::fleet) fn handle_reply(&mut self, now: Instant, keys: &ShardKeys, reply: &Reply) {
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
pub(in crate::fleet) fn request(heartbeat: &Heartbeat, keys: &ShardKeys) -> Request {
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
