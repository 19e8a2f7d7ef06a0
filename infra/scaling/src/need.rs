//! Relays for so many participants.

use crate::outlook::Outlook;
use crate::policy::Policy;

/// Relays that carry so many participants with headroom; at least one.
pub fn carrying(participants: f64, policy: &Policy) -> u32 {
    let each = f64::from(policy.participants_per_relay) * (1.0 - policy.headroom);
    // Not-a-number and the negative count as nobody.
    (participants.max(0.0) / each.max(1.0))
        .ceil()
        .clamp(1.0, 1e6) as u32
}

/// As many more that one zone may be lost.
pub fn with_zone(carrying: u32, zones: u32) -> u32 {
    match zones {
        0 | 1 => carrying,
        _ => carrying.div_ceil(zones - 1).saturating_mul(zones),
    }
}

/// What is left of those when the zone is lost. It still carries all.
pub fn less_zone(with_zone: u32, zones: u32) -> u32 {
    match zones {
        0 | 1 => with_zone,
        _ => with_zone - with_zone.div_ceil(zones),
    }
}

/// Relays that are there whatever the demand of the moment: those of the coming hours' peak, less
/// a zone's. So nothing needs to be launched for a day that goes as foretold.
pub fn floor(outlook: &Outlook, now_s: u64, zones: u32, policy: &Policy) -> u32 {
    let until_s = now_s.saturating_add(u64::from(policy.horizon_hours) * 3_600);
    let peak = outlook.peak(now_s, until_s).unwrap_or(0.0);
    less_zone(with_zone(carrying(peak, policy), zones), zones).clamp(policy.least, policy.most)
}

/// Relays that so many participants want, between floor and limit.
pub fn wanted(participants: f64, floor: u32, zones: u32, policy: &Policy) -> u32 {
    let needed = with_zone(carrying(participants, policy), zones);
    needed.max(floor).clamp(policy.least, policy.most)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::policy::tests::prod;

    #[test]
    fn a_zone_is_spared_where_there_are_several() {
        assert_eq!((with_zone(5, 1), less_zone(5, 1)), (5, 5));
        assert_eq!((with_zone(5, 2), less_zone(10, 2)), (10, 5));
        assert_eq!((with_zone(5, 3), less_zone(9, 3)), (9, 6));
        // 1,000 a relay, a quarter of them free.
        assert_eq!(carrying(7_500.0, &prod()), 10);
        assert_eq!(carrying(7_501.0, &prod()), 11);
        assert_eq!(
            (carrying(f64::NAN, &prod()), carrying(-1.0, &prod())),
            (1, 1)
        );
    }

    proptest! {
        #[test]
        fn what_a_lost_zone_leaves_carries_all(people in 0.0..100_000.0, zones in 1_u32..6) {
            let needed = carrying(people, &prod());
            prop_assert!(less_zone(with_zone(needed, zones), zones) >= needed);
        }

        #[test]
        fn more_people_never_want_fewer(a in 0.0..90_000.0, b in 0.0..90_000.0, zones in 1_u32..6) {
            let (less, more) = if a < b { (a, b) } else { (b, a) };
            let policy = prod();
            prop_assert!(wanted(less, 1, zones, &policy) <= wanted(more, 1, zones, &policy));
        }
    }
}
