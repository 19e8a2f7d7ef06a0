//! Every exception to a rule, in one place, with its reason. One that is no longer needed is a
//! violation itself, so the list only holds what is true.

use super::violation::Violation;

/// One accepted violation.
pub(super) struct Exception {
    /// As [`Violation::place`] says it.
    pub(super) place: &'static str,
    pub(super) rule: &'static str,
    /// Why, and when it can go.
    pub(super) reason: &'static str,
}

/// The list.
pub(super) const EXCEPTIONS: &[Exception] = &[Exception {
    place: "infra/edge-host/src/engine.rs",
    rule: "unsafe-outside-udp",
    reason: "wasmtime has no safe way to load compiled code; goes when it has one",
}];

/// Takes the exceptions off `found` and adds those that fit nothing.
pub(super) fn apply(exceptions: &[Exception], found: Vec<Violation>) -> Vec<Violation> {
    let fits = |exception: &Exception, violation: &Violation| {
        exception.place == violation.place && exception.rule == violation.rule
    };
    let stale: Vec<Violation> = exceptions
        .iter()
        .filter(|exception| !found.iter().any(|violation| fits(exception, violation)))
        .map(|exception| Violation {
            place: exception.place.to_owned(),
            line: 0,
            rule: exception.rule,
            message: format!("the exception is no longer needed ({})", exception.reason),
        })
        .collect();
    found
        .into_iter()
        .filter(|violation| {
            !exceptions
                .iter()
                .any(|exception| fits(exception, violation))
        })
        .chain(stale)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn violation(place: &str) -> Violation {
        Violation {
            place: place.into(),
            line: 3,
            rule: "columns",
            message: "long".into(),
        }
    }

    const ONE: &[Exception] = &[Exception {
        place: "a.rs",
        rule: "columns",
        reason: "a table reads better whole",
    }];

    #[test]
    fn an_exception_covers_its_place_and_rule_only() {
        let kept = apply(ONE, vec![violation("a.rs"), violation("b.rs")]);
        assert_eq!(kept, [violation("b.rs")]);
    }

    #[test]
    fn an_exception_that_fits_nothing_is_reported() {
        let kept = apply(ONE, vec![]);
        assert_eq!(kept.len(), 1);
        assert!(kept[0].message.contains("no longer needed"), "{}", kept[0]);
    }

    #[test]
    fn every_exception_says_why() {
        assert!(
            EXCEPTIONS
                .iter()
                .all(|exception| exception.reason.len() > 20)
        );
    }
}
