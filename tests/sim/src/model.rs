//! The reference model: what each session may do, and what the relay has learned of it so far.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use sfu::{EndReason, SessionId};

use crate::network::IN_FLIGHT;
use crate::observed::Read;

/// How long after its last packet a talk spurt ends: the relay's default.
const HANG_OVER: Duration = Duration::from_millis(400);

/// Time within which everything that should have happened is looked at.
const LOOKED_AT: Duration = Duration::from_secs(1);

/// One channel of a session.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Grant {
    /// Number of the channel.
    pub channel: usize,
    /// May be heard there.
    pub speak: bool,
    /// May hear there.
    pub listen: bool,
}

/// Who joins, and with what.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plan {
    /// Number of the player; a player may have several sessions, one after the other.
    pub player: usize,
    /// Number of the room.
    pub room: usize,
    /// The ticket's channel first.
    pub grants: Vec<Grant>,
    /// Slots of the offer.
    pub slots: usize,
    /// Sends no hello, as a WHIP client: it has the ticket's channel only.
    pub whip: bool,
    /// Its ticket says that a hello comes, and none does.
    pub ghost: bool,
}

impl Plan {
    /// Whether it never says who it is.
    pub(crate) fn is_nameless(&self) -> bool {
        self.whip || self.ghost
    }

    /// The grants that can come into effect.
    fn effective(&self) -> &[Grant] {
        &self.grants[..if self.is_nameless() {
            1
        } else {
            self.grants.len()
        }]
    }

    /// Whether `speaker` may ever be heard by `self`.
    pub(crate) fn may_hear(&self, speaker: &Plan) -> bool {
        let hears = |theirs: &Grant| {
            let both = |own: &&Grant| own.channel == theirs.channel && own.listen && theirs.speak;
            self.effective().iter().find(both).is_some()
        };
        // Nobody hears who never says who he is.
        !self.is_nameless() && self.room == speaker.room && speaker.effective().iter().any(hears)
    }
}

/// A session as the relay knows it.
#[derive(Debug)]
pub(crate) struct Member {
    pub(crate) plan: Plan,
    pub(crate) session: SessionId,
    pub(crate) is_live: bool,
    /// Since when it is in its room, or was.
    pub(crate) live_since: Option<Instant>,
    pub(crate) ended_at: Option<Instant>,
    pub(crate) is_introduced: bool,
    pub(crate) muted: (bool, Instant),
    pub(crate) deafened: (bool, Instant),
    /// Asked to end, by itself or by the edge.
    pub(crate) is_leaving: bool,
    /// Its client stopped without a word.
    pub(crate) has_crashed: bool,
    /// Since when its network has been calm; none while it is not.
    pub(crate) calm_since: Option<Instant>,
    /// When its last trouble began: its network was bad or its address changed while it had all
    /// that it should. None while it never had any.
    pub(crate) troubled_since: Option<Instant>,
    /// When the relay got its last voice packet.
    pub(crate) last_voice: Option<Instant>,
    /// A drain began in its time.
    was_drained: bool,
    /// Since when the relay owes it a request to migrate.
    pub(crate) to_be_asked_since: Option<Instant>,
}

/// All sessions, by the number of their client.
#[derive(Debug, Default)]
pub(crate) struct Model {
    pub(crate) members: Vec<Member>,
    /// A drain began and did not end.
    drains: bool,
}

impl Model {
    pub(crate) fn join(&mut self, now: Instant, plan: Plan, session: SessionId) {
        self.members.push(Member {
            plan,
            session,
            is_live: false,
            live_since: None,
            ended_at: None,
            is_introduced: false,
            muted: (false, now),
            deafened: (false, now),
            is_leaving: false,
            has_crashed: false,
            calm_since: Some(now),
            troubled_since: None,
            last_voice: None,
            was_drained: false,
            to_be_asked_since: None,
        });
    }

    fn index(&self, session: SessionId) -> Result<usize, String> {
        let found = self.members.iter().position(|m| m.session == session);
        found.ok_or_else(|| "the relay names a session that no ticket was made for".to_owned())
    }

    /// The relay read a message.
    pub(crate) fn relay_read(
        &mut self,
        now: Instant,
        session: SessionId,
        read: Read,
    ) -> Result<(), String> {
        let n = self.index(session)?;
        let member = &mut self.members[n];
        match read {
            Read::Hello => {
                if self.drains && !member.is_introduced {
                    member.was_drained = true;
                    member.to_be_asked_since = Some(now);
                }
                member.is_introduced = true;
            }
            Read::Leave => member.is_leaving = true,
            Read::State { muted, deafened } => {
                for (state, value) in [(&mut member.muted, muted), (&mut member.deafened, deafened)]
                {
                    if state.0 != value {
                        *state = (value, now);
                    }
                }
            }
        }
        Ok(())
    }

    /// The relay says that a session is in its room.
    pub(crate) fn connected(&mut self, now: Instant, session: SessionId) -> Result<(), String> {
        let n = self.index(session)?;
        let member = &mut self.members[n];
        if member.is_live || member.ended_at.is_some() {
            return Err(format!("client {n} connected a second time"));
        }
        (member.is_live, member.live_since) = (true, Some(now));
        Ok(())
    }

    /// The relay says that a session is over; it must have a reason that the model knows.
    pub(crate) fn ended(
        &mut self,
        now: Instant,
        session: SessionId,
        reason: EndReason,
    ) -> Result<(), String> {
        let n = self.index(session)?;
        let member = &self.members[n];
        if member.ended_at.is_some() {
            return Err(format!("client {n} ended a second time"));
        }
        let another = |(m, other): (usize, &Member)| {
            m != n && other.plan.player == member.plan.player && other.is_introduced
        };
        // Both may need as long as a network is bad, and then their own time.
        let patience = Duration::from_secs(20);
        let was_calm = member
            .calm_since
            .is_some_and(|since| now.saturating_duration_since(since) > patience);
        let is_known = match reason {
            EndReason::Left | EndReason::Kicked => member.is_leaving,
            EndReason::Replaced => self.members.iter().enumerate().any(another),
            EndReason::Timeout | EndReason::Handshake => member.has_crashed || !was_calm,
            EndReason::NoHello => {
                let has_cause = member.plan.ghost || member.has_crashed || !was_calm;
                !member.plan.whip && !member.is_introduced && has_cause
            }
            EndReason::HalfOpen => {
                let is_through = member.is_introduced || member.is_live && member.plan.whip;
                let is_his = |(m, other): (usize, &Member)| {
                    m != n && other.plan.player == member.plan.player
                };
                !is_through && self.members.iter().enumerate().any(is_his)
            }
            EndReason::RelayStopping
            | EndReason::Protocol
            | EndReason::TokenExpired
            | EndReason::Fingerprint
            | EndReason::Budget => false,
        };
        if !is_known {
            return Err(format!(
                "client {n} was ended, `{}`, without cause",
                reason.label()
            ));
        }
        let member = &mut self.members[n];
        (member.is_live, member.ended_at) = (false, Some(now));
        Ok(())
    }

    /// What is sent to or by client `n` may be lost from now on: for a moment, or until it calms.
    /// `has_all`: it had all that it should, which counts once that was looked at in calm.
    pub(crate) fn trouble(&mut self, now: Instant, n: usize, passes: bool, has_all: bool) {
        let member = &mut self.members[n];
        let long_ago = |at| now.saturating_duration_since(at) > LOOKED_AT;
        let is_well = has_all && member.calm_since.is_some_and(long_ago);
        if is_well || member.troubled_since.is_none() {
            member.troubled_since = Some(now);
        }
        member.calm_since = passes.then_some(now);
    }

    /// How long the last trouble of client `n` took until it became calm.
    pub(crate) fn trouble_time(&self, n: usize) -> Option<Duration> {
        let member = &self.members[n];
        let calm_since = member.calm_since?;
        Some(calm_since.saturating_duration_since(member.troubled_since?))
    }

    /// The shard drains from now on, or does not any more: every session that it has is asked, and
    /// every one that comes.
    pub(crate) fn drain(&mut self, now: Instant, drains: bool) {
        self.drains = drains;
        for member in self.members.iter_mut().filter(|m| m.ended_at.is_none()) {
            member.was_drained |= drains;
            member.to_be_asked_since = (drains && member.is_live).then_some(now);
        }
    }

    /// Client `n` was asked to migrate.
    pub(crate) fn asked_to_migrate(&mut self, n: usize) -> Result<(), String> {
        let member = &mut self.members[n];
        member.to_be_asked_since = None;
        if member.was_drained {
            Ok(())
        } else {
            Err(format!(
                "client {n} was asked to migrate, but nothing drains"
            ))
        }
    }

    /// Whether the relay takes client `n` for somebody who talks at `now`.
    pub(crate) fn is_speaking(&self, now: Instant, n: usize) -> bool {
        let member = &self.members[n];
        let is_recent = |at| now.saturating_duration_since(at) < HANG_OVER;
        // Before the hello the relay knows the ticket's channel only.
        let known = if member.is_introduced {
            member.plan.effective()
        } else {
            &member.plan.grants[..1]
        };
        let may_speak = known.iter().any(|grant| grant.speak);
        member.is_live && may_speak && !member.muted.0 && member.last_voice.is_some_and(is_recent)
    }

    /// Whether `listener` may get a packet of `speaker` at `now`, packets in flight included.
    pub(crate) fn check_heard(
        &self,
        now: Instant,
        listener: usize,
        speaker: usize,
    ) -> Result<(), String> {
        let past = |at: Instant| now.saturating_duration_since(at) > IN_FLIGHT;
        let (l, Some(s)) = (&self.members[listener], self.members.get(speaker)) else {
            return Err(format!(
                "client {listener} heard somebody who does not exist"
            ));
        };
        let wrong = if listener == speaker || l.plan.player == s.plan.player {
            "himself"
        } else if l.plan.room != s.plan.room {
            "another room"
        } else if !l.is_introduced {
            "somebody before his hello"
        } else if !l.plan.may_hear(&s.plan) {
            "a channel or speaker that he was not granted"
        } else if s.muted.0 && past(s.muted.1) {
            "a muted speaker"
        } else if l.deafened.0 && past(l.deafened.1) {
            "somebody while deafened"
        } else if s.ended_at.is_some_and(past) {
            "a session that has ended"
        } else {
            return Ok(());
        };
        Err(format!(
            "client {listener} heard {wrong} (client {speaker})"
        ))
    }

    /// Who is in `room`: player (none without a hello), muted, deafened, and how often.
    pub(crate) fn roster(&self, room: usize) -> BTreeMap<(Option<usize>, bool, bool), usize> {
        let mut roster = BTreeMap::new();
        let inside = |m: &&Member| m.is_live && m.plan.room == room;
        for member in self.members.iter().filter(inside) {
            let player = member.is_introduced.then_some(member.plan.player);
            *roster
                .entry((player, member.muted.0, member.deafened.0))
                .or_default() += 1;
        }
        roster
    }
}
