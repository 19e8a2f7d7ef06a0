//! The ports besides the [store](crate::store): everything else that a function may touch. A
//! handler's bounds are its permission list.

use std::fmt;

use wire::ShardId;

use crate::store::Store;

/// Has a store.
pub trait Storage {
    /// Its kind.
    type Store: Store;

    /// The store.
    fn store(&self) -> &Self::Store;
}

/// Tells the time.
pub trait Clock {
    /// Unix milliseconds.
    fn now_ms(&self) -> u64;
}

/// Waits.
pub trait Timer {
    /// Lets `ms` milliseconds pass.
    async fn sleep(&self, ms: u64);
}

/// Draws unpredictable bytes, fit for ids and keys.
pub trait Entropy {
    /// Fills `bytes`.
    fn fill(&self, bytes: &mut [u8]);
}

/// Reads the function's settings.
pub trait Variables {
    /// The value of the variable `name`, or none when it is not set.
    ///
    /// # Errors
    /// [`VariableFault`] when the host could not say.
    async fn variable(&self, name: &str) -> Result<Option<String>, VariableFault>;
}

/// Why the host could not read a variable.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum VariableFault {
    /// The function may not read it, or nobody can: the operator must change something.
    Refused,
    /// Whoever keeps it did not answer; it may do so in a moment.
    Unavailable,
}

/// Reaches the control endpoints of relays.
pub trait RelayLink {
    /// Posts a sealed control message to `shard` behind `url`, once and within two seconds, and
    /// returns the HTTP status. The host decides which addresses may be reached.
    ///
    /// # Errors
    /// [`Unreachable`] when no answer came.
    async fn post(&self, url: &str, shard: &ShardId, sealed: String) -> Result<u16, Unreachable>;
}

/// Asks relays, where the answer is more than a status.
pub trait RelayInquiry {
    /// As [`RelayLink::post`], of a question: returns what came.
    ///
    /// # Errors
    /// [`Unreachable`] when no answer came, or one over [`wire::limits::MAX_ANSWER_BYTES`].
    async fn inquire(
        &self,
        url: &str,
        shard: &ShardId,
        sealed: String,
    ) -> Result<RelayReply, Unreachable>;
}

/// An answer to [`RelayInquiry::inquire`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RelayReply {
    /// HTTP status.
    pub status: u16,
    /// Body.
    pub body: Vec<u8>,
}

/// Reaches the service that says whose a signature is.
pub trait IdentityLink {
    /// Sends a `GET` with `headers` to `url`, once and within [`IDENTITY_LINK_TIMEOUT_MS`], and
    /// returns what came. A redirect is an answer like any other: it is never followed. The host
    /// decides which addresses may be reached.
    ///
    /// # Errors
    /// [`Unreachable`] when no answer came, or one over [`MAX_IDENTITY_BYTES`].
    async fn ask(
        &self,
        url: &str,
        headers: &[(&'static str, String)],
    ) -> Result<IdentityReply, Unreachable>;
}

/// Keeps objects: files in a folder, or in S3.
pub trait Objects {
    /// Puts an object, in place of what has its name. When it returns the object is safe; when it
    /// fails it may be there all the same. The name has parts with `/` between them, of letters,
    /// digits, `.`, `_` and `-`, as ids have.
    ///
    /// # Errors
    /// [`ObjectFault`].
    async fn put_object(&self, name: &str, bytes: Vec<u8>) -> Result<(), ObjectFault>;
}

/// Why an object was not put.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ObjectFault {
    /// The host was not told where objects are: the operator must say it.
    Nowhere,
    /// Whoever keeps them did not take it; it may do so in a moment.
    Unavailable,
}

/// Longest time that an object may take, in milliseconds.
pub const OBJECT_TIMEOUT_MS: u64 = 1_500;

/// An answer to [`IdentityLink::ask`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IdentityReply {
    /// HTTP status.
    pub status: u16,
    /// Body.
    pub body: Vec<u8>,
}

/// Longest time that the identity service gets to answer, in milliseconds.
pub const IDENTITY_LINK_TIMEOUT_MS: u64 = 3_000;
/// Longest answer of the identity service, in bytes; it has about 500.
pub const MAX_IDENTITY_BYTES: usize = 16 * 1024;

/// Longest time that a relay gets to answer, in milliseconds.
pub const RELAY_LINK_TIMEOUT_MS: u64 = 2_000;

/// Nobody answered, for a reason that is in the host's log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Unreachable;

impl fmt::Display for Unreachable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("there was no answer")
    }
}

impl std::error::Error for Unreachable {}
