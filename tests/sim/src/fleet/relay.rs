//! The seam to the relay: one shard's process on its machine. The core and its protocol, what reads
//! sealed commands, and the guard against old ones are the relay's own; heartbeats and the way to a
//! clean end are told here again, as `media-core/relay` has them, for want of its tasks.

mod process;
mod pulse;

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use ::relay::{EdgeClock, ReplayGuard, SealedProtocol};
use edge::http::Request;
use edge::ports::{RelayReply, Unreachable};
use edge::testing::host::secret;
use sfu::{Command, Present, Sfu, WallClock};
use str0m::config::{DtlsCert, Fingerprint};
use wire::keys::ShardKeys;
use wire::limits::MAX_ROOM_PLAYERS;
use wire::{BootId, RoomKey, ShardId};

use super::air::Post;
use super::ledger::Ledger;
use process::request;
pub(super) use process::{DRAIN_OVER, Leaving, Reply, Run, Site};
use pulse::Pulse;

/// Time between two looks at the wall clock.
const CLOCK_EVERY: Duration = Duration::from_secs(1);
/// Longest drain on SIGTERM.
const DRAIN_MAX: Duration = Duration::from_secs(60);
/// Longest wait until the fleet knows that nobody is to be sent here.
const KNOWN_MAX: Duration = Duration::from_secs(3);
/// Datagrams that a socket keeps for a process that does not run.
const SOCKET_DATAGRAMS: usize = 2_000;

/// A machine with one shard.
pub(super) struct Relay {
    pub(super) id: ShardId,
    pub(super) address: SocketAddr,
    pub(super) url: String,
    /// What its machine's clock is ahead of true time, milliseconds.
    pub(super) ahead_ms: i64,
    /// Its process is stopped and may go on.
    pub(super) is_frozen: bool,
    /// Its process, if there is one.
    pub(super) run: Option<Run>,
    keys: ShardKeys,
    boots: u8,
    /// What has come for a process that does not run.
    datagrams: VecDeque<(SocketAddr, Vec<u8>)>,
    posts: Vec<Post>,
    replies: Vec<Reply>,
}

/// What comes of a step.
#[derive(Default)]
pub(super) struct Outcome {
    pub(super) sent: Vec<(SocketAddr, Vec<u8>)>,
    /// A heartbeat and its number.
    pub(super) beat: Option<(u64, Request)>,
    pub(super) answers: Vec<(u64, Result<RelayReply, Unreachable>)>,
    /// The process has ended: its books, and how many datagrams it gave out.
    pub(super) ended: Option<(Ledger, u64)>,
}

impl Relay {
    pub(super) fn new(n: usize) -> Self {
        let id: ShardId = format!("sim-{n}").parse().expect("a name of a shard");
        let address = SocketAddr::from(([10, 0, 0, n as u8 + 1], 7410));
        Self {
            keys: secret().shard_key(&id, 0).subkeys(),
            url: format!("http://{}:7411", address.ip()),
            id,
            address,
            ahead_ms: 0,
            is_frozen: false,
            run: None,
            boots: 0,
            datagrams: VecDeque::new(),
            posts: Vec::new(),
            replies: Vec::new(),
        }
    }

    /// Whether its process is there and goes on.
    pub(super) fn runs(&self) -> bool {
        self.run.is_some() && !self.is_frozen
    }

    /// Whether rooms may be placed on it.
    pub(super) fn takes_rooms(&self) -> bool {
        let is_open = |run: &Run| !run.is_draining && run.leaving.is_none();
        self.runs() && self.run.as_ref().is_some_and(is_open)
    }

    /// Unix time by its machine's clock, milliseconds.
    fn unix_ms(&self, true_ms: u64) -> u64 {
        true_ms.saturating_add_signed(self.ahead_ms)
    }

    /// Starts a process, which is another boot each time.
    pub(super) fn start(&mut self, now: Instant, true_ms: u64, site: &Site, certificate: DtlsCert) {
        self.boots += 1;
        let mut boot = [self.boots; 8];
        boot[7] = self.id.as_str().bytes().last().unwrap_or_default();
        let boot = BootId(boot);
        let digest = site.crypto.sha256_provider.sha256(&certificate.certificate);
        let fingerprint = Fingerprint {
            hash_func: "sha-256".to_owned(),
            bytes: digest.to_vec(),
        };
        let crypto = Arc::clone(&site.crypto);
        let config = sfu::Config::new(crypto, certificate, vec![self.address]);
        let protocol = SealedProtocol::new(self.keys.clone(), boot, &site.region);
        let unix_ms = self.unix_ms(true_ms);
        let clock = WallClock { at: now, unix_ms };
        let seed = site.seed ^ u64::from_be_bytes(boot.0);
        self.is_frozen = false;
        self.run = Some(Run {
            core: Sfu::new(config, protocol, clock, seed, now),
            ledger: Ledger::new(now),
            boot,
            fingerprint: fingerprint.to_string(),
            pulse: Pulse::new(now),
            replay: ReplayGuard::default(),
            time: EdgeClock::new(now, unix_ms),
            clock_at: now + CLOCK_EVERY,
            is_draining: false,
            leaving: None,
            drains_silently: false,
        });
    }

    /// Ends the process as it stands, and what waits for it.
    pub(super) fn kill(&mut self) -> Option<Ledger> {
        self.is_frozen = false;
        self.datagrams.clear();
        self.posts.clear();
        self.replies.clear();
        self.run.take().map(|run| run.ledger)
    }

    /// Lets a frozen process go on. What has come meanwhile comes first.
    pub(super) fn thaw(&mut self, now: Instant) -> Outcome {
        self.is_frozen = false;
        let mut outcome = Outcome::default();
        for (from, data) in std::mem::take(&mut self.datagrams) {
            self.handle_datagram(now, from, &data);
        }
        for post in std::mem::take(&mut self.posts) {
            let number = post.number;
            let answer = self.handle_post(now, post);
            outcome
                .answers
                .extend(answer.map(|answer| (number, answer)));
        }
        for reply in std::mem::take(&mut self.replies) {
            self.handle_reply(now, reply);
        }
        outcome
    }

    /// As on SIGTERM: drains, and ends when nobody is left.
    pub(super) fn terminate(&mut self, now: Instant) {
        let Some(run) = self.run.as_mut().filter(|run| run.leaving.is_none()) else {
            return;
        };
        run.leaving = Some(Leaving::Told {
            before: run.pulse.accepted,
            until: now + KNOWN_MAX,
            ends_at: now + DRAIN_MAX,
        });
        run.set_draining(now, true);
        run.pulse.beat_now(now);
    }

    pub(super) fn handle_datagram(&mut self, now: Instant, from: SocketAddr, data: &[u8]) {
        if self.is_frozen {
            if self.datagrams.len() < SOCKET_DATAGRAMS {
                self.datagrams.push_back((from, data.to_vec()));
            }
        } else if let Some(run) = &mut self.run {
            run.core.handle_datagram(now, from, data);
        }
    }

    /// Takes what the edge has posted. None while the process is frozen.
    pub(super) fn handle_post(
        &mut self,
        now: Instant,
        post: Post,
    ) -> Option<Result<RelayReply, Unreachable>> {
        if self.is_frozen {
            self.posts.push(post);
            return None;
        }
        let keys = &self.keys;
        let taken = self
            .run
            .as_mut()
            .map(|run| run.control(now, keys, &post.sealed));
        Some(taken.ok_or(Unreachable))
    }

    /// Takes the fleet's reply to a heartbeat.
    pub(super) fn handle_reply(&mut self, now: Instant, reply: Reply) {
        if self.is_frozen {
            self.replies.push(reply);
        } else if let Some(run) = &mut self.run {
            run.handle_reply(now, &self.keys, &reply);
        }
    }

    pub(super) fn next_at(&self) -> Option<Instant> {
        let run = self.run.as_ref().filter(|_| !self.is_frozen)?;
        let own = [run.clock_at, run.pulse.next_at()];
        let leaving = run.leaving.map(Leaving::next_at);
        own.into_iter()
            .chain(leaving)
            .chain(run.core.poll_timeout())
            .min()
    }

    /// Lets time pass.
    pub(super) fn advance(&mut self, now: Instant, site: &Site) -> Outcome {
        let mut outcome = Outcome::default();
        if self.is_frozen {
            return outcome;
        }
        let Some(run) = &mut self.run else {
            return outcome;
        };
        let now_ms = run.time.unix_ms(now);
        if now >= run.clock_at {
            run.clock_at = now + CLOCK_EVERY;
            let clock = WallClock {
                at: now,
                unix_ms: now_ms,
            };
            run.core.handle_command(now, Command::SetWallClock(clock));
        }
        if run.core.poll_timeout().is_some_and(|at| at <= now) {
            run.core.handle_timeout(now);
        }
        let is_over = run.advance_leaving(now);
        while let Some(transmit) = run.core.poll_transmit() {
            outcome.sent.push((transmit.to.address, transmit.data));
        }
        while let Some(event) = run.core.poll_event() {
            run.ledger.handle_event(&event);
        }
        run.ledger.handle_count(now, run.core.participants());
        if let Some(number) = run.pulse.due(now, now_ms) {
            let heartbeat =
                run.heartbeat((&self.id, number), &self.address, &self.url, now_ms, site);
            outcome.beat = Some((number, request(&heartbeat, &self.keys)));
        }
        if is_over {
            let datagrams = run.core.stats().datagrams_out;
            outcome.ended = self.kill().map(|ledger| (ledger, datagrams));
        }
        outcome
    }

    /// Who is in a room here, as the core says.
    pub(super) fn present(
        &self,
        now: Instant,
        room: RoomKey,
    ) -> impl Iterator<Item = Present<'_, Arc<::relay::Profile>>> {
        let room = sfu::RoomKey(room.0);
        let run = self.run.iter();
        run.flat_map(move |run| run.core.present(now, room, 0, MAX_ROOM_PLAYERS))
    }
}
