//! DTLS without cryptography: two datagrams with certificates are a handshake, and everything else
//! is in the clear. A search gets past it in microseconds, and can say behind it whatever it likes.
//!
//! The ends of both sides agree with the real thing in what the core sees: who connected, with
//! which certificate and keys, what was said, and that the other end closed.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

use str0m::config::{CryptoProvider, DtlsCert, DtlsVersion, KeyingMaterial};
use str0m::crypto::CryptoError;
use str0m::crypto::dtls::{
    DtlsImplError, DtlsInstance, DtlsOutput, DtlsProvider, ProtocolVersion, SrtpProfile,
};

/// Content types of records (RFC 6347), which tell DTLS from all else in a datagram (RFC 7983).
const ALERT: u8 = 21;
const HANDSHAKE: u8 = 22;
pub(crate) const APPLICATION_DATA: u8 = 23;
/// Keys and salts of both sides, for AES-128 in counter mode (RFC 5764).
pub(crate) const KEYING_MATERIAL: [u8; 60] = [0; 60];
/// Time after which a certificate that had no answer is sent again.
const AGAIN: Duration = Duration::from_secs(1);
const NEVER: Duration = Duration::from_secs(24 * 3600);

/// A provider like `real`, but whose handshakes are plain. Leaks a few bytes, since str0m wants
/// providers to live for ever.
pub(crate) fn provider(real: &CryptoProvider) -> Arc<CryptoProvider> {
    let dtls_provider: &'static Plain = Box::leak(Box::new(Plain(real.dtls_provider)));
    Arc::new(CryptoProvider {
        dtls_provider,
        ..real.clone()
    })
}

/// What the record of `said` is.
pub(crate) fn record(said: &[u8]) -> Vec<u8> {
    [&[APPLICATION_DATA], said].concat()
}

#[derive(Debug)]
struct Plain(&'static dyn DtlsProvider);

impl DtlsProvider for Plain {
    fn generate_certificate(&self) -> Option<DtlsCert> {
        self.0.generate_certificate()
    }

    fn new_dtls(
        &self,
        certificate: &DtlsCert,
        now: Instant,
        _: DtlsVersion,
        _: Option<usize>,
    ) -> Result<Box<dyn DtlsInstance>, CryptoError> {
        Ok(Box::new(End {
            certificate: certificate.certificate.clone(),
            is_active: false,
            is_connected: false,
            is_closed: false,
            now,
            again_at: None,
            outputs: VecDeque::new(),
        }))
    }
}

/// What an end has for str0m.
#[derive(Debug)]
enum Owned {
    Packet(Vec<u8>),
    Connected,
    Certificate(Vec<u8>),
    Keys,
    Said(Vec<u8>),
    Closed,
}

/// One end of a connection.
#[derive(Debug)]
struct End {
    certificate: Vec<u8>,
    is_active: bool,
    is_connected: bool,
    is_closed: bool,
    now: Instant,
    again_at: Option<Instant>,
    outputs: VecDeque<Owned>,
}

impl End {
    fn show_certificate(&mut self) {
        let shown = [&[HANDSHAKE], &self.certificate[..]].concat();
        self.outputs.push_back(Owned::Packet(shown));
    }
}

impl DtlsInstance for End {
    fn set_active(&mut self, active: bool) {
        self.is_active = active;
        if active {
            self.again_at = Some(self.now);
        }
    }

    fn handle_packet(&mut self, packet: &[u8]) -> Result<(), DtlsImplError> {
        let Some((&kind, content)) = packet.split_first() else {
            return Ok(());
        };
        match kind {
            HANDSHAKE if !content.is_empty() => {
                // The passive end answers again: its answer may have been lost.
                if !self.is_active {
                    self.show_certificate();
                }
                if !self.is_connected {
                    self.is_connected = true;
                    self.again_at = None;
                    let certificate = content.to_vec();
                    self.outputs.push_back(Owned::Certificate(certificate));
                    self.outputs.push_back(Owned::Keys);
                    self.outputs.push_back(Owned::Connected);
                }
            }
            APPLICATION_DATA if self.is_connected => {
                self.outputs.push_back(Owned::Said(content.to_vec()));
            }
            ALERT if self.is_connected => self.outputs.push_back(Owned::Closed),
            _ => {}
        }
        Ok(())
    }

    fn poll_output<'a>(&mut self, buf: &'a mut [u8]) -> DtlsOutput<'a> {
        let fill = |buf: &'a mut [u8], data: Vec<u8>| -> &'a [u8] {
            let length = data.len().min(buf.len());
            buf[..length].copy_from_slice(&data[..length]);
            &buf[..length]
        };
        match self.outputs.pop_front() {
            Some(Owned::Packet(data)) => DtlsOutput::Packet(fill(buf, data)),
            Some(Owned::Connected) => DtlsOutput::Connected,
            Some(Owned::Certificate(data)) => DtlsOutput::PeerCert(fill(buf, data)),
            Some(Owned::Keys) => DtlsOutput::KeyingMaterial(
                KeyingMaterial::new(&KEYING_MATERIAL),
                SrtpProfile::AES128_CM_SHA1_80,
            ),
            Some(Owned::Said(data)) => DtlsOutput::ApplicationData(fill(buf, data)),
            Some(Owned::Closed) => DtlsOutput::CloseNotify,
            None => DtlsOutput::Timeout(self.again_at.unwrap_or(self.now + NEVER)),
        }
    }

    fn handle_timeout(&mut self, now: Instant) -> Result<(), DtlsImplError> {
        self.now = now;
        if self.again_at.is_some_and(|at| at <= now) {
            self.again_at = Some(now + AGAIN);
            self.show_certificate();
        }
        Ok(())
    }

    fn send_application_data(&mut self, data: &[u8]) -> Result<usize, DtlsImplError> {
        if !self.is_connected || self.is_closed {
            return Ok(0);
        }
        self.outputs.push_back(Owned::Packet(record(data)));
        Ok(data.len())
    }

    fn is_active(&self) -> bool {
        self.is_active
    }

    fn protocol_version(&self) -> Option<ProtocolVersion> {
        self.is_connected.then_some(ProtocolVersion::DTLS1_2)
    }

    fn is_closing(&self) -> bool {
        self.is_closed
    }

    fn is_closed(&self) -> bool {
        self.is_closed && self.outputs.is_empty()
    }

    fn close(&mut self) -> Result<(), DtlsImplError> {
        if !self.is_closed {
            self.is_closed = true;
            self.outputs.push_back(Owned::Packet(vec![ALERT]));
        }
        Ok(())
    }
}
