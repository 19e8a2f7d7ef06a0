//! A share of something for each source, so that one cannot take all of it.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex};

/// What sources hold at this moment.
#[derive(Debug)]
pub(crate) struct Shares {
    /// Most that one source may hold.
    most: u32,
    held: Mutex<HashMap<IpAddr, u32>>,
}

/// One of them; given back when dropped.
#[derive(Debug)]
pub(crate) struct Share {
    shares: Arc<Shares>,
    source: IpAddr,
}

impl Shares {
    pub(crate) fn new(most: u32) -> Arc<Self> {
        Arc::new(Self {
            most,
            held: Mutex::default(),
        })
    }

    /// One more for whoever has this address; none when he holds as many as he may.
    pub(crate) fn take(self: &Arc<Self>, address: IpAddr) -> Option<Share> {
        let source = source(address);
        let mut held = self.held.lock().expect("no panic while it is held");
        let count = held.entry(source).or_default();
        if *count >= self.most {
            return None;
        }
        *count += 1;
        drop(held);
        Some(Share {
            shares: self.clone(),
            source,
        })
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        let mut held = self.shares.held.lock().expect("no panic while it is held");
        if let Some(count) = held.get_mut(&self.source) {
            *count -= 1;
            if *count == 0 {
                held.remove(&self.source);
            }
        }
    }
}

/// Whom an address counts for: who has one IPv6 address has 2^64 of them.
pub(crate) fn source(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => {
            let network = u128::from(address) >> 64 << 64;
            IpAddr::V6(network.into())
        }
        v4 => v4,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_source_has_its_share_and_takes_nobody_elses() {
        let shares = Shares::new(2);
        let [a, b, a6, b6] = ["192.0.2.1", "192.0.2.2", "2001:db8::1", "2001:db8::2"]
            .map(|text| text.parse().expect("an address"));
        let held = [shares.take(a), shares.take(a)];
        assert!(held.iter().all(Option::is_some) && shares.take(a).is_none());
        assert!(shares.take(b).is_some());
        // Two addresses of one network.
        let six = [shares.take(a6), shares.take(b6)];
        assert!(six.iter().all(Option::is_some) && shares.take(a6).is_none());
        drop(held);
        assert!(shares.take(a).is_some());
        drop(six);
        assert!(
            shares.held.lock().expect("no panic").is_empty(),
            "nothing is left of who went"
        );
    }
}
