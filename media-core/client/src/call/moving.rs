//! The relay that is being left, and who is still heard from it.

use std::collections::{BTreeSet, VecDeque};
use std::time::Instant;

use wire::PlayerId;

use crate::connection::Connection;
use crate::handover::{HANDOVER_MAX, SETTLE, left_behind};
use crate::rtc::VoiceReceived;

/// Somebody is heard.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Heard {
    /// Who, if the relay has said it already.
    pub player: Option<PlayerId>,
    /// Whether it came from the relay that is being left: its slots are others.
    pub is_leaving: bool,
    /// The packet.
    pub voice: VoiceReceived,
}

/// Changes of the new roster that wait to settle; more come together.
const ARRIVALS_MAX: usize = 64;

pub(super) struct Moving {
    pub(super) from: Box<Connection>,
    until: Instant,
    settled: BTreeSet<PlayerId>,
    arrivals: VecDeque<(Instant, BTreeSet<PlayerId>)>,
}

impl Moving {
    pub(super) fn new(from: Box<Connection>, now: Instant) -> Self {
        Self {
            from,
            until: now + HANDOVER_MAX,
            settled: BTreeSet::new(),
            arrivals: VecDeque::new(),
        }
    }

    /// Who is heard from here.
    pub(super) fn left_behind(&self) -> BTreeSet<PlayerId> {
        left_behind(self.from.view(), &self.settled)
    }

    /// Whether `player` is heard from here, and so not from the new relay.
    pub(super) fn plays(&self, player: &PlayerId) -> bool {
        self.left_behind().contains(player)
    }

    /// A packet of the old relay, if it is to be heard. A slot that nobody is known to hold is.
    pub(super) fn heard(&self, voice: VoiceReceived) -> Option<Heard> {
        let player = self.from.view().player_in(voice.slot.into()).cloned();
        let is_here = player.as_ref().is_none_or(|player| self.plays(player));
        is_here.then_some(Heard {
            player,
            is_leaving: true,
            voice,
        })
    }

    /// Whoever is on the new relay now is heard from there in a moment.
    pub(super) fn settle_later(&mut self, arrived: BTreeSet<PlayerId>, now: Instant) {
        if self.arrivals.len() == ARRIVALS_MAX {
            self.arrivals.pop_front();
        }
        self.arrivals.push_back((now + SETTLE, arrived));
    }

    pub(super) fn poll_timeout(&self) -> Instant {
        let settles = self.arrivals.front().map(|(at, _)| *at);
        let connection = self.from.poll_timeout();
        let others = settles.into_iter().chain(connection);
        others.chain([self.until]).min().unwrap_or(self.until)
    }

    /// Whether the move is done: nobody is left here, or it took too long.
    pub(super) fn handle_timeout(&mut self, now: Instant) -> bool {
        let mut is_done = now >= self.until;
        while self.arrivals.front().is_some_and(|(at, _)| now >= *at) {
            if let Some((_, arrived)) = self.arrivals.pop_front() {
                self.settled = arrived;
                is_done |= self.left_behind().is_empty();
            }
        }
        is_done
    }
}
