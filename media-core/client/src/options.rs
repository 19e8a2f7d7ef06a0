//! What a connection is made with.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use str0m::config::{CryptoProvider, DtlsCert, DtlsVersion};
use str0m::net::Protocol;

/// How a connection is made.
#[derive(Clone)]
pub struct Options {
    /// Does the cryptography, and draws what has to be secret.
    pub crypto: Arc<CryptoProvider>,
    /// Own certificate. Making one is the most expensive part of a client; it may serve for many.
    pub certificate: DtlsCert,
    /// Own address, as the socket is bound or connected; not 0.0.0.0.
    pub local: SocketAddr,
    /// UDP, or TCP: there each datagram travels behind its length (RFC 4571), which the
    /// application adds and takes away.
    pub protocol: Protocol,
    /// Version of DTLS.
    pub dtls: DtlsVersion,
    /// How many can be heard at once; the edge refuses more than 16.
    pub slots: u8,
    /// How long the relay may take to answer connectivity checks. With it come the limit for its
    /// welcome and the heartbeat. None: this side never gives up.
    pub patience: Option<Duration>,
    /// Opens a second data channel for positions, which [`crate::Connection::handle_position`]
    /// sends: unordered, nothing is sent again.
    pub positions: bool,
    /// SSRC of the microphone where there is no offer; none for one of the crate's.
    pub source: Option<u32>,
    /// More payload types that can be sent and received.
    pub other_payload_types: Vec<u8>,
    /// How often to look at how the relay receives the own voice, which [`crate::Event::Reception`]
    /// tells; none for never.
    pub reception_every: Option<Duration>,
}

impl Options {
    /// Over UDP, with four slots and without a limit.
    pub fn new(crypto: Arc<CryptoProvider>, certificate: DtlsCert, local: SocketAddr) -> Self {
        Self {
            crypto,
            certificate,
            local,
            protocol: Protocol::Udp,
            dtls: DtlsVersion::Auto,
            slots: 4,
            patience: None,
            positions: false,
            source: None,
            other_payload_types: Vec::new(),
            reception_every: None,
        }
    }
}
