//! What the edge ordered a moment ago, for those who come with a ticket or a hello from before. As
//! soon as none of those is good any more, it is forgotten.

use std::collections::VecDeque;

/// Longer than a ticket or a hello waits to be used, differing clocks included.
const KEPT_MS: u64 = 2 * 60_000;

/// Orders of one kind, each about another thing; the oldest are forgotten first.
#[derive(Debug)]
pub(crate) struct Orders<T, V> {
    all: VecDeque<Order<T, V>>,
    most: usize,
}

#[derive(Debug)]
struct Order<T, V> {
    of: T,
    says: V,
    at_ms: u64,
}

impl<T: PartialEq, V: Copy> Orders<T, V> {
    /// None yet, and never more than `most`.
    pub(crate) fn new(most: usize) -> Self {
        let all = VecDeque::new();
        Self { all, most }
    }

    /// An order of `at_ms` of Unix time came. False when a later one about the same thing came
    /// before.
    pub(crate) fn note(&mut self, of: T, says: V, at_ms: u64) -> bool {
        let known = self.all.iter().position(|order| order.of == of);
        if let Some(known) = known {
            if self.all[known].at_ms > at_ms {
                return false;
            }
            self.all.remove(known);
        }
        while let Some(oldest) = self.all.front()
            && (oldest.at_ms + KEPT_MS < at_ms || self.all.len() >= self.most)
        {
            self.all.pop_front();
        }
        self.all.push_back(Order { of, says, at_ms });
        debug_assert!(self.all.len() <= self.most, "within bounds");
        true
    }

    /// What was ordered, and when, oldest first.
    pub(crate) fn all(&self) -> impl Iterator<Item = (&T, V, u64)> {
        let all = self.all.iter();
        all.map(|order| (&order.of, order.says, order.at_ms))
    }

    /// What was ordered since `issued_at_ms`.
    pub(crate) fn since(&self, issued_at_ms: u64) -> impl Iterator<Item = (&T, V)> {
        let newer = self.all.iter().filter(move |one| one.at_ms >= issued_at_ms);
        newer.map(|order| (&order.of, order.says))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn since(orders: &Orders<u32, bool>, issued_at_ms: u64) -> Vec<(u32, bool)> {
        let found = orders.since(issued_at_ms);
        found.map(|(of, says)| (*of, says)).collect()
    }

    #[test]
    fn what_was_made_before_an_order_is_bound_by_it_and_what_was_made_since_is_not() {
        let mut orders = Orders::new(9);
        assert!(orders.note(1, true, 1_000_000));
        assert_eq!(since(&orders, 999_999), [(1, true)]);
        assert_eq!(since(&orders, 1_000_000), [(1, true)]);
        assert!(since(&orders, 1_000_001).is_empty(), "made since");
        assert!(!orders.note(1, false, 999_999), "late, and void");
        assert!(orders.note(1, false, 1_000_000) && orders.note(2, true, 1_000_001));
        assert_eq!(since(&orders, 1), [(1, false), (2, true)]);
        assert!(orders.note(3, true, 1_000_000 + KEPT_MS + 1));
        assert_eq!(
            since(&orders, 1).len(),
            2,
            "no ticket is as old as the first"
        );
    }

    #[test]
    fn however_many_there_are_memory_is_bounded() {
        let mut orders = Orders::new(1024);
        for n in 0..3 * 1024 {
            orders.note(n, true, 7);
        }
        assert_eq!(since(&orders, 7).len(), 1024);
        assert!(
            since(&orders, 7).contains(&(3 * 1024 - 1, true)),
            "the newest"
        );
        orders.note(0, true, 8 + KEPT_MS);
        assert_eq!(since(&orders, 1), [(0, true)]);
    }
}
