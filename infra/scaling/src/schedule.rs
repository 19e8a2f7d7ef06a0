//! Floors of hours to come, as scheduled actions of an auto-scaling group: AWS raises the group at
//! its hour although nobody of us runs. They set its least size alone. A least size that falls ends
//! no machine; only what this drained is ended, by name.

use std::collections::BTreeMap;

use finops::calendar::{Hour, hour_text};

use crate::need;
use crate::outlook::{Outlook, begins_s};
use crate::policy::Policy;

/// Begins the names of what is ours: others' actions are left alone.
const PREFIX: &str = "floor-";
/// AWS takes 125 scheduled actions of a group; this many are ours.
const ACTIONS_MAX: usize = 72;

/// A scheduled action: from an hour on the group has at least so many machines.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Action {
    /// Its name, of the hour.
    pub name: String,
    /// When it begins, Unix seconds.
    pub at_s: u64,
    /// The least size from then on.
    pub floor: u32,
}

/// What is to be changed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Changes {
    /// New ones, and those that say another size.
    pub put: Vec<Action>,
    /// Names of those that nothing wants any more.
    pub delete: Vec<String>,
}

/// The hours after `now_s` in which the floor changes, as far as the outlook and `hours` reach.
pub fn actions(
    outlook: &Outlook,
    now_s: u64,
    hours: u32,
    zones: u32,
    policy: &Policy,
) -> Vec<Action> {
    let first = crate::outlook::hour_of(now_s) + 1;
    let floor = |at_s| need::floor(outlook, at_s, zones, policy);
    let (mut before, mut found) = (floor(now_s), Vec::new());
    for hour in first..first + Hour::from(hours) {
        let at_s = begins_s(hour);
        // A machine takes its time: what an hour needs is there when it begins.
        let floor = floor(at_s).max(floor(at_s + policy.lead_s));
        if floor != before && found.len() < ACTIONS_MAX {
            let name = format!("{PREFIX}{}", hour_text(hour).replace(':', ""));
            found.push(Action { name, at_s, floor });
            before = floor;
        }
    }
    found
}

/// From the actions that are there, by name with their sizes, to those that are wanted.
pub fn changes(there: &BTreeMap<String, Option<u32>>, wanted: &[Action]) -> Changes {
    let is_there = |action: &&Action| there.get(&action.name) == Some(&Some(action.floor));
    let is_wanted = |name: &&String| wanted.iter().any(|action| action.name == **name);
    let put = wanted.iter().filter(|action| !is_there(action));
    let ours = there.keys().filter(|name| name.starts_with(PREFIX));
    Changes {
        put: put.cloned().collect(),
        delete: ours.filter(|name| !is_wanted(name)).cloned().collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::tests::prod;

    const HOUR_S: u64 = 3_600;
    const NOW_S: u64 = 500_000 * HOUR_S + 1_200;

    fn evening() -> Outlook {
        let hours = (499_990..500_060).map(|hour| {
            let people = if hour == 500_040 { 30_000.0 } else { 6_000.0 };
            (hour, people)
        });
        Outlook::of_hours(hours.collect())
    }

    #[test]
    fn the_floor_rises_a_horizon_before_the_peak_and_falls_after_it() {
        let found = actions(&evening(), NOW_S, 48, 3, &prod());
        let told: Vec<(u64, u32)> = found
            .iter()
            .map(|action| (action.at_s / HOUR_S, action.floor))
            .collect();
        // 750 a relay: 40 relays and 8.
        assert_eq!(told, [(500_016, 40), (500_041, 8)]);
        let name = &found[0].name;
        assert!(name.starts_with(PREFIX) && !name.contains(':'), "{name}");
    }

    #[test]
    fn what_is_right_stays_and_what_is_anothers_too() {
        let wanted = actions(&evening(), NOW_S, 48, 3, &prod());
        let mut there: BTreeMap<String, Option<u32>> = [
            (wanted[0].name.clone(), Some(wanted[0].floor)),
            (wanted[1].name.clone(), Some(1)),
            ("floor-1970-01-01T0000Z".to_owned(), Some(3)),
            ("launch-party".to_owned(), None),
        ]
        .into();
        let found = changes(&there, &wanted);
        assert_eq!(found.put, wanted[1..]);
        assert_eq!(found.delete, ["floor-1970-01-01T0000Z"]);
        there.insert(wanted[1].name.clone(), Some(wanted[1].floor));
        there.remove("floor-1970-01-01T0000Z");
        assert_eq!(changes(&there, &wanted), Changes::default());
    }

    #[test]
    fn a_wild_forecast_is_no_more_actions_than_aws_takes() {
        let wild = |hour: i64| (hour, (hour % 7) as f64 * 9_000.0);
        let outlook = Outlook::of_hours((500_000..500_400).map(wild).collect());
        let policy = Policy {
            horizon_hours: 1,
            ..prod()
        };
        let found = actions(&outlook, NOW_S, 300, 3, &policy);
        assert_eq!(found.len(), ACTIONS_MAX);
    }
}
