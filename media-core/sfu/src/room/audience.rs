//! Who hears whom: for each member who talks, the members who get his voice. Made when he begins,
//! kept up to date by what changes, and dropped when he stops, so that a packet finds it ready and
//! a room of listeners costs nothing.

use slab::Slab;

use super::bits::Bits;
use super::participant::Participant;

/// The audiences of those who talk, by the index of the speaker.
#[derive(Debug, Default)]
pub(crate) struct Audiences(Vec<Option<Bits>>);

/// Whether `listener` gets the voice of `speaker`: the only place where that is decided. Nobody
/// listens whom others cannot see: before his hello the roster has no name for him.
pub(crate) fn gets<F>(listener: &Participant<F>, speaker: &Participant<F>) -> bool {
    let wants = listener.is_introduced() && !listener.deafened;
    // Also while a player moves from one session to the next he does not hear himself.
    wants && listener.player != speaker.player && may_hear(listener, speaker)
}

/// Whether `listener` may know that `speaker` talks.
pub(crate) fn may_hear<F>(listener: &Participant<F>, speaker: &Participant<F>) -> bool {
    let is_blocked = listener.blocks(speaker) || speaker.blocks(listener);
    let meet = listener.crossing.meets(speaker.crossing);
    !is_blocked && meet && speaker.grants.are_heard_by(&listener.grants)
}

/// Everybody who gets the voice of `speaker`.
pub(crate) fn audience<F>(members: &Slab<Participant<F>>, speaker: usize) -> Bits {
    let heard_by = members.iter();
    let heard_by = heard_by.filter(|(_, listener)| gets(listener, &members[speaker]));
    heard_by.map(|(n, _)| n).collect()
}

impl Audiences {
    /// The audience of `speaker`, which `make` makes when it is not there.
    pub(crate) fn of(&mut self, speaker: usize, make: impl FnOnce() -> Bits) -> &Bits {
        if self.0.len() <= speaker {
            self.0.resize_with(speaker + 1, || None);
        }
        self.0[speaker].get_or_insert_with(make)
    }

    /// The audience of `speaker`, if he talks.
    pub(crate) fn get(&self, speaker: usize) -> Option<&Bits> {
        self.0.get(speaker)?.as_ref()
    }

    /// The same, to be changed.
    pub(crate) fn get_mut(&mut self, speaker: usize) -> Option<&mut Bits> {
        self.0.get_mut(speaker)?.as_mut()
    }

    /// What `listener` may hear or wants to hear changed; `gets` says whether he gets the voice of
    /// a member.
    pub(crate) fn listener_changed(&mut self, listener: usize, gets: impl Fn(usize) -> bool) {
        for (speaker, audience) in self.0.iter_mut().enumerate() {
            if let Some(audience) = audience {
                audience.set(listener, gets(speaker));
            }
        }
    }

    /// `speaker` stopped.
    pub(crate) fn drop_of(&mut self, speaker: usize) {
        if let Some(audience) = self.0.get_mut(speaker) {
            *audience = None;
        }
    }

    /// `member` left: his index may be that of another.
    pub(crate) fn forget(&mut self, member: usize) {
        self.drop_of(member);
        self.listener_changed(member, |_| false);
    }
}
