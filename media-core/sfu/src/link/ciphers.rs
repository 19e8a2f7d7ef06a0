//! SRTP ciphers that are made when they are first used.
//!
//! str0m makes eight for each session: to seal and to open, RTP and RTCP, of both sides. Each is
//! 1.2 kB of expanded key, and a session of the core uses none of them (see `inbound` and `srtp`).

use str0m::crypto::{
    AeadAes128GcmCipher, AeadAes256GcmCipher, CryptoError, SrtpProvider, SupportedAeadAes128Gcm,
    SupportedAeadAes256Gcm, SupportedAes128CmSha1_80,
};

/// Provides what another provider does, later.
#[derive(Debug)]
pub(crate) struct LazySrtp {
    real: &'static dyn SrtpProvider,
    gcm_128: &'static LazyGcm128,
    gcm_256: &'static LazyGcm256,
}

impl LazySrtp {
    /// Leaks its factories, which str0m wants to live for ever.
    pub(crate) fn new(real: &'static dyn SrtpProvider) -> Self {
        Self {
            real,
            gcm_128: Box::leak(Box::new(LazyGcm128(real.aead_aes_128_gcm()))),
            gcm_256: Box::leak(Box::new(LazyGcm256(real.aead_aes_256_gcm()))),
        }
    }
}

impl SrtpProvider for LazySrtp {
    fn aes_128_cm_sha1_80(&self) -> &'static dyn SupportedAes128CmSha1_80 {
        self.real.aes_128_cm_sha1_80()
    }

    fn aead_aes_128_gcm(&self) -> &'static dyn SupportedAeadAes128Gcm {
        self.gcm_128
    }

    fn aead_aes_256_gcm(&self) -> &'static dyn SupportedAeadAes256Gcm {
        self.gcm_256
    }

    fn srtp_aes_128_ecb_round(&self, key: &[u8], input: &[u8], output: &mut [u8]) {
        self.real.srtp_aes_128_ecb_round(key, input, output);
    }

    fn srtp_aes_256_ecb_round(&self, key: &[u8], input: &[u8], output: &mut [u8]) {
        self.real.srtp_aes_256_ecb_round(key, input, output);
    }
}

/// A factory and a cipher of one key size.
macro_rules! lazy_gcm {
    ($factory:ident, $cipher:ident, $Supported:ident, $Cipher:ident, $key_bytes:literal) => {
        #[derive(Debug)]
        struct $factory(&'static dyn $Supported);

        impl $Supported for $factory {
            fn create_cipher(&self, key: [u8; $key_bytes], encrypt: bool) -> Box<dyn $Cipher> {
                Box::new($cipher {
                    factory: self.0,
                    key,
                    encrypt,
                    made: None,
                })
            }
        }

        struct $cipher {
            factory: &'static dyn $Supported,
            key: [u8; $key_bytes],
            encrypt: bool,
            made: Option<Box<dyn $Cipher>>,
        }

        impl $cipher {
            fn made(&mut self) -> &mut dyn $Cipher {
                let make = || self.factory.create_cipher(self.key, self.encrypt);
                &mut **self.made.get_or_insert_with(make)
            }
        }

        impl std::fmt::Debug for $cipher {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(stringify!($cipher))
            }
        }

        impl $Cipher for $cipher {
            fn encrypt(
                &mut self,
                iv: &[u8; 12],
                aad: &[u8],
                input: &[u8],
                output: &mut [u8],
            ) -> Result<(), CryptoError> {
                self.made().encrypt(iv, aad, input, output)
            }

            fn decrypt(
                &mut self,
                iv: &[u8; 12],
                aads: &[&[u8]],
                input: &[u8],
                output: &mut [u8],
            ) -> Result<usize, CryptoError> {
                self.made().decrypt(iv, aads, input, output)
            }
        }
    };
}

lazy_gcm!(
    LazyGcm128,
    LazyGcm128Cipher,
    SupportedAeadAes128Gcm,
    AeadAes128GcmCipher,
    16
);
lazy_gcm!(
    LazyGcm256,
    LazyGcm256Cipher,
    SupportedAeadAes256Gcm,
    AeadAes256GcmCipher,
    32
);
