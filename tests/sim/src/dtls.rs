//! DTLS whose chance comes from the run's seed: its retransmissions are jittered by a quarter of
//! their interval, and in bad weather that decides when a handshake is done.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use dimpl::{Config, Dtls, DtlsCertificate};
use str0m::config::{CryptoProvider, DtlsCert, DtlsVersion};
use str0m::crypto::CryptoError;
use str0m::crypto::dtls::{DtlsImplError, DtlsInstance, DtlsOutput, DtlsProvider, ProtocolVersion};

/// A provider like `real` but for the handshakes, of which each draws from its own seed after
/// `seed`. Leaks a few bytes, since str0m wants providers to live for ever.
pub(crate) fn seeded(real: &CryptoProvider, seed: u64) -> Arc<CryptoProvider> {
    let dtls_provider: &'static SeededDtls = Box::leak(Box::new(SeededDtls {
        real: real.dtls_provider,
        // Seeds of neighbouring runs must not be those of each other's handshakes.
        next: AtomicU64::new(seed << 20),
    }));
    Arc::new(CryptoProvider {
        dtls_provider,
        ..real.clone()
    })
}

#[derive(Debug)]
struct SeededDtls {
    real: &'static dyn DtlsProvider,
    next: AtomicU64,
}

impl DtlsProvider for SeededDtls {
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
        let seed = self.next.fetch_add(1, Ordering::Relaxed);
        // Otherwise as str0m has it.
        let mut config = Config::builder()
            .use_server_cookie(false)
            .dangerously_set_rng_seed(seed);
        if let Some(mtu) = mtu {
            config = config.mtu(mtu);
        }
        let config = config.build();
        let config = Arc::new(config.map_err(|error| CryptoError::Other(error.to_string()))?);
        let certificate = DtlsCertificate {
            certificate: certificate.certificate.clone(),
            private_key: certificate.private_key.clone(),
        };
        Ok(Box::new(Seeded(match version {
            DtlsVersion::Dtls12 => Dtls::new_12(config, certificate, now),
            DtlsVersion::Dtls13 => Dtls::new_13(config, certificate, now),
            _ => Dtls::new_auto(config, certificate, now),
        })))
    }
}

/// One handshake.
struct Seeded(Dtls);

impl fmt::Debug for Seeded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Seeded")
    }
}

impl DtlsInstance for Seeded {
    fn set_active(&mut self, active: bool) {
        self.0.set_active(active);
    }

    fn handle_packet(&mut self, packet: &[u8]) -> Result<(), DtlsImplError> {
        self.0.handle_packet(packet)
    }

    fn poll_output<'a>(&mut self, buf: &'a mut [u8]) -> DtlsOutput<'a> {
        self.0.poll_output(buf)
    }

    fn handle_timeout(&mut self, now: Instant) -> Result<(), DtlsImplError> {
        self.0.handle_timeout(now)
    }

    fn send_application_data(&mut self, data: &[u8]) -> Result<usize, DtlsImplError> {
        self.0.send_application_data(data)
    }

    fn is_active(&self) -> bool {
        self.0.is_active()
    }

    fn protocol_version(&self) -> Option<ProtocolVersion> {
        self.0.protocol_version()
    }

    fn is_closing(&self) -> bool {
        self.0.is_closing()
    }

    fn is_closed(&self) -> bool {
        self.0.is_closed()
    }

    fn close(&mut self) -> Result<(), DtlsImplError> {
        self.0.close()
    }
}
