//! Which members get what the edge has for them. Only those who have introduced themselves do.

use super::Room;
use super::participant::Participant;
use crate::idents::{ChannelKey, PlayerKey, TopicKey};

impl<F> Room<F> {
    /// Links of the members who are `player` and have introduced themselves.
    pub(crate) fn links_of(&self, player: PlayerKey) -> impl Iterator<Item = usize> + '_ {
        self.introduced(move |one| one.player == player)
    }

    /// Links of the members of a channel who have introduced themselves.
    pub(crate) fn links_in(&self, channel: ChannelKey) -> impl Iterator<Item = usize> + '_ {
        self.introduced(move |one| one.grants.contain(channel))
    }

    /// Links of all members who have introduced themselves.
    pub(crate) fn links_of_all(&self) -> impl Iterator<Item = usize> + '_ {
        self.introduced(|_| true)
    }

    /// Links of the members who have subscribed to a topic.
    pub(crate) fn links_to(&self, topic: TopicKey) -> impl Iterator<Item = usize> + '_ {
        self.introduced(move |one| one.topics.contains(&topic))
    }

    fn introduced(
        &self,
        is_meant: impl Fn(&Participant<F>) -> bool,
    ) -> impl Iterator<Item = usize> {
        let members = self.members.iter().map(|(_, member)| member);
        members
            .filter(move |member| member.is_introduced() && is_meant(member))
            .map(|member| member.link)
    }
}
