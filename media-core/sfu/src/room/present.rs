//! Who is in the room, for whoever asks from outside.

use std::time::{Duration, Instant};

use super::Room;
use super::roster::entry;
use crate::protocol::RosterEntry;

/// A member as his room knows him.
#[derive(Debug)]
pub(crate) struct Seen<'a, F> {
    pub(crate) link: usize,
    pub(crate) entry: RosterEntry<'a, F>,
    /// He talks, and may be heard.
    pub(crate) talks: bool,
    /// For how long he has been in the room.
    pub(crate) stayed: Duration,
}

impl<F> Room<F> {
    /// Of the members with numbers above `after` the `most` lowest, by number. Looks at every
    /// member once, and allocates in proportion to them: not for each packet.
    pub(crate) fn present(
        &self,
        now: Instant,
        after: u32,
        most: usize,
    ) -> impl Iterator<Item = Seen<'_, F>> {
        let numbered = self.members.iter().map(|(n, one)| (one.number, n));
        let mut asked: Vec<(u32, usize)> = numbered.filter(|(number, _)| *number > after).collect();
        if asked.len() > most {
            asked.select_nth_unstable(most);
            asked.truncate(most);
        }
        asked.sort_unstable();
        let seen = move |(_, n): (u32, usize)| {
            let one = &self.members[n];
            let speaks = one.voice.speaking.is_speaking(now, &self.settings.speaking);
            Seen {
                link: one.link,
                entry: entry(one),
                talks: speaks && one.may_be_heard(),
                stayed: now.saturating_duration_since(one.entered_at),
            }
        };
        asked.into_iter().map(seen)
    }
}
