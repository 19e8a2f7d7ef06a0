use proptest::prelude::*;
use wire::ids::InvocationId;
use wire::record::{InvocationKind, RECORD_FORM};

use super::*;

fn record(id: u64, route: &str) -> InvocationRecord {
    InvocationRecord {
        kind: InvocationKind::Invocation,
        form: RECORD_FORM,
        id: Some(InvocationId(id.to_be_bytes())),
        at_ms: 1_700_000_000_000 + id,
        function: "chat".into(),
        route: route.into(),
        host: "lambda".into(),
        region: HOME_REGION.into(),
        build: "1".into(),
        method: "POST".into(),
        status: 200,
        outcome: "ok".into(),
        cold: false,
        duration_us: 9_000,
        billed_ms: 0,
        memory_mb: 128,
        fuel: 0,
        peak_memory_bytes: 0,
        store_calls: 3,
        store_reads: 1,
        store_writes: 2,
        store_read_units: 1,
        store_write_units: 2,
        bytes_in: 100,
        bytes_out: 300,
        log_bytes: 0,
    }
}

fn priced<'a>(
    book: &'a Book,
    functions: &'a Functions,
    records: &[InvocationRecord],
) -> Summary<'a> {
    let mut summary = Summary::new(book, functions);
    for record in records {
        summary.add(record, 350).unwrap();
    }
    summary
}

#[test]
fn a_million_posts_cost_what_a_calculation_by_hand_says() {
    let (book, functions) = (Book::built_in(), Functions::built_in());
    let summary = priced(&book, &functions, &[record(1, "chat-post")]);
    let (_, group) = summary.dearest()[0];
    let (parts, sum) = group.per_million();
    // 1.00 the gateway; 0.20 and 9 ms of 128 MB; 0.125 and twice 0.625; 376 bytes of logs; 300 out.
    let by_hand = ["1.0000", "0.2150", "1.3750", "0.1880", "0.0270"];
    assert_eq!(parts.map(|part| part.text(4)), by_hand);
    assert_eq!(sum.text(4), "2.8050");
}

#[test]
fn what_stands_out_is_told_with_its_reason() {
    let (book, functions) = (Book::built_in(), Functions::built_in());
    let mut records: Vec<_> = (0..100).map(|id| record(id, "match-ticket")).collect();
    records[40].store_read_units = 400;
    records[50].cold = true;
    records[50].billed_ms = 9_000;
    records[60].duration_us = 20_000_000;
    records.push(record(200, "once"));
    let summary = priced(&book, &functions, &records);
    let key = |route: &str| {
        summary
            .groups
            .iter()
            .find(|(key, _)| key.route == route)
            .unwrap()
            .1
    };
    let told: Vec<String> = key("match-ticket")
        .outliers()
        .into_iter()
        .map(|it| it.reason)
        .collect();
    assert_eq!(
        told,
        [
            "400 read and 2 write units; the mean is 4 and 2",
            "it took 20000.0 ms; half take 9.0",
            "a cold start: 9000 ms billed"
        ]
    );
    assert_eq!(key("once").outliers(), [], "one alone does not stand out");
}

#[test]
fn a_build_that_makes_a_route_dearer_is_named() {
    let (book, functions) = (Book::built_in(), Functions::built_in());
    let mut records: Vec<_> = (0..40).map(|id| record(id, "chat-post")).collect();
    for record in &mut records[20..] {
        record.build = "2".into();
        record.store_write_units += 1;
    }
    let found = priced(&book, &functions, &records).dearer();
    assert_eq!(found.len(), 1, "{found:?}");
    assert_eq!(found[0].builds, ("1".to_owned(), "2".to_owned()));
    assert_eq!(
        (found[0].per_million.1 - found[0].per_million.0).text(3),
        "0.625"
    );
}

#[test]
fn a_region_without_prices_is_priced_as_at_home_and_that_is_noted() {
    let (book, functions) = (Book::built_in(), Functions::built_in());
    let mut far = record(1, "chat-post");
    far.region = "ap-southeast-1".into();
    let mut own = record(2, "chat-post");
    (own.region, own.host) = ("eu".into(), "edge-host".into());
    let summary = priced(&book, &functions, &[far, own]);
    let regions: BTreeSet<&str> = summary
        .substituted
        .iter()
        .map(|it| it.region.as_str())
        .collect();
    assert_eq!(
        regions,
        BTreeSet::from(["ap-southeast-1"]),
        "a fleet's own name is no region of AWS"
    );
}

#[test]
fn names_without_end_take_no_memory_without_end() {
    let (book, functions) = (Book::built_in(), Functions::built_in());
    let records: Vec<_> = (0..3_000).map(|id| record(id, &format!("r{id}"))).collect();
    let summary = priced(&book, &functions, &records);
    assert_eq!(summary.groups.len(), GROUPS_MAX + 1);
    assert_eq!(summary.total().0, 3_000, "all of them count");
}

#[test]
fn a_month_and_a_hundred_go_through_the_tiers() {
    let (book, functions) = (Book::built_in(), Functions::built_in());
    let mut records = [record(0, "chat-post"), record(0, "chat-post")];
    records[1].at_ms += 3_600_000;
    let summary = priced(&book, &functions, &records);
    let month = summary.of_month(1).unwrap().unwrap();
    // 1,460 invocations, and 438 kB of egress, of which 100 GB are free.
    assert_eq!(month.gateway.text(5), "0.00146");
    assert_eq!(month.egress, Money::ZERO);
    assert_eq!(
        priced(&book, &functions, &records[..1])
            .of_month(1)
            .unwrap(),
        None
    );
}

fn any_record() -> impl Strategy<Value = InvocationRecord> {
    let names = prop::sample::select(vec!["join", "leave", "chat-post"]);
    let hosts = prop::sample::select(vec!["lambda", "edge-host"]);
    let figures = (
        any::<u64>(),
        any::<u64>(),
        any::<u32>(),
        any::<u32>(),
        any::<u64>(),
    );
    (any::<u64>(), names, hosts, figures).prop_map(|(id, route, host, figures)| {
        let mut record = record(id >> 24, route);
        record.host = host.into();
        (record.duration_us, record.billed_ms) = (figures.0, figures.1);
        (record.store_read_units, record.memory_mb) = (figures.2, figures.3);
        record.bytes_out = figures.4;
        record
    })
}

proptest! {
    #[test]
    fn parts_add_up_to_the_whole_in_any_order(
        mut records in prop::collection::vec(any_record(), 1..40)
    ) {
        let (book, functions) = (Book::built_in(), Functions::built_in());
        let summary = priced(&book, &functions, &records);
        let (count, _, cost) = summary.total();
        prop_assert_eq!(count, records.len() as u64);
        let by_group: Money = summary.groups.values().map(|group| group.cost.total()).sum();
        let by_part: Money = cost.parts().into_iter().sum();
        let builds = summary.groups.values().flat_map(|group| group.builds.values());
        let by_build: Money = builds.map(|build| build.cost).sum();
        let alone: Money = records
            .iter()
            .map(|record| priced(&book, &functions, std::slice::from_ref(record)).total().2.total())
            .sum();
        for sum in [by_group, by_part, by_build, alone] {
            prop_assert_eq!(sum, cost.total());
        }
        for part in cost.parts() {
            prop_assert!(part >= Money::ZERO);
        }
        let told = |summary: &Summary<'_>| {
            let mut page = crate::page::Page::new("t");
            crate::report::invocations::add(&mut page, summary, None);
            page.markdown()
        };
        let before = told(&summary);
        records.reverse();
        prop_assert_eq!(before, told(&priced(&book, &functions, &records)));
    }
}
