//! Messages that the edge has for participants. The core passes them on as they are.

use std::sync::Arc;

use crate::protocol::Protocol;
use crate::sfu::{Audience, Sfu};
use crate::stats::DropReason;

impl<P: Protocol> Sfu<P> {
    /// Queues `message` for everybody in the audience who has introduced himself.
    pub(crate) fn push(&mut self, to: Audience, message: &Arc<[u8]>) {
        for index in self.audience(to) {
            if self.sessions[index].queue_push(Arc::clone(message)) {
                self.stats.pushed += 1;
                self.mark_dirty(index);
            } else {
                self.stats.drop(DropReason::Backlog);
            }
        }
    }

    fn audience(&self, to: Audience) -> Vec<usize> {
        let members = |key| {
            let room = self.by_room.get(&key).map(|&index| &self.rooms[index]);
            room.map(|room| (room, room.members.iter().copied()))
        };
        let sessions = &self.sessions;
        match to {
            Audience::Room(key) => members(key).map(|(_, all)| all.collect()),
            Audience::Channel(key, channel) => members(key).map(|(room, all)| {
                let bit = room.channel_bit(channel);
                all.filter(|&index| sessions[index].in_channels & bit != 0)
                    .collect()
            }),
            Audience::Player(key, player) => members(key).map(|(_, all)| {
                all.filter(|&index| sessions[index].player == player)
                    .collect()
            }),
            Audience::World => Some(
                sessions
                    .iter()
                    .filter(|(_, session)| session.is_live() && session.reads_world)
                    .map(|(index, _)| index)
                    .collect(),
            ),
        }
        .unwrap_or_default()
    }
}
