//! The ways by which one session is reached, and what each has shown of itself.
//!
//! A connectivity check shows that its sender has the password, and no more: whoever saw it on its
//! way may send it again from elsewhere, and the client himself may send it in anybody's name. So
//! a check makes a path a candidate. It is used once it has proved that the client receives there
//! and sends from there: it answered what was asked of it alone (see `heartbeats`). A proof holds
//! as long as authentic datagrams come. To a candidate no more is sent than came, a few times over
//! (RFC 9000 section 8.1).

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use crate::path::{Path, PathLimits};

/// Paths by which one session may be reached; a client that roams replaces its oldest.
const MAX_PATHS: usize = 4;
/// Time after a check in which str0m's ICE agent need not see another: it gives up a path after
/// 15 s without, though it takes it up again with the next.
const CHECK_REST: Duration = Duration::from_secs(8);
/// A path in use from which nothing authentic came for so long is asked.
const ASK_AFTER: Duration = Duration::from_secs(3);
/// Time between two questions to one path.
const ASK_AGAIN: Duration = Duration::from_millis(500);
/// How often a candidate is asked after a check.
const ASKS: u8 = 4;
/// Wrong answers after which something else is asked: one has 16 bits to guess.
const MAX_WRONG: u8 = 4;
/// The path in use may be about to be left once nothing came from it for so long: then others are
/// asked that were not nominated.
const QUIET: Duration = Duration::from_secs(2);
/// Time in which a candidate must prove itself before another session's check takes it. Whoever
/// knows which address somebody will have keeps him from it for so long.
const CANDIDACY: Duration = Duration::from_secs(2);

/// Paths of one session, and which of them is used.
#[derive(Debug)]
pub(crate) struct Paths {
    limits: PathLimits,
    /// How long a proof holds of a client who cannot be asked.
    patience: Duration,
    known: VecDeque<Known>,
    /// Where its voice and messages go; it has proved itself, or the handshake went there.
    used: Option<Path>,
    handshake: Handshake,
    /// Where the last datagram of DTLS came from: until its client can be asked it is answered
    /// there.
    replies: Option<Path>,
    /// The client answers heartbeats.
    can_be_asked: bool,
    /// The check that str0m has seen last, of the path in use.
    check_seen: Option<(Path, Instant)>,
}

/// How far the handshake is, and where its datagrams went.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Handshake {
    Unheard,
    /// All of it came from one path, and was answered there.
    With(Path),
    Wandering,
    Done,
}

/// What is known of a path.
#[derive(Debug)]
struct Known {
    path: Path,
    since: Instant,
    /// When something authentic came last from where the client has proved that he receives.
    proved: Option<Instant>,
    /// Bytes from and to it since it was not proved.
    received: u64,
    sent: u64,
    question: Question,
}

/// What a path is asked.
#[derive(Debug, Default)]
struct Question {
    /// What it must answer with; the same until it does.
    nonce: Option<u64>,
    asked_at: Option<Instant>,
    /// When it is to be asked next, and how often.
    ask_at: Option<Instant>,
    asks: u8,
    /// Only if the path in use is quiet then.
    if_quiet: bool,
    wrong: u8,
}

impl Question {
    /// Has it asked at `at`, or when it may be asked again.
    fn want(&mut self, at: Instant, if_quiet: bool) {
        let rested = self.asked_at.map_or(at, |asked| asked + ASK_AGAIN);
        let at = at.max(rested);
        if self.ask_at.is_none_or(|known| at < known) {
            (self.ask_at, self.if_quiet) = (Some(at), if_quiet);
        }
        self.asks = ASKS;
    }
}

impl Paths {
    /// None yet. `patience` is how long a proof holds of a client who cannot be asked.
    pub(crate) fn new(limits: PathLimits, patience: Duration) -> Self {
        Self {
            limits,
            patience,
            known: VecDeque::new(),
            used: None,
            handshake: Handshake::Unheard,
            replies: None,
            can_be_asked: false,
            check_seen: None,
        }
    }

    /// Notes an authentic connectivity check. True when str0m's ICE agent need not see it: it
    /// would change nothing, since the agent has seen one like it lately.
    pub(crate) fn handle_check(&mut self, now: Instant, from: Path, nominates: bool) -> bool {
        let can_be_asked = self.can_be_asked;
        let quiet_at = self
            .used_heard()
            .map_or(now, |heard| now.max(heard + QUIET));
        let is_used = self.used == Some(from);
        let is_proved = self.is_proved(now, from);
        let Some(known) = self.find(from) else {
            return false;
        };
        if !(is_used && is_proved) {
            let at_once = nominates || is_used;
            let at = if at_once { now } else { quiet_at };
            known.question.want(at, !at_once);
        } else if !can_be_asked {
            known.proved = Some(now);
        }
        let lately = |(path, at)| path == from && now < at + CHECK_REST;
        let has_seen = is_used && self.check_seen.is_some_and(lately);
        if is_used && !has_seen {
            self.check_seen = Some((from, now));
        }
        has_seen
    }

    /// Counts a datagram from a path.
    pub(crate) fn note_received(&mut self, now: Instant, from: Path, bytes: usize) {
        self.lapse(now, from);
        if let Some(known) = self.find(from) {
            known.received = known.received.saturating_add(bytes as u64);
        }
    }

    /// Notes that a datagram from `from` was authentic and new, so that it is the client's. True
    /// when there is a question to be asked that was not.
    pub(crate) fn note_fresh(&mut self, now: Instant, from: Path) -> bool {
        let (is_used, is_proved) = (self.used == Some(from), self.is_proved(now, from));
        let can_be_asked = self.can_be_asked;
        let Some(known) = self.find(from) else {
            return false;
        };
        let before = known.question.ask_at;
        if is_proved {
            known.proved = Some(now);
        }
        if !(is_used && is_proved) {
            // He sends from there, so he may have moved.
            known.question.want(now, false);
        } else if before.is_none() && can_be_asked {
            known.question.ask_at = Some(now + ASK_AFTER);
        }
        known.question.ask_at != before
    }

    /// Notes a datagram of DTLS, authentic or not: the end of a handshake is answered again.
    pub(crate) fn note_dtls(&mut self, from: Path) {
        self.replies = Some(from);
        self.handshake = match self.handshake {
            Handshake::Unheard => Handshake::With(from),
            Handshake::With(path) if path == from => Handshake::With(path),
            Handshake::With(_) | Handshake::Wandering => Handshake::Wandering,
            Handshake::Done => Handshake::Done,
        };
    }

    /// The handshake is over. A client who got all of it at one path receives there.
    pub(crate) fn handle_connected(&mut self, now: Instant) {
        let is_proved = matches!(self.handshake, Handshake::With(_));
        self.handshake = Handshake::Done;
        if let Some(path) = self.replies
            && let Some(known) = self.find(path)
        {
            known.proved = is_proved.then_some(now);
            self.used = Some(path);
        }
    }

    /// From now on the client answers heartbeats.
    pub(crate) fn handle_association(&mut self, now: Instant) {
        if !std::mem::replace(&mut self.can_be_asked, true)
            && let Some(known) = self.used.and_then(|used| self.find(used))
        {
            known.question.want(now, false);
        }
    }

    /// A path to be asked now, and with what; called until there is none. `draw` makes a number
    /// that nobody can guess.
    pub(crate) fn poll_question(
        &mut self,
        now: Instant,
        draw: impl FnOnce() -> u64,
    ) -> Option<(Path, u64)> {
        if self.handshake != Handshake::Done {
            return None;
        }
        let is_quiet = self.used_heard().is_none_or(|heard| now >= heard + QUIET);
        let can_be_asked = self.can_be_asked;
        let due = |known: &Known| known.question.ask_at.is_some_and(|at| now >= at);
        while let Some(path) = self.known.iter().find(|k| due(k)).map(|k| k.path) {
            self.lapse(now, path);
            let is_used = self.used == Some(path);
            let known = self.find(path)?;
            let question = &mut known.question;
            question.ask_at = None;
            if let Some(heard) = known.proved.filter(|_| is_used) {
                let ask_at = heard + ASK_AFTER;
                if now < ask_at || !can_be_asked {
                    question.ask_at = can_be_asked.then_some(ask_at);
                    continue;
                }
                question.asks = ASKS;
            }
            if question.asks == 0 || question.if_quiet && !is_quiet {
                continue;
            }
            question.asks -= 1;
            question.asked_at = Some(now);
            question.ask_at = can_be_asked.then_some(now + ASK_AGAIN);
            return Some((path, *question.nonce.get_or_insert_with(draw)));
        }
        None
    }

    /// When [`Paths::poll_question`] may have something.
    pub(crate) fn next_at(&self) -> Option<Instant> {
        let at = self.known.iter().filter_map(|known| known.question.ask_at);
        at.min().filter(|_| self.handshake == Handshake::Done)
    }

    /// Whether a path was asked by a report what is not answered yet.
    pub(crate) fn awaits_report(&self) -> bool {
        let is_asked = |known: &Known| known.question.nonce.is_some();
        !self.can_be_asked && self.known.iter().any(is_asked)
    }

    /// An authentic answer came from `from`. If it is what was asked there the client receives and
    /// sends there, and the path is used. If it was asked elsewhere somebody may have passed it on,
    /// and will do so with the answer: something else is asked there.
    pub(crate) fn handle_answer(
        &mut self,
        now: Instant,
        from: Path,
        is_answer: impl Fn(u64) -> bool,
    ) {
        for other in self.known.iter_mut().filter(|known| known.path != from) {
            other.question.nonce = other.question.nonce.filter(|nonce| !is_answer(*nonce));
        }
        let Some(known) = self.find(from) else { return };
        let question = &mut known.question;
        match question.nonce.map(is_answer) {
            Some(true) => {
                known.proved = Some(now);
                known.question = Question::default();
                self.used = Some(from);
                self.note_fresh(now, from);
            }
            Some(false) => {
                question.wrong += 1;
                if question.wrong >= MAX_WRONG {
                    (question.nonce, question.wrong) = (None, 0);
                }
            }
            None => {}
        }
    }

    /// Where a datagram goes that str0m wants to send, answers to checks aside: to where the client
    /// has proved to be, once he can be asked.
    pub(crate) fn route(&self) -> Option<Path> {
        let to = if self.can_be_asked {
            self.used
        } else {
            self.replies
        };
        to.filter(|to| self.known.iter().any(|known| known.path == *to))
    }

    /// Where voice goes; none before anything was sent.
    pub(crate) fn media_route(&self) -> Option<Path> {
        self.used
    }

    /// Whether so many bytes may be sent to a path, and counts them if so.
    #[must_use]
    pub(crate) fn may_send(&mut self, now: Instant, to: Path, bytes: usize) -> bool {
        self.lapse(now, to);
        let factor = u64::from(self.limits.unproved_factor);
        let Some(known) = self.find(to) else {
            return false;
        };
        if known.proved.is_some() {
            return true;
        }
        let sent = known.sent.saturating_add(bytes as u64);
        let may = sent <= known.received.saturating_mul(factor);
        if may {
            known.sent = sent;
        }
        may
    }

    /// The same for voice: to where a client has not answered who can be asked none goes. Who can
    /// be asked by reports only must hear something first.
    #[must_use]
    pub(crate) fn may_send_voice(&mut self, now: Instant, to: Path, bytes: usize) -> bool {
        self.lapse(now, to);
        let is_candidate = self.find(to).is_some_and(|known| known.proved.is_none());
        !(self.can_be_asked && is_candidate) && self.may_send(now, to, bytes)
    }

    /// Whether nobody else may have a path: its client is there, or came a moment ago.
    pub(crate) fn holds(&self, now: Instant, path: Path) -> bool {
        let since = self.known.iter().find(|known| known.path == path);
        let is_new = since.is_some_and(|known| now < known.since + CANDIDACY);
        is_new || self.is_proved(now, path)
    }

    /// Adds a path that a check came from; returns one that is given up for it.
    pub(crate) fn add(&mut self, now: Instant, path: Path) -> Option<Path> {
        self.known.reserve_exact(1);
        self.known.push_back(Known {
            path,
            since: now,
            proved: None,
            received: 0,
            sent: 0,
            question: Question::default(),
        });
        let given_up = if self.known.len() > MAX_PATHS {
            let needed = [self.used, self.route(), Some(path)];
            let mut others = self.known.iter().map(|known| known.path);
            others.find(|other| !needed.contains(&Some(*other)))
        } else {
            None
        };
        if let Some(given_up) = given_up {
            self.remove(given_up);
        }
        debug_assert!(self.known.len() <= MAX_PATHS, "few paths");
        given_up
    }

    /// Forgets a path: nothing is sent there any more.
    pub(crate) fn remove(&mut self, path: Path) {
        self.known.retain(|known| known.path != path);
        self.used = self.used.filter(|used| *used != path);
    }

    /// All that are known.
    pub(crate) fn iter(&self) -> impl Iterator<Item = Path> + '_ {
        self.known.iter().map(|known| known.path)
    }

    fn find(&mut self, path: Path) -> Option<&mut Known> {
        self.known.iter_mut().find(|known| known.path == path)
    }

    /// When something authentic came last from the path in use.
    fn used_heard(&self) -> Option<Instant> {
        let used = self
            .known
            .iter()
            .find(|known| Some(known.path) == self.used);
        used?.proved
    }

    fn is_proved(&self, now: Instant, path: Path) -> bool {
        let known = self.known.iter().find(|known| known.path == path);
        let proved = known.and_then(|known| known.proved);
        proved.is_some_and(|heard| now < heard + self.proof_holds())
    }

    /// How long a proof holds after the last authentic datagram.
    fn proof_holds(&self) -> Duration {
        if self.can_be_asked {
            self.limits.consent
        } else {
            self.limits.consent.max(self.patience)
        }
    }

    /// A path whose proof is over is a candidate again, of which nothing has come.
    fn lapse(&mut self, now: Instant, path: Path) {
        let holds = self.proof_holds();
        if let Some(known) = self.find(path)
            && known.proved.is_some_and(|heard| now >= heard + holds)
        {
            known.proved = None;
            (known.received, known.sent) = (0, 0);
            known.question.asks = 0;
        }
    }
}
