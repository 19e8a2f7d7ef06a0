//! Links: each client has one in each direction, with its own weather.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use str0m_netem::{GilbertElliot, Input, Netem, NetemConfig, Output, Probability};

use crate::chance::Chance;

/// No datagram is longer on its way: the worst latency and jitter below.
pub(crate) const IN_FLIGHT: Duration = Duration::from_millis(125);

/// What a link does to datagrams.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Weather {
    /// Nothing is lost; but there is jitter, and datagrams overtake each other or come twice.
    Calm,
    /// Bursts are lost too.
    Storm,
    /// Nothing passes.
    Blackout,
}

/// A datagram on its way. `peer` is the client's address as the relay sees it.
#[derive(Clone)]
pub(crate) struct Datagram {
    pub(crate) peer: SocketAddr,
    pub(crate) data: Vec<u8>,
}

impl AsRef<[u8]> for Datagram {
    fn as_ref(&self) -> &[u8] {
        &self.data
    }
}

/// One direction, of datagrams with what is to be known of each.
pub(crate) struct Link<D = Datagram> {
    netem: Netem<D>,
    /// One datagram in so many overtakes another. The same for the link's life: the network
    /// emulator numbers what is under way by it, and after a change what was sent before would
    /// wait behind everything that is sent later.
    reorder_gap: Option<u32>,
}

impl<D: AsRef<[u8]> + Clone> Link<D> {
    pub(crate) fn new(weather: Weather, chance: &mut Chance) -> Self {
        let (config, reorder_gap) = draw(weather, chance);
        Self {
            netem: Netem::new(reordering(config, reorder_gap)),
            reorder_gap,
        }
    }

    /// One that does just what `config` says, without overtaking.
    pub(crate) fn of(config: NetemConfig) -> Self {
        Self {
            netem: Netem::new(config),
            reorder_gap: None,
        }
    }

    /// Another network from now on.
    pub(crate) fn set_config(&mut self, config: NetemConfig) {
        self.netem.set_config(reordering(config, self.reorder_gap));
    }

    pub(crate) fn change(&mut self, weather: Weather, chance: &mut Chance) {
        let (config, _) = draw(weather, chance);
        self.set_config(config);
    }

    pub(crate) fn send(&mut self, now: Instant, datagram: D) {
        self.netem.handle_input(Input::Packet(now, datagram));
    }

    /// When the next datagram arrives.
    pub(crate) fn next_at(&self) -> Option<Instant> {
        (!self.netem.is_empty()).then(|| self.netem.poll_timeout())
    }

    /// The datagrams that have arrived at `now`.
    pub(crate) fn arrived(&mut self, now: Instant) -> Vec<D> {
        if self.next_at().is_none_or(|at| at > now) {
            return Vec::new();
        }
        self.netem.handle_input(Input::Timeout(now));
        let mut arrived = Vec::new();
        while let Some(Output::Packet(datagram)) = self.netem.poll_output() {
            arrived.push(datagram);
        }
        arrived
    }
}

fn reordering(config: NetemConfig, gap: Option<u32>) -> NetemConfig {
    match gap {
        Some(gap) => config.reorder_gap(gap),
        None => config,
    }
}

fn draw(weather: Weather, chance: &mut Chance) -> (NetemConfig, Option<u32>) {
    let latency = Duration::from_millis(chance.between(1, 80));
    let jitter = Duration::from_millis(chance.between(0, 40)).min(latency);
    let twice = Probability::new(chance.between(0, 50) as f32 / 1000.0);
    let config = NetemConfig::new()
        .latency(latency)
        .jitter(jitter)
        .duplicate(twice)
        .seed(chance.any());
    let reorder_gap = chance.percent(40).then(|| chance.between(3, 30) as u32);
    let config = match weather {
        Weather::Calm => config,
        Weather::Storm => config.loss(
            GilbertElliot::new()
                .good_duration(chance.between(5, 60) as f32)
                .bad_duration(chance.between(1, 15) as f32)
                .loss_in_bad(Probability::new(chance.between(50, 100) as f32 / 100.0))
                .loss_in_good(Probability::new(chance.between(0, 10) as f32 / 100.0)),
        ),
        Weather::Blackout => {
            let lost = Probability::new(1.0);
            config.loss(GilbertElliot::new().loss_in_good(lost).loss_in_bad(lost))
        }
    };
    (config, reorder_gap)
}
