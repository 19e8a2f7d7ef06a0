//! Which members get what the edge has for them: those who have introduced themselves, and who may
//! read its author.

use super::Room;
use super::audience::may_read;
use super::participant::Participant;
use crate::idents::PlayerKey;
use crate::push::{Addressee, Audience, Author};

impl<F> Room<F> {
    /// Links of the members who belong to an audience, and who of them may read what `author`
    /// wrote: the same as those for whom the edge's history answers it.
    pub(crate) fn addressees(
        &self,
        of: Audience,
        author: Option<&Author>,
    ) -> impl Iterator<Item = Addressee> {
        let author = author.map(|author| (author, self.blocked_of(author)));
        let members = self.members.iter().map(|(_, member)| member);
        let members = members.filter(move |one| one.is_introduced() && one.belongs_to(of));
        members.map(move |member| {
            let author = author.as_ref();
            let may_read = author.is_none_or(|(author, blocked)| may_read(member, author, blocked));
            Addressee {
                link: member.link,
                may_read,
            }
        })
    }

    /// Whom an author has blocked, in order: as he is here, or as the edge said and has ordered
    /// since.
    fn blocked_of(&self, author: &Author) -> Vec<PlayerKey> {
        let members = self.members.iter().map(|(_, member)| member);
        let mut here = members.filter(|one| one.player == author.player && one.is_introduced());
        match here.next() {
            Some(member) => member.blocked.clone(),
            None => {
                let (player, said) = (author.player, author.blocked.clone());
                self.sanctions.blocked(player, said, author.blocked_at_ms)
            }
        }
    }
}

impl<F> Participant<F> {
    fn belongs_to(&self, audience: Audience) -> bool {
        match audience {
            Audience::Room(_, topic) | Audience::Topic(topic) => self.topics.contains(&topic),
            Audience::Channel(_, channel) => self.grants.contain(channel),
            Audience::Player(_, player) => self.player == player,
        }
    }
}
