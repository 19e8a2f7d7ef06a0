use super::*;
use crate::Book;

fn counted(write_units: u64) -> Counted {
    Counted {
        requests: 10,
        store_calls: 30,
        read_units: 10,
        write_units,
        bytes_in: 1_000,
        bytes_out: 3_000,
        log_bytes: 3_500,
        fuel: 9_000_000,
    }
}

fn counts(of: Counted) -> Counts {
    Counts {
        routes: BTreeMap::from([("chat-post".to_owned(), of)]),
    }
}

fn baseline() -> Baseline {
    Baseline {
        reason: "first".into(),
        routes: counts(counted(20)).routes,
        plan: BTreeMap::from([("a.b".to_owned(), "1.00".to_owned())]),
    }
}

fn compared(counts: &Counts) -> Vec<Finding> {
    let book = Book::built_in();
    let rates = Rates::of(&book, "us-east-1", &mut Default::default()).unwrap();
    compare(&baseline(), counts, &rates).unwrap()
}

#[test]
fn the_same_passes_and_five_per_cent_do_too() {
    assert_eq!(compared(&counts(counted(20))), []);
    assert_eq!(compared(&counts(counted(21))), [], "2.1 where 2 are");
    let by_chance = Counted {
        read_units: 11,
        ..counted(20)
    };
    assert_eq!(
        compared(&counts(by_chance)),
        [],
        "1.1 where 1 is: one call of ten did more"
    );
    let twice = Counted {
        requests: 20,
        store_calls: 60,
        read_units: 20,
        write_units: 40,
        bytes_in: 2_000,
        bytes_out: 6_000,
        log_bytes: 7_000,
        fuel: 18_000_000,
    };
    assert_eq!(compared(&counts(twice)), [], "of twice as many calls");
}

#[test]
fn more_fails_and_less_is_told() {
    let found = compared(&counts(counted(30)));
    let said = "chat-post: 3.00 write units where the baseline has 2.00";
    assert_eq!(found[0], Finding::Fault(said.into()));
    assert!(
        matches!(&found[1], Finding::Fault(text) if text.contains("$ a million of what is counted"))
    );
    let found = compared(&counts(counted(10)));
    assert!(
        matches!(&found[..], [Finding::Note(text)] if text.contains("1.00 write units")),
        "{found:?}"
    );
}

#[test]
fn what_is_new_or_gone_or_talks_too_much_fails() {
    let found = compared(&Counts {
        routes: BTreeMap::from([("new".to_owned(), counted(20))]),
    });
    assert!(
        matches!(&found[..], [Finding::Fault(new), Finding::Fault(gone)]
        if new.contains("not in the baseline") && gone.contains("chat-post is in the baseline"))
    );
    let loud = Counted {
        log_bytes: 3_750,
        ..counted(20)
    };
    let found = compared(&counts(loud));
    assert!(
        matches!(&found[..], [Finding::Fault(text), ..] if text.contains("401 bytes of logs")),
        "{found:?}"
    );
}

#[test]
fn a_baseline_that_allows_more_needs_a_reason_of_its_own() {
    let mut now = baseline();
    assert_eq!(reasons(&baseline(), &now), []);
    now.routes.get_mut("chat-post").unwrap().write_units = 30;
    assert!(
        matches!(&reasons(&baseline(), &now)[..], [Finding::Fault(text)] if text.contains("why"))
    );
    now.reason = "blocks are looked at before a post".into();
    assert!(
        matches!(&reasons(&baseline(), &now)[..], [Finding::Note(told)] if told.contains("blocks"))
    );
    let mut plan = baseline();
    plan.plan.insert("a.c".into(), "0.50".into());
    assert!(
        matches!(&reasons(&baseline(), &plan)[..], [Finding::Fault(text)] if text.contains("a.c"))
    );
    let mut cheaper = baseline();
    cheaper.routes.clear();
    assert_eq!(reasons(&baseline(), &cheaper), []);
}
