//! Ratings after a result.

use matchmaking::Rating;
use matchmaking::ratings::{DEFAULT_BETA, NEWCOMER, ResultInvalid, TeamResult, after};
use proptest::prelude::*;

fn results() -> impl Strategy<Value = Vec<TeamResult>> {
    let rating = (0.0..50.0_f64, 0.5..9.0_f64).prop_map(|(mu, sigma)| Rating { mu, sigma });
    let team = (proptest::collection::vec(rating, 1..6), 1_u32..4)
        .prop_map(|(players, rank)| TeamResult { players, rank });
    proptest::collection::vec(team, 2..6)
}

fn team(rank: u32) -> TeamResult {
    TeamResult {
        players: vec![NEWCOMER; 2],
        rank,
    }
}

proptest! {
    #[test]
    fn nobody_becomes_less_certain_and_everything_stays_finite(teams in results()) {
        let updated = after(&teams, DEFAULT_BETA).unwrap();
        prop_assert_eq!(updated.len(), teams.len());
        for (new, old) in updated.iter().zip(&teams) {
            prop_assert_eq!(new.len(), old.players.len());
            for (new, old) in new.iter().zip(&old.players) {
                prop_assert!(new.sigma > 0.0 && new.sigma <= old.sigma && new.mu.is_finite());
            }
        }
    }

    #[test]
    fn who_alone_is_first_never_falls_and_who_alone_is_last_never_rises(teams in results()) {
        let updated = after(&teams, DEFAULT_BETA).unwrap();
        for (index, team) in teams.iter().enumerate() {
            let others = || teams.iter().enumerate().filter(|(other, _)| *other != index);
            let change = updated[index][0].mu - team.players[0].mu;
            if others().all(|(_, other)| other.rank > team.rank) {
                prop_assert!(change >= 0.0, "{change}");
            }
            if others().all(|(_, other)| other.rank < team.rank) {
                prop_assert!(change <= 0.0, "{change}");
            }
        }
    }

    #[test]
    fn the_order_of_the_teams_does_not_matter(teams in results()) {
        let mut reversed = teams.clone();
        reversed.reverse();
        let mut updated = after(&reversed, DEFAULT_BETA).unwrap();
        updated.reverse();
        let plain = after(&teams, DEFAULT_BETA).unwrap();
        for (a, b) in plain.iter().flatten().zip(updated.iter().flatten()) {
            prop_assert!((a.mu - b.mu).abs() < 1e-9 && (a.sigma - b.sigma).abs() < 1e-9);
        }
    }
}

#[test]
fn a_draw_of_equals_moves_nobody_and_a_win_moves_both() {
    for player in after(&[team(1), team(1)], DEFAULT_BETA)
        .unwrap()
        .iter()
        .flatten()
    {
        assert!((player.mu - NEWCOMER.mu).abs() < 1e-12, "{player:?}");
    }
    let updated = after(&[team(2), team(1)], DEFAULT_BETA).unwrap();
    assert!(updated[1][0].mu > NEWCOMER.mu && updated[0][0].mu < NEWCOMER.mu);
}

#[test]
fn unusable_results_are_refused() {
    assert_eq!(after(&[team(1)], DEFAULT_BETA), Err(ResultInvalid::Teams));
    let nobody = TeamResult {
        players: vec![],
        rank: 1,
    };
    assert_eq!(
        after(&[team(1), nobody], DEFAULT_BETA),
        Err(ResultInvalid::Teams)
    );
    for (mu, sigma, beta) in [
        (f64::NAN, 1.0, 1.0),
        (1.0, 0.0, 1.0),
        (1.0, 1.0, f64::INFINITY),
        (1.0, 1.0, 0.0),
    ] {
        let odd = TeamResult {
            players: vec![Rating { mu, sigma }],
            rank: 2,
        };
        assert_eq!(after(&[team(1), odd], beta), Err(ResultInvalid::Number));
    }
    let far = |mu, rank| TeamResult {
        players: vec![Rating { mu, sigma: 1.0 }],
        rank,
    };
    let apart = after(&[far(1e300, 1), far(-1e300, 2)], 1.0);
    assert!(apart.is_err() || apart.unwrap().iter().flatten().all(|r| r.mu.is_finite()));
}
