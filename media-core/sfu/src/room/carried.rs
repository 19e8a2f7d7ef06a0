//! What a member is told of his slots.

use slab::Slab;

use super::participant::Participant;
use super::slot::{Slot, Talker};
use crate::protocol::{Carried, SlotChange, Source};

/// What those slots of a member carry whose bits are set in `changed`.
pub(crate) fn changes<F>(
    members: &Slab<Participant<F>>,
    member: usize,
    changed: u16,
) -> Vec<SlotChange> {
    let listener = &members[member];
    let slots = listener.slots.iter().enumerate();
    let slots = slots.filter(|(n, _)| changed & (1 << n) != 0);
    let change = |(n, slot): (usize, &Slot)| SlotChange {
        slot: n as u8,
        carries: slot.carried().map(|who| carried(members, listener, who)),
    };
    slots.map(change).collect()
}

/// What a slot of `listener` carries that is `speaker`'s.
fn carried<F>(
    members: &Slab<Participant<F>>,
    listener: &Participant<F>,
    speaker: Talker,
) -> Carried {
    let known = members.get(speaker.member);
    let known = known.filter(|known| known.number == speaker.number);
    debug_assert!(known.is_some(), "a slot is free when its speaker has left");
    Carried {
        source: Source::Participant(speaker.number),
        channel: known.and_then(|known| known.grants.heard_through(&listener.grants)),
    }
}
