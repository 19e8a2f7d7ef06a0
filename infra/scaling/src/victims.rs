//! Which relays go, of those that are too many.

use std::collections::BTreeMap;

use crate::seen::Relay;

/// `count` of `relays`: each time of the zone that has most of them, and there the one with the
/// fewest participants, so that zones stay even and few people move.
pub(crate) fn choose<'a>(relays: &BTreeMap<&'a str, &Relay>, count: u32) -> Vec<&'a str> {
    let mut left = relays.clone();
    let mut chosen = Vec::new();
    for _ in 0..count {
        let mut of_zone: BTreeMap<&str, usize> = BTreeMap::new();
        for relay in left.values() {
            *of_zone.entry(&relay.zone).or_default() += 1;
        }
        let next = left.iter().min_by_key(|(id, relay)| {
            let most = std::cmp::Reverse(of_zone[relay.zone.as_str()]);
            (most, relay.participants, **id)
        });
        let Some(id) = next.map(|(id, _)| *id) else {
            break;
        };
        left.remove(id);
        chosen.push(id);
    }
    chosen
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::seen::State;

    #[test]
    fn zones_stay_even_and_few_move() {
        let relay = |zone: &str, participants| Relay {
            zone: zone.to_owned(),
            participants,
            state: State::Serving,
        };
        let all = [
            relay("a", 5),
            relay("a", 3),
            relay("a", 9),
            relay("b", 1),
            relay("b", 2),
        ];
        let ids = ["1", "2", "3", "4", "5"];
        let relays: BTreeMap<&str, &Relay> = ids.into_iter().zip(&all).collect();
        assert_eq!(choose(&relays, 3), ["2", "4", "1"]);
        assert_eq!(choose(&relays, 9).len(), 5, "no more than there are");
    }
}
