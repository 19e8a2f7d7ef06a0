//! What comes to the relay in a name that is not its sender's.

use sfu::{Path, Transmit};

use super::World;
use crate::model::Plan;
use crate::network::Weather;
use crate::strangers::Strangers;
use crate::transition::Name;
use crate::watch;

/// First byte of a record of DTLS with a part of a handshake.
const HANDSHAKE: u8 = 22;

impl World {
    /// A player joins from the address of a stranger.
    pub(super) fn join_as(&mut self, stranger: u8, plan: Plan) {
        self.join(plan, Weather::Calm);
        let n = self.clients.len() - 1;
        self.impostors.insert(n);
        let own = std::mem::replace(&mut self.public[n], Strangers::address(stranger));
        self.owners.remove(&own);
        self.model.members[n].calm_since = None;
    }

    /// An impostor sends `data`: once it has asked for a handshake it has what it wants.
    pub(super) fn note_impostor(&mut self, n: usize, data: &[u8]) {
        if self.impostors.contains(&n) && data.first() == Some(&HANDSHAKE) {
            self.crash(n);
        }
    }

    /// Sends new checks with the password of client `n`.
    pub(super) fn forge_checks(&mut self, n: usize, name: Name, times: u8) -> Result<(), String> {
        for _ in 0..times {
            let check = self.strangers.check_of(n, &self.crypto);
            self.send_as(name, &check)?;
        }
        Ok(())
    }

    /// A datagram comes to the relay in a name that is not its sender's.
    pub(super) fn send_as(&mut self, name: Name, data: &[u8]) -> Result<(), String> {
        let from = match name {
            Name::Stranger(stranger) => Strangers::address(stranger),
            Name::Client(n) => self.public[n],
        };
        let path = Path::udp(from);
        let before = self.sfu.session_at(path);
        self.strangers.handle_received(from, data.len());
        self.sfu.handle_datagram(self.now, from, data);
        if let Name::Client(n) = name
            && before == Some(self.model.members[n].session)
            && self.is_there(n)
            && self.sfu.session_at(path) != before
        {
            return Err(format!("client {n} lost its path to another"));
        }
        Ok(())
    }

    /// Whether the relay has heard of client `n` where it is, a moment ago.
    fn is_there(&self, n: usize) -> bool {
        let has_been = watch::bound(&self.model, n);
        let is_long = |since| self.now.saturating_duration_since(since) > has_been;
        let calm_since = self.model.members[n].calm_since;
        let client = &self.clients[n];
        // It says something every second.
        !client.down && client.participant().is_some() && calm_since.is_some_and(is_long)
    }

    /// The client that gets a datagram. An impostor gets none, but it knows what a check is
    /// answered with.
    pub(super) fn receiver(&self, transmit: &Transmit) -> Option<usize> {
        let to = transmit.to.address;
        let is_stun = transmit.data.first().is_some_and(|byte| *byte < 4);
        let mut impostors = self.impostors.iter().filter(|_| is_stun);
        let impostor = impostors.rfind(|&&n| self.public[n] == to);
        self.owners.get(&to).or(impostor).copied()
    }
}
