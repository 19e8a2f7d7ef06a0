//! One player with a good ticket who means no good: one session or several, each in a room of its
//! own.

use std::time::{Duration, Instant};

use anyhow::{Result, bail};
use client::Connection;
use loadgen::peer::{Common, Noticed, Peer, Role, Voice};
use loadgen::relay_process::RelayProcess;
use udp::{Poller, RecvBatch, SendBatch};

/// Longest time to join.
const JOIN_MAX: Duration = Duration::from_secs(20);
/// Time between two of his turns.
const TURN: Duration = Duration::from_millis(5);
/// Numbers of his sessions begin here, above those of all others.
const FIRST_NUMBER: u32 = 1_000_000;

/// A player with some sessions.
pub struct Attacker {
    sessions: Vec<Peer>,
    received: RecvBatch,
    batch: SendBatch,
    noticed: Noticed,
    poller: Poller,
}

impl Attacker {
    /// Joins so many rooms with one ticket's player.
    ///
    /// # Errors
    /// When he does not get in.
    pub fn join(relay: &RelayProcess, rooms: u32) -> Result<Self> {
        let rooms: Vec<String> = (0..rooms).map(|n| format!("attacked-{n}")).collect();
        Self::join_rooms(relay, &rooms)
    }

    /// Joins a room with others.
    ///
    /// # Errors
    /// When he does not get in.
    pub fn join_room(relay: &RelayProcess, room: &str) -> Result<Self> {
        Self::join_rooms(relay, &[room.to_owned()])
    }

    fn join_rooms(relay: &RelayProcess, rooms: &[String]) -> Result<Self> {
        let mut common = Common::new(relay.entry(), Voice::default(), loadgen::now())?;
        common.player = Some(FIRST_NUMBER);
        let mut sessions = Vec::new();
        for (n, room) in (0..).zip(rooms) {
            let role = Role {
                room: room.parse()?,
                speaks: true,
                probes: true,
                hello: true,
                deafened: false,
                slots: 4,
            };
            sessions.push(Peer::new(&common, FIRST_NUMBER + n, role, loadgen::now())?);
        }
        let batch = SendBatch::new(sessions[0].socket());
        let mut attacker = Self {
            sessions,
            received: RecvBatch::new(),
            batch,
            noticed: Noticed::default(),
            poller: Poller::new()?,
        };
        let until = loadgen::now() + JOIN_MAX;
        let mut welcome = 0;
        while (welcome as usize) < rooms.len() {
            if loadgen::now() >= until {
                bail!("the attacker is in {welcome} of {} rooms", rooms.len());
            }
            welcome += attacker.turn()?;
        }
        Ok(attacker)
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
}
