//! A room as a model: who is in it, who hears whom, in which slot, and what everybody is told. It
//! knows no connection, no cipher and no address, and is driven by [`crate::Sfu`]: inputs are
//! `enter`, `introduce`, `set_state`, `handle_voice`, `leave` and `handle_timeout`; after each the
//! owner takes [`Room::poll_output`] until there is none, and looks at [`Room::poll_timeout`].

mod addressees;
mod allowance;
mod announced;
mod audience;
mod batch;
mod bits;
mod carried;
mod channels;
mod loudness;
mod numbers;
mod ordered;
mod participant;
mod present;
mod progress;
mod quality;
mod red;
mod reported;
mod roster;
mod sanctions;
mod select;
mod settings;
mod slot;
mod speaking;
mod states;
mod talk;
mod telling;
mod usage;
mod voice;

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

use slab::Slab;

use announced::Announced;
use audience::{Audiences, audience, gets};
use batch::{Batch, Pending, Speaker, fit};
use channels::{Channels, Grants, MAX_ROOM_CHANNELS};
use participant::Participant;
use roster::Roster;
use sanctions::Sanctions;
use slot::{Slot, Talker};
use telling::Telling;

pub use allowance::SpeakerLimits;
pub(crate) use participant::Entry;
pub(crate) use settings::Settings;
pub use speaking::SpeakingConfig;
pub(crate) use usage::{Gathered, Period};
pub(crate) use voice::PayloadTypes;

use crate::idents::{ChannelKey, RoomKey};
use crate::protocol::{Hello, Notice, Protocol};
use crate::rtp::{Opened, Sent};
use crate::stats::{DropReason, Stats};
use crate::usage::Usage;

/// What a room asks its owner to do.
#[derive(Debug)]
pub(crate) enum Output {
    /// Send a message to a member.
    Tell { link: usize, message: Arc<[u8]> },
    /// A member is in the room no more: the same player has come again.
    Replaced { link: usize },
}

/// A member who is to get what waits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Listener {
    member: usize,
    pub(crate) link: usize,
}

/// A room with members of profile `F`.
pub(crate) struct Room<F> {
    pub(crate) key: RoomKey,
    settings: Settings,
    /// Connections that refer to the room, those of members included.
    links: usize,
    members: Slab<Participant<F>>,
    channels: Channels,
    next_number: u32,
    audiences: Audiences,
    /// Members whose talk spurt may not have ended.
    talkers: Vec<usize>,
    /// No spurt ends before.
    spurt_ends_at: Option<Instant>,
    batch: Batch,
    announced: Announced,
    roster: Roster,
    sanctions: Sanctions,
    /// No order to be silent ends before.
    mute_ends_at: Option<Instant>,
    /// When the next roster and speaking messages go out; none when there is nothing to say.
    flush_at: Option<Instant>,
    telling: Telling,
    gathered: Gathered,
    outputs: VecDeque<Output>,
}

impl<F> Room<F> {
    /// A room without members, whose usage is gathered over `period` first.
    pub(crate) fn new(now: Instant, key: RoomKey, settings: Settings, period: Period) -> Self {
        Self {
            key,
            settings,
            links: 0,
            members: Slab::new(),
            channels: Channels::default(),
            next_number: 1,
            audiences: Audiences::default(),
            talkers: Vec::new(),
            spurt_ends_at: None,
            batch: Batch::default(),
            announced: Announced::default(),
            roster: Roster::new(settings.max_shown),
            sanctions: Sanctions::default(),
            mute_ends_at: None,
            flush_at: None,
            telling: Telling::default(),
            gathered: Gathered::new(now, period),
            outputs: VecDeque::new(),
        }
    }

    /// Connections that refer to the room.
    pub(crate) fn links(&self) -> usize {
        self.links
    }

    /// One more connection refers to the room.
    pub(crate) fn take_link(&mut self) {
        self.links += 1;
    }

    /// One less does, which is no member any more.
    pub(crate) fn give_link_back(&mut self) {
        self.links -= 1;
        debug_assert!(self.members.len() <= self.links, "a member has a link");
    }

    /// Members.
    pub(crate) fn len(&self) -> usize {
        self.members.len()
    }

    /// Whether there is a place for `channel`: there is one already, or not too many others.
    pub(crate) fn has_place_for(&self, channel: ChannelKey) -> bool {
        self.channels.len() < MAX_ROOM_CHANNELS || self.channels.contain(channel)
    }

    /// Puts somebody into the room; returns his index, which is his until he leaves.
    pub(crate) fn enter(&mut self, now: Instant, link: usize, entry: &Entry) -> usize {
        let number = self.next_number;
        self.next_number += 1;
        let mut grants = Grants::default();
        // Without a place he hears and says nothing, until his hello brings other channels.
        let _ = self
            .channels
            .grant(&mut grants, entry.channel, entry.permissions);
        let member = self
            .members
            .insert(Participant::new(now, link, number, entry, grants));
        self.sanctions.apply(now, &mut self.members[member], entry);
        debug_assert!(self.members.len() <= self.links, "a member has a link");
        self.roster.handle_entered(&mut self.members, member);
        self.note_sizes(member);
        self.listener_changed(member);
        self.count_members(now);
        self.schedule_flush(now);
        member
    }

    /// Takes a member out of the room.
    pub(crate) fn leave(&mut self, now: Instant, member: usize, stats: &mut Stats) {
        self.note_sizes(member);
        let mut gone = self.members.remove(member);
        stats.usage.participant_time += now.saturating_duration_since(gone.entered_at);
        self.channels.release(&mut gone.grants);
        self.audiences.forget(member);
        self.announced.forget(member);
        self.batch.forget(member);
        self.talkers.retain(|talker| *talker != member);
        self.telling.owed.retain(|owed| *owed != member);
        debug_assert!(
            self.members.iter().all(|(_, one)| one.link != gone.link),
            "in it once"
        );
        self.roster.handle_left(&mut self.members, member, &gone);
        for (_, listener) in &mut self.members {
            listener.free_slots_of(gone.number);
        }
        self.count_members(now);
        self.schedule_flush(now);
    }

    /// Channels that `member` has just come into may have become large by him, and those that he is
    /// about to leave may become small.
    fn note_sizes(&mut self, member: usize) {
        let crossed: Vec<u16> = self.members[member]
            .grants
            .numbers()
            .filter(|channel| self.channels.members(*channel) == self.settings.max_shown + 1)
            .collect();
        for channel in crossed {
            self.roster.handle_size_crossed(&mut self.members, channel);
        }
    }

    fn count_members(&mut self, now: Instant) {
        let count = self.members.len() as u32;
        self.gathered.set_participants(now, count);
    }

    /// A hello came: the member has a name and all his channels, instead of those that an earlier
    /// one gave him. Another session of the same player leaves.
    ///
    /// # Errors
    /// [`DropReason::BadMessage`] when it is not newer than his last.
    pub(crate) fn introduce<P: Protocol<Profile = F>>(
        &mut self,
        now: Instant,
        protocol: &P,
        member: usize,
        hello: Hello<F>,
        stats: &mut Stats,
    ) -> Result<(), DropReason> {
        let participant = &self.members[member];
        if participant.is_introduced() && hello.issued_at_ms <= participant.as_of_ms {
            return Err(DropReason::BadMessage);
        }
        self.note_sizes(member);
        let participant = &mut self.members[member];
        participant.profile = Some(hello.profile);
        participant.as_of_ms = hello.issued_at_ms;
        participant.topics = hello.topics;
        participant.crossing = hello.crossing;
        let (player, at_ms) = (participant.player, hello.issued_at_ms);
        participant.blocked = self.sanctions.blocked(player, hello.blocked, at_ms);
        self.roster.note_changed(participant, member);
        self.channels.release(&mut participant.grants);
        for grant in &hello.channels {
            let grants = &mut participant.grants;
            if !self
                .channels
                .grant(grants, grant.channel, grant.permissions)
            {
                stats.drop(DropReason::ManyChannels);
            }
        }
        self.note_sizes(member);
        self.speaker_changed(member);
        self.listener_changed(member);
        let number = self.members[member].number;
        for (_, listener) in &mut self.members {
            listener.note_slots_of(number);
        }
        let same = self.members_of(player).into_iter();
        for other in same.filter(|other| *other != member) {
            let link = self.members[other].link;
            self.leave(now, other, stats);
            self.outputs.push_back(Output::Replaced { link });
        }
        self.welcome(protocol, member);
        self.schedule_flush(now);
        Ok(())
    }

    fn welcome<P: Protocol<Profile = F>>(&mut self, protocol: &P, member: usize) {
        let mut messages = self
            .roster
            .welcome(protocol, &mut self.members, &self.channels, member);
        let started = self.announced.welcome(&self.members, member);
        if !started.is_empty() {
            messages.push(protocol.write(&Notice::Speaking {
                started: &started,
                stopped: &[],
            }));
        }
        let participant = &mut self.members[member];
        for (n, slot) in participant.slots.iter().enumerate() {
            if slot.speaker().is_some() {
                participant.slots_changed |= 1 << n;
            }
        }
        let link = participant.link;
        let tell = |message: Vec<u8>| Output::Tell {
            link,
            message: message.into(),
        };
        self.outputs.extend(messages.into_iter().map(tell));
    }

    /// What `member` may or wants to hear changed.
    fn listener_changed(&mut self, member: usize) {
        let (members, listener) = (&self.members, &self.members[member]);
        self.audiences.listener_changed(member, |speaker| {
            members
                .get(speaker)
                .is_some_and(|speaker| gets(listener, speaker))
        });
    }

    /// Where `member` is heard changed: also for what he said that still waits.
    fn speaker_changed(&mut self, member: usize) {
        if let Some(known) = self.audiences.get_mut(member) {
            *known = audience(&self.members, member);
        }
    }

    /// Takes an authentic packet of a member; everybody who hears him gets it with
    /// [`Room::forward`]. True when a talk spurt began.
    ///
    /// # Errors
    /// Why nobody gets it.
    pub(crate) fn handle_voice(
        &mut self,
        now: Instant,
        member: usize,
        packet: &Opened,
        spare: &mut Vec<Vec<u8>>,
        stats: &mut Stats,
    ) -> Result<bool, DropReason> {
        let participant = &mut self.members[member];
        let types = participant.voice.payload_types();
        if !types.contain(packet.payload_type()) {
            return Err(DropReason::PayloadType);
        }
        let ended = participant
            .voice
            .note_source(now, &self.settings.speaking, packet.ssrc());
        if ended {
            self.schedule_flush(now);
        }
        let participant = &mut self.members[member];
        let source = participant.voice.source;
        let repeats_lost = participant.measures.note_voice(packet, types, source);
        if !participant.may_be_heard() {
            return Err(DropReason::NotSpeaker);
        }
        let forwardable = participant
            .voice
            .handle_packet(now, &self.settings, packet)?;
        let number = participant.number;
        let speaker = Speaker {
            talker: Talker { member, number },
            source: participant.voice.source,
            opus: types.opus,
        };
        let talk_time = participant
            .voice
            .take_talk(now, packet, forwardable.red_primary);
        self.gathered.usage().talk_time += talk_time;
        stats.usage.talk_time += talk_time;
        let members = &self.members;
        let audience = self.audiences.of(member, || audience(members, member));
        let repeated = (packet.payload(), repeats_lost);
        let pending = Pending::new(speaker, forwardable, repeated, spare);
        self.batch.push(pending, audience);
        if forwardable.started {
            if !self.talkers.contains(&member) {
                self.talkers.push(member);
            }
            debug_assert!(self.talkers.len() <= self.members.len(), "each once");
            let talks = |n| self.talkers.contains(&n);
            self.roster.handle_talk(&mut self.members, member, talks);
            // From here to the end of the spurt that only moves away.
            let ends_at = now + self.settings.speaking.hang_over;
            let earliest = self.spurt_ends_at.map_or(ends_at, |at| at.min(ends_at));
            self.spurt_ends_at = Some(earliest);
            self.schedule_flush(now);
        }
        Ok(forwardable.started)
    }

    /// Whether voice waits to be sent.
    pub(crate) fn has_voice(&self) -> bool {
        !self.batch.is_empty()
    }

    /// The next member who gets any of the voice that waits; none when all got it.
    pub(crate) fn next_listener(&mut self, now: Instant) -> Option<Listener> {
        if self.batch.claims.is_empty() {
            let talkers = self.talkers.iter();
            let claims = talkers.map(|&talker| self.members[talker].claim(now));
            self.batch.claims.extend(claims);
        }
        let member = self.batch.next_listener()?;
        let link = self.members[member].link;
        Some(Listener { member, link })
    }

    /// Sends all that waits to one listener: what is known of him is looked at once, and datagrams
    /// to one address leave together. `send` seals a packet and returns the bytes that it sent, or
    /// why it did not.
    /// True when he must be told that slots changed.
    pub(crate) fn forward(
        &mut self,
        now: Instant,
        listener: Listener,
        stats: &mut Stats,
        mut send: impl FnMut(&[u8]) -> Result<usize, DropReason>,
    ) -> bool {
        let Self {
            members,
            audiences,
            batch,
            gathered,
            settings,
            ..
        } = self;
        let Batch {
            pending, claims, ..
        } = batch;
        let participant = &mut members[listener.member];
        let takes = participant.voice.payload_types();
        let wants_red = participant.measures.down.wants_red();
        let slots = &mut participant.slots;
        let before = participant.slots_changed;
        for pending in pending {
            // Egress is the bill: who loses nothing gets what was lost on the way here, no more.
            let red = takes.red.filter(|_| wants_red || pending.repeats_lost);
            let types = PayloadTypes { red, ..takes };
            let audience = audiences.get(pending.speaker.talker.member);
            if !audience.is_some_and(|audience| audience.contains(listener.member)) {
                continue;
            }
            let fitted = fit(now, slots, types, pending, claims, &settings.speaking);
            let (header, moved) = match fitted {
                Ok(fitted) => fitted,
                Err(reason) => {
                    stats.drop(reason);
                    continue;
                }
            };
            if let Some(slot) = moved {
                participant.slots_changed |= 1 << slot;
            }
            match send(pending.with_header(types, header)) {
                Ok(bytes) => {
                    let is_red = types.red == Some(header.payload_type);
                    participant.measures.down.note_sent(is_red);
                    stats.voice_out += 1;
                    gathered.usage().note_sent(bytes);
                    stats.usage.note_sent(bytes);
                }
                Err(reason) => stats.drop(reason),
            }
        }
        debug_assert!(
            u32::from(participant.slots_changed) < 1 << participant.slots.len(),
            "only slots that there are"
        );
        participant.is_introduced() && participant.slots_changed != before
    }

    /// Everybody got what waited: gives its memory back.
    pub(crate) fn finish_forwarding(&mut self, spare: &mut Vec<Vec<u8>>) {
        spare.extend(self.batch.finish());
    }

    /// Bytes went to a connection of the room, voice aside.
    pub(crate) fn note_sent(&mut self, bytes: usize) {
        self.gathered.usage().note_sent(bytes);
    }

    /// An authentic packet of voice came from a connection of the room.
    pub(crate) fn note_received(&mut self, bytes: usize) {
        self.gathered.usage().note_received(bytes);
    }

    /// For how long those who are here have been, together.
    pub(crate) fn stayed(&self, now: Instant) -> Duration {
        let stayed = |one: &Participant<F>| now.saturating_duration_since(one.entered_at);
        self.members.iter().map(|(_, one)| stayed(one)).sum()
    }

    /// What a member must be told of his slots, if anything changed.
    pub(crate) fn take_slots<P: Protocol<Profile = F>>(
        &mut self,
        protocol: &P,
        member: usize,
    ) -> Option<Vec<u8>> {
        let participant = &mut self.members[member];
        if participant.slots_changed == 0 || !participant.is_introduced() {
            return None;
        }
        let changed = std::mem::take(&mut participant.slots_changed);
        let profile = self.members[member].profile.as_ref()?;
        let changes = &carried::changes(&self.members, member, changed);
        Some(protocol.write(&Notice::Slots { profile, changes }))
    }

    /// What a member's slots sent since the last report, and the SSRC of the first slot.
    pub(crate) fn take_reports(&mut self, now: Instant, member: usize) -> (Vec<Sent>, Option<u32>) {
        let slots = &mut self.members[member].slots;
        let sent = slots.iter_mut().filter_map(|slot| slot.take_report(now));
        (sent.collect(), slots.first().map(Slot::ssrc))
    }

    /// What is to be done next.
    pub(crate) fn poll_output(&mut self) -> Option<Output> {
        self.outputs.pop_front()
    }

    /// When [`Room::handle_timeout`] wants to be called.
    pub(crate) fn poll_timeout(&self) -> Instant {
        let others = [self.flush_at, self.spurt_ends_at, self.mute_ends_at];
        let others = others.into_iter().flatten();
        others.fold(self.gathered.ends(), Instant::min)
    }

    /// Lets time act. True when the period is over: the owner takes the usage.
    pub(crate) fn handle_timeout<P: Protocol<Profile = F>>(
        &mut self,
        now: Instant,
        protocol: &P,
    ) -> bool {
        if self.spurt_ends_at.is_some_and(|at| now >= at) {
            self.end_spurts(now);
        }
        self.end_mutes(now);
        if self.flush_at.is_some_and(|at| now >= at) {
            self.flush_at = None;
            self.flush(now, protocol);
        }
        now >= self.gathered.ends()
    }

    /// Counts a listener who hears this well, R of the E-model.
    pub(crate) fn note_rating(&mut self, rating: u8, stats: &mut Stats) {
        self.gathered.usage().note_rating(rating);
        stats.usage.note_rating(rating);
    }

    fn end_spurts(&mut self, now: Instant) {
        let speaking = self.settings.speaking;
        let before = self.talkers.len();
        let mut earliest: Option<Instant> = None;
        let (members, audiences) = (&mut self.members, &mut self.audiences);
        self.talkers.retain(|&talker| {
            let state = &mut members[talker].voice.speaking;
            let ends_at = state.ends_at(&speaking).filter(|at| now < *at);
            match ends_at {
                Some(at) => earliest = Some(earliest.map_or(at, |other| other.min(at))),
                None => {
                    state.clear();
                    audiences.drop_of(talker);
                }
            }
            ends_at.is_some()
        });
        self.spurt_ends_at = earliest;
        debug_assert!(earliest.is_none_or(|at| at > now), "the next is to come");
        if self.talkers.len() < before {
            self.schedule_flush(now);
        }
    }

    /// Ends the period and begins the next: the minute in which it began, and what was used.
    pub(crate) fn take_usage(&mut self, now: Instant, next: Period) -> (u64, Usage) {
        self.gathered.take(now, next)
    }

    fn flush<P: Protocol<Profile = F>>(&mut self, now: Instant, protocol: &P) {
        self.note_owed_states(now);
        let before = self.outputs.len();
        let news = self
            .roster
            .flush(protocol, &mut self.members, &self.channels);
        for (listeners, messages) in news {
            for listener in listeners {
                let link = self.members[listener].link;
                let tell = |message: &Arc<[u8]>| Output::Tell {
                    link,
                    message: Arc::clone(message),
                };
                self.outputs.extend(messages.iter().map(tell));
            }
        }
        let talking = self.talking(now);
        let members = &self.members;
        let messages = self.announced.flush(protocol, members, talking.into_iter());
        let tell = |(member, message)| Output::Tell {
            link: members[member].link,
            message,
        };
        self.outputs.extend(messages.into_iter().map(tell));
        self.note_told(now, self.outputs.len() - before);
    }
}

#[cfg(test)]
#[path = "room_tests.rs"]
mod tests;
