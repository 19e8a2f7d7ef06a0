//! Ports are tried before anything is started, so that a taken one gives a clear error at once.

use std::io::ErrorKind;
use std::net::{IpAddr, Ipv6Addr, SocketAddr, TcpListener, UdpSocket};

use anyhow::{Context, Result, bail};

/// Checks that a TCP listener could be opened; port 0 always passes.
pub(crate) fn check_tcp(flag: &str, address: SocketAddr) -> Result<()> {
    explain(TcpListener::bind(address).map(drop), "TCP", flag, address)
}

/// Checks that a UDP socket could be opened.
pub(crate) fn check_udp(flag: &str, address: SocketAddr) -> Result<()> {
    explain(UdpSocket::bind(address).map(drop), "UDP", flag, address)
}

/// Whether this machine has an IPv6 loopback.
pub(crate) fn has_ipv6() -> bool {
    UdpSocket::bind((Ipv6Addr::LOCALHOST, 0)).is_ok()
}

/// The address of the interface that leads out. Connecting a UDP socket only asks the routing
/// table; no packet is sent. 192.0.2.1 is reserved for documentation (RFC 5737).
pub(crate) fn lan_address() -> Result<IpAddr> {
    let socket = UdpSocket::bind(("0.0.0.0", 0)).context("no UDP socket can be opened")?;
    socket
        .connect(("192.0.2.1", 9))
        .and_then(|()| socket.local_addr())
        .map(|address| address.ip())
        .context("this machine has no route to a network")
}

fn explain(
    result: std::io::Result<()>,
    protocol: &str,
    flag: &str,
    address: SocketAddr,
) -> Result<()> {
    let Err(error) = result else { return Ok(()) };
    let port = address.port();
    match error.kind() {
        ErrorKind::AddrInUse => {
            bail!(
                "{protocol} port {port} on {} is taken; choose another with {flag}",
                address.ip()
            )
        }
        ErrorKind::PermissionDenied => {
            bail!("{protocol} port {port} needs more rights than you have; change {flag}")
        }
        ErrorKind::AddrNotAvailable => {
            bail!(
                "{} is not an address of this machine; change {flag}",
                address.ip()
            )
        }
        _ => bail!("{protocol} {address} cannot be opened ({error}); change {flag}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_taken_port_names_the_flag() {
        let tcp = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = tcp.local_addr().unwrap();
        let error = check_tcp("--listen", address).unwrap_err().to_string();
        assert!(
            error.contains("--listen") && error.contains("taken"),
            "{error}"
        );
        assert!(error.contains(&address.port().to_string()), "{error}");

        let udp = UdpSocket::bind("127.0.0.1:0").unwrap();
        let error = check_udp("--media-port", udp.local_addr().unwrap())
            .unwrap_err()
            .to_string();
        assert!(
            error.contains("--media-port") && error.contains("UDP"),
            "{error}"
        );
    }

    #[test]
    fn a_free_port_stays_free() {
        let address = "127.0.0.1:0".parse().unwrap();
        check_tcp("--listen", address).unwrap();
        check_udp("--media-port", address).unwrap();
    }

    #[test]
    fn an_address_of_another_machine_is_refused() {
        let error = check_tcp("--listen", "192.0.2.1:0".parse().unwrap())
            .unwrap_err()
            .to_string();
        assert!(error.contains("not an address of this machine"), "{error}");
    }
}
