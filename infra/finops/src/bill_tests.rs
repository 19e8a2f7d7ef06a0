use proptest::prelude::*;

use super::*;

const CUR: &str = "identity_line_item_id,line_item_usage_account_id,line_item_line_item_type,\
line_item_usage_start_date,line_item_product_code,line_item_usage_type,line_item_resource_id,\
line_item_unblended_cost,line_item_currency_code,resource_tags,\
savings_plan_savings_plan_effective_cost";

fn read(allocation: &Allocation, account: Option<&'static str>, text: &str) -> Bill<'static> {
    let allocation: &'static Allocation = Box::leak(Box::new(allocation.clone()));
    let mut bill = Bill::new(allocation, account);
    bill.read("bill.csv", text.as_bytes()).unwrap();
    bill
}

fn cur(rows: &[&str]) -> Bill<'static> {
    let text = format!("{CUR}\n{}\n", rows.join("\n"));
    read(&Allocation::built_in(), None, &text)
}

fn dollars(text: &str) -> Money {
    Money::parse(text).unwrap()
}

const DAY: &str = "2026-11-30T05:00:00.000Z";

#[test]
fn every_kind_of_line_item_is_counted_under_its_name() {
    let rows = [
        format!("1,1,Usage,{DAY},AWSLambda,x,arn:aws:lambda:x:1:function:lv-dev-chat,1.5,USD,,"),
        format!("2,1,SavingsPlanCoveredUsage,{DAY},AmazonEC2,x,i-1,9,USD,,0.5"),
        format!("3,1,Credit,{DAY},AmazonEC2,,,-2,USD,,"),
        format!("4,1,Refund,{DAY},AmazonEC2,,,-3,USD,,"),
        format!("5,1,Tax,{DAY},AmazonEC2,,,4,USD,,"),
        format!("6,1,SavingsPlanRecurringFee,{DAY},AmazonEC2,,,5,USD,,"),
        format!("7,1,SavingsPlanNegation,{DAY},AmazonEC2,,,-9,USD,,"),
        format!("8,1,Novelty,{DAY},AmazonEC2,,,6,USD,,"),
        format!("9,1,Usage,{DAY},AmazonEC2,,,7,EUR,,"),
        "10,1,Usage,yesterday,AmazonEC2,,,1,USD,,".to_owned(),
        format!("11,1,Usage,{DAY},AmazonEC2,,,much,USD,,"),
        format!("12,1,Usage,{DAY}"),
        format!("1,1,Usage,{DAY},AWSLambda,x,arn:aws:lambda:x:1:function:lv-dev-chat,1.5,USD,,"),
    ];
    let bill = cur(&rows.iter().map(String::as_str).collect::<Vec<_>>());
    assert_eq!((bill.rows, bill.covered), (13, 1));
    assert_eq!(
        bill.compared(),
        dollars("2"),
        "a plan's use is at its effective cost"
    );
    let asides: Vec<_> = bill
        .asides
        .iter()
        .map(|(aside, it)| (*aside, it.0, it.1))
        .collect();
    let negative = |text| Money::ZERO - dollars(text);
    let expected = [
        (Aside::Credit, 1, negative("2")),
        (Aside::Refund, 1, negative("3")),
        (Aside::Tax, 1, dollars("4")),
        (Aside::Fee, 1, dollars("5")),
        (Aside::Discount, 1, negative("9")),
        (Aside::OtherKind, 1, dollars("6")),
    ];
    assert_eq!(asides, expected);
    let faults: Vec<_> = bill
        .faults
        .iter()
        .map(|(fault, it)| (*fault, it.0))
        .collect();
    let expected = [
        (Fault::Torn, 1),
        (Fault::BadDate, 1),
        (Fault::BadAmount, 1),
        (Fault::OtherCurrency, 1),
        (Fault::Duplicate, 1),
    ];
    assert_eq!(faults, expected);
    assert_eq!(bill.faults[&Fault::BadDate].1, ["bill.csv:11"]);
    assert!(bill.currencies.contains("EUR"));
}

#[test]
fn owners_come_from_tags_else_from_names() {
    let tags = r#""{""user_feature"":""f"",""user_team"":""t"",""user_Env"":""prod""}""#;
    let rows = [
        format!("1,1,Usage,{DAY},AmazonEC2,DataTransfer-Out-Bytes,i-1,1,USD,{tags},"),
        format!("2,1,Usage,{DAY},AWSLambda,x,arn:aws:lambda:x:1:function:lv-dev-chat:7,1,USD,,"),
        format!("3,1,Usage,{DAY},AmazonS3,x,bucket,1,USD,{{torn,"),
    ];
    let bill = cur(&rows.iter().map(String::as_str).collect::<Vec<_>>());
    let found: Vec<_> = bill.usage.keys().collect();
    let of = |key: &Key| {
        let Owner { feature, team } = key.owner.clone();
        (key.service.clone(), feature, team, key.environment.clone())
    };
    let expected = [
        ("AWS Data Transfer", "f", "t", "prod"),
        ("AWS Lambda", "chat", "social", NOBODY),
        ("AmazonS3", NOBODY, NOBODY, NOBODY),
    ];
    let expected =
        expected.map(|(a, b, c, d)| (a.to_owned(), b.to_owned(), c.to_owned(), d.to_owned()));
    assert_eq!(found.into_iter().map(of).collect::<Vec<_>>(), expected);
}

#[test]
fn another_account_is_set_aside_and_a_correction_is_no_usage() {
    let text = "ChargeCategory,ChargeClass,ChargePeriodStart,BillingCurrency,EffectiveCost,\
                ServiceName,SubAccountId\n\
                Usage,,2026-11-30T00:00:00Z,USD,1,AWS Lambda,7\n\
                Usage,,2026-11-30T00:00:00Z,USD,2,AWS Lambda,8\n\
                Usage,Correction,2026-11-30T00:00:00Z,USD,4,AWS Lambda,7\n";
    let bill = read(&Allocation::built_in(), Some("7"), text);
    assert_eq!(bill.compared(), dollars("1"));
    assert_eq!(bill.asides[&Aside::OtherAccount], (1, dollars("2")));
    assert_eq!(bill.asides[&Aside::Refund], (1, dollars("4")));
}

#[test]
fn what_is_no_bill_says_so() {
    let allocation = Allocation::built_in();
    for (text, why) in [
        (&b"PAR1\x15\x04"[..], "Parquet"),
        (b"", "no header"),
        (b"\x1f\x8b\x08\x00", "gzip -dc"),
        (b"a,b\n", "neither"),
        (b"ChargeCategory\n", "ChargePeriodStart is missing"),
    ] {
        let fault = Bill::new(&allocation, None).read("bill", text).unwrap_err();
        assert!(fault.to_string().contains(why), "{fault}");
    }
}

proptest! {
    #[test]
    fn the_order_of_rows_changes_nothing_and_parts_are_the_whole(
        rows in prop::collection::vec((0_u8..5, 1_u8..4, -1_000_i64..1_000), 1..40),
        turn in any::<prop::sample::Index>(),
    ) {
        let kinds = ["Usage", "Credit", "Tax", "Usage", "Novelty"];
        let mut lines: Vec<String> = rows.iter().enumerate().map(|(at, (kind, day, cents))| {
            let kind = kinds[usize::from(*kind)];
            let cost = format!("{}{}.{:02}", if *cents < 0 { "-" } else { "" },
                cents.abs() / 100, cents.abs() % 100);
            format!("{at},1,{kind},2026-11-0{day},AWSLambda,,,{cost},USD,,")
        }).collect();
        let bill = |lines: &[String]| cur(&lines.iter().map(String::as_str).collect::<Vec<_>>());
        let straight = bill(&lines);
        let whole: i64 = rows.iter().map(|(_, _, cents)| cents).sum();
        let sum = straight.compared() + straight.set_aside();
        prop_assert_eq!(sum, Money(i128::from(whole) * 10_000_000_000));
        let again: Vec<String> = lines.iter().chain(&lines).cloned().collect();
        let twice = bill(&again);
        prop_assert_eq!(&twice.usage, &straight.usage);
        prop_assert_eq!(twice.faults[&Fault::Duplicate].0, lines.len() as u64);
        let middle = turn.index(lines.len());
        lines.rotate_left(middle);
        let turned = bill(&lines);
        prop_assert_eq!(&turned.usage, &straight.usage);
        prop_assert_eq!(&turned.asides, &straight.asides);
    }

    #[test]
    fn nothing_panics_and_every_row_is_counted(text in "[0-9a-zA-Z,\"\n{}:.-]{0,200}") {
        let bill = cur(&[&text]);
        let faults: u64 = bill.faults.values().map(|(count, _)| count).sum();
        let asides: u64 = bill.asides.values().map(|(count, _)| count).sum();
        prop_assert!(faults + asides <= bill.rows);
    }
}
