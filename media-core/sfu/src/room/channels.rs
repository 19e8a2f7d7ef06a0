//! The channels of a room, and what one member may do in which of them.

use std::collections::HashMap;

use crate::idents::{ChannelKey, Permissions};

/// Channels that one room may have at a time.
pub(crate) const MAX_ROOM_CHANNELS: usize = 10_000;

/// Which channels a room has: a number for each while somebody is in it.
#[derive(Debug, Default)]
pub(crate) struct Channels {
    numbers: HashMap<ChannelKey, u16>,
    /// Members by number.
    members: Vec<usize>,
    /// Numbers that nobody has, of those that there are.
    free: Vec<u16>,
}

/// The channels of one member, by number, each once.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Grants(Vec<Grant>);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Grant {
    channel: u16,
    key: ChannelKey,
    permissions: Permissions,
}

impl Channels {
    /// Adds one more channel to a member's grants, or more permissions in one that it has. False
    /// when the room has too many channels: the member is not in it then.
    #[must_use]
    pub(crate) fn grant(
        &mut self,
        grants: &mut Grants,
        key: ChannelKey,
        permissions: Permissions,
    ) -> bool {
        if let Some(known) = grants.0.iter_mut().find(|grant| grant.key == key) {
            known.permissions.speak |= permissions.speak;
            known.permissions.listen |= permissions.listen;
            return true;
        }
        let Some(channel) = self.take(key) else {
            return false;
        };
        let grant = Grant {
            channel,
            key,
            permissions,
        };
        debug_assert!(!grants.contain_number(channel), "each once");
        grants.0.reserve_exact(1);
        grants.0.push(grant);
        true
    }

    fn take(&mut self, key: ChannelKey) -> Option<u16> {
        if let Some(&number) = self.numbers.get(&key) {
            self.members[usize::from(number)] += 1;
            return Some(number);
        }
        if self.numbers.len() >= MAX_ROOM_CHANNELS {
            return None;
        }
        let number = self.free.pop().unwrap_or_else(|| {
            self.members.push(0);
            self.members.len() as u16 - 1
        });
        debug_assert_eq!(self.members[usize::from(number)], 0, "a number is one's");
        self.members[usize::from(number)] = 1;
        self.numbers.insert(key, number);
        debug_assert_eq!(
            self.numbers.len() + self.free.len(),
            self.members.len(),
            "a number is taken or free"
        );
        Some(number)
    }

    /// Gives a member's channels back.
    pub(crate) fn release(&mut self, grants: &mut Grants) {
        for Grant { key, channel, .. } in grants.0.drain(..) {
            let members = &mut self.members[usize::from(channel)];
            *members -= 1;
            if *members == 0 {
                self.free.push(channel);
                let known = self.numbers.remove(&key);
                debug_assert_eq!(known, Some(channel), "a granted channel");
            }
        }
    }

    /// Whether somebody is in `channel`.
    pub(crate) fn contain(&self, channel: ChannelKey) -> bool {
        self.numbers.contains_key(&channel)
    }

    /// Members of the channel with this number.
    pub(crate) fn members(&self, channel: u16) -> usize {
        self.members[usize::from(channel)]
    }

    /// Channels in which somebody is.
    pub(crate) fn len(&self) -> usize {
        self.numbers.len()
    }
}

impl Grants {
    /// Whether somebody with these grants may be heard by somebody with those of `listener`.
    pub(crate) fn are_heard_by(&self, listener: &Self) -> bool {
        self.heard_through(listener).is_some()
    }

    /// The first of the listener's channels through which he may hear somebody with these grants.
    pub(crate) fn heard_through(&self, listener: &Self) -> Option<ChannelKey> {
        let speaks_in = |channel: u16| {
            let mut own = self.0.iter();
            own.any(|own| own.channel == channel && own.permissions.speak)
        };
        let mut heard = listener.0.iter().filter(|grant| grant.permissions.listen);
        heard
            .find(|grant| speaks_in(grant.channel))
            .map(|grant| grant.key)
    }

    /// Whether there is a channel that both have and that `is_meant`, whatever they may do there.
    pub(crate) fn share(&self, other: &Self, is_meant: impl Fn(u16) -> bool) -> bool {
        let both = |one: &&Grant| other.contain_number(one.channel);
        self.0.iter().filter(both).any(|one| is_meant(one.channel))
    }

    /// Whether the channel with this number is among them.
    pub(crate) fn contain_number(&self, channel: u16) -> bool {
        self.0.iter().any(|grant| grant.channel == channel)
    }

    /// Numbers of all.
    pub(crate) fn numbers(&self) -> impl Iterator<Item = u16> + '_ {
        self.0.iter().map(|grant| grant.channel)
    }

    /// Whether one may speak anywhere.
    pub(crate) fn may_speak(&self) -> bool {
        self.0.iter().any(|grant| grant.permissions.speak)
    }

    /// Whether the channel is among them.
    pub(crate) fn contain(&self, key: ChannelKey) -> bool {
        self.0.iter().any(|grant| grant.key == key)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALL: Permissions = Permissions {
        speak: true,
        listen: true,
    };

    fn key(n: usize) -> ChannelKey {
        ChannelKey((n as u64).to_be_bytes())
    }

    #[test]
    fn numbers_are_shared_bounded_and_used_again() {
        let mut channels = Channels::default();
        let mut all: Vec<Grants> = Vec::new();
        for n in 0..MAX_ROOM_CHANNELS {
            let mut grants = Grants::default();
            assert!(channels.grant(&mut grants, key(n), ALL));
            all.push(grants);
        }
        let mut late = Grants::default();
        assert!(!channels.grant(&mut late, key(MAX_ROOM_CHANNELS), ALL));
        assert!(
            channels.grant(&mut late, key(5), ALL),
            "one that is there goes on"
        );
        assert!(all[5].are_heard_by(&late));
        assert!(!all[6].are_heard_by(&late));
        channels.release(&mut all[6]);
        assert!(channels.grant(&mut late, key(MAX_ROOM_CHANNELS), ALL));
        assert_eq!(channels.len(), MAX_ROOM_CHANNELS);
        for grants in all.iter_mut().chain([&mut late]) {
            channels.release(grants);
        }
        assert_eq!(channels.len(), 0);
    }

    #[test]
    fn a_channel_that_is_granted_twice_is_given_back_once() {
        let mut channels = Channels::default();
        let (mut one, mut other) = (Grants::default(), Grants::default());
        let listen = Permissions {
            speak: false,
            listen: true,
        };
        let speak = Permissions {
            speak: true,
            listen: false,
        };
        assert!(channels.grant(&mut one, key(1), listen));
        assert!(channels.grant(&mut one, key(1), speak));
        assert!(channels.grant(&mut other, key(1), listen));
        assert!(one.may_speak() && !other.may_speak());
        assert!(one.are_heard_by(&other) && !other.are_heard_by(&one));
        channels.release(&mut one);
        assert_eq!(channels.len(), 1);
        channels.release(&mut other);
        assert_eq!(channels.len(), 0);
    }
}
