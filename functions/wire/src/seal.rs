//! Sealing of JSON messages: AES-SIV (RFC 5297), deterministic, no nonce to get wrong.

use aes_siv::KeyInit;
use aes_siv::siv::Aes128Siv;
use data_encoding::BASE64URL_NOPAD;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::limits::MAX_MESSAGE_BYTES;

/// A sealed message did not open: wrong key, another context, changed, too long, or not JSON of
/// the expected shape. One error for all, so that nothing is learned from the difference.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NotSealedForUs;

impl std::fmt::Display for NotSealedForUs {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("the sealed message does not open with this key")
    }
}

impl std::error::Error for NotSealedForUs {}

/// Seals `message` for the holder of `key`; it opens only with the same `context`.
pub(crate) fn seal<T: Serialize>(key: &[u8; 32], context: &[&[u8]], message: &T) -> String {
    let plain = serde_json::to_vec(message).expect("our messages have string keys only");
    let sealed = Aes128Siv::new(&(*key).into())
        .encrypt(context, &plain)
        .expect("fewer than 127 associated-data parts");
    BASE64URL_NOPAD.encode(&sealed)
}

/// Opens what [`seal`] made.
///
/// # Errors
/// [`NotSealedForUs`] for anything else.
pub(crate) fn open<T: DeserializeOwned>(
    key: &[u8; 32],
    context: &[&[u8]],
    sealed: &str,
) -> Result<T, NotSealedForUs> {
    let plain = unseal(key, context, sealed, MAX_MESSAGE_BYTES)?;
    serde_json::from_slice(&plain).map_err(|_| NotSealedForUs)
}

/// What [`seal`] sealed, unread, where that is at most `most` bytes long.
///
/// # Errors
/// [`NotSealedForUs`] for anything else.
pub(crate) fn unseal(
    key: &[u8; 32],
    context: &[&[u8]],
    sealed: &str,
    most: usize,
) -> Result<Vec<u8>, NotSealedForUs> {
    if sealed.len() > most {
        return Err(NotSealedForUs);
    }
    let bytes = BASE64URL_NOPAD
        .decode(sealed.as_bytes())
        .map_err(|_| NotSealedForUs)?;
    Aes128Siv::new(&(*key).into())
        .decrypt(context, &bytes)
        .map_err(|_| NotSealedForUs)
}
