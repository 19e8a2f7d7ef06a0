//! What is known of a group of players, and whether a party may join it.

use super::fact::{Crossing, Fact};
use super::pool::{Entry, Pool};
use crate::rules::{Limits, Requirement, Rule, Scope};

/// A group of players that a rule may speak of: a team, or the whole match.
#[derive(Debug, Clone)]
pub(super) struct Group {
    pub(super) players: u32,
    /// Lowest and highest rating of its tickets.
    rating: (f64, f64),
    crossing: Crossing,
    /// One for each rule; `Nothing` where the rule is dropped or of the other scope.
    pub(super) facts: Vec<Fact>,
}

impl Group {
    pub(super) fn empty(limits: &Limits) -> Self {
        Self {
            players: 0,
            rating: (f64::INFINITY, f64::NEG_INFINITY),
            crossing: Crossing::Empty,
            facts: vec![Fact::Nothing; limits.rules.len()],
        }
    }

    /// The group with a ticket more, or the place of what forbids it.
    pub(super) fn with(
        &self,
        entry: &Entry,
        limits: &Limits,
        scope: Scope,
    ) -> Result<Self, Refused> {
        let crossing = self.crossing.with(entry.crossing);
        let rating = (
            self.rating.0.min(entry.rating),
            self.rating.1.max(entry.rating),
        );
        if scope == Scope::Match {
            if crossing == Crossing::Broken {
                return Err(Refused::Crossing);
            }
            if limits
                .rating_spread
                .is_some_and(|spread| rating.1 - rating.0 > spread)
            {
                return Err(Refused::Rating);
            }
        }
        let mut facts = Vec::with_capacity(self.facts.len());
        for (index, rule) in limits.rules.iter().enumerate() {
            facts.push(match rule {
                Some(rule) if rule.per == scope => {
                    let fact = self.facts[index].with(&entry.facts[index]);
                    if !fact.may_meet(&rule.requirement) {
                        return Err(Refused::Rule(index));
                    }
                    fact
                }
                _ => Fact::Nothing,
            });
        }
        Ok(Self {
            players: self.players + entry.size,
            rating,
            crossing,
            facts,
        })
    }

    /// The first rule that a ticket breaks all by itself, so that it fits no match at all.
    pub(super) fn broken_alone(entry: &Entry, limits: &Limits) -> Option<usize> {
        let broken = |(rule, fact): (&Option<Rule>, &Fact)| {
            let rule = rule.as_ref();
            rule.is_some_and(|rule| !fact.may_meet(&rule.requirement))
        };
        limits.rules.iter().zip(&entry.facts).position(broken)
    }

    /// Whether [`Group::with`] would take a ticket into the whole match.
    pub(super) fn admits(&self, entry: &Entry, limits: &Limits) -> bool {
        let (low, high) = (
            self.rating.0.min(entry.rating),
            self.rating.1.max(entry.rating),
        );
        let mut rules = limits.rules.iter().enumerate();
        self.crossing.with(entry.crossing) != Crossing::Broken
            && limits
                .rating_spread
                .is_none_or(|spread| high - low <= spread)
            && rules.all(|(index, rule)| match rule {
                Some(rule) if rule.per == Scope::Match => {
                    self.facts[index].may_join(&entry.facts[index], &rule.requirement)
                }
                _ => true,
            })
    }

    /// Players that must still come because of counts with a minimum. A text attribute has one
    /// value, so what its counts lack adds up; a player may bring several values of a set.
    pub(super) fn lacking(&self, limits: &Limits, scope: Scope) -> u32 {
        let mut most = 0;
        for (index, rule) in limits.rules.iter().enumerate() {
            let Some((rule, true, missing)) = self.shortage(index, rule.as_ref(), scope) else {
                continue;
            };
            let mut sum = missing;
            for (earlier, other) in limits.rules.iter().enumerate().take(index) {
                if let Some((other, true, missing)) = self.shortage(earlier, other.as_ref(), scope)
                    && other.attribute == rule.attribute
                {
                    sum += missing;
                }
            }
            most = most.max(sum);
        }
        let alone = limits.rules.iter().enumerate();
        let alone = alone.filter_map(|(at, rule)| self.shortage(at, rule.as_ref(), scope));
        alone
            .map(|(_, _, missing)| missing)
            .max()
            .unwrap_or(0)
            .max(most)
    }

    /// The first rule of those for which players must still come.
    pub(super) fn lacks_first(&self, limits: &Limits, scope: Scope) -> Option<usize> {
        let mut rules = limits.rules.iter().enumerate();
        let found = rules.find(|(index, rule)| {
            let short = self.shortage(*index, rule.as_ref(), scope);
            short.is_some_and(|(_, _, missing)| missing > 0)
        });
        found.map(|(index, _)| index)
    }

    /// Of a count of this scope: the rule, whether a player brings one value only, and how many
    /// players are missing.
    fn shortage<'r>(
        &self,
        index: usize,
        rule: Option<&'r Rule>,
        scope: Scope,
    ) -> Option<(&'r Rule, bool, u32)> {
        let rule = rule.filter(|rule| rule.per == scope)?;
        match rule.requirement {
            Requirement::Count { min, exclusive, .. } => Some((
                rule,
                exclusive,
                min.saturating_sub(self.facts[index].count()),
            )),
            _ => None,
        }
    }
}

/// Why a ticket cannot join a group.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Refused {
    /// Platforms.
    Crossing,
    /// `rating.spread`.
    Rating,
    /// The requirement with this index.
    Rule(usize),
}

/// Whether tickets can be a team, sizes apart; what balancing asks before it exchanges some.
pub(super) fn is_team(pool: &Pool, limits: &Limits, tickets: &[u32]) -> bool {
    let joined: Result<Group, Refused> = tickets
        .iter()
        .try_fold(Group::empty(limits), |group, &ticket| {
            group.with(&pool.entries[ticket as usize], limits, Scope::Team)
        });
    joined.is_ok_and(|group| group.lacking(limits, Scope::Team) == 0)
}
