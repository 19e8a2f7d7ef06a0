//! The state machine: what goes in, what comes out, and what is due when.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};

use foldhash::quality::FixedState;
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use slab::Slab;

use crate::config::{Config, WallClock};
use crate::ended::Ended;
use crate::idents::{ChannelKey, PlayerKey, RoomKey, SessionId};
use crate::keys::TappedCrypto;
use crate::path::Path;
use crate::protocol::Protocol;
use crate::room::Room;
use crate::session::{Phase, Session};
use crate::stats::{EndReason, Queues, Stats};
use crate::timers::{Owner, Timers, Waiter};

/// How long the last message to a client may take before its connection is closed.
const LAST_WORDS: Duration = Duration::from_millis(250);

/// What the shell may ask of the core.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Command {
    /// End one session of one player; nothing happens when there is no such session.
    End {
        /// The session.
        session: SessionId,
        /// Whose it must be.
        player: PlayerKey,
        /// What the client is told.
        reason: EndReason,
    },
    /// Hand a message to participants as it is; one whose queue is long does not get it.
    Push {
        /// To whom.
        to: Audience,
        /// A message of the protocol.
        message: Arc<[u8]>,
    },
    /// Ask every participant to migrate, at random moments within `over`.
    Drain {
        /// The time over which the requests are spread.
        over: Duration,
    },
    /// Stop asking.
    Undrain,
    /// Tell everybody that the shard stops, and admit nobody from now on.
    Stop,
    /// Refuse sessions that are new, or take them again; those that there are go on.
    SetFull(bool),
    /// Corrects the wall clock.
    SetWallClock(WallClock),
}

/// Who gets a pushed message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Audience {
    /// Everybody in a room.
    Room(RoomKey),
    /// Everybody in a channel of a room.
    Channel(RoomKey, ChannelKey),
    /// One player in a room.
    Player(RoomKey, PlayerKey),
    /// Every participant who reads the world channel.
    World,
}

/// A datagram to send.
#[derive(Debug)]
pub struct Transmit {
    /// Where to.
    pub to: Path,
    /// The datagram; a TCP connection carries it framed (RFC 4571).
    pub data: Vec<u8>,
}

/// What the shell may want to know.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// A session's handshake finished and it is in its room.
    Connected {
        /// The session.
        session: SessionId,
    },
    /// A session is over.
    Ended {
        /// The session.
        session: SessionId,
        /// Why.
        reason: EndReason,
    },
    /// What a room used in a minute (or in the part of it in which it existed).
    Used {
        /// The room.
        room: RoomKey,
        /// Participants times time.
        participant_time: Duration,
        /// Voice received.
        talk_time: Duration,
        /// Datagrams sent to its participants.
        packets_out: u64,
        /// Bytes of them (UDP payload).
        bytes_out: u64,
    },
}

/// The media core of one shard. See the crate documentation for how to drive it.
pub struct Sfu<P: Protocol> {
    pub(crate) config: Config,
    pub(crate) crypto: TappedCrypto,
    pub(crate) protocol: P,
    pub(crate) rng: ChaCha8Rng,
    pub(crate) now: Instant,
    pub(crate) clock: WallClock,
    pub(crate) stopping: bool,
    pub(crate) full: bool,
    /// Rooms to which somebody was refused since the shard is full, oldest first.
    pub(crate) refused: VecDeque<RoomKey>,
    pub(crate) stats: Stats,
    pub(crate) sessions: Slab<Session<P::Profile>>,
    pub(crate) rooms: Slab<Room>,
    pub(crate) by_path: HashMap<Path, usize, FixedState>,
    pub(crate) by_session: HashMap<SessionId, usize, FixedState>,
    pub(crate) by_room: HashMap<RoomKey, usize, FixedState>,
    pub(crate) ended: Ended,
    pub(crate) timers: Timers,
    pub(crate) generation: u64,
    /// Sessions that have something to send, each once.
    pub(crate) dirty: VecDeque<usize>,
    /// Rooms with voice that waits to be sent.
    pub(crate) talking: VecDeque<usize>,
    /// Memory for voice that waits.
    pub(crate) spare: Vec<Vec<u8>>,
    pub(crate) transmits: VecDeque<Transmit>,
    pub(crate) events: VecDeque<Event>,
}

impl<P: Protocol> Sfu<P> {
    /// A shard without sessions. `clock` ties `now` to Unix time; equal seeds make equal choices.
    pub fn new(config: Config, protocol: P, clock: WallClock, seed: u64, now: Instant) -> Self {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        // Seeded, because an attacker who knew the seed could choose colliding addresses.
        let state = FixedState::with_seed(rng.next_u64());
        Self {
            crypto: TappedCrypto::new(&config.crypto),
            config,
            protocol,
            rng,
            now,
            clock,
            stopping: false,
            full: false,
            refused: VecDeque::new(),
            stats: Stats::default(),
            sessions: Slab::new(),
            rooms: Slab::new(),
            by_path: HashMap::with_hasher(state.clone()),
            by_session: HashMap::with_hasher(state.clone()),
            by_room: HashMap::with_hasher(state),
            ended: Ended::default(),
            timers: Timers::new(now),
            generation: 0,
            dirty: VecDeque::new(),
            talking: VecDeque::new(),
            spare: Vec::new(),
            transmits: VecDeque::new(),
            events: VecDeque::new(),
        }
    }

    /// What has been counted.
    pub fn stats(&self) -> &Stats {
        &self.stats
    }

    /// Sessions, those in handshake and those that are ending included.
    pub fn sessions(&self) -> usize {
        self.sessions.len()
    }

    /// Participants: sessions that are in their room.
    pub fn participants(&self) -> usize {
        self.rooms.iter().map(|(_, room)| room.members.len()).sum()
    }

    /// Rooms with at least one session.
    pub fn rooms(&self) -> usize {
        self.rooms.len()
    }

    /// Rooms to which somebody was refused since [`Command::SetFull`], oldest first and at most
    /// 64, and whether they have a session here.
    pub fn refused_rooms(&self) -> impl Iterator<Item = (RoomKey, bool)> + '_ {
        let here = |room| self.by_room.contains_key(room);
        self.refused.iter().map(move |room| (*room, here(room)))
    }

    /// How much is held at this moment. Looks at every session: not for each wake-up.
    pub fn queues(&self) -> Queues {
        let outboxes = self.sessions.iter().map(|(_, session)| session.waiting());
        Queues {
            transmits: self.transmits.len(),
            events: self.events.len(),
            dirty: self.dirty.len(),
            longest_outbox: outboxes.max().unwrap_or_default(),
            addresses: self.by_path.len(),
            timers: self.timers.len(),
            ended: self.ended.len(),
        }
    }

    /// Lets due timers act.
    pub fn handle_timeout(&mut self, now: Instant) {
        self.advance(now);
        while let Some((at, waiter)) = self.timers.pop_due(now) {
            match waiter.owner {
                Owner::Session(index) => {
                    let fired = self.sessions.get_mut(index).is_some_and(|session| {
                        session.generation == waiter.generation && session.deadline.fired(at)
                    });
                    if fired {
                        self.session_due(index);
                    }
                }
                Owner::Room(index) => {
                    let fired = self.rooms.get_mut(index).is_some_and(|room| {
                        room.generation == waiter.generation && room.deadline.fired(at)
                    });
                    if fired {
                        self.room_due(index);
                    }
                }
            }
        }
    }

    /// Whether `path` belongs to a session. A TCP connection that belongs to none may be closed.
    pub fn knows(&self, path: Path) -> bool {
        self.by_path.contains_key(&path)
    }

    /// Notes that a TCP connection is closed. Its session lives on until its consent times out,
    /// so that the client may open another.
    pub fn handle_closed(&mut self, now: Instant, path: Path) {
        self.advance(now);
        if let Some(index) = self.by_path.remove(&path) {
            self.sessions[index].remove_path(path);
        }
    }

    /// Carries out a command.
    pub fn handle_command(&mut self, now: Instant, command: Command) {
        self.advance(now);
        match command {
            Command::End {
                session,
                player,
                reason,
            } => {
                let index = self.by_session.get(&session).copied();
                if let Some(index) = index.filter(|&i| self.sessions[i].player == player) {
                    self.end(index, reason);
                }
            }
            Command::Push { to, message } => self.push(to, &message),
            Command::Drain { over } => self.drain_over(over),
            Command::Undrain => {
                for (_, session) in &mut self.sessions {
                    session.migrate_at = None;
                }
            }
            Command::Stop => {
                self.stopping = true;
                for index in self.session_indices() {
                    self.end(index, EndReason::RelayStopping);
                }
            }
            Command::SetFull(full) => {
                self.full = full;
                self.refused.clear();
            }
            Command::SetWallClock(clock) => self.clock = clock,
        }
    }

    /// The next datagram to send.
    pub fn poll_transmit(&mut self) -> Option<Transmit> {
        loop {
            if let Some(transmit) = self.transmits.pop_front() {
                self.stats.datagrams_out += 1;
                self.stats.bytes_out += transmit.data.len() as u64;
                return Some(transmit);
            }
            if let Some(&room) = self.talking.front() {
                self.forward_to_next(room);
                continue;
            }
            let index = self.dirty.pop_front()?;
            // A removed session may have left its index behind.
            if self
                .sessions
                .get(index)
                .is_some_and(|session| session.dirty)
            {
                self.service(index);
            }
        }
    }

    /// The next event.
    pub fn poll_event(&mut self) -> Option<Event> {
        self.events.pop_front()
    }

    /// When [`Sfu::handle_timeout`] wants to be called; none while there is nothing to wait for.
    pub fn poll_timeout(&self) -> Option<Instant> {
        self.timers.next_at()
    }

    pub(crate) fn advance(&mut self, now: Instant) {
        debug_assert!(now >= self.now, "the owner's clock went backwards");
        self.now = self.now.max(now);
    }

    pub(crate) fn unix_s(&self) -> u64 {
        self.clock.unix_ms(self.now) / 1000
    }

    pub(crate) fn next_generation(&mut self) -> u64 {
        self.generation += 1;
        self.generation
    }

    pub(crate) fn mark_dirty(&mut self, index: usize) {
        let session = &mut self.sessions[index];
        if !session.dirty {
            session.dirty = true;
            self.dirty.push_back(index);
        }
    }

    /// Ends a session: out of its room at once; the connection stays for the last message.
    pub(crate) fn end(&mut self, index: usize, reason: EndReason) {
        match self.sessions[index].phase {
            Phase::Live => {
                self.leave_room(index);
                let until = self.now + LAST_WORDS;
                self.sessions[index].phase = Phase::Ending { until, reason };
                self.queue_last_words(index, reason);
            }
            Phase::Handshake { .. } => self.sessions[index].phase = Phase::Gone { reason },
            Phase::Ending { .. } | Phase::Gone { .. } => {}
        }
        self.mark_dirty(index);
    }

    /// Forgets a session. Its ticket stays spent until it expires.
    pub(crate) fn remove(&mut self, index: usize, reason: EndReason) {
        if self.sessions[index].is_live() {
            self.leave_room(index);
        }
        let session = self.sessions.remove(index);
        for path in session.paths() {
            if self.by_path.get(&path) == Some(&index) {
                self.by_path.remove(&path);
            }
        }
        self.by_session.remove(&session.id);
        let unix_s = self.unix_s();
        self.ended.insert(session.id, session.expires_at_unix_s);
        self.ended.prune(unix_s);
        self.release_room(session.room, session.in_channels);
        self.stats.end(reason);
        self.events.push_back(Event::Ended {
            session: session.id,
            reason,
        });
    }

    /// Sets the session's timer to the earliest of what it waits for.
    pub(crate) fn arm_session(&mut self, index: usize) {
        let config = &self.config;
        let session = &mut self.sessions[index];
        let mut at = session
            .rtc_at
            .min(session.last_heard + config.consent_timeout);
        match session.phase {
            Phase::Handshake { until } | Phase::Ending { until, .. } => at = at.min(until),
            Phase::Live | Phase::Gone { .. } => {}
        }
        let others = [
            session.voice.speaking.ends_at(&config.speaking),
            session.migrate_at,
            session.report_at,
        ];
        at = others.into_iter().flatten().fold(at, Instant::min);
        let waiter = Waiter {
            owner: Owner::Session(index),
            generation: session.generation,
        };
        self.timers.arm(self.now, &mut session.deadline, at, waiter);
    }

    fn session_due(&mut self, index: usize) {
        let now = self.now;
        let config = &self.config;
        let session = &mut self.sessions[index];
        match session.phase {
            Phase::Handshake { until } if now >= until => {
                return self.remove(index, EndReason::Handshake);
            }
            Phase::Ending { until, reason } if now >= until => {
                session.phase = Phase::Gone { reason };
            }
            _ if now >= session.last_heard + config.consent_timeout => {
                return self.remove(index, EndReason::Timeout);
            }
            _ => {}
        }
        if session
            .voice
            .speaking
            .ends_at(&config.speaking)
            .is_some_and(|ends| now >= ends)
        {
            session.voice.speaking.clear();
            if session.is_live() {
                let room = session.room;
                self.schedule_flush(room);
            }
        }
        if self.sessions[index].migrate_at.is_some_and(|at| now >= at) {
            self.ask_to_migrate(index);
        }
        if self.sessions[index].report_at.is_some_and(|at| now >= at) {
            self.send_reports(index);
        }
        let session = &self.sessions[index];
        if now >= session.rtc_at || matches!(session.phase, Phase::Gone { .. }) {
            self.mark_dirty(index);
        } else {
            self.arm_session(index);
        }
    }

    fn drain_over(&mut self, over: Duration) {
        let now = self.now;
        for index in self.session_indices() {
            let share = f64::from(self.rng.next_u32()) / f64::from(u32::MAX);
            self.sessions[index].migrate_at = Some(now + over.mul_f64(share));
            self.arm_session(index);
        }
    }

    fn session_indices(&self) -> Vec<usize> {
        self.sessions.iter().map(|(index, _)| index).collect()
    }
}
