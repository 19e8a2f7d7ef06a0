//! Who is in the room, who talks, who sits in which slot: a reducer over the relay's messages.

use std::collections::{BTreeMap, BTreeSet};

use wire::channel::{Participant, RelayMessage};
use wire::{ChannelName, PlayerId};

/// Participants that a view holds; what a relay says of more is ignored.
pub const PARTICIPANTS_MAX: usize = 10_000;

/// One relay's view of its room.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct View {
    own: Option<u32>,
    participants: BTreeMap<u32, Participant>,
    count: Option<u32>,
    speaking: BTreeSet<u32>,
    slots: Vec<Option<u32>>,
    /// Through which of the own channels, in the same order.
    through: Vec<Option<ChannelName>>,
}

/// What a message changed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Changed {
    /// Who is there, or what is known of them.
    pub roster: bool,
    /// Who talks.
    pub speaking: bool,
    /// Who is heard in which slot.
    pub slots: bool,
}

impl Changed {
    const ALL: Self = Self {
        roster: true,
        speaking: true,
        slots: true,
    };

    /// Whether anything did.
    pub fn any(self) -> bool {
        self.roster || self.speaking || self.slots
    }
}

impl View {
    /// Of nobody, with free slots.
    pub fn new(slots: u8) -> Self {
        Self {
            slots: vec![None; slots.into()],
            through: vec![None; slots.into()],
            ..Self::default()
        }
    }

    /// Own number in the room; none before the welcome.
    pub fn own(&self) -> Option<u32> {
        self.own
    }

    /// Everybody by number, oneself included; in a large room oneself, those of one's small
    /// channels and those who talked last.
    pub fn participants(&self) -> &BTreeMap<u32, Participant> {
        &self.participants
    }

    /// How many are in the room, whether all of them are named or not.
    pub fn count(&self) -> usize {
        self.count
            .map_or(self.participants.len(), |count| count as usize)
    }

    /// Numbers of those who talk.
    pub fn speaking(&self) -> &BTreeSet<u32> {
        &self.speaking
    }

    /// The number of who is heard in each slot. The roster entry may still be on its way.
    pub fn slots(&self) -> &[Option<u32>] {
        &self.slots
    }

    /// The player who is heard in a slot, if it is known.
    pub fn player_in(&self, slot: usize) -> Option<&PlayerId> {
        let id = self.slots.get(slot).copied().flatten()?;
        self.participants.get(&id)?.player.as_ref()
    }

    /// Through which of the own channels a slot is heard; the first where it is more than one.
    pub fn channel_in(&self, slot: usize) -> Option<&ChannelName> {
        self.through.get(slot)?.as_ref()
    }

    /// The players who are here; sessions without one (WHIP) are left out.
    pub fn players(&self) -> BTreeSet<PlayerId> {
        let players = self.participants.values();
        players.filter_map(|entry| entry.player.clone()).collect()
    }

    /// Own player, once it is known.
    pub fn own_player(&self) -> Option<&PlayerId> {
        self.participants.get(&self.own?)?.player.as_ref()
    }

    /// Takes over what a message says.
    pub fn apply(&mut self, message: &RelayMessage) -> Changed {
        match message {
            RelayMessage::Welcome {
                participant,
                participants,
                count,
                ..
            } => {
                *self = Self {
                    own: Some(*participant),
                    count: *count,
                    slots: vec![None; self.slots.len()],
                    through: vec![None; self.slots.len()],
                    ..Self::default()
                };
                self.enter(participants);
                Changed::ALL
            }
            RelayMessage::Roster {
                joined,
                left,
                changed,
                count,
            } => {
                self.count = count.or(self.count);
                self.apply_roster(joined, left, changed)
            }
            RelayMessage::Slots { slots } => {
                for change in slots {
                    let n = usize::from(change.slot);
                    if n < self.slots.len() {
                        self.slots[n] = change.participant;
                        self.through[n].clone_from(&change.channel);
                    }
                }
                Changed {
                    slots: !slots.is_empty(),
                    ..Changed::default()
                }
            }
            RelayMessage::Speaking { started, stopped } => {
                let before = self.speaking.clone();
                let known = |id: &&u32| self.participants.contains_key(id);
                self.speaking.extend(started.iter().filter(known));
                self.speaking.retain(|id| !stopped.contains(id));
                Changed {
                    speaking: before != self.speaking,
                    ..Changed::default()
                }
            }
            RelayMessage::Pong { .. }
            | RelayMessage::Quality { .. }
            | RelayMessage::Migrate
            | RelayMessage::Chat { .. }
            | RelayMessage::Ended { .. }
            | RelayMessage::Unknown => Changed::default(),
        }
    }

    fn apply_roster(
        &mut self,
        joined: &[Participant],
        left: &[u32],
        changed: &[Participant],
    ) -> Changed {
        self.enter(joined);
        self.enter(changed);
        let talked = self.speaking.len();
        // Oneself is here, although a large room may not name one any more.
        let own = self.own;
        let left: Vec<u32> = left
            .iter()
            .filter(|id| Some(**id) != own)
            .copied()
            .collect();
        for id in &left {
            self.participants.remove(id);
            self.speaking.remove(id);
        }
        // Who muted himself is not talking, whatever was said a moment ago.
        let participants = &self.participants;
        let is_muted = |id: &u32| participants.get(id).is_some_and(|entry| entry.muted);
        self.speaking.retain(|id| !is_muted(id));
        // Only who left frees his slot: a slot may name someone whose entry is still on its way.
        let mut freed = false;
        for (slot, through) in self.slots.iter_mut().zip(&mut self.through) {
            if slot.is_some_and(|id| left.contains(&id)) {
                (*slot, *through) = (None, None);
                freed = true;
            }
        }
        Changed {
            roster: true,
            speaking: talked != self.speaking.len(),
            slots: freed,
        }
    }

    fn enter(&mut self, entries: &[Participant]) {
        for entry in entries {
            let is_known = self.participants.contains_key(&entry.id);
            if is_known || self.participants.len() < PARTICIPANTS_MAX {
                self.participants.insert(entry.id, entry.clone());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(id: u32) -> Participant {
        Participant {
            id,
            player: Some(format!("p{id}").parse().unwrap()),
            name: format!("Player {id}"),
            channels: Vec::new(),
            muted: false,
            server_muted: false,
            deafened: false,
            speaker: true,
        }
    }

    fn welcomed() -> View {
        let mut view = View::new(2);
        let changed = view.apply(&RelayMessage::Welcome {
            participant: 1,
            room: "lobby".parse().unwrap(),
            slots: 2,
            participants: vec![entry(1), entry(2)],
            count: None,
        });
        assert_eq!(changed, Changed::ALL);
        view
    }

    fn speaking(started: &[u32], stopped: &[u32]) -> RelayMessage {
        RelayMessage::Speaking {
            started: started.to_vec(),
            stopped: stopped.to_vec(),
        }
    }

    fn slot(slot: u8, participant: Option<u32>) -> RelayMessage {
        let change = wire::channel::SlotState {
            slot,
            participant,
            channel: None,
        };
        RelayMessage::Slots {
            slots: vec![change],
        }
    }

    fn roster(joined: &[u32], left: &[u32], muted: &[u32]) -> RelayMessage {
        let mute = |id: &u32| Participant {
            muted: true,
            ..entry(*id)
        };
        RelayMessage::Roster {
            joined: joined.iter().map(|id| entry(*id)).collect(),
            left: left.to_vec(),
            changed: muted.iter().map(mute).collect(),
            count: None,
        }
    }

    #[test]
    fn a_large_room_is_counted_and_oneself_stays() {
        let mut view = welcomed();
        assert_eq!(view.count(), 2);
        view.apply(&RelayMessage::Roster {
            joined: vec![entry(7)],
            left: vec![1, 2],
            changed: Vec::new(),
            count: Some(5000),
        });
        let named: Vec<u32> = view.participants().keys().copied().collect();
        assert_eq!((named, view.count()), (vec![1, 7], 5000));
        view.apply(&roster(&[], &[7], &[]));
        assert_eq!(view.count(), 5000, "it was not told anew");
    }

    #[test]
    fn a_welcome_begins_anew() {
        let mut view = welcomed();
        view.apply(&slot(0, Some(2)));
        view.apply(&speaking(&[2], &[]));
        let again = welcomed();
        view.apply(&RelayMessage::Welcome {
            participant: 1,
            room: "lobby".parse().unwrap(),
            slots: 2,
            participants: vec![entry(1), entry(2)],
            count: None,
        });
        assert_eq!(view, again);
        assert_eq!(view.own_player().unwrap().as_str(), "p1");
    }

    #[test]
    fn who_leaves_or_mutes_himself_is_silent_and_frees_his_slot() {
        let mut view = welcomed();
        view.apply(&roster(&[3], &[], &[]));
        view.apply(&speaking(&[2, 3], &[]));
        view.apply(&slot(0, Some(2)));
        view.apply(&slot(1, Some(3)));
        let muted = view.apply(&roster(&[], &[], &[3]));
        assert!(muted.speaking && !muted.slots);
        let left = view.apply(&roster(&[], &[2], &[]));
        assert!(left.speaking && left.slots);
        assert!(view.speaking().is_empty());
        assert_eq!(view.slots(), [None, Some(3)]);
        assert_eq!(view.players().len(), 2);
    }

    #[test]
    fn a_slot_may_name_somebody_before_the_roster_does() {
        let mut view = welcomed();
        assert!(view.apply(&slot(1, Some(9))).slots);
        assert_eq!((view.player_in(1), view.slots()[1]), (None, Some(9)));
        view.apply(&roster(&[9], &[], &[]));
        assert_eq!(view.player_in(1).unwrap().as_str(), "p9");
        assert!(view.apply(&slot(7, Some(9))).slots && view.slots().len() == 2);
    }

    #[test]
    fn what_is_said_of_strangers_and_what_says_nothing_new_changes_nothing() {
        let mut view = welcomed();
        assert!(!view.apply(&speaking(&[77], &[])).any());
        assert!(view.apply(&speaking(&[2], &[])).speaking);
        assert!(!view.apply(&speaking(&[2], &[])).any());
        assert!(!view.apply(&RelayMessage::Migrate).any());
    }

    #[test]
    fn a_roster_without_end_is_bounded() {
        let mut view = welcomed();
        let all: Vec<u32> = (10..10 + PARTICIPANTS_MAX as u32 + 5).collect();
        view.apply(&roster(&all, &[], &[]));
        assert_eq!(view.participants().len(), PARTICIPANTS_MAX);
        let known = view.apply(&roster(&[], &[], &[2]));
        assert!(known.roster && view.participants()[&2].muted);
    }
}
