//! Where datagrams come from and go to.

use std::net::SocketAddr;
use std::time::Duration;

use str0m::net::Protocol;

/// How datagrams travel.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Transport {
    /// As they are.
    Udp,
    /// Framed on a connection (RFC 4571) that the client opened (ICE-TCP, RFC 6544).
    Tcp,
}

/// One way to a client: the transport, and the client's address there. A TCP connection is known
/// by its remote address too; there is one connection for each at a time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Path {
    /// The transport.
    pub transport: Transport,
    /// The client's address.
    pub address: SocketAddr,
}

/// What is sent to a path, and how long.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PathLimits {
    /// Bytes sent for each byte that came from a path which has not proved that its client receives
    /// there (RFC 9000 section 8.1). It bounds what a third party gets whose address was forged.
    pub unproved_factor: u32,
    /// Time for which a proof holds after the last authentic datagram from there.
    pub consent: Duration,
}

impl PathLimits {
    /// What applies unless somebody says otherwise.
    pub const DEFAULT: Self = Self {
        unproved_factor: 3,
        consent: Duration::from_secs(5),
    };
}

impl Default for PathLimits {
    fn default() -> Self {
        Self::DEFAULT
    }
}

impl Path {
    /// Over UDP.
    pub fn udp(address: SocketAddr) -> Self {
        Self {
            transport: Transport::Udp,
            address,
        }
    }

    /// Over the TCP connection from `address`.
    pub fn tcp(address: SocketAddr) -> Self {
        Self {
            transport: Transport::Tcp,
            address,
        }
    }

    /// The path that str0m names; it uses no other than the two that it was given.
    pub(crate) fn of(protocol: Protocol, address: SocketAddr) -> Self {
        match protocol {
            Protocol::Udp => Self::udp(address),
            Protocol::Tcp | Protocol::SslTcp | Protocol::Tls => Self::tcp(address),
        }
    }

    pub(crate) fn protocol(self) -> Protocol {
        match self.transport {
            Transport::Udp => Protocol::Udp,
            Transport::Tcp => Protocol::Tcp,
        }
    }
}

impl From<SocketAddr> for Path {
    /// Over UDP.
    fn from(address: SocketAddr) -> Self {
        Self::udp(address)
    }
}
