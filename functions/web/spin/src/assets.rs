//! The embedded files.

/// One file of the SDK or the page.
#[derive(Debug, Clone, Copy)]
pub struct Asset {
    /// Path in URLs, for example `/sdk/index.js`.
    pub path: &'static str,
    /// Value of the `content-type` header.
    pub content_type: &'static str,
    /// Value of the `etag` header, with its quotes.
    pub etag: &'static str,
    /// The bytes as they lie in the repository.
    pub body: &'static [u8],
}

/// Every file of `sdk/` and `demo/`, sorted by path; the build script lists them.
pub const ASSETS: &[Asset] = include!(concat!(env!("OUT_DIR"), "/assets.rs"));
