//! What is known of a group of players, and whether a party may join it.

use std::rc::Rc;

use super::pool::Entry;
use crate::rules::{Limits, Requirement, Rule, RuleSet, Scope};
use crate::ticket::{AttributeValue, QueueTicket};

/// What a rule sees of a party or of a group: enough to decide whether the two may be together.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Fact {
    /// Of a group of nobody.
    Nothing,
    /// Smallest and largest number, sum and how many.
    Numbers(f64, f64, f64, u32),
    /// The text of all.
    Same(u32),
    /// Texts, all different, sorted.
    Texts(Rc<[u32]>),
    /// What all sets share, sorted.
    Shared(Rc<[u32]>),
    /// Players with the value that is counted.
    Count(u32),
    /// The party contradicts itself.
    Conflict,
}

impl Fact {
    /// What `rule` sees of a ticket, whose attributes were checked before.
    pub(super) fn of<'a>(
        rule: &Rule,
        rules: &'a RuleSet,
        ticket: &'a QueueTicket,
        id: &mut impl FnMut(&'a str) -> u32,
    ) -> Self {
        let default = rules.attributes[&rule.attribute].default.as_ref();
        let mut fact = Self::Nothing;
        for player in &ticket.players {
            let value = player.attributes.get(&rule.attribute).or(default);
            let own = match (&rule.requirement, value) {
                (Requirement::Count { value: wanted, .. }, Some(value)) => {
                    let has = match value {
                        AttributeValue::Text(text) => text == wanted,
                        AttributeValue::Set(set) => set.contains(wanted),
                        AttributeValue::Number(_) => false,
                    };
                    Self::Count(u32::from(has))
                }
                (_, Some(AttributeValue::Number(n))) => Self::Numbers(*n, *n, *n, 1),
                (Requirement::Equal, Some(AttributeValue::Text(text))) => Self::Same(id(text)),
                (_, Some(AttributeValue::Text(text))) => Self::Texts([id(text)].into()),
                (_, Some(AttributeValue::Set(set))) => {
                    let mut ids: Vec<u32> = set.iter().map(|text| id(text)).collect();
                    ids.sort_unstable();
                    Self::Shared(ids.into())
                }
                (_, None) => Self::Conflict,
            };
            fact = fact.with(&own);
        }
        fact
    }

    /// What is seen of both together.
    pub(super) fn with(&self, other: &Self) -> Self {
        match (self, other) {
            (Self::Nothing, fact) | (fact, Self::Nothing) => fact.clone(),
            (Self::Numbers(a, b, c, n), Self::Numbers(x, y, z, m)) => {
                Self::Numbers(a.min(*x), b.max(*y), c + z, n + m)
            }
            (Self::Same(a), Self::Same(b)) if a == b => Self::Same(*a),
            (Self::Texts(a), Self::Texts(b)) => {
                let mut all: Vec<u32> = a.iter().chain(b.iter()).copied().collect();
                all.sort_unstable();
                if all.windows(2).any(|pair| pair[0] == pair[1]) {
                    return Self::Conflict;
                }
                Self::Texts(all.into())
            }
            (Self::Shared(a), Self::Shared(b)) if a == b => Self::Shared(a.clone()),
            (Self::Shared(a), Self::Shared(b)) => {
                let both = a.iter().filter(|id| b.binary_search(id).is_ok());
                Self::Shared(both.copied().collect())
            }
            (Self::Count(a), Self::Count(b)) => Self::Count(a + b),
            _ => Self::Conflict,
        }
    }

    /// Whether both together may still grow into a group that meets the requirement: what
    /// [`Fact::with`] and [`Fact::may_meet`] say, without building the fact.
    pub(super) fn may_join(&self, other: &Self, requirement: &Requirement) -> bool {
        match (self, other, requirement) {
            (Self::Shared(a), Self::Shared(b), Requirement::Overlap(min)) => {
                let shared = a.iter().filter(|id| b.binary_search(id).is_ok());
                shared.count() >= *min as usize
            }
            (Self::Texts(a), Self::Texts(b), _) => {
                !a.iter().any(|text| b.binary_search(text).is_ok())
            }
            _ => self.with(other).may_meet(requirement),
        }
    }

    /// Whether the group may still grow into one that meets the requirement.
    pub(super) fn may_meet(&self, requirement: &Requirement) -> bool {
        match (self, requirement) {
            (Self::Nothing, _) => true,
            (Self::Conflict, _) => false,
            (Self::Numbers(low, high, ..), Requirement::Difference(max)) => high - low <= *max,
            (Self::Numbers(low, ..), Requirement::Minimum(value)) => low >= value,
            (Self::Numbers(_, high, ..), Requirement::Maximum(value)) => high <= value,
            (Self::Shared(set), Requirement::Overlap(min)) => set.len() >= *min as usize,
            (Self::Count(n), Requirement::Count { max: Some(max), .. }) => n <= max,
            _ => true,
        }
    }

    /// The middle of its numbers.
    pub(super) fn middle(&self) -> Option<f64> {
        match self {
            Self::Numbers(_, _, sum, n) => Some(sum / f64::from(*n)),
            _ => None,
        }
    }

    pub(super) fn count(&self) -> u32 {
        match self {
            Self::Count(count) => *count,
            _ => 0,
        }
    }
}

/// Platforms of a group.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, PartialOrd, Ord)]
pub(super) enum Crossing {
    /// Nobody yet.
    #[default]
    Empty,
    /// All on one, and all would play with others.
    OpenOn(u32),
    /// All on one, and somebody does not want others.
    ClosedOn(u32),
    /// On several, and nobody minds.
    Mixed,
    /// On several, and somebody minds.
    Broken,
}

impl Crossing {
    pub(super) fn of(platform: u32, cross_play: bool) -> Self {
        if cross_play {
            Self::OpenOn(platform)
        } else {
            Self::ClosedOn(platform)
        }
    }

    pub(super) fn with(self, other: Self) -> Self {
        match (self, other) {
            (Self::Empty, found) | (found, Self::Empty) => found,
            (Self::OpenOn(a), Self::OpenOn(b)) if a == b => self,
            (Self::OpenOn(a) | Self::ClosedOn(a), Self::OpenOn(b) | Self::ClosedOn(b))
                if a == b =>
            {
                Self::ClosedOn(a)
            }
            (Self::OpenOn(_) | Self::Mixed, Self::OpenOn(_) | Self::Mixed) => Self::Mixed,
            _ => Self::Broken,
        }
    }
}

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
