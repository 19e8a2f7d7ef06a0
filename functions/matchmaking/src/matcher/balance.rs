//! Making the teams of a match equal, and judging whether they are equal enough.
//!
//! Equal means the same distribution of ratings, not only the same sum: 1 and 99 are no match for
//! 49 and 51. Exchanges between teams are chosen by how they change each team's mean and standard
//! deviation; the verdict compares whole distributions.

use super::fact::Fact;
use super::group::is_team;
use super::pool::Pool;
use crate::ratings::Rating;
use crate::rules::{Limits, Requirement, Scope};

/// Rounds of looking for exchanges.
const ROUNDS_MAX: usize = 8;

/// What is not equal enough.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Unfit {
    /// The rule with this index.
    Average(usize),
    /// `balance.distribution`.
    Distribution,
    /// `balance.favourite`.
    Favourite,
}

/// Number of values, their sum and the sum of their squares.
#[derive(Clone, Copy)]
struct Moments(f64, f64, f64);

impl Moments {
    fn of(pool: &Pool, ticket: u32) -> Self {
        let entry = &pool.entries[ticket as usize];
        Self(f64::from(entry.size), entry.mu.0, entry.mu.1)
    }

    fn plus(self, other: Self) -> Self {
        Self(self.0 + other.0, self.1 + other.1, self.2 + other.2)
    }

    fn minus(self, other: Self) -> Self {
        Self(self.0 - other.0, self.1 - other.1, self.2 - other.2)
    }

    /// Mean and standard deviation.
    fn shape(self) -> (f64, f64) {
        if self.0 < 0.5 {
            return (0.0, 0.0);
        }
        let mean = self.1 / self.0;
        (mean, (self.2 / self.0 - mean * mean).max(0.0).sqrt())
    }

    /// How far from a shape: what the exchanges make small.
    fn cost(self, (mean, deviation): (f64, f64)) -> f64 {
        let own = self.shape();
        (own.0 - mean).powi(2) + (own.1 - deviation).powi(2)
    }
}

/// Exchanges tickets of equal size between teams while that makes them more alike.
pub(super) fn even_out(pool: &Pool, limits: &Limits, teams: &mut [Vec<u32>]) {
    let none = Moments(0.0, 0.0, 0.0);
    let sum = |team: &Vec<u32>| {
        team.iter()
            .fold(none, |sum, &ticket| sum.plus(Moments::of(pool, ticket)))
    };
    let mut moments: Vec<Moments> = teams.iter().map(sum).collect();
    let whole = moments
        .iter()
        .fold(none, |all, team| all.plus(*team))
        .shape();
    let has_rules = limits
        .rules
        .iter()
        .flatten()
        .any(|rule| rule.per == Scope::Team);
    for _ in 0..ROUNDS_MAX {
        let mut changed = false;
        for a in 0..teams.len() {
            for b in a + 1..teams.len() {
                changed |= exchange(pool, limits, teams, &mut moments, whole, (a, b), has_rules);
            }
        }
        if !changed {
            break;
        }
    }
}

fn exchange(
    pool: &Pool,
    limits: &Limits,
    teams: &mut [Vec<u32>],
    moments: &mut [Moments],
    whole: (f64, f64),
    (a, b): (usize, usize),
    has_rules: bool,
) -> bool {
    let mut changed = false;
    let mut cost = moments[a].cost(whole) + moments[b].cost(whole);
    for i in 0..teams[a].len() {
        for j in 0..teams[b].len() {
            let (one, other) = (
                Moments::of(pool, teams[a][i]),
                Moments::of(pool, teams[b][j]),
            );
            if one.0 != other.0 {
                continue;
            }
            let new_a = moments[a].minus(one).plus(other);
            let new_b = moments[b].minus(other).plus(one);
            let new_cost = new_a.cost(whole) + new_b.cost(whole);
            // A little better is not worth it, and rounding must not make it go in circles.
            if new_cost >= cost * 0.999 {
                continue;
            }
            let alike = !has_rules || are_alike(pool, limits, teams[a][i], teams[b][j]);
            swap(teams, (a, i), (b, j));
            let allowed =
                alike || (is_team(pool, limits, &teams[a]) && is_team(pool, limits, &teams[b]));
            if allowed {
                (moments[a], moments[b], cost) = (new_a, new_b, new_cost);
                changed = true;
            } else {
                swap(teams, (a, i), (b, j));
            }
        }
    }
    changed
}

/// Whether no rule on teams sees a difference between two tickets.
fn are_alike(pool: &Pool, limits: &Limits, a: u32, b: u32) -> bool {
    let facts = |ticket: u32| &pool.entries[ticket as usize].facts;
    let (a, b) = (facts(a), facts(b));
    let mut rules = limits.rules.iter().enumerate();
    rules.all(|(index, rule)| {
        rule.as_ref().is_none_or(|rule| rule.per == Scope::Match) || a[index] == b[index]
    })
}

fn swap(teams: &mut [Vec<u32>], (a, i): (usize, usize), (b, j): (usize, usize)) {
    let kept = teams[a][i];
    teams[a][i] = teams[b][j];
    teams[b][j] = kept;
}

/// Whether the teams are as equal as the limits want.
pub(super) fn judge(pool: &Pool, limits: &Limits, teams: &[Vec<u32>]) -> Result<(), Unfit> {
    averages(pool, limits, teams)?;
    if limits.balance.favourite.is_none() && limits.balance.distribution.is_none() {
        return Ok(());
    }
    let (favourite, distribution) = inequality(pool, limits, teams);
    if limits
        .balance
        .distribution
        .is_some_and(|max| distribution > max)
    {
        return Err(Unfit::Distribution);
    }
    if limits.balance.favourite.is_some_and(|max| favourite > max) {
        return Err(Unfit::Favourite);
    }
    Ok(())
}

fn averages(pool: &Pool, limits: &Limits, teams: &[Vec<u32>]) -> Result<(), Unfit> {
    for (index, rule) in limits.rules.iter().enumerate() {
        let Some(Requirement::Average(max)) = rule.as_ref().map(|rule| &rule.requirement) else {
            continue;
        };
        let mean = |tickets: &mut dyn Iterator<Item = &u32>| {
            let facts = tickets.map(|&ticket| &pool.entries[ticket as usize].facts[index]);
            let none = Fact::Nothing;
            facts.fold(none, |sum, fact| sum.with(fact)).middle()
        };
        let whole = mean(&mut teams.iter().flatten());
        for team in teams {
            let own = mean(&mut team.iter());
            if let (Some(whole), Some(own)) = (whole, own)
                && (whole - own).abs() > *max
            {
                return Err(Unfit::Average(index));
            }
        }
    }
    Ok(())
}

/// The highest predicted probability that one team beats another, and the largest distance of two
/// teams' rating distributions.
pub(super) fn inequality(pool: &Pool, limits: &Limits, teams: &[Vec<u32>]) -> (f64, f64) {
    let ratings = |team: &Vec<u32>| {
        let players = team
            .iter()
            .flat_map(|&t| &pool.entries[t as usize].ticket.players);
        let mut found: Vec<Rating> = players.map(|player| player.rating).collect();
        found.sort_by(|a, b| a.mu.total_cmp(&b.mu));
        found
    };
    let teams: Vec<Vec<Rating>> = teams
        .iter()
        .map(ratings)
        .filter(|t| !t.is_empty())
        .collect();
    let (mut favourite, mut distribution) = (0.5_f64, 0.0_f64);
    for (index, a) in teams.iter().enumerate() {
        for b in &teams[index + 1..] {
            let p = win_probability(a, b, limits.beta);
            favourite = favourite.max(p).max(1.0 - p);
            distribution = distribution.max(distance(a, b));
        }
    }
    (favourite, distribution)
}

/// The probability that `a` beats `b`, after Weng and Lin (Bradley-Terry): a logistic function of
/// the difference of the sums of mu over `sqrt(2 beta^2 + sum of sigma^2)`.
fn win_probability(a: &[Rating], b: &[Rating], beta: f64) -> f64 {
    let mu = |team: &[Rating]| team.iter().map(|rating| rating.mu).sum::<f64>();
    let variance: f64 = a
        .iter()
        .chain(b)
        .map(|rating| rating.sigma * rating.sigma)
        .sum();
    let scale = (2.0 * beta * beta + variance).sqrt();
    1.0 / (1.0 + ((mu(b) - mu(a)) / scale).exp())
}

/// The area between the quantile functions of two samples that are sorted by mu (the Wasserstein
/// distance of order 1).
fn distance(a: &[Rating], b: &[Rating]) -> f64 {
    let (mut area, mut at, mut i, mut j) = (0.0, 0.0, 0, 0);
    while i < a.len() && j < b.len() {
        let (end_a, end_b) = (
            (i + 1) as f64 / a.len() as f64,
            (j + 1) as f64 / b.len() as f64,
        );
        let end = end_a.min(end_b);
        area += (end - at) * (a[i].mu - b[j].mu).abs();
        at = end;
        // Cross-multiplied, so that equal ends are equal.
        let order = ((i + 1) * b.len()).cmp(&((j + 1) * a.len()));
        i += usize::from(order.is_le());
        j += usize::from(order.is_ge());
    }
    area
}

#[cfg(test)]
mod tests {
    use super::*;
    use skillratings::weng_lin::{WengLinConfig, WengLinRating, expected_score_two_teams};

    fn team(mus: &[f64]) -> Vec<Rating> {
        mus.iter().map(|&mu| Rating { mu, sigma: 3.0 }).collect()
    }

    #[test]
    fn one_and_ninety_nine_is_unlike_forty_nine_and_fifty_one() {
        let (wide, narrow) = (team(&[1.0, 99.0]), team(&[49.0, 51.0]));
        assert_eq!(win_probability(&wide, &narrow, 4.0), 0.5);
        assert_eq!(distance(&wide, &narrow), 48.0);
        assert_eq!(distance(&wide, &wide), 0.0);
    }

    #[test]
    fn samples_of_different_sizes_are_compared_by_quantile() {
        assert_eq!(distance(&team(&[10.0]), &team(&[10.0, 10.0, 10.0])), 0.0);
        let apart = distance(&team(&[0.0, 10.0]), &team(&[0.0, 5.0, 10.0]));
        assert!((apart - 5.0 / 3.0).abs() < 1e-9, "{apart}");
    }

    #[test]
    fn the_prediction_is_the_one_that_ratings_are_updated_with() {
        let (a, b) = (team(&[20.0, 31.0]), team(&[24.0, 22.0, 3.0]));
        let of_crate = |team: &[Rating]| -> Vec<WengLinRating> {
            let convert = |r: &Rating| WengLinRating {
                rating: r.mu,
                uncertainty: r.sigma,
            };
            team.iter().map(convert).collect()
        };
        let config = WengLinConfig {
            beta: 4.0,
            ..WengLinConfig::new()
        };
        let (theirs, _) = expected_score_two_teams(&of_crate(&a), &of_crate(&b), &config);
        assert!((win_probability(&a, &b, 4.0) - theirs).abs() < 1e-12);
    }
}
