//! What comes to the relay in a name that is not its sender's.

use std::net::SocketAddr;
use std::time::Duration;

use sfu::Path;

use super::{CANDIDACY, World};
use crate::client::is_voice;
use crate::model::Plan;
use crate::network::Weather;
use crate::strangers::{Strangers, There};
use crate::transition::Name;

/// First byte of a record of DTLS with a part of a handshake.
const HANDSHAKE: u8 = 22;
/// A client that has said something at least so often is where it was: less than the relay's
/// consent.
const SILENCE_MAX: Duration = Duration::from_secs(4);
/// In calm, the time for a question and its answer.
const PROOF_MAX: Duration = Duration::from_secs(1);

fn is_stun(data: &[u8]) -> bool {
    data.first().is_some_and(|byte| *byte < 4)
}

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
            self.send_as(n, name, &check)?;
        }
        Ok(())
    }

    /// A datagram of client `of` comes to the relay in a name that is not its sender's.
    pub(super) fn send_as(&mut self, of: usize, name: Name, data: &[u8]) -> Result<(), String> {
        let from = match name {
            Name::Stranger(stranger) => Strangers::address(stranger),
            Name::Client(n) => self.public[n],
        };
        let path = Path::udp(from);
        let before = self.sfu.session_at(path);
        self.strangers.handle_received(from, data.len());
        if is_voice(data) {
            self.model.members[of].last_voice = Some(self.now);
        }
        self.sfu.handle_datagram(self.now, from, data);
        let Name::Client(n) = name else {
            return Ok(());
        };
        let has_path = before == Some(self.model.members[n].session);
        if !has_path || !self.is_there(n) {
            self.cut_off(n, CANDIDACY);
        } else if self.sfu.session_at(path) != before {
            return Err(format!("client {n} lost its path to another"));
        }
        Ok(())
    }

    /// A datagram of client `n` arrives from `from`: unless it is a check it is authentic.
    pub(super) fn note_arrived(&mut self, n: usize, from: SocketAddr, data: &[u8]) {
        let session = self.model.members[n].session;
        let is_his = self.sfu.session_at(Path::udp(from)) == Some(session);
        if is_stun(data) || !is_his || !self.clients[n].connected {
            return;
        }
        let now = self.now;
        let was = self.there.get(&n).filter(|there| {
            there.address == from && now.saturating_duration_since(there.last) < SILENCE_MAX
        });
        let since = was.map_or(now, |there| there.since);
        let there = There {
            address: from,
            since,
            last: now,
        };
        self.there.insert(n, there);
    }

    /// Whether client `n` has proved to the relay that it is where it is: it has said something
    /// there again and again, and could be asked.
    fn is_there(&self, n: usize) -> bool {
        let now = self.now;
        let is_long = |since| now.saturating_duration_since(since) > PROOF_MAX;
        let (member, client) = (&self.model.members[n], &self.clients[n]);
        let can_answer = !client.down && !member.plan.whip && client.participant().is_some();
        let is_heard = |there: &There| {
            there.address == self.public[n]
                && is_long(there.since)
                && now.saturating_duration_since(there.last) < SILENCE_MAX
        };
        can_answer
            && member.calm_since.is_some_and(is_long)
            && self.there.get(&n).is_some_and(is_heard)
    }

    /// The client that gets a datagram. An impostor gets none, but it knows what a check is
    /// answered with.
    pub(super) fn receiver(&self, to: SocketAddr, data: &[u8]) -> Option<usize> {
        let mut impostors = self.impostors.iter().filter(|_| is_stun(data));
        let impostor = impostors.rfind(|&&n| self.public[n] == to);
        self.owners.get(&to).or(impostor).copied()
    }
}
