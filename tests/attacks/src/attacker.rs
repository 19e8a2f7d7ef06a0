//! One player with a good ticket who means no good: one session or several, each in a room of its
//! own.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use anyhow::{Result, bail};
use client::Connection;
use loadgen::peer::{Common, Noticed, Peer, Role, Voice};
use loadgen::relay_process::{Figures, RelayProcess};
use udp::{Poller, RecvBatch, SendBatch};

/// Longest time to join.
const JOIN_MAX: Duration = Duration::from_secs(20);
/// Time between two of his turns.
const TURN: Duration = Duration::from_millis(5);
/// Numbers of the first one's sessions begin here, above those of all others; and so many are
/// each one's.
const FIRST_NUMBER: u32 = 1_000_000;
/// How old a relay's figures may be, and some.
const FIGURES_AGE_MAX: Duration = Duration::from_millis(300);

/// A player with some sessions.
pub struct Attacker {
    common: Common,
    sessions: Vec<Peer>,
    /// Of his next session.
    number: u32,
    received: RecvBatch,
    batch: SendBatch,
    noticed: Noticed,
    poller: Poller,
    heard: Heard,
}

/// What somebody hears.
#[derive(Debug, Clone, Copy)]
pub struct Heard {
    /// Voice packets.
    pub packets: u64,
    /// Longest time without any.
    pub longest_gap: Duration,
    last: Instant,
}

impl Heard {
    /// Nothing, from now on.
    fn nothing() -> Self {
        Self {
            packets: 0,
            longest_gap: Duration::ZERO,
            last: loadgen::now(),
        }
    }

    fn note(&mut self, packets: u64) {
        let now = loadgen::now();
        self.longest_gap = self.longest_gap.max(now - self.last);
        if packets > 0 {
            self.packets += packets;
            self.last = now;
        }
    }
}

impl Attacker {
    /// Joins so many rooms with one ticket's player.
    ///
    /// # Errors
    /// When he does not get in.
    pub fn join(relay: &RelayProcess, rooms: u32) -> Result<Self> {
        let rooms: Vec<String> = (0..rooms).map(|n| format!("attacked-{n}")).collect();
        Self::join_rooms(relay, &rooms, FIRST_NUMBER, true)
    }

    /// Joins a room with others, as the `nth` attacker of this relay.
    ///
    /// # Errors
    /// When he does not get in.
    pub fn join_room(relay: &RelayProcess, room: &str, nth: u32) -> Result<Self> {
        Self::join_rooms(relay, &[room.to_owned()], FIRST_NUMBER * (1 + nth), true)
    }

    /// The same without a microphone.
    ///
    /// # Errors
    /// When he does not get in.
    pub fn join_to_listen(relay: &RelayProcess, room: &str, nth: u32) -> Result<Self> {
        Self::join_rooms(relay, &[room.to_owned()], FIRST_NUMBER * (1 + nth), false)
    }

    fn join_rooms(
        relay: &RelayProcess,
        rooms: &[String],
        first: u32,
        speaks: bool,
    ) -> Result<Self> {
        let mut common = Common::new(relay.entry(), Voice::default(), loadgen::now())?;
        common.player = Some(first);
        let first_session = session(&common, first, &rooms[0], speaks)?;
        let batch = SendBatch::new(first_session.socket());
        let mut attacker = Self {
            common,
            number: first + 1,
            sessions: vec![first_session],
            received: RecvBatch::new(),
            batch,
            noticed: Noticed::default(),
            poller: Poller::new()?,
            heard: Heard::nothing(),
        };
        attacker.wait_until_welcome(&rooms[0])?;
        // One after the other: few sessions of a player may be half-open.
        for room in &rooms[1..] {
            let next = session(&attacker.common, attacker.number, room, speaks)?;
            attacker.number += 1;
            attacker.sessions.push(next);
            attacker.wait_until_welcome(room)?;
        }
        Ok(attacker)
    }

    fn wait_until_welcome(&mut self, room: &str) -> Result<()> {
        let until = loadgen::now() + JOIN_MAX;
        while self.turn()? == 0 {
            if loadgen::now() >= until {
                bail!("the attacker does not get into {room}");
            }
        }
        Ok(())
    }

    /// Lets every session take and send what is due, and a moment pass; how many became welcome.
    fn turn(&mut self) -> Result<u32> {
        let mut welcome = 0;
        for peer in &mut self.sessions {
            self.noticed = Noticed::default();
            let now = loadgen::now();
            peer.receive(now, &mut self.received, &mut self.batch, &mut self.noticed)?;
            if peer.timeout_at <= now {
                peer.handle_timeout(now, &mut self.batch, &mut self.noticed);
            }
            welcome += u32::from(self.noticed.welcomed);
            self.heard.note(self.noticed.voice);
        }
        self.poller.wait(Some(TURN))?;
        Ok(welcome)
    }

    /// Does `what` on each session, again and again for `time`, as long as he has sent less than
    /// `bytes_per_s`; what he sent, in bytes.
    ///
    /// # Errors
    /// When a socket fails.
    pub fn attack(
        &mut self,
        time: Duration,
        bytes_per_s: f64,
        mut what: impl FnMut(&mut Connection, Instant),
    ) -> Result<u64> {
        let (began, before) = (loadgen::now(), self.batch.stats().bytes);
        loop {
            let since = loadgen::now() - began;
            let sent = self.batch.stats().bytes - before;
            if since >= time {
                return Ok(sent);
            }
            if (sent as f64) < bytes_per_s * since.as_secs_f64() {
                for peer in &mut self.sessions {
                    let (batch, noticed) = (&mut self.batch, &mut self.noticed);
                    peer.act(loadgen::now(), batch, noticed, &mut what);
                }
            }
            self.turn()?;
        }
    }

    /// Does `what` on his first session at each of his turns, for `time` and once at least. He
    /// joins again whenever that session has ended, as a client would.
    ///
    /// # Errors
    /// When a socket fails.
    pub fn keep_doing(
        &mut self,
        time: Duration,
        mut what: impl FnMut(&mut Peer, &mut SendBatch, Instant) -> Result<()>,
    ) -> Result<()> {
        let until = loadgen::now() + time;
        loop {
            let peer = &mut self.sessions[0];
            if peer.is_over() {
                let (room, speaks) = (peer.role().room.to_string(), peer.role().speaks);
                *peer = session(&self.common, self.number, &room, speaks)?;
                self.number += 1;
            }
            what(peer, &mut self.batch, loadgen::now())?;
            let peer = &mut self.sessions[0];
            self.batch.flush(peer.socket());
            self.turn()?;
            if loadgen::now() >= until {
                return Ok(());
            }
        }
    }

    /// What he has heard since he was asked last.
    pub fn take_heard(&mut self) -> Heard {
        self.heard.note(0);
        std::mem::replace(&mut self.heard, Heard::nothing())
    }

    /// Whether his first session has ended.
    pub fn is_over(&self) -> bool {
        self.sessions[0].is_over()
    }

    /// Where the relay is.
    pub fn relay(&self) -> SocketAddr {
        self.sessions[0].relay()
    }

    /// A check of connectivity (RFC 8445) that his first session has sent.
    pub fn check(&self) -> Option<Vec<u8>> {
        let is_check = |data: &&[u8]| data.starts_with(&[0, 1]);
        self.sessions[0].kept().find(is_check).map(<[u8]>::to_vec)
    }

    /// The relay's figures of now: what it publishes is up to a fifth of a second old.
    ///
    /// # Errors
    /// When it does not answer.
    pub fn figures(&mut self, relay: &RelayProcess) -> Result<Figures> {
        self.keep_doing(FIGURES_AGE_MAX, |_, _, _| Ok(()))?;
        relay.figures()
    }
}

/// One that talks or listens, and keeps what it sends.
fn session(common: &Common, number: u32, room: &str, speaks: bool) -> Result<Peer> {
    let role = Role {
        room: room.parse()?,
        speaks,
        probes: true,
        hello: true,
        deafened: false,
        slots: 4,
    };
    let mut peer = Peer::new(common, number, role, loadgen::now())?;
    peer.keep_sent();
    Ok(peer)
}
