//! What a batch hands over to be sent, and to whom.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

/// Parcels per system call.
pub(crate) const PARCELS_PER_CALL_MAX: usize = 64;

/// What one header of the system call carries.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Parcel<'a> {
    pub(crate) to: SocketAddr,
    pub(crate) data: &'a [u8],
    /// Datagrams in it.
    pub(crate) count: u16,
    /// Size to cut the data into, when there are several datagrams.
    pub(crate) segment_bytes: Option<u16>,
}

impl Parcel<'_> {
    /// What stands in an array before it is filled.
    pub(crate) const EMPTY: Self = Self {
        to: SocketAddr::new(IpAddr::V4(Ipv4Addr::UNSPECIFIED), 0),
        data: &[],
        count: 0,
        segment_bytes: None,
    };
}

/// Where parcels go: the kernel, or a test's idea of one.
pub(crate) trait Line {
    /// Sends as many parcels as it can, at least one, or says with an errno why the first was
    /// not sent.
    fn send(&mut self, parcels: &[Parcel<'_>]) -> Result<usize, i32>;
    /// Waits at most a millisecond until there may be room again.
    fn wait(&mut self);
}
