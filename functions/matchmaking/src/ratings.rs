//! Ratings after a result: the Weng-Lin model (OpenSkill's Bradley-Terry variant), from the crate
//! `skillratings`. Ranks and draws of any number of teams of any size.

use std::fmt;

use skillratings::MultiTeamOutcome;
use skillratings::weng_lin::{WengLinConfig, WengLinRating, weng_lin_multi_team};

/// A belief about skill: a normal distribution, on whatever scale the game uses.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Rating {
    /// Mean.
    pub mu: f64,
    /// Standard deviation, above 0.
    pub sigma: f64,
}

/// The rating of somebody of whom nothing is known, on the default scale.
pub const NEWCOMER: Rating = Rating {
    mu: 25.0,
    sigma: 25.0 / 3.0,
};

/// Skill difference at which the better one wins about 80 % of the time, on the default scale. A
/// game with another scale gives its own, as `rating.beta` of the rule set.
pub const DEFAULT_BETA: f64 = 25.0 / 6.0;

/// One team of a finished match.
#[derive(Debug, Clone, PartialEq)]
pub struct TeamResult {
    /// The players' ratings before the match.
    pub players: Vec<Rating>,
    /// The place that the team took: lower is better, equal is a draw.
    pub rank: u32,
}

/// Why a result changes no rating.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ResultInvalid {
    /// Fewer than two teams, or a team without players.
    Teams,
    /// A rating or beta that is not finite or not above zero where it must be, or ratings so far
    /// apart that the model has no finite answer.
    Number,
}

impl fmt::Display for ResultInvalid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Teams => "a result needs two teams or more, each with players",
            Self::Number => "a rating is not a usable number",
        })
    }
}

impl std::error::Error for ResultInvalid {}

/// The ratings after a match, in the order of the input. `beta` as [`DEFAULT_BETA`].
///
/// # Errors
/// [`ResultInvalid`].
pub fn after(teams: &[TeamResult], beta: f64) -> Result<Vec<Vec<Rating>>, ResultInvalid> {
    if teams.len() < 2 || teams.iter().any(|team| team.players.is_empty()) {
        return Err(ResultInvalid::Teams);
    }
    let usable = |r: &Rating| r.mu.is_finite() && r.sigma.is_finite() && r.sigma > 0.0;
    let players = || teams.iter().flat_map(|team| &team.players);
    if !(beta.is_finite() && beta > 0.0 && players().all(usable)) {
        return Err(ResultInvalid::Number);
    }
    let config = WengLinConfig {
        beta,
        ..WengLinConfig::new()
    };
    let before: Vec<Vec<WengLinRating>> = teams
        .iter()
        .map(|team| team.players.iter().map(to_crate).collect())
        .collect();
    let results: Vec<(&[WengLinRating], MultiTeamOutcome)> = before
        .iter()
        .zip(teams)
        .map(|(players, team)| {
            (
                players.as_slice(),
                MultiTeamOutcome::new(team.rank as usize),
            )
        })
        .collect();
    let after: Vec<Vec<Rating>> = weng_lin_multi_team(&results, &config)
        .iter()
        .map(|team| team.iter().map(from_crate).collect())
        .collect();
    if after.iter().flatten().all(usable) {
        Ok(after)
    } else {
        Err(ResultInvalid::Number)
    }
}

fn to_crate(rating: &Rating) -> WengLinRating {
    WengLinRating {
        rating: rating.mu,
        uncertainty: rating.sigma,
    }
}

fn from_crate(rating: &WengLinRating) -> Rating {
    Rating {
        mu: rating.rating,
        sigma: rating.uncertainty,
    }
}
