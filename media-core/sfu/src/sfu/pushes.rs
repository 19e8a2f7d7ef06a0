//! Pushing what the edge has for participants, at the rate that the shard can bear.

use std::sync::Arc;

use super::Sfu;
use crate::protocol::Protocol;
use crate::push::{Addressee, Audience, Author, Push, Pushes};
use crate::stats::DropReason;
use crate::timers::Owner;

impl<P: Protocol> Sfu<P> {
    /// Queues a message of the edge, as it is, for everybody in its audience who may read it; or
    /// keeps it for later.
    pub(super) fn push(&mut self, push: Push) {
        if self.pushes.is_idle() && self.pushes.may_go(self.now, self.config.push) {
            let sent = self.hand_out(&push);
            return self.pushes.spend(self.now, self.config.push, sent);
        }
        let lost = self.pushes.wait(push);
        (0..lost).for_each(|_| self.stats.drop(DropReason::PushRate));
        self.arm_pushes();
    }

    /// Pushes what has waited for as long as it may.
    pub(super) fn pushes_due(&mut self) {
        let limits = self.config.push;
        while self.pushes.may_go(self.now, limits) {
            let Some(waiting) = self.pushes.next() else {
                return;
            };
            let news = waiting.news.map(|news| Push::new(waiting.to, news.message));
            let (mut all, mut most) = (0, 0);
            for push in news.iter().chain(&waiting.texts) {
                let sent = self.hand_out(push);
                (all, most) = (all + sent, most.max(sent));
            }
            if news.is_some() {
                self.stats.told_of_news += all;
            }
            // All to one reader leave in as few datagrams as they fit into.
            self.pushes.spend(self.now, limits, Pushes::cost(all, most));
        }
        self.arm_pushes();
    }

    fn arm_pushes(&mut self) {
        if !self.pushes.is_idle() {
            let at = self.pushes.next_at(self.now, self.config.push);
            self.timers
                .arm(self.now, &mut self.pushes_alarm, at, Owner::Pushes);
        }
    }

    /// Queues it for its readers; how many were sent something.
    fn hand_out(&mut self, push: &Push) -> u64 {
        let mut sent = 0;
        for Addressee { link, may_read } in self.addressees(push.to, push.author.as_ref()) {
            let message = may_read.then_some(&push.message);
            let Some(message) = message.or(push.withheld.as_ref()) else {
                continue;
            };
            if self.links[link].queue_push(Arc::clone(message)) {
                self.stats.pushed += u64::from(may_read);
                sent += 1;
                self.mark_dirty(link);
            } else {
                self.stats.drop(DropReason::Backlog);
            }
        }
        sent
    }

    fn addressees(&self, to: Audience, author: Option<&Author>) -> Vec<Addressee> {
        let room = match to {
            Audience::Room(key, _) | Audience::Channel(key, _) | Audience::Player(key, _) => key,
            Audience::Topic(_) => {
                let rooms = self.rooms.iter().map(|(_, kept)| &kept.room);
                return rooms.flat_map(|room| room.addressees(to, author)).collect();
            }
        };
        let room = self
            .by_room
            .get(&room)
            .map(|&index| &self.rooms[index].room);
        room.map_or_else(Vec::new, |room| room.addressees(to, author).collect())
    }
}
