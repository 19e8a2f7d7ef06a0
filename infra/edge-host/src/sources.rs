//! How connections are shared among those who open them. While there are plenty, anybody may have
//! as many as he likes: a proxy in front of a host has nearly all. What is left after three
//! quarters of them is for those who have few.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use wire::source::source;

/// Who has how many, and how many there are.
pub(crate) struct Sources {
    open: Mutex<Open>,
    connections: usize,
}

#[derive(Default)]
struct Open {
    by_source: HashMap<IpAddr, usize>,
    all: usize,
}

/// A connection that counts until it is dropped.
pub(crate) struct Place {
    sources: Arc<Sources>,
    source: IpAddr,
}

impl Sources {
    /// For so many connections.
    pub(crate) fn new(connections: usize) -> Self {
        Self {
            open: Mutex::default(),
            connections,
        }
    }

    /// Takes a connection in; none when few are left and its source has more than its share, a
    /// sixteenth.
    pub(crate) fn enter(self: &Arc<Self>, peer: IpAddr) -> Option<Place> {
        let source = source(peer);
        let mut open = self.open();
        let has = open.by_source.get(&source).copied().unwrap_or(0);
        if 4 * open.all >= 3 * self.connections && 16 * has >= self.connections {
            return None;
        }
        open.all += 1;
        *open.by_source.entry(source).or_default() += 1;
        Some(Place {
            sources: self.clone(),
            source,
        })
    }

    fn open(&self) -> MutexGuard<'_, Open> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut open = self.sources.open();
        open.all -= 1;
        if let Some(has) = open.by_source.get_mut(&self.source) {
            *has -= 1;
            if *has == 0 {
                open.by_source.remove(&self.source);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    fn fill(sources: &Arc<Sources>, peer: &str, tries: usize) -> Vec<Place> {
        let places = (0..tries).map_while(|_| sources.enter(address(peer)));
        places.collect()
    }

    #[test]
    fn one_source_leaves_a_quarter_to_all_others() {
        let sources = Arc::new(Sources::new(1_600));
        let greedy = fill(&sources, "192.0.2.1", 5_000);
        assert_eq!(greedy.len(), 1_200);
        // Two more of them take a share each, and no more.
        let more = ["192.0.2.2", "192.0.2.3"].map(|peer| fill(&sources, peer, 5_000));
        assert!(more.iter().all(|places| places.len() == 100));
        let others: Vec<_> = (0..200)
            .map(|n| sources.enter(address(&format!("198.51.100.{n}"))))
            .collect();
        assert!(others.iter().all(Option::is_some));
        drop(greedy);
        assert!(sources.enter(address("192.0.2.1")).is_some());
    }

    #[test]
    fn the_addresses_of_one_customer_are_one_source() {
        let sources = Arc::new(Sources::new(1_600));
        let all: Vec<_> = (0..5_000)
            .map_while(|n| sources.enter(address(&format!("2001:db8:1:2::{n:x}"))))
            .collect();
        assert_eq!(all.len(), 1_200);
        assert!(sources.enter(address("2001:db8:1:3::1")).is_some());
        let mapped = sources.enter(address("::ffff:192.0.2.1")).unwrap();
        assert_eq!(mapped.source, address("192.0.2.1"));
    }

    #[test]
    fn who_has_gone_is_not_remembered() {
        let sources = Arc::new(Sources::new(16));
        drop(fill(&sources, "192.0.2.1", 100));
        let open = sources.open();
        assert_eq!((open.all, open.by_source.len()), (0, 0));
    }
}
