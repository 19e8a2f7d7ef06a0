//! The str0m instance of a session.

use std::sync::Arc;
use std::time::Instant;

use str0m::config::{DtlsVersion, Fingerprint};
use str0m::net::TcpType;
use str0m::{Candidate, IceCreds, Rtc, RtcConfig, RtcError};

use super::keys::TappedCrypto;
use crate::config::Config;
use crate::protocol::Admission;

/// Buffer of the data channel; a client that lets more pile up is ended.
const MAX_CHANNEL_BUFFER_BYTES: usize = 1024 * 1024;
/// Longest message that a client may send.
const MAX_MESSAGE_BYTES: u32 = 16 * 1024;

/// An instance for `admission`. `client` is the client's own username fragment.
pub(super) fn build(
    now: Instant,
    (config, crypto): (&Config, &TappedCrypto),
    admission: &Admission,
    ufrag: &str,
    client: &str,
) -> Result<Rtc, RtcError> {
    let credentials = IceCreds {
        ufrag: ufrag.to_owned(),
        pass: admission.ice_password.clone(),
    };
    let settings = RtcConfig::new()
        .set_crypto_provider(Arc::clone(&crypto.provider))
        .set_dtls_cert(config.certificate.clone())
        // 1.3 saves a round trip; a client that has only 1.2 gets that.
        .set_dtls_version(DtlsVersion::Auto)
        // The ticket has a prefix of the fingerprint; the core compares it before it accepts
        // anything of the session.
        .set_fingerprint_verification(false)
        .set_ice_lite(true)
        .set_local_ice_credentials(credentials)
        .clear_codecs()
        .set_sctp_max_buffered_amount(MAX_CHANNEL_BUFFER_BYTES)
        .set_sctp_max_message_size(MAX_MESSAGE_BYTES);
    let mut rtc = settings.build(now);
    for &local in &config.local {
        rtc.add_local_candidate(Candidate::host(local, "udp")?);
    }
    for &local in &config.local_tcp {
        let passive = Candidate::builder().tcp().host(local);
        rtc.add_local_candidate(passive.tcptype(TcpType::Passive).build()?);
    }
    let mut api = rtc.direct_api();
    // An ICE-lite agent sends no checks, so it never uses the client's password.
    let pass = "unused-by-an-ice-lite-agent".to_owned();
    api.set_remote_ice_credentials(IceCreds {
        ufrag: client.to_owned(),
        pass,
    });
    let bytes = admission.fingerprint.to_vec();
    api.set_remote_fingerprint(Fingerprint {
        hash_func: "sha-256".to_owned(),
        bytes,
    });
    api.start_dtls(false)?;
    api.start_sctp(false);
    Ok(rtc)
}
