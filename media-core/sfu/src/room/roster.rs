//! What the members of a room are told of each other.

use std::sync::Arc;

use slab::Slab;

use super::participant::{Participant, RosterMark};
use crate::protocol::{Notice, Protocol, RosterEntry};

/// Roster entries in one message, so that none exceeds 16 kB whatever the names are.
const ENTRIES_PER_MESSAGE: usize = 16;

type Members<P> = Slab<Participant<<P as Protocol>::Profile>>;

/// The welcome of `member`: messages in order. The first names the first members, the others the
/// rest.
pub(crate) fn welcome<P: Protocol>(
    protocol: &P,
    members: &Members<P>,
    member: usize,
) -> Vec<Vec<u8>> {
    let all: Vec<usize> = members.iter().map(|(n, _)| n).collect();
    let (first, rest) = all.split_at(all.len().min(ENTRIES_PER_MESSAGE));
    let own = &members[member];
    let mut messages = vec![protocol.write(&Notice::Welcome {
        participant: own.number,
        profile: own.profile.as_ref().expect("introduced just now"),
        slots: own.slots.len() as u8,
        participants: entries::<P>(members, first),
    })];
    for chunk in rest.chunks(ENTRIES_PER_MESSAGE) {
        messages.push(protocol.write(&Notice::Roster {
            joined: entries::<P>(members, chunk),
            left: &[],
            changed: Vec::new(),
        }));
    }
    messages
}

/// What changed since the last time: messages for everybody. `left` are the numbers of those who
/// left.
pub(crate) fn changes<P: Protocol>(
    protocol: &P,
    members: &mut Members<P>,
    left: &[u32],
) -> Vec<Arc<[u8]>> {
    let marked = |mark| -> Vec<usize> {
        let with_mark = members.iter().filter(|(_, one)| one.roster_mark == mark);
        with_mark.map(|(n, _)| n).collect()
    };
    let (joined, changed) = (marked(RosterMark::Joined), marked(RosterMark::Changed));
    let mut messages: Vec<Arc<[u8]>> = Vec::new();
    let mut write = |joined: &[usize], left: &[u32], changed: &[usize]| {
        let (joined, changed) = (
            entries::<P>(members, joined),
            entries::<P>(members, changed),
        );
        let notice = Notice::Roster {
            joined,
            left,
            changed,
        };
        messages.push(protocol.write(&notice).into());
    };
    for chunk in joined.chunks(ENTRIES_PER_MESSAGE) {
        write(chunk, &[], &[]);
    }
    for chunk in changed.chunks(ENTRIES_PER_MESSAGE) {
        write(&[], &[], chunk);
    }
    // A number takes a tenth of an entry at most.
    for chunk in left.chunks(ENTRIES_PER_MESSAGE * 10) {
        write(&[], chunk, &[]);
    }
    for member in joined.into_iter().chain(changed) {
        members[member].roster_mark = RosterMark::Known;
    }
    messages
}

fn entries<'a, P: Protocol>(
    members: &'a Members<P>,
    of: &[usize],
) -> Vec<RosterEntry<'a, P::Profile>> {
    let entry = |&member: &usize| {
        let participant = &members[member];
        RosterEntry {
            id: participant.number,
            profile: participant.profile.as_ref(),
            muted: participant.muted,
            deafened: participant.deafened,
            speaker: participant.grants.may_speak(),
        }
    };
    of.iter().map(entry).collect()
}
