//! Socket addresses in the shape that the kernel reads and writes.

use std::mem::size_of;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV4, SocketAddrV6};

/// An IPv4 or IPv6 socket address in kernel layout: 28 bytes instead of the 128 of
/// `sockaddr_storage`, so that a batch of them stays in the first-level cache.
#[derive(Clone, Copy)]
#[repr(C)]
pub(crate) union RawAddress {
    family: libc::sa_family_t,
    v4: libc::sockaddr_in,
    v6: libc::sockaddr_in6,
}

impl RawAddress {
    /// Room for the kernel to write an address into.
    pub(crate) const LENGTH_MAX: libc::socklen_t = size_of::<RawAddress>() as libc::socklen_t;

    /// All zero: family `AF_UNSPEC`.
    pub(crate) fn unspecified() -> Self {
        // SAFETY: every variant consists of integers, for which all-zero bytes are valid.
        unsafe { std::mem::zeroed() }
    }

    /// The address, and how many of its bytes count.
    pub(crate) fn encode(address: SocketAddr) -> (Self, libc::socklen_t) {
        let mut raw = Self::unspecified();
        match address {
            SocketAddr::V4(v4) => {
                raw.v4 = libc::sockaddr_in {
                    sin_family: libc::AF_INET as libc::sa_family_t,
                    sin_port: v4.port().to_be(),
                    sin_addr: libc::in_addr {
                        s_addr: u32::from_ne_bytes(v4.ip().octets()),
                    },
                    sin_zero: [0; 8],
                };
                (raw, size_of::<libc::sockaddr_in>() as libc::socklen_t)
            }
            SocketAddr::V6(v6) => {
                raw.v6 = libc::sockaddr_in6 {
                    sin6_family: libc::AF_INET6 as libc::sa_family_t,
                    sin6_port: v6.port().to_be(),
                    sin6_flowinfo: v6.flowinfo(),
                    sin6_addr: libc::in6_addr {
                        s6_addr: v6.ip().octets(),
                    },
                    sin6_scope_id: v6.scope_id(),
                };
                (raw, size_of::<libc::sockaddr_in6>() as libc::socklen_t)
            }
        }
    }

    /// The address that the kernel wrote, or `None` for another family.
    pub(crate) fn decode(&self) -> Option<SocketAddr> {
        // SAFETY: `family` is the first field of both structs, and the union is always
        // initialised as a whole (`unspecified`), so reading it is defined.
        let family = libc::c_int::from(unsafe { self.family });
        match family {
            libc::AF_INET => {
                // SAFETY: any bytes are valid integers, and the family says which reading is meant.
                let v4 = unsafe { self.v4 };
                let ip = Ipv4Addr::from(v4.sin_addr.s_addr.to_ne_bytes());
                Some(SocketAddr::V4(SocketAddrV4::new(
                    ip,
                    u16::from_be(v4.sin_port),
                )))
            }
            libc::AF_INET6 => {
                // SAFETY: as above.
                let v6 = unsafe { self.v6 };
                Some(SocketAddr::V6(SocketAddrV6::new(
                    Ipv6Addr::from(v6.sin6_addr.s6_addr),
                    u16::from_be(v6.sin6_port),
                    v6.sin6_flowinfo,
                    v6.sin6_scope_id,
                )))
            }
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn an_address_survives_the_kernel_layout(
            v4 in any::<[u8; 4]>(),
            v6 in any::<[u8; 16]>(),
            port in any::<u16>(),
            scope in any::<u32>(),
        ) {
            let v4 = SocketAddr::from((v4, port));
            prop_assert_eq!(RawAddress::encode(v4).0.decode(), Some(v4));
            let v6 = SocketAddr::V6(SocketAddrV6::new(v6.into(), port, 0, scope));
            prop_assert_eq!(RawAddress::encode(v6).0.decode(), Some(v6));
        }
    }

    #[test]
    fn another_family_is_no_address() {
        assert_eq!(RawAddress::unspecified().decode(), None);
    }
}
