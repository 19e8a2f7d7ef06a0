//! What the members of a room are told of each other. In a small room everybody is shown to
//! everybody. In a large one a member is shown those with whom he shares a small channel (his
//! team), those who talked last, and how many there are, so that what is told does not grow with
//! the room.

use std::collections::HashMap;
use std::sync::Arc;

use slab::Slab;

use super::bits::Bits;
use super::channels::Channels;
use super::participant::Participant;
use crate::protocol::{Notice, Protocol, RosterEntry};

/// Roster entries in one message, so that none exceeds 16 kB whatever the names are.
const ENTRIES_PER_MESSAGE: usize = 16;

/// What one member is sent, in order.
type Messages = Vec<Arc<[u8]>>;
type Members<P> = Slab<Participant<<P as Protocol>::Profile>>;

/// Which members are shown to whom, and what is to be said of it.
#[derive(Debug)]
pub(crate) struct Roster {
    /// Most members that are shown to everybody, and of a channel that is small.
    max_shown: usize,
    shown: usize,
    /// Members of whom something is to be said, each once.
    dirty: Vec<usize>,
    /// Who left: number, and the members who knew him.
    gone: Vec<(u32, Bits)>,
    /// What everybody was told of the number of members; none before the room was large once.
    told_count: Option<u32>,
}

/// What one member is to be told: members by index, and numbers of those who are gone.
#[derive(Debug, Default, Clone, PartialEq, Eq, Hash)]
struct News {
    joined: Vec<usize>,
    changed: Vec<usize>,
    left: Vec<u32>,
}

impl Roster {
    /// Of a room that is large when it has more than `max_shown` members.
    pub(crate) fn new(max_shown: usize) -> Self {
        Self {
            max_shown,
            shown: 0,
            dirty: Vec::new(),
            gone: Vec::new(),
            told_count: None,
        }
    }

    /// Whether `listener` is to know of `other`.
    pub(crate) fn shows<F>(
        &self,
        channels: &Channels,
        listener: &Participant<F>,
        other: &Participant<F>,
    ) -> bool {
        let is_small = |channel| channels.members(channel) <= self.max_shown;
        other.number == listener.number
            || other.is_shown
            || listener.grants.share(&other.grants, is_small)
    }

    /// A member has come: he is shown, if there is room.
    pub(crate) fn handle_entered<F>(&mut self, members: &mut Slab<Participant<F>>, member: usize) {
        if self.shown < self.max_shown {
            self.show(&mut members[member]);
        }
        self.note_changed(&mut members[member], member);
    }

    /// Something of a member changed that others see.
    pub(crate) fn note_changed<F>(&mut self, participant: &mut Participant<F>, member: usize) {
        if !participant.is_noted {
            participant.is_noted = true;
            self.dirty.push(member);
        }
    }

    /// A channel became small, or large: its members may have to be told of each other.
    pub(crate) fn handle_size_crossed<F>(
        &mut self,
        members: &mut Slab<Participant<F>>,
        channel: u16,
    ) {
        for (n, participant) in members {
            if participant.grants.contain_number(channel) {
                self.note_changed(participant, n);
            }
        }
    }

    /// Shows a member who talks, instead of the one who has been silent for the longest; `talks`
    /// says who is not.
    pub(crate) fn handle_talk<F>(
        &mut self,
        members: &mut Slab<Participant<F>>,
        member: usize,
        talks: impl Fn(usize) -> bool,
    ) {
        if members[member].is_shown {
            return;
        }
        if self.shown >= self.max_shown {
            let shown = members.iter().filter(|(_, one)| one.is_shown);
            let silent = shown.filter(|(n, _)| !talks(*n));
            let longest = silent.min_by_key(|(_, one)| (one.voice.loudness.last(), one.number));
            let Some((longest, _)) = longest else {
                return;
            };
            let hidden = &mut members[longest];
            hidden.is_shown = false;
            self.shown -= 1;
            self.note_changed(hidden, longest);
        }
        self.show(&mut members[member]);
        self.note_changed(&mut members[member], member);
    }

    /// Forgets a member who is gone, and shows another in his place.
    pub(crate) fn handle_left<F>(
        &mut self,
        members: &mut Slab<Participant<F>>,
        member: usize,
        gone: &Participant<F>,
    ) {
        self.dirty.retain(|noted| *noted != member);
        for (_, knowers) in &mut self.gone {
            knowers.remove(member);
        }
        let mut knowers = Bits::default();
        for (n, other) in members.iter_mut() {
            if other.knows.contains(member) {
                other.knows.remove(member);
                knowers.insert(n);
            }
        }
        self.gone.push((gone.number, knowers));
        if !gone.is_shown {
            return;
        }
        self.shown -= 1;
        let hidden = members.iter_mut().filter(|(_, one)| !one.is_shown);
        let last = hidden.max_by_key(|(_, one)| (one.voice.loudness.last(), one.number));
        if let Some((n, last)) = last {
            self.show(last);
            self.note_changed(last, n);
        }
    }

    fn show<F>(&mut self, participant: &mut Participant<F>) {
        debug_assert!(!participant.is_shown, "shown once");
        participant.is_shown = true;
        self.shown += 1;
        debug_assert!(self.shown <= self.max_shown, "not too many");
    }

    /// How many are in the room, for whoever is not shown all, or was not once.
    fn count(&self, members: usize) -> Option<u32> {
        let matters = members > self.max_shown || self.told_count.is_some();
        matters.then_some(members as u32)
    }

    /// The welcome of `member`: messages in order. The first names the first members that he is
    /// shown, himself among them, the others the rest.
    pub(crate) fn welcome<P: Protocol>(
        &mut self,
        protocol: &P,
        members: &mut Members<P>,
        channels: &Channels,
        member: usize,
    ) -> Vec<Vec<u8>> {
        let own = &members[member];
        let others = members
            .iter()
            .filter(|(n, one)| *n != member && self.shows(channels, own, one));
        let all: Vec<usize> = [member].into_iter().chain(others.map(|(n, _)| n)).collect();
        let (first, rest) = all.split_at(all.len().min(ENTRIES_PER_MESSAGE));
        let mut messages = vec![protocol.write(&Notice::Welcome {
            participant: own.number,
            profile: own.profile.as_ref().expect("introduced just now"),
            slots: own.slots.len() as u8,
            participants: entries::<P>(members, first),
            // As everybody knows it: what it is now is told to him with the others.
            count: self.told_count,
        })];
        for chunk in rest.chunks(ENTRIES_PER_MESSAGE) {
            let joined = entries::<P>(members, chunk);
            messages.push(write(protocol, joined, &[], Vec::new(), None));
        }
        members[member].knows = all.into_iter().collect();
        // Of those who went before a welcome that comes again he has forgotten.
        for (_, knowers) in &mut self.gone {
            knowers.remove(member);
        }
        messages
    }

    /// What changed since the last time: messages, each for some members.
    pub(crate) fn flush<P: Protocol>(
        &mut self,
        protocol: &P,
        members: &mut Members<P>,
        channels: &Channels,
    ) -> Vec<(Vec<usize>, Messages)> {
        let mut audiences: HashMap<News, Vec<usize>> = HashMap::new();
        let listeners: Vec<usize> = members
            .iter()
            .filter(|(_, one)| one.is_introduced())
            .map(|(n, _)| n)
            .collect();
        let dirty = std::mem::take(&mut self.dirty);
        let gone = std::mem::take(&mut self.gone);
        for listener in listeners {
            let mut news = News::default();
            let left = gone.iter().filter(|(_, knew)| knew.contains(listener));
            news.left.extend(left.map(|(number, _)| *number));
            for &other in &dirty {
                let shows = self.shows(channels, &members[listener], &members[other]);
                let knows = &mut members[listener].knows;
                match (knows.contains(other), shows) {
                    (false, true) => news.joined.push(other),
                    (true, true) => news.changed.push(other),
                    (true, false) => news.left.push(members[other].number),
                    (false, false) => {}
                }
                members[listener].knows.set(other, shows);
            }
            let knows_himself = members[listener].knows.contains(listener);
            debug_assert!(knows_himself, "since his welcome");
            audiences.entry(news).or_default().push(listener);
        }
        let count = self.count(members.len());
        let told_count = (count != self.told_count).then_some(count).flatten();
        let written = audiences
            .into_iter()
            .map(|(news, listeners)| (listeners, news.write(protocol, members, told_count)));
        let mut messages: Vec<_> = written.filter(|(_, all)| !all.is_empty()).collect();
        // Of a map, whose order is chance.
        messages.sort_by(|(one, _), (other, _)| one.cmp(other));
        self.told_count = count;
        for member in dirty {
            members[member].is_noted = false;
        }
        messages
    }

    /// Whether everything was said.
    #[cfg(test)]
    pub(crate) fn is_told(&self) -> bool {
        self.gone.is_empty() && self.dirty.is_empty()
    }
}

impl News {
    fn write<P: Protocol>(
        &self,
        protocol: &P,
        members: &Members<P>,
        count: Option<u32>,
    ) -> Messages {
        let mut messages: Vec<Vec<u8>> = Vec::new();
        for chunk in self.joined.chunks(ENTRIES_PER_MESSAGE) {
            let joined = entries::<P>(members, chunk);
            messages.push(write(protocol, joined, &[], Vec::new(), None));
        }
        for chunk in self.changed.chunks(ENTRIES_PER_MESSAGE) {
            let changed = entries::<P>(members, chunk);
            messages.push(write(protocol, Vec::new(), &[], changed, None));
        }
        // A number takes a tenth of an entry at most.
        for chunk in self.left.chunks(ENTRIES_PER_MESSAGE * 10) {
            messages.push(write(protocol, Vec::new(), chunk, Vec::new(), None));
        }
        if count.is_some() {
            messages.push(write(protocol, Vec::new(), &[], Vec::new(), count));
        }
        messages.into_iter().map(Arc::from).collect()
    }
}

fn write<P: Protocol>(
    protocol: &P,
    joined: Vec<RosterEntry<'_, P::Profile>>,
    left: &[u32],
    changed: Vec<RosterEntry<'_, P::Profile>>,
    count: Option<u32>,
) -> Vec<u8> {
    protocol.write(&Notice::Roster {
        joined,
        left,
        changed,
        count,
    })
}

fn entries<'a, P: Protocol>(
    members: &'a Members<P>,
    of: &[usize],
) -> Vec<RosterEntry<'a, P::Profile>> {
    of.iter().map(|&member| entry(&members[member])).collect()
}

/// A member as others are told of him.
pub(crate) fn entry<F>(participant: &Participant<F>) -> RosterEntry<'_, F> {
    RosterEntry {
        id: participant.number,
        profile: participant.profile.as_ref(),
        muted: participant.muted,
        server_muted: participant.muted_until.is_some(),
        deafened: participant.deafened,
        speaker: participant.grants.may_speak(),
    }
}
