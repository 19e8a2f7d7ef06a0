//! Limits that no match can keep, however well-formed each of them is: tickets would only wait.

use std::collections::BTreeMap;

use super::node::Reader;
use super::rule_set::{Limits, PartyLimits, Requirement, Rule, Scope, Team};

/// Adds a fault for each limit that cannot be kept together with those before it.
pub(super) fn check(reader: &mut Reader, limits: &Limits) {
    if limits.players_min() == 0 {
        reader.fault("teams", "every min is 0; a match needs players");
    }
    for (index, rule) in limits.rules.iter().enumerate() {
        let Some(rule) = rule else { continue };
        let (earlier, known) = (&limits.rules[..index], &limits.rules[..=index]);
        let found = match &rule.requirement {
            Requirement::Count { value, .. } => [Scope::Team, Scope::Match]
                .into_iter()
                // A count of the match says nothing of a single team.
                .filter(|scope| rule.per == *scope || *scope == Scope::Match)
                .find_map(|scope| {
                    Counts { limits, scope }.contradiction(rule, value, earlier, known)
                }),
            _ => no_number_left(rule, earlier),
        };
        if let Some(message) = found {
            reader.fault(format!("rules[{index}]"), message);
        }
    }
}

/// Why parties of these sizes cannot fill a team, whatever their number.
pub(super) fn unfillable(party: &PartyLimits, limits: &Limits) -> Option<String> {
    let fills = |team: &Team, parties: u32| {
        parties * party.min <= team.max && parties * party.max >= team.min
    };
    let mut teams = limits.teams.iter();
    let team = teams.find(|team| !(0..=team.max).any(|parties| fills(team, parties)))?;
    Some(format!(
        "parties of {} to {} players cannot fill the team {}, which has {} to {}",
        party.min, party.max, team.name, team.min, team.max
    ))
}

/// What counts ask of each team, or of the whole match.
struct Counts<'a> {
    limits: &'a Limits,
    scope: Scope,
}

impl Counts<'_> {
    /// Why the count `rule` cannot be kept with those before it.
    fn contradiction(
        &self,
        rule: &Rule,
        value: &str,
        earlier: &[Option<Rule>],
        known: &[Option<Rule>],
    ) -> Option<String> {
        let of = match self.scope {
            Scope::Team => "team",
            Scope::Match => "match",
        };
        let bounds = self.bounds(known, &rule.attribute);
        let (fewest, most) = bounds.get(value).copied()?;
        if fewest > most {
            return Some(format!(
                "counts ask for at least {fewest} and at most {most} {value} in a {of}"
            ));
        }
        let needed = |rules| self.needed(rules, rule, value);
        let (before, sum, room) = (needed(earlier), needed(known), self.room());
        // Told once, of the count that goes beyond the room.
        (before <= room && sum > room)
            .then(|| format!("counts ask for {sum} players, and a {of} has at most {room}"))
    }

    /// Fewest players that these rules ask for besides those without any of the values. A text has
    /// one value, so they add up; a set may hold several.
    fn needed(&self, rules: &[Option<Rule>], rule: &Rule, value: &str) -> u32 {
        let bounds = self.bounds(rules, &rule.attribute);
        match rule.requirement {
            Requirement::Count {
                exclusive: true, ..
            } => bounds.values().map(|(fewest, _)| fewest).sum(),
            _ => bounds.get(value).map_or(0, |(fewest, _)| *fewest),
        }
    }

    /// Fewest and most players with each value.
    fn bounds<'r>(
        &self,
        rules: &'r [Option<Rule>],
        attribute: &str,
    ) -> BTreeMap<&'r str, (u32, u32)> {
        let mut bounds = BTreeMap::new();
        for rule in rules.iter().flatten() {
            let Requirement::Count {
                value, min, max, ..
            } = &rule.requirement
            else {
                continue;
            };
            let times = match (self.scope, rule.per) {
                (Scope::Team, Scope::Match) => continue,
                (Scope::Match, Scope::Team) => self.limits.teams.len() as u32,
                _ => 1,
            };
            if rule.attribute == attribute {
                let (fewest, most) = bounds.entry(value.as_str()).or_insert((0, u32::MAX));
                *fewest = (*fewest).max(min * times);
                *most = (*most).min(max.map_or(u32::MAX, |max| max * times));
            }
        }
        bounds
    }

    /// Most players: of the smallest team, since all teams must keep what is asked of each.
    fn room(&self) -> u32 {
        match self.scope {
            Scope::Team => {
                let sizes = self.limits.teams.iter().map(|team| team.max);
                sizes.min().unwrap_or(0)
            }
            Scope::Match => self.limits.players_max(),
        }
    }
}

/// Why nobody's number can be at least one limit and at most the other.
fn no_number_left(rule: &Rule, earlier: &[Option<Rule>]) -> Option<String> {
    let others = earlier.iter().flatten();
    let mut others = others.filter(|other| other.attribute == rule.attribute);
    others.find_map(|other| match (&rule.requirement, &other.requirement) {
        (Requirement::Minimum(low), Requirement::Maximum(high))
        | (Requirement::Maximum(high), Requirement::Minimum(low))
            if low > high =>
        {
            Some(format!(
                "no {} is at least {low} and at most {high}",
                rule.attribute
            ))
        }
        _ => None,
    })
}
