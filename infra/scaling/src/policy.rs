//! What a region's relays are governed by: `infra/ops/scaling.toml`.

use std::collections::BTreeMap;

use serde::Deserialize;

/// The rules of an environment's regions. Times are seconds.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Policy {
    /// Participants that a relay takes at once, all its shards together.
    pub participants_per_relay: u32,
    /// Of those, the share that is kept free, 0 to 0.9.
    pub headroom: f64,
    /// Fewest relays, whatever the demand.
    pub least: u32,
    /// Most machines of the group, those included that are drained.
    pub most: u32,
    /// Hours for which what runs must be enough although nothing more can be launched, 1 to 48.
    pub horizon_hours: u32,
    /// How long before it is needed a relay is there; more than a machine takes to start.
    pub lead_s: u64,
    /// How much lower than now the demand must be before a relay is taken away: the share by which
    /// it may rise again without one being missed.
    pub band: f64,
    /// How long it must be that low.
    pub steady_s: u64,
    /// Least time from growing until the first relay is taken away.
    pub cool_down_s: u64,
    /// Of the relays, the share that is drained at once because they are too many; at least one.
    pub drains_share: f64,
    /// How long a drained relay may keep people before it is ended with them.
    pub drain_limit_s: u64,
    /// How long a relay must be unheard before it counts as hung.
    pub silent_s: u64,
    /// How long a machine may take until its relay is heard.
    pub start_limit_s: u64,
    /// Least time between two that are replaced.
    pub replace_every_s: u64,
    /// Of the relays, the share that may be hung: if more are, whoever looks is cut off.
    pub silent_share: f64,
    /// Most machines that one run asks for.
    pub launches: u32,
}

/// What no region needs, and a typing error is.
const RELAYS_MAX: u32 = 1_000;
const DAY_S: u64 = 86_400;

#[derive(Deserialize)]
struct File(BTreeMap<String, Policy>);

impl Policy {
    /// The rules of an environment in a file's text.
    ///
    /// # Errors
    /// What is wrong with it, or that it has no such environment.
    pub fn read(text: &str, environment: &str) -> Result<Self, String> {
        let File(mut all) = toml::from_str(text).map_err(|fault| fault.to_string())?;
        let known: Vec<String> = all.keys().cloned().collect();
        let policy = all.remove(environment);
        let policy = policy.ok_or_else(|| {
            let known = known.join(", ");
            format!("there are no rules for `{environment}`; there are for {known}")
        })?;
        policy.check()?;
        Ok(policy)
    }

    /// What is wrong with it.
    ///
    /// # Errors
    /// A sentence for each fault.
    pub fn check(&self) -> Result<(), String> {
        let mut faults = Vec::new();
        let mut want = |holds: bool, what: String| {
            if !holds {
                faults.push(what);
            }
        };
        for (name, value, most) in [
            ("headroom", self.headroom, 0.9),
            ("band", self.band, 1.0),
            ("drains_share", self.drains_share, 1.0),
            ("silent_share", self.silent_share, 1.0),
        ] {
            let what = format!("{name} is {value}, and is 0 to {most}");
            want((0.0..=most).contains(&value), what);
        }
        for (name, value) in [
            ("lead_s", self.lead_s),
            ("steady_s", self.steady_s),
            ("cool_down_s", self.cool_down_s),
            ("drain_limit_s", self.drain_limit_s),
            ("silent_s", self.silent_s),
            ("start_limit_s", self.start_limit_s),
            ("replace_every_s", self.replace_every_s),
        ] {
            let what = format!("{name} is {value}, and is 1 to {DAY_S}");
            want((1..=DAY_S).contains(&value), what);
        }
        let limits = (1..=self.most).contains(&self.least) && self.most <= RELAYS_MAX;
        let (least, most) = (self.least, self.most);
        want(
            limits,
            format!("least is {least} and most is {most}: 1 <= least <= most <= {RELAYS_MAX}"),
        );
        want(
            (1..=48).contains(&self.horizon_hours),
            format!("horizon_hours is {}, and is 1 to 48", self.horizon_hours),
        );
        want(
            self.participants_per_relay > 0 && self.launches > 0,
            "participants_per_relay and launches are at least 1".to_owned(),
        );
        // Growing would be undone before it could be seen to be too much.
        want(
            self.cool_down_s >= self.lead_s,
            format!(
                "cool_down_s is {}, and is at least lead_s, {}",
                self.cool_down_s, self.lead_s
            ),
        );
        match faults.is_empty() {
            true => Ok(()),
            false => Err(faults.join("\n")),
        }
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    const FILE: &str = include_str!("../../ops/scaling.toml");

    pub(crate) fn prod() -> Policy {
        Policy::read(FILE, "prod").unwrap()
    }

    #[test]
    fn the_rules_of_the_repository_are_read() {
        assert!(prod().most > prod().least);
        Policy::read(FILE, "dev").unwrap();
        let fault = Policy::read(FILE, "stage").unwrap_err();
        assert!(fault.contains("dev, prod"), "{fault}");
    }

    #[test]
    fn what_is_wrong_is_said() {
        let change = |change: fn(&mut Policy)| {
            let mut policy = prod();
            change(&mut policy);
            policy.check().unwrap_err()
        };
        let fault = change(|policy| policy.headroom = f64::NAN);
        assert!(fault.contains("headroom is NaN"), "{fault}");
        let fault = change(|policy| policy.least = policy.most + 1);
        assert!(fault.contains("least <= most"), "{fault}");
        let fault = change(|policy| policy.cool_down_s = 1);
        assert!(fault.contains("at least lead_s"), "{fault}");
        let fault = change(|policy| policy.silent_s = 0);
        assert!(fault.contains("silent_s is 0"), "{fault}");
        let unknown = FILE.replace("headroom", "headrom");
        assert!(Policy::read(&unknown, "prod").is_err());
    }
}
