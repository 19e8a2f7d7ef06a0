//! Clients that a test lets in one after another, in one thread, and what each of them notices.

use std::net::UdpSocket;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use loadgen::peer::{Common, Entry, Noticed, Peer, Role, Voice};
use loadgen::relay_process::RelayProcess;
use udp::{Poller, RecvBatch, SendBatch};

/// Time between two turns.
const TURN: Duration = Duration::from_millis(5);
/// Turns in which a client sends its first check of connectivity.
const CHECK_TURNS: u32 = 200;
/// Longest datagram that is looked at.
const DATAGRAM_BYTES_MAX: usize = 2048;

/// What the clients are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// As games have them.
    Honest,
    /// Their tickets announce a hello, which they never say.
    Ghost,
    /// Their tickets announce none, and they say none.
    Nameless,
}

/// Clients of one kind.
pub struct Guests {
    kind: Kind,
    common: Common,
    guests: Vec<Guest>,
    received: RecvBatch,
    /// Made with the first one's socket.
    batch: Option<SendBatch>,
    poller: Poller,
}

/// One of them.
pub struct Guest {
    peer: Peer,
    /// The relay said welcome.
    pub is_welcome: bool,
    /// Its handshake is done.
    pub is_connected: bool,
    /// Voice packets that came.
    pub voice: u64,
}

impl Guest {
    /// Whether its connection is over.
    pub fn is_over(&self) -> bool {
        self.peer.is_over()
    }
}

impl Guests {
    /// Nobody yet. All of them are `player`, or each is one of its own.
    ///
    /// # Errors
    /// When no certificate can be made.
    pub fn new(relay: &RelayProcess, kind: Kind, player: Option<u32>) -> Result<Self> {
        Self::at(relay.entry(), kind, player)
    }

    fn at(entry: Entry, kind: Kind, player: Option<u32>) -> Result<Self> {
        let mut common = Common::new(entry, Voice::default(), loadgen::now())?;
        common.player = player;
        common.withholds_hello = kind == Kind::Ghost;
        Ok(Self {
            kind,
            common,
            guests: Vec::new(),
            received: RecvBatch::new(),
            batch: None,
            poller: Poller::new()?,
        })
    }

    /// One more comes, who listens in `room`; `number` is unique on the shard.
    ///
    /// # Errors
    /// When it cannot have a socket.
    pub fn arrive(&mut self, number: u32, room: &str) -> Result<()> {
        let role = Role {
            room: room.parse()?,
            speaks: false,
            probes: false,
            hello: self.kind != Kind::Nameless,
            deafened: false,
            slots: 4,
        };
        let mut peer = Peer::new(&self.common, number, role, loadgen::now())?;
        peer.keep_sent();
        self.batch
            .get_or_insert_with(|| SendBatch::new(peer.socket()));
        self.guests.push(Guest {
            peer,
            is_welcome: false,
            is_connected: false,
            voice: 0,
        });
        Ok(())
    }

    /// The newest one shows its ticket, and goes no further for now.
    ///
    /// # Errors
    /// When it does not get that far.
    pub fn show_ticket(&mut self) -> Result<()> {
        let guest = self.guests.last_mut().context("nobody came")?;
        let batch = self.batch.as_mut().context("nobody came")?;
        for _ in 0..CHECK_TURNS {
            let mut noticed = Noticed::default();
            guest
                .peer
                .handle_timeout(loadgen::now(), batch, &mut noticed);
            if guest.peer.kept().next().is_some() {
                return Ok(());
            }
            self.poller.wait(Some(TURN))?;
        }
        anyhow::bail!("a client sends no check of connectivity")
    }

    /// Lets all of them take and send what is due, until `until`.
    ///
    /// # Errors
    /// When a socket fails.
    pub fn pass(&mut self, until: Instant) -> Result<()> {
        while loadgen::now() < until {
            self.turn()?;
        }
        Ok(())
    }

    /// Lets all of them take and send what is due, and a moment pass.
    ///
    /// # Errors
    /// When a socket fails.
    pub fn turn(&mut self) -> Result<()> {
        let Some(batch) = &mut self.batch else {
            return Ok(());
        };
        for guest in self.guests.iter_mut().filter(|guest| !guest.is_over()) {
            let (now, mut noticed) = (loadgen::now(), Noticed::default());
            guest
                .peer
                .receive(now, &mut self.received, batch, &mut noticed)?;
            if guest.peer.timeout_at <= now {
                guest.peer.handle_timeout(now, batch, &mut noticed);
            }
            guest.is_welcome |= noticed.welcomed;
            guest.is_connected |= noticed.connected;
            guest.voice += noticed.voice;
        }
        self.poller.wait(Some(TURN))?;
        Ok(())
    }

    /// All who came, in this order.
    pub fn all(&self) -> &[Guest] {
        &self.guests
    }

    /// How many are welcome.
    pub fn welcome(&self) -> usize {
        self.guests.iter().filter(|guest| guest.is_welcome).count()
    }
}

/// The first check of connectivity (RFC 8445) of a player of whom the relay has not heard.
///
/// # Errors
/// When a socket fails.
pub fn first_check(relay: &RelayProcess, number: u32) -> Result<Vec<u8>> {
    // It goes elsewhere.
    let elsewhere = UdpSocket::bind("127.0.0.1:0")?;
    let mut entry = relay.entry();
    if let Entry::Sealed { heartbeat, .. } = &mut entry {
        for candidate in &mut heartbeat.candidates {
            candidate.address = elsewhere.local_addr()?;
        }
    }
    let mut guests = Guests::at(entry, Kind::Honest, None)?;
    guests.arrive(number, "elsewhere")?;
    guests.show_ticket()?;
    elsewhere.set_read_timeout(Some(Duration::from_secs(5)))?;
    let mut data = vec![0; DATAGRAM_BYTES_MAX];
    let length = elsewhere.recv(&mut data)?;
    data.truncate(length);
    Ok(data)
}
