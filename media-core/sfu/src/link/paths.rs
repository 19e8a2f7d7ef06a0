//! The ways by which one session is reached.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use crate::path::Path;

/// Paths by which one session may be reached; a client that roams replaces its oldest.
const MAX_PATHS: usize = 4;
/// Time after a check in which str0m's ICE agent need not see another: it gives up a path after
/// 15 s without, though it takes it up again with the next.
const CHECK_REST: Duration = Duration::from_secs(8);

/// Paths that were proved, and which of them is used.
#[derive(Debug, Default)]
pub(crate) struct Paths {
    known: VecDeque<Path>,
    /// The path that the client nominated last; media goes there.
    nominated: Option<Path>,
    /// The check that str0m has seen last, of the nominated path.
    check_seen: Option<(Path, Instant)>,
    /// Where what str0m sent last went.
    sent_to: Option<Path>,
}

impl Paths {
    /// Notes an authentic connectivity check. True when str0m's ICE agent need not see it: it
    /// would change nothing, since the agent has seen one like it lately.
    pub(crate) fn handle_check(&mut self, now: Instant, from: Path, nominates: bool) -> bool {
        if nominates {
            self.nominated = Some(from);
        }
        if self.nominated != Some(from) {
            return false;
        }
        let lately = |(path, at)| path == from && now < at + CHECK_REST;
        let has_seen = self.check_seen.is_some_and(lately);
        if !has_seen {
            self.check_seen = Some((from, now));
        }
        has_seen
    }

    /// Where a datagram goes that str0m wants to send to `to`. Its ICE-lite agent stays with the
    /// first of two paths of one priority, which is what a client has whose NAT gave it another
    /// port: he would hear nothing any more. None where that is no path of the session any more.
    pub(crate) fn route(&mut self, to: Path) -> Option<Path> {
        let to = self.nominated.unwrap_or(to);
        // It may have been the way to another session since.
        if !self.known.contains(&to) {
            return None;
        }
        self.sent_to = Some(to);
        Some(to)
    }

    /// Where voice goes; none before anything was sent.
    pub(crate) fn media_route(&self) -> Option<Path> {
        self.nominated.or(self.sent_to)
    }

    /// Adds a path that was proved; returns one that is given up for it.
    pub(crate) fn add(&mut self, path: Path) -> Option<Path> {
        self.known.reserve_exact(1);
        self.known.push_back(path);
        let oldest = self.known.front().copied();
        let given_up = oldest.filter(|_| self.known.len() > MAX_PATHS);
        if let Some(given_up) = given_up {
            self.remove(given_up);
        }
        debug_assert!(self.known.len() <= MAX_PATHS, "few paths");
        given_up
    }

    /// Forgets a path: nothing is sent there any more.
    pub(crate) fn remove(&mut self, path: Path) {
        self.known.retain(|known| *known != path);
        self.nominated = self.nominated.filter(|nominated| *nominated != path);
        self.sent_to = self.sent_to.filter(|sent_to| *sent_to != path);
    }

    /// All that are known.
    pub(crate) fn iter(&self) -> impl Iterator<Item = Path> + '_ {
        self.known.iter().copied()
    }
}
