//! The state machine: what goes in, what comes out, and what is due when. It wires links and rooms
//! to each other (`datagrams`, `links`, `rooms`, `work`) and has no rules of its own.

mod datagrams;
mod links;
mod pushes;
mod quality;
mod rooms;
mod work;

pub use datagrams::ticket_of;

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};

use foldhash::quality::FixedState;
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use slab::Slab;

use crate::budget::Budgets;
use crate::config::{Config, WallClock};
use crate::ended::Ended;
use crate::idents::{PlayerKey, RoomKey, SessionId};
use crate::link::{Link, TappedCrypto};
use crate::orders::Orders;
use crate::path::Path;
use crate::places::Places;
use crate::protocol::{Present, Protocol};
use crate::push::{Push, Pushes};
use crate::room::{Period, Room};
use crate::stats::{EndReason, Queues, Stats};
use crate::timers::{Alarm, Owner, Timers};
use crate::usage::{Usage, UsageRecord};

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
    /// Let nobody hear a player in a room, or let him be heard again. Of two that contradict each
    /// other the later one counts, whichever comes first.
    Mute {
        /// The room.
        room: RoomKey,
        /// The player.
        player: PlayerKey,
        /// Until when he is silenced, Unix milliseconds; none when he is not.
        until_ms: Option<u64>,
        /// When the edge said so, Unix milliseconds.
        at_ms: u64,
    },
    /// Remove a player from a room whose ticket is not younger; one of before does not bring him
    /// back.
    Kick {
        /// The room.
        room: RoomKey,
        /// The player.
        player: PlayerKey,
        /// When the edge said so, Unix milliseconds.
        at_ms: u64,
    },
    /// Remove a player from the whole shard, as [`Command::Kick`] does from a room: what he joined
    /// with was taken back.
    Revoke {
        /// The player.
        player: PlayerKey,
        /// When the edge said so, Unix milliseconds.
        at_ms: u64,
    },
    /// Let two players of a room not hear each other, or let them again; as [`Command::Mute`].
    Block {
        /// The room.
        room: RoomKey,
        /// Who blocks.
        player: PlayerKey,
        /// Whom.
        other: PlayerKey,
        /// Whether he does.
        blocked: bool,
        /// When the edge said so, Unix milliseconds.
        at_ms: u64,
    },
    /// Take a message of the protocol as if a session had sent it: a hello from the edge.
    Hello {
        /// The session.
        session: SessionId,
        /// The message.
        message: Arc<[u8]>,
    },
    /// Hand a message to participants as it is; one whose queue is long does not get it.
    Push(Push),
    /// The room lives on another shard since this epoch of its home (the low 8 bits): whoever came
    /// for an earlier one is asked to migrate, and nobody more is let in with such a ticket.
    Moved {
        /// The room.
        room: RoomKey,
        /// The epoch.
        epoch: u8,
    },
    /// Ask every participant to migrate, at random moments within `over`, and likewise those who
    /// come later. Who has not left half a minute after he was asked is ended.
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
    /// What a room used in a minute, or in a part of it.
    Used(UsageRecord),
}

/// Most removals from rooms that are remembered.
const MAX_KICKS: usize = 4096;
const MINUTE_MS: u64 = 60_000;
/// Most rooms that are remembered as moved.
const MAX_MOVED: usize = 4096;
/// Longer than any session.
const YEAR: Duration = Duration::from_secs(365 * 24 * 3600);

/// A room and when it is to be woken.
pub(crate) struct Kept<F> {
    pub(crate) room: Room<F>,
    alarm: Alarm,
}

/// The media core of one shard. See the crate documentation for how to drive it.
pub struct Sfu<P: Protocol> {
    config: Config,
    crypto: TappedCrypto,
    protocol: P,
    rng: ChaCha8Rng,
    now: Instant,
    clock: WallClock,
    stopping: bool,
    /// Within which time everybody is asked to migrate, while the shard drains.
    drains_over: Option<Duration>,
    full: bool,
    /// Rooms to which somebody was refused since the shard is full, oldest first.
    refused: VecDeque<RoomKey>,
    stats: Stats,
    links: Slab<Link>,
    rooms: Slab<Kept<P::Profile>>,
    by_path: HashMap<Path, usize, FixedState>,
    by_session: HashMap<SessionId, usize, FixedState>,
    by_room: HashMap<RoomKey, usize, FixedState>,
    ended: Ended,
    /// Players who were removed from rooms a moment ago.
    kicks: Orders<(RoomKey, PlayerKey), ()>,
    /// Who was silenced in which room a moment ago, and until when, or not any more: the room may
    /// not be here yet, or go before somebody comes with a ticket from before.
    mutes: Orders<(RoomKey, PlayerKey), Option<Instant>>,
    /// The same of who blocks whom, and whether he does.
    blocks: Orders<(RoomKey, (PlayerKey, PlayerKey)), bool>,
    /// Who was removed from the whole shard a moment ago.
    revoked: Orders<PlayerKey, ()>,
    /// Rooms that moved away a moment ago, and their epochs since.
    moved: Orders<RoomKey, u8>,
    /// What players may make the shard do.
    budgets: Budgets,
    /// Who holds how many of its places.
    places: Places,
    pushes: Pushes,
    pushes_alarm: Alarm,
    timers: Timers,
    /// Links that have something to send, each once.
    dirty: VecDeque<usize>,
    /// Rooms with voice that waits to be sent.
    talking: VecDeque<usize>,
    /// Records of usage that were made.
    usage_records: u64,
    /// Memory for voice that waits.
    spare: Vec<Vec<u8>>,
    transmits: VecDeque<Transmit>,
    events: VecDeque<Event>,
}

impl<P: Protocol> Sfu<P> {
    /// A shard without sessions. `clock` ties `now` to Unix time; equal seeds make equal choices.
    pub fn new(config: Config, protocol: P, clock: WallClock, seed: u64, now: Instant) -> Self {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        // Seeded, because an attacker who knew the seed could choose colliding addresses.
        let state = FixedState::with_seed(rng.next_u64());
        Self {
            crypto: TappedCrypto::new(&config.crypto),
            budgets: Budgets::new(&config.work, state.clone()),
            places: Places::new(config.places, state.clone()),
            config,
            protocol,
            rng,
            now,
            clock,
            stopping: false,
            drains_over: None,
            full: false,
            refused: VecDeque::new(),
            stats: Stats::default(),
            links: Slab::new(),
            rooms: Slab::new(),
            by_path: HashMap::with_hasher(state.clone()),
            by_session: HashMap::with_hasher(state.clone()),
            by_room: HashMap::with_hasher(state),
            ended: Ended::default(),
            kicks: Orders::new(MAX_KICKS),
            mutes: Orders::new(MAX_KICKS),
            blocks: Orders::new(MAX_KICKS),
            revoked: Orders::new(MAX_KICKS),
            moved: Orders::new(MAX_MOVED),
            pushes: Pushes::default(),
            pushes_alarm: Alarm::default(),
            timers: Timers::new(now),
            dirty: VecDeque::new(),
            talking: VecDeque::new(),
            usage_records: 0,
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
        self.links.len()
    }

    /// Participants: sessions that are in their room.
    pub fn participants(&self) -> usize {
        self.rooms.iter().map(|(_, kept)| kept.room.len()).sum()
    }

    /// Rooms with at least one session.
    pub fn rooms(&self) -> usize {
        self.rooms.len()
    }

    /// The rooms of so many participants and more.
    pub fn rooms_of(&self, least: usize) -> impl Iterator<Item = (RoomKey, usize)> + '_ {
        let rooms = self.rooms.iter().map(|(_, kept)| &kept.room);
        let rooms = rooms.map(|room| (room.key, room.len()));
        rooms.filter(move |(_, participants)| *participants >= least)
    }

    /// Rooms to which somebody was refused since [`Command::SetFull`], oldest first and at most
    /// 64, and whether they have a session here.
    pub fn refused_rooms(&self) -> impl Iterator<Item = (RoomKey, bool)> + '_ {
        let here = |room| self.by_room.contains_key(room);
        self.refused.iter().map(move |room| (*room, here(room)))
    }

    /// Who is in a room at `now`: of those with numbers above `after` the `most` lowest, by number;
    /// nobody in a room that is not here. Looks at every member once: not for each wake-up.
    pub fn present(
        &self,
        now: Instant,
        room: RoomKey,
        after: u32,
        most: usize,
    ) -> impl Iterator<Item = Present<'_, P::Profile>> {
        let room = self.by_room.get(&room).map(|&n| &self.rooms[n].room);
        let seen = room.map(|room| room.present(now, after, most));
        let now_ms = self.clock.unix_ms(now);
        seen.into_iter().flatten().map(move |seen| Present {
            session: self.links[seen.link].id,
            entry: seen.entry,
            talks: seen.talks,
            since_ms: now_ms.saturating_sub(millis(seen.stayed)),
        })
    }

    /// What all rooms have used until `now`, each counted where it happened and not from the
    /// records: those that were made and what [`Sfu::take_usage`] would make are as much.
    pub fn usage(&self, now: Instant) -> Usage {
        let mut usage = self.stats.usage;
        let here = self.rooms.iter().map(|(_, kept)| kept.room.stayed(now));
        usage.participant_time += here.sum::<Duration>();
        usage
    }

    /// Makes records of what rooms have used until `now`: before the shard ends, whoever is left.
    pub fn take_usage(&mut self, now: Instant) {
        self.advance(now);
        let rooms: Vec<usize> = self.rooms.iter().map(|(index, _)| index).collect();
        for index in rooms {
            self.report_usage(index);
            self.after_room(index);
        }
    }

    /// How much is held at this moment. Looks at every session: not for each wake-up.
    pub fn queues(&self) -> Queues {
        let outboxes = self.links.iter().map(|(_, link)| link.outbox.waiting());
        Queues {
            transmits: self.transmits.len(),
            events: self.events.len(),
            dirty: self.dirty.len(),
            longest_outbox: outboxes.max().unwrap_or_default(),
            addresses: self.by_path.len(),
            timers: self.timers.len(),
            ended: self.ended.len(),
            players: self.budgets.len(),
            holders: self.places.len(),
        }
    }

    /// Lets due timers act.
    pub fn handle_timeout(&mut self, now: Instant) {
        self.advance(now);
        while let Some((at, waiter)) = self.timers.pop_due(now) {
            match waiter.owner {
                Owner::Link(index) => {
                    let link = self.links.get_mut(index);
                    if link.is_some_and(|link| link.alarm.fired(at, waiter)) {
                        self.link_due(index);
                    }
                }
                Owner::Pushes => {
                    if self.pushes_alarm.fired(at, waiter) {
                        self.pushes_due();
                    }
                }
                Owner::Room(index) => {
                    let kept = self.rooms.get_mut(index);
                    if kept.is_some_and(|kept| kept.alarm.fired(at, waiter)) {
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

    /// The session to which `path` belongs.
    pub fn session_at(&self, path: Path) -> Option<SessionId> {
        self.by_path.get(&path).map(|&index| self.links[index].id)
    }

    /// Notes that a TCP connection is closed. Its session lives on until its consent times out,
    /// so that the client may open another.
    pub fn handle_closed(&mut self, now: Instant, path: Path) {
        self.advance(now);
        if let Some(index) = self.by_path.remove(&path) {
            self.links[index].paths.remove(path);
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
                if let Some(index) = index.filter(|&i| self.links[i].entry.player == player) {
                    self.end(index, reason);
                }
            }
            Command::Mute {
                room,
                player,
                until_ms,
                at_ms,
            } => self.mute(room, player, until_ms, at_ms),
            Command::Kick {
                room,
                player,
                at_ms,
            } => self.kick(room, player, at_ms),
            Command::Revoke { player, at_ms } => self.revoke(player, at_ms),
            Command::Block {
                room,
                player,
                other,
                blocked,
                at_ms,
            } => self.block(room, (player, other), blocked, at_ms),
            Command::Hello { session, message } => self.hello(session, &message),
            Command::Push(push) => self.push(push),
            Command::Moved { room, epoch } => self.moved(room, epoch),
            Command::Drain { over } => self.drain_over(over),
            Command::Undrain => {
                self.drains_over = None;
                for (_, link) in &mut self.links {
                    (link.migrate_at, link.leave_by) = (None, None);
                }
            }
            Command::Stop => {
                self.stopping = true;
                for index in self.link_indices() {
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
            if self.links.get(index).is_some_and(|link| link.dirty) {
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

    fn advance(&mut self, now: Instant) {
        debug_assert!(now >= self.now, "the owner's clock went backwards");
        self.now = self.now.max(now);
    }

    /// The moment at `unix_ms` of Unix time, a year away at most.
    fn instant_at(&self, unix_ms: u64) -> Instant {
        let left_ms = unix_ms.saturating_sub(self.clock.unix_ms(self.now));
        self.now + Duration::from_millis(left_ms).min(YEAR)
    }

    fn unix_s(&self) -> u64 {
        self.clock.unix_ms(self.now) / 1000
    }

    /// Over which usage is gathered from now on.
    fn period(&self) -> Period {
        let unix_ms = self.clock.unix_ms(self.now);
        let into_ms = unix_ms % MINUTE_MS;
        let left = Duration::from_millis(MINUTE_MS - into_ms);
        Period {
            minute_ms: unix_ms - into_ms,
            ends: self.now + left.min(self.config.usage_interval),
        }
    }

    /// A random share, 0 to 1.
    fn share(&mut self) -> f64 {
        f64::from(self.rng.next_u32()) / f64::from(u32::MAX)
    }

    fn link_indices(&self) -> Vec<usize> {
        self.links.iter().map(|(index, _)| index).collect()
    }
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}
