//! The table of limits in the README is made here, from the flags themselves, and held to that.

use clap::{Arg, Args as _};
use sfu::{DropReason, EndReason, RejectReason};

use super::Settings;
use crate::outcome::Outcome;
use crate::overload::FullReason;

const README: &str = include_str!("../README.md");

/// Flags with a number that limit nothing that others do.
const NO_LIMITS: [&str; 2] = ["drain-seconds", "usage-seconds"];

/// Each limit's flag, and the metric that says that it was reached.
fn limits() -> [(&'static str, String); 21] {
    let full = |reason: FullReason| format!("relay_full{{reason=\"{}\"}}", reason.label());
    let rejected = |reason: RejectReason| {
        let label = reason.label();
        format!("relay_datagrams_rejected_total{{reason=\"{label}\"}}")
    };
    let dropped =
        |reason: DropReason| format!("relay_drops_total{{reason=\"{}\"}}", reason.label());
    let budget = || {
        let ended = EndReason::Budget.label();
        let rejected = rejected(RejectReason::Budget);
        format!("{rejected}`, `relay_sessions_ended_total{{reason=\"{ended}\"}}")
    };
    let ended = |reason: EndReason| {
        let label = reason.label();
        format!("relay_sessions_ended_total{{reason=\"{label}\"}}")
    };
    let lost = |ends: &[Outcome]| {
        let of = |family: &str, end: &Outcome| {
            let label = end.label();
            format!("{family}{{outcome=\"{label}\"}}")
        };
        let families = ["relay_control_accepts_total", "relay_tcp_accepts_total"];
        let all = families
            .iter()
            .flat_map(|family| ends.iter().map(|end| of(family, end)));
        all.collect::<Vec<_>>().join("`, `")
    };
    [
        ("max-participants", full(FullReason::Sessions)),
        ("max-room", rejected(RejectReason::Full)),
        ("full-cpu-percent", full(FullReason::Cpu)),
        ("full-packets", full(FullReason::Packets)),
        ("speaker-packets", dropped(DropReason::Rate)),
        ("speaker-bytes", dropped(DropReason::Rate)),
        ("session-states", dropped(DropReason::StateRate)),
        ("push-readers", dropped(DropReason::PushRate)),
        ("session-datagrams", budget()),
        ("session-bytes", budget()),
        ("session-cpu-us", budget()),
        ("player-sessions", rejected(RejectReason::PlayerSessions)),
        ("player-half-open", ended(EndReason::HalfOpen)),
        ("reserve-percent", rejected(RejectReason::Reserve)),
        ("hello-seconds", ended(EndReason::NoHello)),
        (
            "usage-megabytes",
            "relay_usage_records_dropped_total{reason=\"size\"}".to_owned(),
        ),
        ("door-strangers", lost(&[Outcome::Busy])),
        ("door-source", lost(&[Outcome::BusySource])),
        ("door-seconds", lost(&[Outcome::Late])),
        ("unproved-factor", dropped(DropReason::Unproved)),
        ("consent-seconds", dropped(DropReason::Unproved)),
    ]
}

fn flags() -> Vec<Arg> {
    let command = Settings::augment_args(clap::Command::new("relay"));
    command.get_arguments().cloned().collect()
}

/// The rows of the table, as Markdown.
fn table() -> String {
    let flags = flags();
    let row = |(name, metric): (&str, String)| {
        let flag = flags.iter().find(|flag| flag.get_long() == Some(name));
        let flag = flag.expect("a flag of the relay");
        let help = flag
            .get_help()
            .expect("every flag is explained")
            .to_string();
        let help = help.split_whitespace().collect::<Vec<_>>().join(" ");
        let default = flag.get_default_values()[0].to_string_lossy();
        format!("| `--{name} N` | {help} | {default} | `{metric}` |\n")
    };
    limits().map(row).concat()
}

#[test]
fn the_readme_says_what_every_limit_is() {
    let table = table();
    assert!(
        README.contains(&table),
        "the table of limits in media-core/relay/README.md is to be:\n{table}"
    );
}

#[test]
fn every_flag_with_a_number_is_a_limit_or_known_to_be_none() {
    let limits = limits().map(|(name, _)| name);
    for flag in flags() {
        let name = flag.get_long().expect("a flag has a name");
        let is_number = flag
            .get_value_names()
            .is_some_and(|names| names[0].as_str() == "N");
        let is_known = limits.contains(&name) || NO_LIMITS.contains(&name);
        assert!(!is_number || is_known, "--{name} is missing in the table");
    }
}
