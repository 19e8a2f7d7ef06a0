//! Who was told that somebody talks.

use std::sync::Arc;

use slab::Slab;

use super::audience::may_hear;
use super::bits::Bits;
use super::participant::Participant;
use crate::protocol::{Notice, Protocol};

/// Those who talk, as far as somebody was told of it.
#[derive(Debug, Default)]
pub(crate) struct Announced(Vec<Talker>);

#[derive(Debug)]
struct Talker {
    member: usize,
    number: u32,
    told: Bits,
}

/// Who started and who stopped, for those who are to know.
struct Change {
    number: u32,
    started: Bits,
    stopped: Bits,
}

/// Whether `listener` is to know that `speaker`, the member with index `member`, talks: each knows
/// it of himself too, and nobody of somebody whom the roster does not show him, or shows as muted.
fn is_told<F>(listener: &Participant<F>, speaker: &Participant<F>, member: usize) -> bool {
    let may_know = listener.number == speaker.number || may_hear(listener, speaker);
    let is_shown = listener.knows.contains(member) && speaker.may_be_heard();
    listener.is_introduced() && may_know && is_shown
}

impl Announced {
    /// Whether anybody was told that `member` talks.
    pub(crate) fn contains(&self, member: usize) -> bool {
        self.0.iter().any(|talker| talker.member == member)
    }

    /// What is to be said now that `talking` talk and nobody else does: messages, and to whom.
    pub(crate) fn flush<P: Protocol>(
        &mut self,
        protocol: &P,
        members: &Slab<Participant<P::Profile>>,
        talking: impl Iterator<Item = usize>,
    ) -> Vec<(usize, Arc<[u8]>)> {
        let mut before = std::mem::take(&mut self.0);
        let mut changes = Vec::new();
        for member in talking {
            let speaker = &members[member];
            let told: Bits = members
                .iter()
                .filter(|(_, listener)| is_told(listener, speaker, member))
                .map(|(n, _)| n)
                .collect();
            let known = before.iter().position(|talker| talker.member == member);
            let old = known.map_or_else(Bits::default, |n| before.swap_remove(n).told);
            changes.extend(Change::between(speaker.number, &old, &told));
            let number = speaker.number;
            debug_assert!(
                self.0.iter().all(|other| other.member != member),
                "each once"
            );
            self.0.push(Talker {
                member,
                number,
                told,
            });
        }
        let nobody = Bits::default();
        let stopped = before.iter();
        changes.extend(stopped.filter_map(|t| Change::between(t.number, &t.told, &nobody)));
        messages(protocol, &changes)
    }

    /// Who talks, for a member who has introduced himself just now.
    pub(crate) fn welcome<F>(&mut self, members: &Slab<Participant<F>>, member: usize) -> Vec<u32> {
        let listener = &members[member];
        let mut started = Vec::new();
        for talker in &mut self.0 {
            let is_told = is_told(listener, &members[talker.member], talker.member);
            talker.told.set(member, is_told);
            if is_told {
                started.push(talker.number);
            }
        }
        started
    }

    /// `member` left. Nobody is told that he stopped: he is gone.
    pub(crate) fn forget(&mut self, member: usize) {
        self.0.retain(|talker| talker.member != member);
        for talker in &mut self.0 {
            talker.told.remove(member);
        }
    }
}

impl Change {
    /// What changes when those who are told are `new` instead of `old`.
    fn between(number: u32, old: &Bits, new: &Bits) -> Option<Self> {
        let started: Bits = new.iter().filter(|n| !old.contains(*n)).collect();
        let stopped: Bits = old.iter().filter(|n| !new.contains(*n)).collect();
        let any = !started.is_empty() || !stopped.is_empty();
        any.then_some(Self {
            number,
            started,
            stopped,
        })
    }
}

/// One message for each who is to know of any change. In most rooms it is the same for all.
fn messages<P: Protocol>(protocol: &P, changes: &[Change]) -> Vec<(usize, Arc<[u8]>)> {
    let mut listeners = Bits::default();
    for change in changes {
        listeners.add(&change.started);
        listeners.add(&change.stopped);
    }
    let mut last: (Vec<u32>, Vec<u32>) = Default::default();
    let mut last_message: Option<Arc<[u8]>> = None;
    let mut messages = Vec::new();
    for listener in listeners.iter() {
        let numbers = |bits: fn(&Change) -> &Bits| -> Vec<u32> {
            let of_his = changes.iter().filter(|c| bits(c).contains(listener));
            of_his.map(|change| change.number).collect()
        };
        let his = (numbers(|c| &c.started), numbers(|c| &c.stopped));
        if last_message.is_none() || his != last {
            let (started, stopped) = (&his.0[..], &his.1[..]);
            let notice = Notice::Speaking { started, stopped };
            last_message = Some(protocol.write(&notice).into());
            last = his;
        }
        messages.extend(last_message.clone().map(|message| (listener, message)));
    }
    messages
}
