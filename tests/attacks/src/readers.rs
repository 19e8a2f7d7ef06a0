//! Clients in one room who only read, and keep what is pushed to them.

use std::time::Duration;

use anyhow::{Result, bail};
use loadgen::peer::{Common, Noticed, Peer, Role, Voice};
use loadgen::relay_process::RelayProcess;
use udp::{Poller, RecvBatch, SendBatch};
use wire::PlayerKey;
use wire::chat::ChatEvent;
use wire::hello::Hello;

/// Longest wait for something that must come.
const PATIENCE: Duration = Duration::from_secs(20);
/// Time between two looks at everybody's socket.
const TURN: Duration = Duration::from_millis(5);

/// Readers, numbered from 0, each a player of his own.
pub struct Readers {
    peers: Vec<Peer>,
    pushed: Vec<Vec<ChatEvent>>,
    welcome: usize,
    received: RecvBatch,
    batch: SendBatch,
    poller: Poller,
}

impl Readers {
    /// Lets so many join a room, with what `hello` says otherwise for each.
    ///
    /// # Errors
    /// When not all get in.
    pub fn join(
        relay: &RelayProcess,
        room: &str,
        count: u32,
        hello: fn(u32, &mut Hello),
    ) -> Result<Self> {
        let mut common = Common::new(relay.entry(), Voice::default(), loadgen::now())?;
        common.hello = Some(hello);
        let mut peers = Vec::new();
        for number in 0..count {
            let role = Role {
                room: room.parse()?,
                speaks: false,
                probes: true,
                hello: true,
                deafened: false,
                slots: 4,
            };
            peers.push(Peer::new(&common, number, role, loadgen::now())?);
        }
        let batch = SendBatch::new(peers[0].socket());
        let mut readers = Self {
            pushed: vec![Vec::new(); peers.len()],
            peers,
            welcome: 0,
            received: RecvBatch::new(),
            batch,
            poller: Poller::new()?,
        };
        let until = loadgen::now() + PATIENCE;
        while readers.welcome < readers.peers.len() {
            if loadgen::now() >= until {
                bail!("{} of {count} readers are in", readers.welcome);
            }
            readers.turn()?;
        }
        Ok(readers)
    }

    /// The player whose number that is.
    pub fn player(&self, number: u32) -> PlayerKey {
        let mut key = [0; 16];
        key[..4].copy_from_slice(&number.to_be_bytes());
        PlayerKey(key)
    }

    /// What was pushed to each since the beginning, as soon as all have what is `enough`.
    ///
    /// # Errors
    /// When it does not come.
    pub fn until(&mut self, enough: impl Fn(&[ChatEvent]) -> bool) -> Result<Vec<Vec<ChatEvent>>> {
        let until = loadgen::now() + PATIENCE;
        while !self.pushed.iter().all(|pushed| enough(pushed)) {
            if loadgen::now() >= until {
                bail!("some got less than that: {:?}", self.pushed);
            }
            self.turn()?;
        }
        Ok(self.pushed.clone())
    }

    /// Lets everybody take and send what is due, and a moment pass.
    ///
    /// # Errors
    /// When a socket fails.
    pub fn turn(&mut self) -> Result<()> {
        for (peer, pushed) in self.peers.iter_mut().zip(&mut self.pushed) {
            let (mut noticed, now) = (Noticed::default(), loadgen::now());
            peer.receive(now, &mut self.received, &mut self.batch, &mut noticed)?;
            if peer.timeout_at <= now {
                peer.handle_timeout(now, &mut self.batch, &mut noticed);
            }
            self.welcome += usize::from(noticed.welcomed);
            pushed.extend(noticed.pushed);
        }
        self.poller.wait(Some(TURN))?;
        Ok(())
    }
}
