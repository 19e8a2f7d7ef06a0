use super::*;
use crate::allocation::Allocation;
use crate::book::Book;
use crate::charges::Charges;
use crate::day::Day;
use crate::lambda::Functions;
use crate::records::Intake;

const RECORDS: [&[u8]; 2] = [
    include_bytes!("../tests/day/edge-host.jsonl"),
    include_bytes!("../tests/day/relay.jsonl"),
];

fn with_charges(each: impl FnOnce(&Charges<'_>, &Allocation)) {
    let (book, functions) = (Book::built_in(), Functions::built_in());
    let allocation = Allocation::built_in();
    let mut day = Day::new(&book, &functions, &allocation, "dev");
    let mut intake = Intake::default();
    for text in RECORDS {
        intake.read("day", text, |record| day.add(&record)).unwrap();
    }
    each(&day.charges, &allocation);
}

fn pair(billed: i128, recorded: i128) -> Pair {
    Pair {
        billed: Money(billed),
        recorded: Money(recorded),
    }
}

#[test]
fn five_per_cent_is_no_difference_and_more_is() {
    assert_eq!(pair(100, 105).verdict(), Verdict::Agrees);
    assert_eq!(pair(100, 95).verdict(), Verdict::Agrees);
    assert_eq!(pair(1_000, 1_051).verdict(), Verdict::Differs);
    assert_eq!(pair(1_000, 949).verdict(), Verdict::Differs);
    assert_eq!(pair(1, 0).verdict(), Verdict::NotRecorded);
    assert_eq!(pair(0, 1).verdict(), Verdict::NotBilled);
    assert_eq!(pair(0, 0).verdict(), Verdict::Agrees);
}

#[test]
fn our_own_rows_of_focus_agree_to_the_last_digit() {
    with_charges(|charges, allocation| {
        let mut bill = Bill::new(allocation, None);
        bill.read("focus.csv", charges.focus().as_bytes()).unwrap();
        let found = Reconciled::of(&bill, charges);
        assert_eq!(
            found.total,
            Pair {
                billed: charges.total(),
                recorded: charges.total()
            }
        );
        assert_eq!(found.differences(), []);
        assert_eq!(found.explained, charges.total());
        for axis in Axis::ALL {
            let sum: Money = found.by(axis).map(|(_, pair)| pair.billed).sum();
            assert_eq!(sum, charges.total(), "{}", axis.name());
        }
        let json = found.json(&bill);
        assert_eq!(json["explained_percent"], 100.0);
    });
}

#[test]
fn an_empty_bill_explains_nothing() {
    with_charges(|charges, allocation| {
        let found = Reconciled::of(&Bill::new(allocation, None), charges);
        assert_eq!(found.explained_percent(), None);
        let verdicts = found.differences();
        assert!(!verdicts.is_empty());
        let all_unbilled = |(_, _, pair): &(_, _, Pair)| pair.verdict() == Verdict::NotBilled;
        assert!(verdicts.iter().all(all_unbilled));
    });
}
