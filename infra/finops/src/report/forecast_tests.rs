use super::*;

fn span(spent: i128, low: f64, likely: f64, high: f64) -> Span {
    Span {
        from: "2027-03-01".parse().unwrap(),
        spent: Money(spent * 1_000_000_000_000),
        whole: Interval { low, likely, high },
    }
}

#[test]
fn an_alarm_says_how_a_month_goes_with_its_budget() {
    let month = span(50, 80.0, 100.0, 130.0);
    for (budget, alarm) in [
        ("49.99", Alarm::Passed),
        ("50", Alarm::WillPass),
        ("99.99", Alarm::WillPass),
        ("100", Alarm::MayPass),
        ("129.99", Alarm::MayPass),
        ("130", Alarm::Within),
    ] {
        assert_eq!(
            Alarm::of(&month, Money::parse(budget).unwrap()),
            alarm,
            "{budget}"
        );
    }
}

fn outlook() -> Outlook {
    let months = [
        span(50, 80.0, 100.0, 130.0),
        Span {
            from: "2027-04-01".parse().unwrap(),
            ..span(0, 90.0, 120.0, 160.0)
        },
    ];
    Outlook {
        at: 501_000,
        regions: [("us-east-1".to_owned(), months.clone())].into(),
        days: vec![span(3, 3.0, 3.0, 3.0), span(1, 2.0, 3.5, 5.0)],
        months,
        filled_hours: 2,
        too_short: vec!["eu-west-1".to_owned()],
    }
}

fn budget(text: &str) -> Budget {
    let text = format!("{{\"dev\": {text}}}");
    crate::Budgets::read(&text)
        .unwrap()
        .of("dev")
        .unwrap()
        .clone()
}

#[test]
fn a_page_warns_of_what_will_pass_and_of_what_is_not_in_it() {
    let budget = budget(r#"{"month_usd": 110, "regions": {"us-east-1": 90, "ap-east-1": 1}}"#);
    let mut page = Page::new("Costs");
    add(&mut page, &outlook(), Some(&budget), &Hours::default());
    let text = page.plain();
    for wanted in [
        "NOTE  2027-03 may pass its budget of 110.00 $: likely 100.00 $, at most 130.00 $.",
        "NOTE  2027-04 will pass its budget of 110.00 $",
        "NOTE  2027-03 of us-east-1 will pass its budget of 90.00 $",
        "ap-east-1 has a budget, and no record is from there.",
        "no real weeks exist yet",
        "NOTE  2 hours of regions have no record",
        "NOTE  eu-west-1 has fewer than 72 hours",
    ] {
        assert!(text.contains(wanted), "{wanted}:\n{text}");
    }
    let html = page.html();
    assert!(html.contains("at most") && html.contains("prefers-color-scheme: dark"));
    assert!(!html.contains("width=\"-"), "no part of a bar is negative");
}

#[test]
fn it_fails_for_this_month_alone() {
    let outlook = outlook();
    let of = |text: &str| passes(&outlook, &held(&outlook, &budget(text)));
    assert!(!of(r#"{"month_usd": 110}"#), "the next month would");
    assert!(of(r#"{"month_usd": 99}"#));
    assert!(of(r#"{"month_usd": 999, "regions": {"us-east-1": 99}}"#));
}

#[test]
fn parts_of_a_bar_add_up_to_its_end() {
    let bar = bar(&span(1, 2.0, 3.5, 5.0));
    assert_eq!(bar.values, [1.0, 1.0, 1.5, 1.5]);
}

#[test]
fn figures_are_for_programs() {
    let figures = figures(&outlook(), Some(&budget(r#"{"month_usd": 99}"#)));
    assert_eq!(figures["months"][0]["likely"], "100.000000000000");
    assert_eq!(figures["budgets"][0]["alarm"], "will-pass");
    assert_eq!(figures["regions"]["us-east-1"][1]["from"], "2027-04-01");
}
