//! What can happen in a run, and the choice of what happens next.

use std::time::Duration;

use crate::chance::Chance;
use crate::hostile::Hostile;
use crate::model::{Grant, Plan};
use crate::network::Weather;
use crate::strangers::{RECORDED, STRANGERS};

/// Rooms and channels of the world.
pub(crate) const ROOMS: [&str; 2] = ["alpha", "beta"];
pub(crate) const CHANNELS: [&str; 3] = ["main", "team", "staff"];
/// Time over which a drain asks everybody.
pub(crate) const DRAIN_OVER: Duration = Duration::from_secs(2);
/// Most clients that are up at a time.
const CLIENTS_UP_MAX: usize = 7;
/// Most clients of a run, the dead ones included.
const CLIENTS_MAX: usize = 40;

/// In whose name a datagram is sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Name {
    /// That of somebody who is no player.
    Stranger(u8),
    /// That of a client, as the relay sees it.
    Client(usize),
}

/// One thing that happens. Numbers are those of clients.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Transition {
    /// A player joins.
    Join(Plan),
    /// A client leaves in good order.
    Leave(usize),
    /// A client stops without a word.
    Crash(usize),
    /// The player comes back with a new ticket, perhaps while the old session lives, and perhaps
    /// with one channel more.
    ComeBack {
        /// The old session.
        client: usize,
        /// A channel to join further.
        further: Option<Grant>,
    },
    /// Starts to talk.
    Talk(usize),
    /// Stops talking.
    Stop(usize),
    /// Sends hundreds of long packets at once.
    Flood(usize),
    /// A player joins in the name of a stranger, who gets what is sent to him.
    JoinAs(u8, Plan),
    /// Sends checks of connectivity in another name.
    ForgeCheck {
        /// Whose session it is.
        client: usize,
        /// The other name.
        name: Name,
        /// How many.
        times: u8,
    },
    /// Somebody sends the last check of a client again.
    ReplayCheck {
        /// Whose check it is.
        client: usize,
        /// In which name.
        name: Name,
    },
    /// Somebody sends another datagram of a client again.
    Replay {
        /// Whose datagram it is.
        client: usize,
        /// In which name.
        name: Name,
        /// How many others he has sent since.
        back: usize,
    },
    /// Sets mute.
    Mute(usize, bool),
    /// Sets deafen.
    Deafen(usize, bool),
    /// Voice comes from another source from now on.
    ChangeSource(usize),
    /// The client's NAT gives it another address: a new one, or that of a client that is gone.
    Rebind {
        /// The client.
        client: usize,
        /// Whose address it gets.
        of: Option<usize>,
    },
    /// The network of a client changes.
    Weather(usize, Weather),
    /// The edge ends a session.
    Kick(usize),
    /// The shard drains.
    Drain,
    /// It does not any more.
    Undrain,
}

/// What the generator knows of a client.
#[derive(Debug, Clone)]
pub(crate) struct Known {
    pub(crate) up: bool,
    pub(crate) talking: bool,
    pub(crate) muted: bool,
    pub(crate) deafened: bool,
    pub(crate) is_welcome: bool,
    pub(crate) weather: Weather,
}

/// Chooses what happens next.
pub(crate) fn choose(chance: &mut Chance, clients: &[Known], hostile: Hostile) -> Transition {
    let up: Vec<usize> = (0..clients.len()).filter(|&n| clients[n].up).collect();
    let may_grow = up.len() < CLIENTS_UP_MAX && clients.len() < CLIENTS_MAX;
    if up.len() < 3 && clients.len() < CLIENTS_MAX || may_grow && chance.percent(15) {
        return Transition::Join(plan(chance, clients.len(), hostile));
    }
    let Some(n) = chance.pick(&up) else {
        return Transition::Undrain;
    };
    let client = &clients[n];
    if hostile.floods && client.talking && chance.percent(25) {
        return Transition::Flood(n);
    }
    if hostile.forges && chance.percent(50) {
        return forgery(chance, n, clients, hostile);
    }
    match chance.between(0, 99) {
        0..20 if client.talking => Transition::Stop(n),
        0..34 => Transition::Talk(n),
        34..44 if client.is_welcome => Transition::Mute(n, !client.muted),
        44..52 if client.is_welcome => Transition::Deafen(n, !client.deafened),
        52..58 => Transition::ChangeSource(n),
        58..66 => {
            let gone: Vec<usize> = (0..clients.len()).filter(|&n| !clients[n].up).collect();
            let of = chance.pick(&gone).filter(|_| chance.percent(30));
            Transition::Rebind { client: n, of }
        }
        66..78 if client.weather != Weather::Calm => Transition::Weather(n, Weather::Calm),
        66..76 => Transition::Weather(n, Weather::Storm),
        76..78 => Transition::Weather(n, Weather::Blackout),
        78..82 => Transition::Leave(n),
        82..85 => Transition::Crash(n),
        85..87 => Transition::Kick(n),
        87..95 if clients.len() < CLIENTS_MAX => {
            let all: Vec<usize> = (0..clients.len()).collect();
            let client = chance.pick(&all).unwrap_or(n);
            let further = chance.percent(50).then(|| grant(chance));
            Transition::ComeBack { client, further }
        }
        95..97 => Transition::Drain,
        97..98 => Transition::Undrain,
        _ => Transition::Talk(n),
    }
}

/// What somebody sends who has the password of client `n`, or has recorded what it sent.
fn forgery(chance: &mut Chance, n: usize, clients: &[Known], hostile: Hostile) -> Transition {
    let others: Vec<usize> = (0..clients.len()).filter(|&m| m != n).collect();
    let other = chance.pick(&others).filter(|_| chance.percent(50));
    let stranger = chance.between(0, STRANGERS - 1) as u8;
    let name = other.map_or(Name::Stranger(stranger), Name::Client);
    if chance.percent(10) && clients.len() < CLIENTS_MAX {
        return Transition::JoinAs(stranger, plan(chance, clients.len(), hostile));
    }
    match chance.between(0, 2) {
        // One whose own name for ICE is not known yet would only hinder itself.
        0 if clients[n].is_welcome => Transition::ForgeCheck {
            client: n,
            name,
            times: chance.between(1, 20) as u8,
        },
        0 | 1 => Transition::ReplayCheck { client: n, name },
        _ => Transition::Replay {
            client: n,
            name,
            back: chance.between(0, RECORDED as u64 - 1) as usize,
        },
    }
}

fn plan(chance: &mut Chance, player: usize, hostile: Hostile) -> Plan {
    // Most meet in one room.
    let room = usize::from(chance.percent(20));
    let mut grants = vec![grant(chance)];
    while chance.percent(40) && grants.len() < CHANNELS.len() {
        let further = grant(chance);
        if grants.iter().all(|known| known.channel != further.channel) {
            grants.push(further);
        }
    }
    Plan {
        player,
        room,
        grants,
        slots: chance.between(1, 5) as usize,
        whip: chance.percent(8),
        ghost: hostile.ghosts && chance.percent(15),
    }
}

fn grant(chance: &mut Chance) -> Grant {
    let channel = if chance.percent(60) {
        0
    } else {
        chance.between(1, CHANNELS.len() as u64 - 1) as usize
    };
    Grant {
        channel,
        speak: chance.percent(85),
        listen: chance.percent(85),
    }
}
