//! Writes `openapi.json` of this crate; with `--check` only says whether it is current.

use std::path::Path;
use std::process::ExitCode;

fn main() -> ExitCode {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("openapi.json");
    let text = wire::openapi::document_text();
    let current = std::fs::read_to_string(&path).is_ok_and(|kept| kept == text);
    let check = match std::env::args().nth(1).as_deref() {
        None => false,
        Some("--check") => true,
        Some(_) => {
            eprintln!("usage: openapi [--check]");
            return ExitCode::from(2);
        }
    };
    if current {
        return ExitCode::SUCCESS;
    }
    if check {
        eprintln!("functions/wire/openapi.json is not current; run: cargo xtask openapi");
        return ExitCode::FAILURE;
    }
    match std::fs::write(&path, text) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("cannot write {}: {error}", path.display());
            ExitCode::FAILURE
        }
    }
}
