//! Where a function may send requests: the rules of Spin's `allowed_outbound_hosts`, the same on
//! every host that checks them itself.

use std::net::IpAddr;

use http::Uri;

/// A function's allow list. Empty allows nothing.
#[derive(Clone, Debug, Default)]
pub struct AllowedHosts(Vec<Entry>);

#[derive(Clone, Debug, PartialEq)]
struct Entry {
    /// `None` is any scheme.
    scheme: Option<String>,
    host: Host,
    /// Inclusive.
    ports: (u16, u16),
}

#[derive(Clone, Debug, PartialEq)]
enum Host {
    Any,
    Exact(String),
    /// `.example.com`, of `*.example.com`.
    Suffix(String),
    Network {
        address: IpAddr,
        prefix_bits: u8,
    },
}

impl AllowedHosts {
    /// Reads the entries, templates already expanded.
    ///
    /// # Errors
    /// A sentence that names the entry and says what to change.
    pub fn parse(entries: &[String]) -> Result<Self, String> {
        entries
            .iter()
            .map(|entry| Entry::parse(entry))
            .collect::<Result<_, _>>()
            .map(Self)
    }

    /// Whether a request to this URI is allowed.
    pub fn allows(&self, uri: &Uri) -> bool {
        let (Some(scheme), Some(host)) = (uri.scheme_str(), uri.host()) else {
            return false;
        };
        let Some(port) = uri.port_u16().or_else(|| default_port(scheme)) else {
            return false;
        };
        self.0.iter().any(|entry| entry.allows(scheme, host, port))
    }

    /// Whether an entry asks for TLS, which not every host speaks: what goes to relays is sealed.
    pub fn uses_tls(&self) -> bool {
        self.0
            .iter()
            .any(|entry| entry.scheme.as_deref() == Some("https"))
    }
}

impl Entry {
    fn parse(text: &str) -> Result<Self, String> {
        let fault = |what: &str| format!("`{text}`: {what}");
        let Some((scheme, rest)) = text.split_once("://") else {
            return Err(fault(
                "write scheme://host:port, such as http://127.0.0.1:*",
            ));
        };
        let scheme = match scheme {
            "*" => None,
            "http" | "https" => Some(scheme.to_owned()),
            _ => return Err(fault("only http, https and * are served")),
        };
        if rest == "self" || rest == "self.alt" || rest.ends_with(".spin.internal") {
            return Err(fault(
                "requests to the application itself are not served; name its address",
            ));
        }
        let (rest, network) =
            split_network(rest).ok_or_else(|| fault("the network size is wrong"))?;
        let (host, port) = split_port(&rest);
        let ports = match port {
            Some(port) => ports(port).ok_or_else(|| {
                fault("the port must be a number from 1 to 65535, a range such as 80..90, or *")
            })?,
            None => {
                let scheme = scheme.as_deref().unwrap_or_default();
                let port = default_port(scheme)
                    .ok_or_else(|| fault("scheme * needs a port; add :* for any port"))?;
                (port, port)
            }
        };
        let host = Host::parse(host, network).map_err(fault)?;
        Ok(Self {
            scheme,
            host,
            ports,
        })
    }

    fn allows(&self, scheme: &str, host: &str, port: u16) -> bool {
        self.scheme
            .as_deref()
            .is_none_or(|allowed| allowed.eq_ignore_ascii_case(scheme))
            && (self.ports.0..=self.ports.1).contains(&port)
            && self.host.allows(host)
    }
}

impl Host {
    fn parse(text: &str, network: Option<u8>) -> Result<Self, &'static str> {
        let text = text.to_ascii_lowercase();
        let address = bare(&text).parse::<IpAddr>();
        if let Some(prefix_bits) = network {
            let address = address.map_err(|_| "a network is an address and a size: 10.0.0.0/8")?;
            let most = if address.is_ipv4() { 32 } else { 128 };
            if prefix_bits > most {
                return Err("the network size is over the size of the address");
            }
            return Ok(Self::Network {
                address,
                prefix_bits,
            });
        }
        match text.strip_prefix('*') {
            Some("") => Ok(Self::Any),
            Some(suffix)
                if suffix.starts_with('.') && !suffix.contains('*') && suffix.len() > 1 =>
            {
                Ok(Self::Suffix(suffix.to_owned()))
            }
            _ if text.is_empty() => Err("the host is missing"),
            _ if text.contains(['*', '/', '{', '}', '@', '?', '#']) => {
                Err("the host must be a name, an address, * or *.name, without a path")
            }
            _ => Ok(Self::Exact(text)),
        }
    }

    fn allows(&self, host: &str) -> bool {
        match self {
            Self::Any => true,
            Self::Exact(name) => name.eq_ignore_ascii_case(host),
            Self::Suffix(suffix) => {
                let host = host.to_ascii_lowercase();
                host.len() > suffix.len() && host.ends_with(suffix.as_str())
            }
            Self::Network {
                address,
                prefix_bits,
            } => bare(host)
                .parse::<IpAddr>()
                .is_ok_and(|host| in_network(*address, *prefix_bits, host)),
        }
    }
}

fn default_port(scheme: &str) -> Option<u16> {
    match scheme {
        "http" => Some(80),
        "https" => Some(443),
        _ => None,
    }
}

/// An IPv6 address without its brackets.
fn bare(host: &str) -> &str {
    host.strip_prefix('[')
        .and_then(|host| host.strip_suffix(']'))
        .unwrap_or(host)
}

/// Takes `/bits` out of `address/bits:port`; a trailing slash alone is allowed.
fn split_network(rest: &str) -> Option<(String, Option<u8>)> {
    let rest = rest.strip_suffix('/').unwrap_or(rest);
    let Some((address, after)) = rest.split_once('/') else {
        return Some((rest.to_owned(), None));
    };
    let (bits, port) = after
        .split_once(':')
        .map_or((after, ""), |(bits, port)| (bits, port));
    if bare(address).parse::<IpAddr>().is_err() {
        // Left in place so that the host's own check reports the path.
        return Some((rest.to_owned(), None));
    }
    let bits = bits.parse().ok()?;
    let colon = if port.is_empty() { "" } else { ":" };
    Some((format!("{address}{colon}{port}"), Some(bits)))
}

/// Splits `host:port`, mindful of the colons in `[::1]`.
fn split_port(rest: &str) -> (&str, Option<&str>) {
    match rest.rsplit_once(':') {
        Some((host, port)) if !port.contains(']') => (host, Some(port)),
        _ => (rest, None),
    }
}

fn ports(text: &str) -> Option<(u16, u16)> {
    if text == "*" {
        return Some((1, u16::MAX));
    }
    let (first, last) = text.split_once("..").unwrap_or((text, text));
    let (first, last) = (first.parse::<u16>().ok()?, last.parse::<u16>().ok()?);
    (first > 0 && first <= last).then_some((first, last))
}

fn in_network(network: IpAddr, prefix_bits: u8, host: IpAddr) -> bool {
    let shared = |differ: u128, width: u32| {
        prefix_bits == 0 || differ >> (width - u32::from(prefix_bits)) == 0
    };
    match (network, host) {
        (IpAddr::V4(a), IpAddr::V4(b)) => shared(u128::from(a.to_bits() ^ b.to_bits()), 32),
        (IpAddr::V6(a), IpAddr::V6(b)) => shared(a.to_bits() ^ b.to_bits(), 128),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn allows(entry: &str, uri: &str) -> bool {
        AllowedHosts::parse(&[entry.to_owned()])
            .unwrap()
            .allows(&uri.parse().unwrap())
    }

    #[test]
    fn an_entry_allows_its_scheme_host_and_port_only() {
        for (entry, uri, allowed) in [
            ("http://example.com", "http://example.com/x", true),
            ("http://example.com", "http://EXAMPLE.com:80/", true),
            ("http://example.com", "http://example.com:8080/", false),
            ("http://example.com", "https://example.com/", false),
            ("http://example.com", "http://example.com.evil.net/", false),
            ("http://example.com:*", "http://example.com:8080/", true),
            ("http://example.com:80..90", "http://example.com:90/", true),
            ("http://example.com:80..90", "http://example.com:91/", false),
            ("*://example.com:8080", "https://example.com:8080/", true),
            ("http://*:7411", "http://10.0.0.1:7411/", true),
            ("http://*:7411", "http://10.0.0.1:7412/", false),
            ("http://*.example.com", "http://a.b.example.com/", true),
            ("http://*.example.com", "http://example.com/", false),
            ("http://*.example.com", "http://evilexample.com/", false),
            ("http://10.1.0.0/16:*", "http://10.1.200.3:5/", true),
            ("http://10.1.0.0/16:*", "http://10.2.0.3:5/", false),
            ("http://10.1.0.0/16:*", "http://example.com:5/", false),
            ("http://[::1]:7411", "http://[::1]:7411/", true),
            ("http://[fd00::]/8:*", "http://[fd12::9]:1/", true),
            ("http://0.0.0.0/0:*", "http://203.0.113.9:1/", true),
            ("https://example.com/", "https://example.com:443/", true),
        ] {
            assert_eq!(allows(entry, uri), allowed, "{entry} {uri}");
        }
        assert!(!AllowedHosts::default().allows(&"http://127.0.0.1/".parse().unwrap()));
    }

    #[test]
    fn a_bad_entry_says_what_to_change() {
        for (entry, part) in [
            ("example.com", "scheme://host:port"),
            ("redis://example.com:6379", "only http"),
            ("http://example.com:0", "port"),
            ("http://example.com:99999", "port"),
            ("http://example.com:90..80", "port"),
            ("*://example.com", "needs a port"),
            ("http://", "missing"),
            ("http://a*.example.com", "*.name"),
            ("http://example.com/api", "without a path"),
            ("http://10.0.0.0/33:*", "size"),
            ("http://10.0.0.0/x:*", "size"),
            ("http://self", "itself"),
        ] {
            let error = AllowedHosts::parse(&[entry.to_owned()]).unwrap_err();
            assert!(
                error.contains(part) && error.contains(entry),
                "{entry}: {error}"
            );
        }
    }

    proptest! {
        #[test]
        fn reading_never_panics(entry in "[a-z*]{0,5}(://)?[a-z0-9.*:/\\[\\]{}]{0,24}") {
            let _ = AllowedHosts::parse(&[entry]);
        }

        #[test]
        fn a_network_allows_exactly_its_addresses(address: u32, bits in 0_u8..=32, host: u32) {
            let network = std::net::Ipv4Addr::from_bits(address);
            let entry = format!("http://{network}/{bits}:*");
            let uri = format!("http://{}/", std::net::Ipv4Addr::from_bits(host));
            let expected = (0..u32::from(bits)).all(|bit| {
                (address >> (31 - bit)) & 1 == (host >> (31 - bit)) & 1
            });
            prop_assert_eq!(allows(&entry, &uri), expected);
        }
    }
}
