//! Serving links: draining str0m, acting on its events, messages, reports, the end.

use std::time::{Duration, Instant};

use rand::Rng;
use str0m::channel::ChannelData;
use str0m::{Event as RtcEvent, Input, Output, net};

use super::{Event, Sfu, Transmit};
use crate::budget::Work;
use crate::deadline::Due;
use crate::link::{Link, Phase};
use crate::path::Path;
use crate::places::Place;
use crate::protocol::{DataChannel, Notice, Protocol, Request};
use crate::stats::{DropReason, EndReason};
use crate::timers::Owner;

/// How long the last message to a client may take before its connection is closed.
const LAST_WORDS: Duration = Duration::from_millis(250);
/// When to try again after str0m reported an error and lived on.
const RETRY: Duration = Duration::from_millis(50);
/// How long whoever is asked to migrate may stay: a client that is well is gone in a second.
const LEAVES_WITHIN: Duration = Duration::from_secs(30);
/// Mean time between two reports (RFC 3550 section 6.2).
const REPORT_INTERVAL: Duration = Duration::from_secs(5);

impl<P: Protocol> Sfu<P> {
    pub(super) fn mark_dirty(&mut self, index: usize) {
        let link = &mut self.links[index];
        if !link.dirty {
            link.dirty = true;
            self.dirty.push_back(index);
        }
    }

    /// Lets a link send what it has, and arms its timer.
    pub(super) fn service(&mut self, index: usize) {
        self.links[index].dirty = false;
        self.queue_slots(index);
        let began = self.config.meter.begin();
        let link = &mut self.links[index];
        let who = (link.id, link.entry.player);
        let wrote = link.flush_outbox();
        // Also without a message: the link may be here because a timer of str0m is due.
        let _ = link.rtc.handle_input(Input::Timeout(self.now));
        if wrote.is_err() {
            self.end(index, EndReason::Protocol);
        }
        self.drain(index);
        self.note_work(index, who, (began, Work::Service));
    }

    /// Takes everything that str0m has to say. The link may be gone afterwards.
    pub(super) fn drain(&mut self, index: usize) {
        let mut was_due = false;
        loop {
            if let Phase::Gone { reason } = self.links[index].phase {
                return self.close(index, reason);
            }
            match self.links[index].rtc.poll_output() {
                // At once, while what it looks at is at hand.
                Ok(Output::Timeout(at)) if at <= self.now && !was_due => {
                    was_due = true;
                    let timeout = Input::Timeout(self.now);
                    let _ = self.links[index].rtc.handle_input(timeout);
                }
                Ok(Output::Timeout(at)) => {
                    self.links[index].note_timeout(self.now, at);
                    break;
                }
                Ok(Output::Transmit(transmit)) => self.transmit(index, transmit),
                Ok(Output::Event(event)) => self.handle_rtc_event(index, event),
                Err(_) => {
                    self.links[index].rtc_at = self.now + RETRY;
                    break;
                }
            }
        }
        if self.links[index].rtc.is_alive() {
            self.arm_link(index);
        } else {
            let reason = match self.links[index].phase {
                Phase::Handshake { .. } => EndReason::Handshake,
                Phase::Ending { reason, .. } | Phase::Gone { reason } => reason,
                Phase::Live { .. } => EndReason::Left,
            };
            self.remove(index, reason);
        }
    }

    /// Says good-bye on the transport and forgets the link.
    pub(super) fn close(&mut self, index: usize, reason: EndReason) {
        let link = &mut self.links[index];
        let _ = link.rtc.close();
        let _ = link.rtc.handle_input(Input::Timeout(self.now));
        while let Ok(output) = self.links[index].rtc.poll_output() {
            match output {
                Output::Timeout(_) => break,
                Output::Transmit(transmit) => self.transmit(index, transmit),
                Output::Event(_) => {}
            }
        }
        self.remove(index, reason);
    }

    fn transmit(&mut self, index: usize, transmit: net::Transmit) {
        let data = Vec::from(transmit.contents);
        let to = Path::of(transmit.proto, transmit.destination);
        if let Some(to) = self.links[index].route(to, &data) {
            self.push_transmit(index, to, data);
        }
    }

    pub(super) fn push_transmit(&mut self, index: usize, to: Path, data: Vec<u8>) {
        let link = &mut self.links[index];
        if !link.paths.may_send(self.now, to, data.len()) {
            return self.stats.drop(DropReason::Unproved);
        }
        let room = &mut self.rooms[link.room].room;
        room.note_sent(data.len());
        self.transmits.push_back(Transmit { to, data });
    }

    /// Asks every path of a link that is to be asked now whether its client is there.
    pub(super) fn ask(&mut self, index: usize) {
        let Some(session) = self.links.get(index).map(|link| link.id) else {
            return;
        };
        while let Some(link) = self.links.get_mut(index).filter(|link| link.id == session) {
            let draw = || self.rng.next_u64();
            let Some((path, nonce)) = link.paths.poll_question(self.now, draw) else {
                return self.arm_link(index);
            };
            if !link.ask(nonce) {
                self.ask_by_report(index, path, nonce);
                continue;
            }
            // str0m asks DTLS nothing unless it was given something.
            let _ = link.rtc.handle_input(Input::Timeout(self.now));
            self.drain(index);
            let link = self.links.get_mut(index).filter(|link| link.id == session);
            if let Some(question) = link.and_then(Link::take_question) {
                self.push_transmit(index, path, question);
            }
        }
    }

    /// The same by a report, which only a client tells back who got it.
    fn ask_by_report(&mut self, index: usize, path: Path, nonce: u64) {
        let unix_ms = self.clock.unix_ms(self.now);
        let link = &mut self.links[index];
        let Some(member) = link.member() else { return };
        let room = &mut self.rooms[link.room].room;
        let (sent, _) = room.take_reports(self.now, member);
        if let Some(data) = link.seal_question(self.now, (unix_ms, nonce), &sent) {
            self.push_transmit(index, path, data.into());
        }
    }

    fn handle_rtc_event(&mut self, index: usize, event: RtcEvent) {
        match event {
            RtcEvent::Connected => self.handle_connected(index),
            // Nothing of a session counts before its certificate was compared.
            _ if matches!(self.links[index].phase, Phase::Handshake { .. }) => {}
            RtcEvent::ChannelOpen(id, label) => {
                if !self.links[index].outbox.count_open() {
                    return self.end(index, EndReason::Protocol);
                }
                if let Some(kind) = self.protocol.data_channel(&label) {
                    self.links[index].outbox.handle_open(id, kind);
                }
            }
            RtcEvent::ChannelData(data) => self.handle_message(index, &data),
            RtcEvent::ChannelClose(id) => {
                let outbox = &mut self.links[index].outbox;
                outbox.count_close();
                match outbox.kind(id) {
                    Some(DataChannel::Messages) => self.end(index, EndReason::Left),
                    Some(DataChannel::Positions) | None => outbox.handle_close(id),
                }
            }
            RtcEvent::Closed => self.end(index, EndReason::Left),
            _ => {}
        }
    }

    fn handle_connected(&mut self, index: usize) {
        let link = &mut self.links[index];
        if !matches!(link.phase, Phase::Handshake { .. }) {
            return;
        }
        let refused = if !link.fingerprint_matches() {
            Some(EndReason::Fingerprint)
        } else if !link.take_keys(&*self.config.srtp) {
            Some(EndReason::Handshake)
        } else {
            None
        };
        if let Some(reason) = refused {
            link.phase = Phase::Gone { reason };
            return self.give_place_back(index);
        }
        link.last_heard = self.now;
        link.paths.handle_connected(self.now);
        self.stats.connected += 1;
        self.events.push_back(Event::Connected { session: link.id });
        if link.says_hello {
            link.hello_until = Some(self.now + self.config.hello_timeout);
        } else {
            self.settle_place(index);
        }
        self.enter_room(index);
    }

    /// A session is through: it is not lost to its player's next.
    pub(super) fn settle_place(&mut self, index: usize) {
        let link = &mut self.links[index];
        link.hello_until = None;
        if link.place == Place::HalfOpen {
            link.place = Place::Whole;
            self.places.settle(link.entry.player, index);
            let (room, epoch) = (link.room, link.home_epoch);
            // He came with a ticket from before; nobody could tell him sooner.
            if let Some(over) = self.drains_over {
                self.migrate_within(index, over);
            } else if self.has_moved(self.rooms[room].room.key, epoch) {
                self.migrate_within(index, Duration::ZERO);
            }
        }
    }

    /// A session is over: its player may have another.
    fn give_place_back(&mut self, index: usize) {
        let link = &mut self.links[index];
        link.hello_until = None;
        let place = std::mem::replace(&mut link.place, Place::None);
        self.places.close(link.entry.player, index, place);
    }

    fn handle_message(&mut self, index: usize, data: &ChannelData) {
        let max_per_s = self.config.max_messages_per_s;
        let link = &mut self.links[index];
        (link.last_heard, link.is_confirmed) = (self.now, true);
        let Some(member) = link.member() else {
            return;
        };
        let Some(kind) = link.outbox.kind(data.id) else {
            return self.stats.drop(DropReason::DataChannel);
        };
        if !link.outbox.take_message(self.now, max_per_s) {
            return self.stats.drop(DropReason::MessageRate);
        }
        if kind == DataChannel::Positions {
            // No kind of channel that there is takes one.
            return self.stats.drop(DropReason::Position);
        }
        match self.protocol.read(link.id, &data.data) {
            Ok(Request::Hello(hello)) => self.introduce(index, member, hello),
            Ok(Request::Ping { id }) => self.tell(index, &Notice::Pong { id }),
            Ok(Request::State { muted, deafened }) => {
                let room = self.links[index].room;
                let now = self.now;
                let kept = &mut self.rooms[room];
                if !kept.room.set_state(now, member, muted, deafened) {
                    self.stats.drop(DropReason::StateRate);
                }
                self.after_room(room);
            }
            Ok(Request::Leave) => self.end(index, EndReason::Left),
            Ok(Request::Unknown) => {}
            Err(_) => self.stats.drop(DropReason::BadMessage),
        }
    }

    /// Queues a notice for one client.
    pub(super) fn tell(&mut self, index: usize, notice: &Notice<'_, P::Profile>) {
        let message = self.protocol.write(notice);
        self.queue(index, message.into());
    }

    /// Has the next reports of a link sent at a random moment half to one and a half intervals from
    /// now, as RFC 3550 section 6.3.1 wants it: whoever hears the same speaker must not get his at
    /// the same time.
    pub(super) fn schedule_report(&mut self, index: usize) {
        let wait = REPORT_INTERVAL.mul_f64(0.5 + self.share());
        self.links[index].report_at = Some(self.now + wait);
        self.arm_link(index);
    }

    /// Sends the reports that are due; the next ones follow the next voice.
    fn send_reports(&mut self, index: usize) {
        let unix_ms = self.clock.unix_ms(self.now);
        let link = &mut self.links[index];
        link.report_at = None;
        let room = &mut self.rooms[link.room].room;
        let member = link.member();
        let (sent, ssrc) = member.map_or_else(Default::default, |member| {
            room.take_reports(self.now, member)
        });
        let data = link.seal_reports(self.now, unix_ms, (&sent, ssrc));
        if let (Some(to), Some(data)) = (link.paths.media_route(), data) {
            self.push_transmit(index, to, data.into());
        }
        self.tell_quality(index);
    }

    /// Has every client asked to migrate, at random moments within `over`.
    pub(super) fn drain_over(&mut self, over: Duration) {
        self.drains_over = Some(over);
        for index in self.link_indices() {
            self.migrate_within(index, over);
        }
    }

    pub(super) fn migrate_within(&mut self, index: usize, over: Duration) {
        let share = self.share();
        self.links[index].migrate_at = Some(self.now + over.mul_f64(share));
        self.arm_link(index);
    }

    /// Ends a session: out of its room at once; the connection stays for the last message.
    pub(super) fn end(&mut self, index: usize, reason: EndReason) {
        let link = &mut self.links[index];
        match link.phase {
            Phase::Live { member } => {
                let room = link.room;
                self.rooms[room].room.leave(self.now, member);
                self.say_good_bye(index, reason);
                self.after_room(room);
            }
            Phase::Handshake { .. } => {
                link.phase = Phase::Gone { reason };
                self.give_place_back(index);
            }
            Phase::Ending { .. } | Phase::Gone { .. } => {}
        }
        self.mark_dirty(index);
    }

    /// The last message of a session that is in its room no more.
    pub(super) fn say_good_bye(&mut self, index: usize, reason: EndReason) {
        let until = self.now + LAST_WORDS;
        let message = self.protocol.write(&Notice::Ended(reason));
        let link = &mut self.links[index];
        link.phase = Phase::Ending { until, reason };
        // A client that does not read is not told.
        let _ = link.queue(message.into());
        self.give_place_back(index);
        self.mark_dirty(index);
    }

    /// Forgets a session. Its ticket stays spent until it expires.
    pub(super) fn remove(&mut self, index: usize, reason: EndReason) {
        let (room, member) = (self.links[index].room, self.links[index].member());
        if let Some(member) = member {
            self.rooms[room].room.leave(self.now, member);
            // What the room has to say now is not for him any more.
            self.links[index].phase = Phase::Gone { reason };
            self.after_room(room);
        }
        self.give_place_back(index);
        let link = self.links.remove(index);
        self.budgets.close(self.now, link.entry.player);
        for path in link.paths.iter() {
            if self.by_path.get(&path) == Some(&index) {
                self.by_path.remove(&path);
            }
        }
        let known = self.by_session.remove(&link.id);
        debug_assert_eq!(known, Some(index), "a session has one link");
        let unix_s = self.unix_s();
        self.ended
            .insert(link.id, link.credentials.expires_at_unix_s);
        self.ended.prune(unix_s);
        self.release_room(room);
        self.stats.end(reason);
        self.events.push_back(Event::Ended {
            session: link.id,
            reason,
        });
    }

    /// Sets the link's timer to the earliest of what it waits for.
    pub(super) fn arm_link(&mut self, index: usize) {
        let config = &self.config;
        let link = &mut self.links[index];
        let mut at = link.rtc_at.min(link.last_heard + config.consent_timeout);
        match link.phase {
            Phase::Handshake { until } | Phase::Ending { until, .. } => at = at.min(until),
            Phase::Live { .. } | Phase::Gone { .. } => {}
        }
        let others = [
            link.migrate_at,
            link.leave_by,
            link.report_at,
            link.hello_until,
            link.paths.next_at(),
            link.deadline.next_at(),
        ];
        at = others.into_iter().flatten().fold(at, Instant::min);
        self.timers
            .arm(self.now, &mut link.alarm, at, Owner::Link(index));
    }

    pub(super) fn link_due(&mut self, index: usize) {
        let now = self.now;
        let link = &mut self.links[index];
        match link.phase {
            Phase::Handshake { until } if now >= until => {
                return self.remove(index, EndReason::Handshake);
            }
            Phase::Ending { until, reason } if now >= until => {
                link.phase = Phase::Gone { reason };
            }
            _ if now >= link.last_heard + self.config.consent_timeout => {
                return self.remove(index, EndReason::Timeout);
            }
            _ if link.hello_until.is_some_and(|until| now >= until) => {
                return self.end(index, EndReason::NoHello);
            }
            _ => {}
        }
        let due = link.deadline.poll(now);
        if due == Some(Due::End) && !matches!(link.phase, Phase::Ending { .. } | Phase::Gone { .. })
        {
            return self.end(index, EndReason::TokenExpired);
        }
        if link.leave_by.is_some_and(|by| now >= by) {
            link.leave_by = None;
            return self.end(index, EndReason::RelayStopping);
        }
        let migrates = link.migrate_at.is_some_and(|at| now >= at);
        if migrates {
            link.migrate_at = None;
            link.leave_by = Some(now + LEAVES_WITHIN);
        }
        if due == Some(Due::Ask) || migrates {
            self.tell(index, &Notice::Migrate);
        }
        let link = &self.links[index];
        if link.report_at.is_some_and(|at| now >= at) {
            self.send_reports(index);
        }
        if self.links[index]
            .paths
            .next_at()
            .is_some_and(|at| now >= at)
        {
            let session = self.links[index].id;
            self.ask(index);
            if self.links.get(index).is_none_or(|link| link.id != session) {
                return;
            }
        }
        let link = &self.links[index];
        if now >= link.rtc_at || matches!(link.phase, Phase::Gone { .. }) {
            self.mark_dirty(index);
        } else {
            self.arm_link(index);
        }
    }
}
