//! STUN as RFC 8489 has it, written and judged without the core's code: a reference for what
//! counts as proof of a ticket.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use sfu::{Path, SessionId};
use str0m::config::CryptoProvider;

const HEADER_BYTES: usize = 20;
const USERNAME: u16 = 0x0006;
const MESSAGE_INTEGRITY: u16 = 0x0008;
const MAC_BYTES: usize = 20;

/// Writes a binding request: USERNAME, `attributes` as they are, MESSAGE-INTEGRITY.
pub(crate) fn binding_request(
    crypto: &CryptoProvider,
    username: &str,
    attributes: &[u8],
    password: &str,
) -> Vec<u8> {
    let mut data = vec![0, 1, 0, 0, 0x21, 0x12, 0xa4, 0x42];
    data.extend([7; 12]);
    data.extend(USERNAME.to_be_bytes());
    data.extend((username.len() as u16).to_be_bytes());
    data.extend(username.as_bytes());
    data.resize(data.len().next_multiple_of(4), 0);
    data.extend(attributes);
    data.resize(data.len().next_multiple_of(4), 0);
    let length = data.len() + 4 + MAC_BYTES - HEADER_BYTES;
    data[2..4].copy_from_slice(&(length as u16).to_be_bytes());
    let hmac = crypto.sha1_hmac_provider;
    let mac = hmac.sha1_hmac(password.as_bytes(), &[&data]);
    data.extend(MESSAGE_INTEGRITY.to_be_bytes());
    data.extend((MAC_BYTES as u16).to_be_bytes());
    data.extend(mac);
    data
}

/// Which tickets exist, and what has been proved with them so far.
pub(crate) struct Proofs {
    crypto: Arc<CryptoProvider>,
    /// By username fragment: session and password.
    tickets: BTreeMap<String, (SessionId, String)>,
    sessions: BTreeSet<[u8; 8]>,
    paths: BTreeSet<Path>,
}

impl Proofs {
    pub(crate) fn new(crypto: Arc<CryptoProvider>) -> Self {
        Self {
            crypto,
            tickets: BTreeMap::new(),
            sessions: BTreeSet::new(),
            paths: BTreeSet::new(),
        }
    }

    /// The edge gave out a ticket.
    pub(crate) fn issue(&mut self, ufrag: String, session: SessionId, password: String) {
        self.tickets.insert(ufrag, (session, password));
    }

    /// The shard is about to be given `data`.
    pub(crate) fn see(&mut self, from: Path, data: &[u8]) {
        if let Some(session) = self.proved_by(data) {
            self.sessions.insert(session.0);
            self.paths.insert(from);
        }
    }

    pub(crate) fn has_session(&self, session: SessionId) -> bool {
        self.sessions.contains(&session.0)
    }

    pub(crate) fn sessions(&self) -> usize {
        self.sessions.len()
    }

    /// Whether somebody on `path` proved a ticket: nobody else may be sent anything.
    pub(crate) fn has_path(&self, path: Path) -> bool {
        self.paths.contains(&path)
    }

    fn proved_by(&self, data: &[u8]) -> Option<SessionId> {
        let mut username = None;
        let mut is_genuine = None;
        let mut at = HEADER_BYTES;
        while let Some(&[k0, k1, l0, l1]) = data.get(at..at + 4) {
            let length = usize::from(u16::from_be_bytes([l0, l1]));
            let value = data.get(at + 4..at + 4 + length)?;
            match u16::from_be_bytes([k0, k1]) {
                USERNAME if username.is_none() => username = std::str::from_utf8(value).ok(),
                MESSAGE_INTEGRITY if is_genuine.is_none() => is_genuine = Some((at, value)),
                _ => {}
            }
            at += 4 + length.next_multiple_of(4);
        }
        let (ufrag, _) = username?.split_once(':')?;
        let (session, password) = self.tickets.get(ufrag)?;
        let (at, mac) = is_genuine?;
        // Section 14.5: over everything before it, with the length as if it were the last.
        let length = (at + 4 + MAC_BYTES - HEADER_BYTES) as u16;
        let (kind, cookie) = (&data[..2], &data[4..at]);
        let parts = [kind, &length.to_be_bytes(), cookie];
        let hmac = self.crypto.sha1_hmac_provider;
        (hmac.sha1_hmac(password.as_bytes(), &parts) == mac).then_some(*session)
    }
}
