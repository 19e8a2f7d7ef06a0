//! A non-blocking UDP socket, set up for many small datagrams.

use std::io;
use std::net::SocketAddr;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};

use crate::address::RawAddress;
use crate::check;

/// How a socket is set up.
#[derive(Clone, Debug)]
pub struct Options {
    /// Receive buffer to ask for, in bytes of the kernel's own accounting (a datagram of 120
    /// bytes takes about 800). The default holds a stall of 50 ms at 100,000 datagrams/s.
    pub receive_buffer_bytes: usize,
    /// Send buffer to ask for, in bytes.
    pub send_buffer_bytes: usize,
    /// Whether to use segmentation offload for sending where the kernel has it.
    pub gso: bool,
    /// Whether to let the kernel hand over several datagrams of one peer at once.
    pub gro: bool,
    /// Whether to have the kernel note when each datagram arrived.
    pub arrivals: bool,
}

impl Default for Options {
    fn default() -> Self {
        let buffer_bytes = 4 * 1024 * 1024;
        Self {
            receive_buffer_bytes: buffer_bytes,
            send_buffer_bytes: buffer_bytes,
            gso: true,
            gro: true,
            arrivals: false,
        }
    }
}

/// What the kernel gave of what [`Options`] asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Granted {
    /// Receive buffer in bytes. Linux reports twice what was set, since it counts its own
    /// overhead; this is the reported figure.
    pub receive_buffer_bytes: usize,
    /// Send buffer in bytes, reported likewise.
    pub send_buffer_bytes: usize,
    /// Whether GSO is used.
    pub gso: bool,
    /// Whether GRO is used.
    pub gro: bool,
}

/// A bound, non-blocking UDP socket of one address family.
#[derive(Debug)]
pub struct Socket {
    descriptor: OwnedFd,
    local: SocketAddr,
    granted: Granted,
    /// Datagrams that the kernel dropped because the receive buffer was full.
    overflow: Overflow,
}

impl Socket {
    /// Binds to `address`; port 0 takes a free one. An IPv6 socket takes IPv6 only, so that the
    /// same port can be bound for both families.
    ///
    /// # Errors
    ///
    /// What the kernel says: the port is taken, the address is not of this machine, the family is
    /// not there. Buffers smaller than asked for and absent offloads are not errors, see
    /// [`Self::granted`].
    pub fn bind(address: SocketAddr, options: &Options) -> io::Result<Self> {
        let family = if address.is_ipv4() {
            libc::AF_INET
        } else {
            libc::AF_INET6
        };
        let kind = libc::SOCK_DGRAM | libc::SOCK_NONBLOCK | libc::SOCK_CLOEXEC;
        // SAFETY: no pointers; the result is checked before it is used.
        let descriptor = check(unsafe { libc::socket(family, kind, 0) })?;
        // SAFETY: `descriptor` is new and nothing else owns it.
        let descriptor = unsafe { OwnedFd::from_raw_fd(descriptor) };
        let fd = descriptor.as_raw_fd();
        if address.is_ipv6() {
            option_set(fd, libc::IPPROTO_IPV6, libc::IPV6_V6ONLY, 1)?;
        }
        let receive = buffer_resize(
            fd,
            libc::SO_RCVBUFFORCE,
            libc::SO_RCVBUF,
            options.receive_buffer_bytes,
        )?;
        let send = buffer_resize(
            fd,
            libc::SO_SNDBUFFORCE,
            libc::SO_SNDBUF,
            options.send_buffer_bytes,
        )?;
        // The drop counter is for the metrics; a kernel without it is no reason not to start.
        let _ = option_set(fd, libc::SOL_SOCKET, libc::SO_RXQ_OVFL, 1);
        if options.arrivals {
            option_set(fd, libc::SOL_SOCKET, libc::SO_TIMESTAMPNS, 1)?;
        }
        let (raw, length) = RawAddress::encode(address);
        // SAFETY: `raw` outlives the call and its first `length` bytes are an address.
        check(unsafe { libc::bind(fd, (&raw const raw).cast(), length) })?;
        let granted = Granted {
            receive_buffer_bytes: receive,
            send_buffer_bytes: send,
            // Reading the option fails on a kernel that does not know it (before Linux 4.18).
            gso: options.gso && option_read(fd, libc::SOL_UDP, libc::UDP_SEGMENT).is_ok(),
            gro: options.gro && option_set(fd, libc::SOL_UDP, libc::UDP_GRO, 1).is_ok(),
        };
        Ok(Self {
            local: address_read(fd)?,
            descriptor,
            granted,
            overflow: Overflow::default(),
        })
    }

    /// The address that the socket is bound to, with the real port.
    pub fn local_address(&self) -> SocketAddr {
        self.local
    }

    /// What the kernel granted.
    pub fn granted(&self) -> Granted {
        self.granted
    }

    /// Datagrams that the kernel dropped since the start because the receive buffer was full. The
    /// kernel tells with the next datagram that arrives.
    pub fn receive_overflows(&self) -> u64 {
        self.overflow.total
    }

    pub(crate) fn raw(&self) -> RawFd {
        self.descriptor.as_raw_fd()
    }

    pub(crate) fn note_overflow(&mut self, counter: u32) {
        self.overflow.note(counter);
    }
}

impl AsFd for Socket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.descriptor.as_fd()
    }
}

/// Follows the kernel's 32-bit counter, which wraps.
#[derive(Debug, Default)]
struct Overflow {
    last: u32,
    total: u64,
}

impl Overflow {
    fn note(&mut self, counter: u32) {
        self.total += u64::from(counter.wrapping_sub(self.last));
        self.last = counter;
    }
}

/// Asks for a buffer beyond the machine's limit (needs CAP_NET_ADMIN), then within it, and returns
/// what there is.
fn buffer_resize(
    fd: RawFd,
    force: libc::c_int,
    plain: libc::c_int,
    bytes: usize,
) -> io::Result<usize> {
    let wanted = libc::c_int::try_from(bytes).unwrap_or(libc::c_int::MAX / 2);
    if option_set(fd, libc::SOL_SOCKET, force, wanted).is_err() {
        option_set(fd, libc::SOL_SOCKET, plain, wanted)?;
    }
    Ok(option_read(fd, libc::SOL_SOCKET, plain)? as usize)
}

pub(crate) fn option_set(
    fd: RawFd,
    level: libc::c_int,
    name: libc::c_int,
    value: libc::c_int,
) -> io::Result<()> {
    let length = size_of::<libc::c_int>() as libc::socklen_t;
    // SAFETY: `value` is an int that outlives the call, and `length` is its size.
    check(unsafe { libc::setsockopt(fd, level, name, (&raw const value).cast(), length) })?;
    Ok(())
}

fn option_read(fd: RawFd, level: libc::c_int, name: libc::c_int) -> io::Result<libc::c_int> {
    let mut value: libc::c_int = 0;
    let mut length = size_of::<libc::c_int>() as libc::socklen_t;
    // SAFETY: `value` is an int that outlives the call, and `length` says how much fits.
    check(unsafe { libc::getsockopt(fd, level, name, (&raw mut value).cast(), &raw mut length) })?;
    Ok(value)
}

fn address_read(fd: RawFd) -> io::Result<SocketAddr> {
    let mut raw = RawAddress::unspecified();
    let mut length = RawAddress::LENGTH_MAX;
    // SAFETY: `raw` outlives the call, and `length` says how much fits.
    check(unsafe { libc::getsockname(fd, (&raw mut raw).cast(), &raw mut length) })?;
    raw.decode()
        .ok_or_else(|| io::Error::other("the kernel returned an unknown address family"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn port_zero_takes_a_free_port_and_says_which() {
        let socket = Socket::bind("127.0.0.1:0".parse().unwrap(), &Options::default()).unwrap();
        assert_ne!(socket.local_address().port(), 0);
        let granted = socket.granted();
        assert!(granted.receive_buffer_bytes > 0 && granted.send_buffer_bytes > 0);
    }

    #[test]
    fn a_taken_port_is_an_error() {
        let first = Socket::bind("127.0.0.1:0".parse().unwrap(), &Options::default()).unwrap();
        let second = Socket::bind(first.local_address(), &Options::default());
        assert_eq!(second.unwrap_err().kind(), io::ErrorKind::AddrInUse);
    }

    #[test]
    fn offloads_that_are_switched_off_stay_off() {
        let options = Options {
            gso: false,
            gro: false,
            ..Options::default()
        };
        let socket = Socket::bind("127.0.0.1:0".parse().unwrap(), &options).unwrap();
        assert!(!socket.granted().gso && !socket.granted().gro);
    }

    #[test]
    fn the_kernels_drop_counter_may_wrap() {
        let mut overflow = Overflow::default();
        overflow.note(5);
        overflow.note(u32::MAX);
        overflow.note(4);
        assert_eq!(overflow.total, u64::from(u32::MAX) + 5);
    }
}
