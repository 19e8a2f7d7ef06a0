//! People who send in other people's names: checks of connectivity with a password that they have,
//! and what they have recorded. Whatever they send, voice for a client goes to where that client
//! has been, and an address that is nobody's gets at most three times what came in its name.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::net::SocketAddr;
use std::time::Instant;

use str0m::config::CryptoProvider;
use str0m::ice::{StunMessage, TransId};

use crate::client::{Contact, is_voice};
use crate::network::IN_FLIGHT;

/// How many there are who are no players.
pub(crate) const STRANGERS: u64 = 3;
/// Datagrams of each client that are remembered.
pub(crate) const RECORDED: usize = 32;
/// Bytes to an address for each byte from there: the relay's limit, said again.
const FACTOR: u64 = 3;
/// Longest check.
const CHECK_BYTES_MAX: usize = 512;

/// What is known of everybody.
#[derive(Default)]
pub(crate) struct Strangers {
    clients: Vec<Seen>,
    /// Of each address that is nobody's.
    traffic: BTreeMap<SocketAddr, Traffic>,
}

/// What is known of one client.
struct Seen {
    contact: Contact,
    /// Addresses that it has had.
    had: BTreeSet<SocketAddr>,
    last_check: Option<Vec<u8>>,
    recorded: VecDeque<(Instant, Vec<u8>)>,
}

/// Where authentic datagrams of a client came from.
pub(crate) struct There {
    pub(crate) address: SocketAddr,
    pub(crate) since: Instant,
    pub(crate) last: Instant,
}

/// Bytes that came in its name, and bytes that were sent to it.
#[derive(Default)]
struct Traffic {
    came: u64,
    sent: u64,
}

impl Strangers {
    /// The address of one.
    pub(crate) fn address(stranger: u8) -> SocketAddr {
        SocketAddr::from(([10, 9, 0, stranger], 9000))
    }

    /// A client joins, the next in number.
    pub(crate) fn join(&mut self, contact: &Contact, address: SocketAddr) {
        self.clients.push(Seen {
            contact: contact.clone(),
            had: BTreeSet::from([address]),
            last_check: None,
            recorded: VecDeque::new(),
        });
    }

    /// A client has another address.
    pub(crate) fn moved(&mut self, n: usize, address: SocketAddr) {
        self.clients[n].had.insert(address);
    }

    /// A client sends a datagram.
    pub(crate) fn record(&mut self, now: Instant, n: usize, data: &[u8]) {
        let seen = &mut self.clients[n];
        // The type of a Binding request (RFC 8489).
        if data.starts_with(&[0, 1]) {
            seen.last_check = Some(data.to_vec());
        }
        seen.recorded.truncate(RECORDED - 1);
        seen.recorded.push_front((now, data.to_vec()));
    }

    /// The last check of a client.
    pub(crate) fn last_check(&self, n: usize) -> Option<Vec<u8>> {
        self.clients[n].last_check.clone()
    }

    /// What a client sent before so many others. Voice only while it might still be on its way:
    /// what is lost and comes later is new, and out of its time.
    pub(crate) fn recorded(&self, now: Instant, n: usize, back: usize) -> Option<Vec<u8>> {
        let (at, data) = self.clients[n].recorded.get(back)?;
        let is_late = now.saturating_duration_since(*at) > IN_FLIGHT;
        (!is_late || !is_voice(data)).then(|| data.clone())
    }

    /// A new check with the password of a client, which nominates.
    pub(crate) fn check_of(&self, n: usize, crypto: &CryptoProvider) -> Vec<u8> {
        let contact = &self.clients[n].contact;
        let username = format!("{}:forged", contact.ufrag);
        let message = StunMessage::binding_request(&username, TransId::new(), true, 1, 1, true);
        let hmac = |key: &[u8], parts: &[&[u8]]| crypto.sha1_hmac_provider.sha1_hmac(key, parts);
        let mut check = vec![0; CHECK_BYTES_MAX];
        let written = message.to_bytes(Some(contact.password.as_bytes()), &mut check, hmac);
        check.truncate(written.expect("a check of this length"));
        check
    }

    /// A datagram came in the name of whoever is at `from`.
    pub(crate) fn handle_received(&mut self, from: SocketAddr, bytes: usize) {
        self.traffic.entry(from).or_default().came += bytes as u64;
    }

    /// The relay sends a datagram; for which client, if it is voice.
    pub(crate) fn handle_sent(
        &mut self,
        to: SocketAddr,
        data: &[u8],
    ) -> Result<Option<usize>, String> {
        let is_somebodys = self.clients.iter().any(|seen| seen.had.contains(&to));
        if let Some(Traffic { came, sent }) = self.traffic.get_mut(&to).filter(|_| !is_somebodys) {
            *sent += data.len() as u64;
            if *sent > FACTOR * *came {
                return Err(format!("{sent} bytes went to {to} for {came} that came"));
            }
        }
        if !is_voice(data) {
            return Ok(None);
        }
        let slot = data[8..12].try_into().map(u32::from_be_bytes);
        let slot = slot.map_err(|_| "voice has a source".to_owned())?;
        let of = |seen: &Seen| seen.contact.slot_ssrcs.contains(&slot);
        let listener = self.clients.iter().position(of);
        let n = listener.ok_or_else(|| format!("slot {slot:x} is nobody's"))?;
        let seen = &self.clients[n];
        // Who has no data channel is asked by reports on voice, and so needs some.
        if seen.contact.has_channel && !seen.had.contains(&to) {
            return Err(format!(
                "voice for client {n} went to {to}, where it never was"
            ));
        }
        Ok(Some(n))
    }
}
