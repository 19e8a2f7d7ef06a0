//! Which component serves a path: Spin's HTTP route patterns.
//!
//! A pattern is `/`-separated segments: literal text, `:name` for any one segment, and `/...` at
//! the end for any rest (also none). Of several that match, the most specific wins: at the first
//! segment that differs, literal before `:name` before `/...`.

use std::cmp::Ordering;

/// One route pattern.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Pattern {
    text: String,
    segments: Vec<Segment>,
    wildcard: bool,
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Segment {
    Literal(String),
    Parameter(String),
}

/// What a pattern took from a path.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Match<'p> {
    /// `:name` and the segment it matched.
    pub(crate) parameters: Vec<(&'p str, &'p str)>,
    /// The rest matched by `/...`, with its leading slash; empty for an exact pattern.
    pub(crate) rest: &'p str,
}

impl Pattern {
    /// Reads a pattern; the error says what to change.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let Some(path) = text.strip_prefix('/') else {
            return Err(format!("`{text}` must begin with a slash"));
        };
        let (path, wildcard) = match path.strip_suffix("...") {
            Some("") => ("", true),
            Some(stem) if stem.ends_with('/') => (&stem[..stem.len() - 1], true),
            Some(_) => return Err(format!("`{text}`: write `/...` as a segment of its own")),
            None => (path, false),
        };
        let mut segments = Vec::new();
        for part in path.split('/').filter(|part| !part.is_empty()) {
            segments.push(segment(text, part)?);
        }
        Ok(Self {
            text: text.to_owned(),
            segments,
            wildcard,
        })
    }

    /// The pattern as the manifest writes it.
    pub(crate) fn text(&self) -> &str {
        &self.text
    }

    /// Matches a path; a slash at its end makes no difference.
    pub(crate) fn matches<'p>(&'p self, path: &'p str) -> Option<Match<'p>> {
        let mut rest = path;
        let mut parameters = Vec::new();
        for segment in &self.segments {
            let (part, after) = first_segment(rest)?;
            match segment {
                Segment::Literal(literal) if literal == part => {}
                Segment::Literal(_) => return None,
                Segment::Parameter(name) => parameters.push((name.as_str(), part)),
            }
            rest = after;
        }
        if self.wildcard {
            return Some(Match { parameters, rest });
        }
        rest.bytes().all(|byte| byte == b'/').then_some(Match {
            parameters,
            rest: "",
        })
    }

    /// `Less` when `self` is tried before `other`.
    fn specificity(&self, other: &Self) -> Ordering {
        let rank = |segment: &Segment| matches!(segment, Segment::Parameter(_));
        for (mine, theirs) in self.segments.iter().zip(&other.segments) {
            match rank(mine).cmp(&rank(theirs)) {
                Ordering::Equal => {}
                unequal => return unequal,
            }
        }
        // A longer pattern is more specific than the wildcard that would also match.
        (other.segments.len().cmp(&self.segments.len())).then(self.wildcard.cmp(&other.wildcard))
    }

    /// Whether both match exactly the same paths.
    fn same_paths(&self, other: &Self) -> bool {
        self.wildcard == other.wildcard
            && self.segments.len() == other.segments.len()
            && self
                .segments
                .iter()
                .zip(&other.segments)
                .all(|pair| match pair {
                    (Segment::Literal(a), Segment::Literal(b)) => a == b,
                    (Segment::Parameter(_), Segment::Parameter(_)) => true,
                    _ => false,
                })
    }
}

fn segment(text: &str, part: &str) -> Result<Segment, String> {
    if part.contains("...") {
        return Err(format!("`{text}`: `...` is allowed only at the end"));
    }
    if part.contains('*') {
        return Err(format!(
            "`{text}`: use `:name` for one segment or `/...` for the rest, not `*`"
        ));
    }
    match part.strip_prefix(':') {
        Some("") => Err(format!("`{text}`: give the `:` segment a name")),
        Some(name)
            if !name
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_') =>
        {
            Err(format!(
                "`{text}`: a segment name is letters, digits, `-` and `_`"
            ))
        }
        Some(name) => Ok(Segment::Parameter(name.to_owned())),
        None => Ok(Segment::Literal(part.to_owned())),
    }
}

/// The first non-empty segment and what follows it.
fn first_segment(path: &str) -> Option<(&str, &str)> {
    let path = path.trim_start_matches('/');
    if path.is_empty() {
        return None;
    }
    Some(path.find('/').map_or((path, ""), |end| path.split_at(end)))
}

/// The routes of an application, in the order they are tried.
#[derive(Debug)]
pub(crate) struct Routes<T> {
    routes: Vec<(Pattern, T)>,
}

impl<T> Routes<T> {
    /// Orders the routes; two patterns that match the same paths are an error.
    pub(crate) fn new(mut routes: Vec<(Pattern, T)>) -> Result<Self, String> {
        for (index, (pattern, _)) in routes.iter().enumerate() {
            if let Some((earlier, _)) = routes[..index]
                .iter()
                .find(|(earlier, _)| earlier.same_paths(pattern))
            {
                return Err(format!(
                    "`{}` and `{}` match the same paths; remove one",
                    earlier.text, pattern.text
                ));
            }
        }
        routes.sort_by(|(a, _), (b, _)| a.specificity(b));
        Ok(Self { routes })
    }

    /// The most specific route that matches the path.
    pub(crate) fn find<'r>(&'r self, path: &'r str) -> Option<(&'r Pattern, &'r T, Match<'r>)> {
        self.routes.iter().find_map(|(pattern, target)| {
            pattern.matches(path).map(|found| (pattern, target, found))
        })
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (&Pattern, &T)> {
        self.routes
            .iter()
            .map(|(pattern, target)| (pattern, target))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn each_route_of_the_api_leads_to_its_function() {
        let manifest = include_str!("../../../functions/spin.toml");
        let manifest: toml::Value = toml::from_str(manifest).unwrap();
        let triggers = manifest["trigger"]["http"].as_array().unwrap();
        let text = |trigger: &toml::Value, key: &str| trigger[key].as_str().unwrap().to_owned();
        let patterns = triggers.iter().map(|trigger| {
            let pattern = Pattern::parse(&text(trigger, "route")).unwrap();
            (pattern, text(trigger, "component"))
        });
        assert_routes(patterns.collect());

        // The emulator of Lambda has a table of its own.
        let workspace: toml::Value = toml::from_str(include_str!("../../../Cargo.toml")).unwrap();
        let lambda = &workspace["workspace"]["metadata"]["lambda"];
        let table = lambda["watch"]["router"].as_table().unwrap();
        let patterns = table.iter().map(|(path, binary)| {
            let pattern = path.replace("{*path}", "...").replace('{', ":");
            let pattern = Pattern::parse(&pattern.replace('}', "")).unwrap();
            let binary = binary.as_str().unwrap();
            (pattern, binary.trim_end_matches("-lambda").to_owned())
        });
        assert_routes(patterns.collect());
    }

    fn assert_routes(patterns: Vec<(Pattern, String)>) {
        let routes = Routes::new(patterns).unwrap();
        for route in wire::routes::ROUTES {
            let path = route.path.replace(['{', '}'], "");
            let (_, function, _) = routes.find(&path).expect("a function");
            assert_eq!(function, route.function.name(), "{}", route.name);
        }
    }

    fn routes(patterns: &[&'static str]) -> Routes<&'static str> {
        let parsed = patterns
            .iter()
            .map(|text| (Pattern::parse(text).unwrap(), *text));
        Routes::new(parsed.collect()).unwrap()
    }

    fn found(routes: &Routes<&'static str>, path: &str) -> Option<&'static str> {
        routes.find(path).map(|(_, target, _)| *target)
    }

    #[test]
    fn the_most_specific_route_wins_in_any_order() {
        let patterns = [
            "/...",
            "/v1/rooms/:room/sessions",
            "/v1/...",
            "/v1/rooms/:room/...",
            "/",
        ];
        for rotation in 0..patterns.len() {
            let mut rotated = patterns;
            rotated.rotate_left(rotation);
            let routes = routes(&rotated);
            assert_eq!(found(&routes, "/"), Some("/"));
            assert_eq!(found(&routes, "/sdk/voice.js"), Some("/..."));
            assert_eq!(found(&routes, "/v1"), Some("/v1/..."));
            assert_eq!(found(&routes, "/v1/relays"), Some("/v1/..."));
            assert_eq!(
                found(&routes, "/v1/rooms/a/sessions"),
                Some("/v1/rooms/:room/sessions")
            );
            assert_eq!(
                found(&routes, "/v1/rooms/a/sessions/b"),
                Some("/v1/rooms/:room/...")
            );
        }
    }

    #[test]
    fn a_literal_beats_a_parameter_beats_a_wildcard() {
        let routes = routes(&["/a/:x", "/a/...", "/a/b", "/:y/b"]);
        assert_eq!(found(&routes, "/a/b"), Some("/a/b"));
        assert_eq!(found(&routes, "/a/c"), Some("/a/:x"));
        assert_eq!(found(&routes, "/a/c/d"), Some("/a/..."));
        assert_eq!(found(&routes, "/z/b"), Some("/:y/b"));
        assert_eq!(found(&routes, "/z/c"), None);
    }

    #[test]
    fn parameters_and_the_rest_are_captured() {
        let pattern = Pattern::parse("/v1/:kind/x/:id/...").unwrap();
        let found = pattern.matches("/v1/rooms/x/lobby/sessions/7").unwrap();
        assert_eq!(found.parameters, [("kind", "rooms"), ("id", "lobby")]);
        assert_eq!(found.rest, "/sessions/7");
        assert_eq!(pattern.matches("/v1/rooms/x"), None);
    }

    #[test]
    fn a_bad_pattern_says_what_to_change() {
        for (text, part) in [
            ("api", "begin with a slash"),
            ("/a...", "segment of its own"),
            ("/.../a", "only at the end"),
            ("/a/*", "not `*`"),
            ("/a/:", "a name"),
            ("/:a.b", "letters"),
        ] {
            let error = Pattern::parse(text).unwrap_err();
            assert!(error.contains(part), "{text}: {error}");
        }
        let twice = vec![
            (Pattern::parse("/a/:x").unwrap(), 1),
            (Pattern::parse("/a/:y").unwrap(), 2),
        ];
        assert!(Routes::new(twice).unwrap_err().contains("same paths"));
    }

    proptest! {
        #[test]
        fn nothing_panics_and_the_root_wildcard_matches_all(path in "(/[a-z.:%*]{0,4}){0,6}") {
            let routes = routes(&["/...", "/a/:b/...", "/a", "/a/b"]);
            prop_assert!(routes.find(&path).is_some());
        }

        #[test]
        fn a_literal_pattern_matches_only_itself(
            left in "(/[a-c]{1,2}){0,4}", right in "(/[a-c]{1,2}){0,4}"
        ) {
            let pattern = Pattern::parse(if left.is_empty() { "/" } else { &left }).unwrap();
            prop_assert_eq!(pattern.matches(&right).is_some(), left == right);
        }

        #[test]
        fn adding_a_wildcard_never_hides_a_more_specific_route(path in "(/[ab]){1,4}") {
            let few = routes(&["/a", "/a/b", "/a/:x/b", "/:x"]);
            let more = routes(&["/...", "/a/...", "/a", "/a/b", "/a/:x/b", "/:x"]);
            if let Some(target) = found(&few, &path) {
                prop_assert_eq!(found(&more, &path), Some(target));
            }
        }
    }
}
