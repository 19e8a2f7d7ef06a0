//! Where the SRTP keys of a session come from: what its DTLS handshake exports (RFC 5764).
//!
//! str0m runs DTLS and keeps the keys to itself. The crypto provider that it is given is a tap on
//! the real one: it passes everything on, and hands the exported keying material to the session
//! too, whose voice is opened and sealed beside str0m (see `inbound` and `srtp`). What DTLS opens
//! for SCTP passes here as well, but for what its association must not see (see `handshakes`), and
//! what the session asks its client is sealed here (see `heartbeats`).

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use str0m::config::CryptoProvider;
use str0m::crypto::CryptoError;
use str0m::crypto::dtls::{
    DtlsCert, DtlsImplError, DtlsInstance, DtlsOutput, DtlsProvider, DtlsVersion, KeyingMaterial,
    ProtocolVersion, SrtpProfile,
};

use super::ciphers::LazySrtp;
use super::handshakes::Handshake;
use super::heartbeats::Heartbeats;

/// One assignment is done under each lock of this file, so a poisoned value is a whole one.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What a handshake exported.
pub(crate) struct Exported {
    pub(crate) profile: SrtpProfile,
    pub(crate) material: KeyingMaterial,
}

/// Longest question to a client, sealed.
const SEALED_BYTES_MAX: usize = 256;

/// Where the handshake of one session leaves what it exports, and where its client is asked.
#[derive(Clone, Default)]
pub(crate) struct KeySlot(Arc<Mutex<Slot>>);

#[derive(Default)]
struct Slot {
    keys: Option<Exported>,
    heartbeats: Heartbeats,
}

impl KeySlot {
    /// Takes the keys, once there are any.
    pub(crate) fn take(&self) -> Option<Exported> {
        lock(&self.0).keys.take()
    }

    /// Lets `what` happen to the questions and answers of the session.
    pub(crate) fn heartbeats<T>(&self, what: impl FnOnce(&mut Heartbeats) -> T) -> T {
        what(&mut lock(&self.0).heartbeats)
    }
}

impl std::fmt::Debug for KeySlot {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("KeySlot")
    }
}

/// The crypto provider of one shard, whose handshakes are tapped.
pub(crate) struct TappedCrypto {
    pub(crate) provider: Arc<CryptoProvider>,
    tap: &'static KeyTap,
}

impl TappedCrypto {
    /// A provider like `crypto`. str0m wants providers to live for ever, so each call leaks a few
    /// bytes: one is made for each shard.
    pub(crate) fn new(crypto: &CryptoProvider) -> Self {
        let tap: &'static KeyTap = Box::leak(Box::new(KeyTap {
            real: crypto.dtls_provider,
            newest: Mutex::default(),
        }));
        let lazy: &'static LazySrtp = Box::leak(Box::new(LazySrtp::new(crypto.srtp_provider)));
        let provider = CryptoProvider {
            dtls_provider: tap,
            srtp_provider: lazy,
            ..crypto.clone()
        };
        Self {
            provider: Arc::new(provider),
            tap,
        }
    }

    /// Where the keys of the DTLS instance that was made last will be.
    pub(crate) fn newest_keys(&self) -> KeySlot {
        lock(&self.tap.newest).clone()
    }
}

/// A DTLS provider that passes everything on to another.
#[derive(Debug)]
struct KeyTap {
    real: &'static dyn DtlsProvider,
    newest: Mutex<KeySlot>,
}

impl DtlsProvider for KeyTap {
    fn generate_certificate(&self) -> Option<DtlsCert> {
        self.real.generate_certificate()
    }

    fn new_dtls(
        &self,
        certificate: &DtlsCert,
        now: Instant,
        version: DtlsVersion,
        mtu: Option<usize>,
    ) -> Result<Box<dyn DtlsInstance>, CryptoError> {
        let real = self.real.new_dtls(certificate, now, version, mtu)?;
        let keys = KeySlot::default();
        *lock(&self.newest) = keys.clone();
        let association = Handshake::default();
        Ok(Box::new(Tapped {
            real,
            keys,
            association,
        }))
    }

    fn is_test(&self) -> bool {
        self.real.is_test()
    }
}

/// One handshake.
#[derive(Debug)]
struct Tapped {
    real: Box<dyn DtlsInstance>,
    keys: KeySlot,
    association: Handshake,
}

impl Tapped {
    /// Takes note of what DTLS opened; false when SCTP must not see it.
    fn is_for_association(&mut self, packet: &[u8]) -> bool {
        let is_accepted = self.association.accepts(packet);
        let is_established = self.association.is_established();
        let noted = |beats: &mut Heartbeats| beats.note_opened(packet, is_established);
        self.keys.heartbeats(noted) && is_accepted
    }

    /// Seals what the client is to be asked; when DTLS wants to be called then, if it was.
    fn seal_question(&mut self) -> Option<Instant> {
        let question = self.keys.heartbeats(Heartbeats::take_question)?;
        self.real.send_application_data(&question).ok()?;
        let mut buffer = [0; SEALED_BYTES_MAX];
        if let DtlsOutput::Packet(datagram) = self.real.poll_output(&mut buffer) {
            self.keys.heartbeats(|beats| beats.note_sealed(datagram));
        }
        match self.real.poll_output(&mut buffer) {
            DtlsOutput::Timeout(at) => Some(at),
            _ => None,
        }
    }
}

impl DtlsInstance for Tapped {
    fn set_active(&mut self, active: bool) {
        self.real.set_active(active);
    }

    fn handle_packet(&mut self, packet: &[u8]) -> Result<(), DtlsImplError> {
        self.real.handle_packet(packet)
    }

    fn poll_output<'a>(&mut self, buf: &'a mut [u8]) -> DtlsOutput<'a> {
        let output = self.real.poll_output(buf);
        match &output {
            DtlsOutput::KeyingMaterial(material, profile) => {
                lock(&self.keys.0).keys = Some(Exported {
                    profile: *profile,
                    material: KeyingMaterial::new(material),
                });
                output
            }
            // SCTP discards what is shorter than its header (RFC 9260 section 8.5).
            DtlsOutput::ApplicationData(packet) if !self.is_for_association(packet) => {
                DtlsOutput::ApplicationData(&[])
            }
            // Nothing else waits to be sent.
            DtlsOutput::Timeout(at) => DtlsOutput::Timeout(self.seal_question().unwrap_or(*at)),
            _ => output,
        }
    }

    fn handle_timeout(&mut self, now: Instant) -> Result<(), DtlsImplError> {
        self.real.handle_timeout(now)
    }

    fn send_application_data(&mut self, data: &[u8]) -> Result<usize, DtlsImplError> {
        self.keys.heartbeats(|beats| beats.note_sent(data));
        self.real.send_application_data(data)
    }

    fn is_active(&self) -> bool {
        self.real.is_active()
    }

    fn protocol_version(&self) -> Option<ProtocolVersion> {
        self.real.protocol_version()
    }

    fn is_closing(&self) -> bool {
        self.real.is_closing()
    }

    fn is_closed(&self) -> bool {
        self.real.is_closed()
    }

    fn close(&mut self) -> Result<(), DtlsImplError> {
        self.real.close()
    }
}
