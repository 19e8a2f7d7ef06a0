//! Where datagrams come from and go to.

use std::net::SocketAddr;

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
