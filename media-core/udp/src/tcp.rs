//! What a TCP connection that carries voice needs beyond the standard library.

use std::io;
use std::os::fd::{AsFd, AsRawFd};
use std::time::Duration;

use crate::check;
use crate::socket::option_set;

/// Asks how much was written and never sent (linux/sockios.h).
const SIOCOUTQNSD: libc::Ioctl = 0x894b;

/// Sets a connection up: what is written leaves at once (TCP_NODELAY), and a peer that
/// acknowledges nothing for `user_timeout` is given up (TCP_USER_TIMEOUT, RFC 5482), instead of
/// after a quarter of an hour.
///
/// # Errors
/// What the kernel says, such as that this is no TCP socket.
pub fn tune_tcp(connection: &impl AsFd, user_timeout: Duration) -> io::Result<()> {
    let fd = connection.as_fd().as_raw_fd();
    let milliseconds = libc::c_int::try_from(user_timeout.as_millis()).unwrap_or(libc::c_int::MAX);
    option_set(fd, libc::IPPROTO_TCP, libc::TCP_NODELAY, 1)?;
    option_set(fd, libc::IPPROTO_TCP, libc::TCP_USER_TIMEOUT, milliseconds)
}

/// Keeps an IPv6 socket that is not bound yet from taking IPv4 too, so that the same port can be
/// bound for both families.
///
/// # Errors
/// What the kernel says, such as that this is no IPv6 socket.
pub fn ipv6_only(socket: &impl AsFd) -> io::Result<()> {
    let fd = socket.as_fd().as_raw_fd();
    option_set(fd, libc::IPPROTO_IPV6, libc::IPV6_V6ONLY, 1)
}

/// Bytes that were written to a connection and have not left the machine even once: what a new
/// packet would wait for.
///
/// # Errors
/// What the kernel says, such as that this is no TCP socket.
pub fn tcp_unsent_bytes(connection: &impl AsFd) -> io::Result<usize> {
    let mut bytes: libc::c_int = 0;
    // SAFETY: the request writes one int, and `bytes` is one that outlives the call.
    check(unsafe { libc::ioctl(connection.as_fd().as_raw_fd(), SIOCOUTQNSD, &raw mut bytes) })?;
    Ok(usize::try_from(bytes).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};
    use std::net::{TcpListener, TcpStream};

    use super::*;

    #[test]
    fn unsent_bytes_grow_when_the_peer_does_not_read_and_go_when_it_does() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let mut ours = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let (mut theirs, _) = listener.accept().unwrap();
        tune_tcp(&ours, Duration::from_secs(5)).unwrap();
        assert!(ours.nodelay().unwrap());
        assert_eq!(tcp_unsent_bytes(&ours).unwrap(), 0);
        ours.set_nonblocking(true).unwrap();
        let mut written = 0;
        while let Ok(count) = ours.write(&[7; 16 * 1024]) {
            written += count;
        }
        assert!(tcp_unsent_bytes(&ours).unwrap() > 0);
        let mut rest = vec![0; written];
        theirs.read_exact(&mut rest).unwrap();
        assert_eq!(tcp_unsent_bytes(&ours).unwrap(), 0, "all was received");
    }

    #[test]
    fn another_kind_of_socket_is_an_error() {
        let socket = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
        assert!(tune_tcp(&socket, Duration::from_secs(1)).is_err());
    }
}
