//! A set of members of a room, by their index.

/// Small numbers, as bits of words.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Bits(Vec<u64>);

const WORD: usize = u64::BITS as usize;

impl Bits {
    pub(crate) fn insert(&mut self, n: usize) {
        let word = n / WORD;
        if self.0.len() <= word {
            self.0.resize(word + 1, 0);
        }
        self.0[word] |= 1 << (n % WORD);
    }

    pub(crate) fn remove(&mut self, n: usize) {
        if let Some(word) = self.0.get_mut(n / WORD) {
            *word &= !(1 << (n % WORD));
        }
    }

    /// Inserts `n` or removes it.
    pub(crate) fn set(&mut self, n: usize, is_in: bool) {
        if is_in {
            self.insert(n);
        } else {
            self.remove(n);
        }
    }

    pub(crate) fn contains(&self, n: usize) -> bool {
        let word = self.0.get(n / WORD);
        word.is_some_and(|word| word & (1 << (n % WORD)) != 0)
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.iter().all(|word| *word == 0)
    }

    pub(crate) fn clear(&mut self) {
        self.0.clear();
    }

    /// Adds all of `other`.
    pub(crate) fn add(&mut self, other: &Self) {
        if self.0.len() < other.0.len() {
            self.0.resize(other.0.len(), 0);
        }
        for (word, other) in self.0.iter_mut().zip(&other.0) {
            *word |= other;
        }
    }

    /// The smallest that is not below `from`.
    pub(crate) fn next(&self, from: usize) -> Option<usize> {
        let first = from / WORD;
        let words = self.0.iter().enumerate().skip(first);
        words
            .map(|(n, word)| {
                let low = if n == first { from % WORD } else { 0 };
                (n, word & (u64::MAX << low))
            })
            .find(|(_, word)| *word != 0)
            .map(|(n, word)| n * WORD + word.trailing_zeros() as usize)
    }

    /// All, smallest first.
    pub(crate) fn iter(&self) -> impl Iterator<Item = usize> + '_ {
        let mut from = 0;
        std::iter::from_fn(move || {
            let found = self.next(from)?;
            from = found + 1;
            Some(found)
        })
    }
}

impl FromIterator<usize> for Bits {
    fn from_iter<I: IntoIterator<Item = usize>>(numbers: I) -> Self {
        let mut bits = Self::default();
        for n in numbers {
            bits.insert(n);
        }
        bits
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn it_is_a_set(
            changes in prop::collection::vec((0..300_usize, any::<bool>()), 0..100),
            others in prop::collection::btree_set(0..400_usize, 0..50),
            from in 0..500_usize,
        ) {
            let (mut bits, mut set) = (Bits::default(), BTreeSet::new());
            for (n, is_in) in changes {
                bits.set(n, is_in);
                if is_in { set.insert(n); } else { set.remove(&n); }
                prop_assert_eq!(bits.contains(n), is_in);
            }
            prop_assert_eq!(bits.is_empty(), set.is_empty());
            bits.add(&others.iter().copied().collect());
            set.extend(others);
            prop_assert!(bits.iter().eq(set.iter().copied()));
            prop_assert_eq!(bits.next(from), set.range(from..).next().copied());
        }
    }
}
