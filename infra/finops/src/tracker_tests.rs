use super::*;

const ENTRY: &str = r#"
[[vendor]]
name = "a"
provider = "p"
contract = "c"
exit = "e"
licence = "l"
single_point = "s"
owner = "o"
review = "2026-11-30"
covers = ["action:x/y", "service:dns"]
"#;

fn day(text: &str) -> Date {
    text.parse().unwrap()
}

fn used(names: &[&str]) -> BTreeMap<String, String> {
    names
        .iter()
        .map(|name| ((*name).to_owned(), "ci.yml".to_owned()))
        .collect()
}

#[test]
fn a_review_is_a_warning_for_thirty_days_and_then_a_fault() {
    let tracker = Tracker::read(ENTRY).unwrap();
    let on = |text: &str| tracker.check(day(text), &used(&["action:x/y"]));
    assert_eq!(on("2026-11-30"), []);
    assert!(matches!(on("2026-12-01")[..], [Finding::Warning(_)]));
    assert!(matches!(on("2026-12-30")[..], [Finding::Warning(_)]));
    assert!(matches!(on("2026-12-31")[..], [Finding::Fault(_)]));
}

#[test]
fn a_field_that_is_missing_empty_or_unknown_is_named() {
    let without = ENTRY.replace("licence = \"l\"\n", "");
    assert!(Tracker::read(&without).unwrap_err().contains("licence"));
    assert!(
        Tracker::read(&format!("{ENTRY}more = 1\n"))
            .unwrap_err()
            .contains("more")
    );
    let empty = Tracker::read(&ENTRY.replace("exit = \"e\"", "exit = \" \"")).unwrap();
    let found = empty.check(day("2026-11-30"), &used(&["action:x/y"]));
    assert_eq!(found, [Finding::Fault("a: exit is empty".into())]);
    let wrong = Tracker::read(&ENTRY.replace("2026-11-30", "soon")).unwrap();
    let found = wrong.check(day("2026-11-30"), &used(&["action:x/y"]));
    assert!(matches!(&found[..], [Finding::Fault(text)] if text.contains("soon")));
}

#[test]
fn what_is_used_is_covered_once_and_nothing_else_is() {
    let tracker = Tracker::read(ENTRY).unwrap();
    let today = day("2026-11-30");
    let found = tracker.check(today, &used(&["action:x/y", "aws:s3"]));
    assert!(matches!(&found[..], [Finding::Fault(text)] if text.contains("ci.yml uses aws:s3")));
    let found = tracker.check(today, &used(&[]));
    assert!(matches!(&found[..], [Finding::Fault(text)] if text.contains("does not use")));
    let twice = Tracker::read(&format!("{ENTRY}{ENTRY}")).unwrap();
    let found = twice.check(today, &used(&["action:x/y"]));
    assert_eq!(found.len(), 2, "{found:?}");
}

#[test]
fn uses_are_read_from_files() {
    let of = |path, text| uses(path, text).into_iter().collect::<Vec<_>>();
    let workflow = "  - uses: actions/checkout@v4\n    uses: ./here\n    uses: a/b/c@main\n";
    let found = of(".github/workflows/ci.yml", workflow);
    assert_eq!(found, ["action:a/b/c", "action:actions/checkout"]);
    let terraform = "resource \"aws_s3_bucket\" \"a\" {\nresource \"aws_subnet\" \"b\" {\n\
                     source  = \"hashicorp/aws\"\nsource = \"../state\"\nResource = \"x/y\"\n\
                     resource \"aws_route53_record\" \"c\" {\n";
    let found = of("terraform/a/main.tf", terraform);
    assert_eq!(
        found,
        ["aws:ec2", "aws:route53", "aws:s3", "provider:hashicorp/aws"]
    );
    let compose = "image: lifeverse-edge:0.1.0\n image: docker.io/library/caddy:2\n\
                   image: localhost.test:5000/a\n";
    let found = of("infra/deploy/compose/compose.yaml", compose);
    assert_eq!(
        found,
        [
            "image:docker.io/library/caddy",
            "image:localhost.test:5000/a"
        ]
    );
    assert_eq!(of("a/requirements.txt", ""), ["registry:pypi"]);
    assert!(of("a/notes.md", "uses: a/b@c").is_empty());
}
