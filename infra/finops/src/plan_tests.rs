use super::*;
use crate::calendar::hour;
use crate::measured::{Entry, Million};

fn demand() -> Demand {
    Demand {
        players: 1_000_000.0,
        concurrent_share: 0.1,
        voice_share: 0.5,
        streams: 0.8,
        joins_per_hour: 2.0,
        messages_per_hour: 4.0,
        tickets_per_hour: 1.0,
        regions: BTreeMap::from([
            ("eu".to_owned(), (0.6, 1.0)),
            ("us".to_owned(), (0.4, -6.0)),
        ]),
        from: hour("2026-12-07T00:00Z").unwrap(),
        hours: 7 * 24,
        headroom: 0.3,
        zones: 3,
    }
}

fn measured() -> Measured {
    let million = Million {
        requests: 1_000_000,
        gateway_requests: 1_000_000,
        write_units: 2_000_000,
        ..Million::default()
    };
    let entry = Entry {
        commit: "a".into(),
        date: "2026-11-30".into(),
        machine: "a test".into(),
        command: "none".into(),
        million,
    };
    Measured(
        ["join", "chat-post", "ticket"]
            .map(|name| (name.to_owned(), entry.clone()))
            .into(),
    )
}

fn planned(demand: &Demand, calendar: &str) -> Result<Plan, String> {
    let (book, allocation, measured) = (Book::built_in(), Allocation::built_in(), measured());
    let (machines, calendar) = (Machines::built_in(), Calendar::read(calendar).unwrap());
    let basis = Basis {
        book: &book,
        allocation: &allocation,
        measured: &measured,
        calendar: &calendar,
        machine: machines.find("t4g.small").unwrap(),
    };
    plan(demand, &basis)
}

#[test]
fn a_machine_is_planned_by_what_it_can_do_always() {
    let machines = Machines::built_in();
    let (limit, streams) = machines.find("t4g.small").unwrap().streams(4_400);
    // Two fifths of a core at 4.4 us a packet; 128 Mbit/s would be 2,285 streams of 56 kbit/s.
    assert_eq!((limit, streams.round()), (Limit::Processor, 1_818.0));
    let (limit, streams) = machines.find("t4g.small").unwrap().streams(2_000);
    assert_eq!((limit, streams.round()), (Limit::Bandwidth, 2_286.0));
    assert!(
        machines
            .find("m1.tiny")
            .unwrap_err()
            .contains("machines.toml has t4g.small")
    );
}

#[test]
fn a_zone_may_be_lost() {
    for (streams, zones) in [(10_000.0, 3), (1.0, 2), (99_999.0, 4), (0.0, 3)] {
        let all = relays(streams, 1_000.0, zones);
        let left = all - all / zones;
        assert!(
            f64::from(left) * 1_000.0 >= streams,
            "{streams} {zones}: {all}"
        );
        assert_eq!(all % zones, 0);
    }
    assert_eq!(relays(2_500.0, 1_000.0, 1), 3);
}

#[test]
fn the_busiest_hour_is_the_share_that_was_asked_for_and_events_add_to_it() {
    let plan = planned(&demand(), "").unwrap();
    let busiest = |plan: &Plan, region: &str| {
        plan.needs[region]
            .iter()
            .map(|need| need.online)
            .fold(0.0, f64::max)
    };
    assert!(
        (busiest(&plan, "eu") - 60_000.0).abs() < 600.0,
        "{}",
        busiest(&plan, "eu")
    );
    let event = r#"
        [[event]]
        name = "x"
        kind = "product"
        from = "2026-12-09T00:00Z"
        hours = 24
        factor = 2.0
        regions = ["eu"]
        owner = "me"
        "#;
    let with = planned(&demand(), event).unwrap();
    assert!((busiest(&with, "eu") / busiest(&plan, "eu") - 2.0).abs() < 1e-6);
    assert_eq!(with.needs["us"], plan.needs["us"]);
    assert!(
        plan.substituted.iter().any(|it| it.region == "eu-west-1"),
        "it is told"
    );
    assert!(with.total() > plan.total());
    assert!(
        plan.machines_at_peak > plan.machines,
        "at night fewer are needed"
    );
}

#[test]
fn dollars_are_those_of_a_calculation_by_hand() {
    let mut demand = demand();
    demand.regions = BTreeMap::from([("us".to_owned(), (1.0, 0.0))]);
    demand.hours = 24;
    let plan = planned(&demand, "").unwrap();
    let online: f64 = plan.needs["us"].iter().map(|need| need.online).sum();
    // The mean of a day is (1 + 0.2) / 2 of its busiest hour.
    assert!((online - 100_000.0 * 0.6 * 24.0).abs() < 1.0, "{online}");
    // Half of them hear 0.8 streams of 25.2 MB an hour.
    assert!(
        (plan.egress_gb - online * 0.4 * 0.0252).abs() < 0.01,
        "{}",
        plan.egress_gb
    );
    // 14,500 GB: 100 free, 10,140 at 0.09, 4,275 at 0.085.
    let by_hand = 10_140.0 * 0.09 + (plan.egress_gb - 10_240.0) * 0.085;
    assert!(
        (plan.egress.dollars() - by_hand).abs() < 0.01,
        "{}",
        plan.egress
    );
    assert_eq!(plan.units.1, 2 * 7 * (online.round() as u128));
}

#[test]
fn a_demand_that_makes_no_sense_is_refused() {
    let with = |change: fn(&mut Demand)| {
        let mut demand = demand();
        change(&mut demand);
        planned(&demand, "").unwrap_err()
    };
    assert!(with(|d| d.voice_share = 1.5).contains("a share is within 0 and 1"));
    assert!(with(|d| d.players = f64::NAN).contains("players"));
    assert!(with(|d| d.headroom = 1.0).contains("leaves nothing"));
    assert!(with(|d| d.regions.clear()).contains("should be 1"));
    assert!(with(|d| d.hours = 0).contains("hours"));
}

/// Ten weeks that the plan did not see: relays are never over what they can do, and no more than a
/// few hours touch the headroom; nor is most of what was planned idle.
#[test]
fn weeks_that_are_replayed_fit_the_plan() {
    let demand = demand();
    let plan = planned(&demand, "").unwrap();
    for seed in 100..110 {
        let week = replay(&plan, &demand, seed);
        assert_eq!(
            (week.hours, week.over),
            (2 * 7 * 24, 0),
            "seed {seed}: {week:?}"
        );
        assert!(week.in_headroom * 20 <= week.hours, "seed {seed}: {week:?}");
        assert!(
            (week.gb.1 / week.gb.0 - 1.0).abs() < 0.1,
            "seed {seed}: {week:?}"
        );
        assert!(week.used_share > 0.45, "seed {seed}: {week:?}");
    }
    // The other way: without headroom and a zone to spare, the same weeks do not fit.
    let bare = Demand {
        headroom: 0.0,
        zones: 1,
        ..demand
    };
    let plan = planned(&bare, "").unwrap();
    assert!(
        replay(&plan, &bare, 100).over > 20,
        "{:?}",
        replay(&plan, &bare, 100)
    );
}
