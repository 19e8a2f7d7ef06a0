//! The matcher and the function as their callers see them: one program, because each would link it
//! again.

#![allow(
    clippy::unwrap_used,
    reason = "a failure in a helper is a failure of its test"
)]

mod crowd;
mod rig;
mod support;

#[path = "churn-costs-the-churner.rs"]
mod churn_costs_the_churner;
#[path = "flexmatch-rule-sets-are-read.rs"]
mod flexmatch_rule_sets_are_read;
#[path = "matches-fill-up-and-end.rs"]
mod matches_fill_up_and_end;
#[path = "matches-keep-their-rules.rs"]
mod matches_keep_their_rules;
#[path = "no-token-outlives-the-games.rs"]
mod no_token_outlives_the_games;
#[path = "nobody-is-in-two-matches.rs"]
mod nobody_is_in_two_matches;
#[path = "nobody-starves.rs"]
mod nobody_starves;
#[path = "passes-see-every-ticket.rs"]
mod passes_see_every_ticket;
#[path = "ratings-follow-results.rs"]
mod ratings_follow_results;
#[path = "rule-sets-are-validated.rs"]
mod rule_sets_are_validated;
#[path = "running-matches.rs"]
mod running_matches;
#[path = "the-bound-holds-for-hours.rs"]
mod the_bound_holds_for_hours;
#[path = "tickets-and-matches.rs"]
mod tickets_and_matches;
