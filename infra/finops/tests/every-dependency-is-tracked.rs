//! What the tree uses of others is in `infra/ops/vendors.toml`, and its reviews are not overdue.
//! `cargo run -p finops -- vendors --tracker yes` says the same, with what is due soon.

use std::path::Path;
use std::process::Command;

#[test]
fn the_tracker_is_whole_and_no_review_is_overdue() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let ran = Command::new(env!("CARGO_BIN_EXE_finops"))
        .args(["vendors", "--tracker", "yes"])
        .current_dir(root)
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&ran.stdout);
    let fault = String::from_utf8_lossy(&ran.stderr);
    assert!(ran.status.success(), "{said}{fault}");
    for seen in ["AWS", "crates.io", "GitHub"] {
        assert!(said.contains(seen), "{said}");
    }
}

#[test]
fn a_review_that_nobody_made_fails_by_itself() {
    let ran = Command::new(env!("CARGO_BIN_EXE_finops"))
        .args(["vendors", "--tracker", "yes", "--today", "2030-01-01"])
        .output()
        .unwrap();
    assert!(!ran.status.success());
    assert!(String::from_utf8_lossy(&ran.stdout).contains("its review was due"));
}
