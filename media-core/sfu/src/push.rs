//! What the edge has for participants: chat, mostly. The text goes out as it is; how many it may
//! reach in a second is bounded for the shard, because each reader costs it as much as ten packets
//! of voice. What is beyond that waits, and leaves together with what came since: of several
//! messages to one reader most cost nothing. When too much waits for an audience, it is told only
//! that there is something new.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Instant;

use crate::bucket::{Bucket, Rate};
use crate::idents::{ChannelKey, PlayerKey, RoomKey, TopicKey};
use crate::protocol::Crossing;

/// Audiences for which something may wait.
const MAX_WAITING: usize = 1024;
/// Messages that wait for one audience, and their bytes: three datagrams full.
const MAX_TEXTS: usize = 16;
const MAX_TEXT_BYTES: usize = 3600;
/// What one message to one reader costs, and each further one that leaves with it, in parts.
const FIRST_COST: u64 = 5;
const FURTHER_COST: u64 = 2;
/// Seconds of the rate that may be spent at once after a pause.
const BURST_PER_RATE: u64 = 4;

/// Who gets a pushed message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Audience {
    /// Everybody in a room who has subscribed to a topic.
    Room(RoomKey, TopicKey),
    /// Everybody in a channel of a room.
    Channel(RoomKey, ChannelKey),
    /// One player in a room.
    Player(RoomKey, PlayerKey),
    /// Every participant who has subscribed to a topic.
    Topic(TopicKey),
}

/// A message of the edge for some participants.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Push {
    /// To whom.
    pub to: Audience,
    /// A message of the protocol; it is handed on as it is.
    pub message: Arc<[u8]>,
    /// What is said in its place when there is too much: nothing where nobody misses it.
    pub news: Option<News>,
    /// Who wrote it; nobody is kept from what nobody wrote.
    pub author: Option<Author>,
    /// What those get instead who may not read it; nothing where none misses anything.
    pub withheld: Option<Arc<[u8]>>,
}

impl Push {
    /// A message that nobody wrote and that nothing replaces.
    pub fn new(to: Audience, message: Arc<[u8]>) -> Self {
        Self {
            to,
            message,
            news: None,
            author: None,
            withheld: None,
        }
    }
}

/// One of an audience.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Addressee {
    pub(crate) link: usize,
    /// Whether he may read what its author wrote.
    pub(crate) may_read: bool,
}

/// A short message of the protocol: there is something new.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct News {
    /// Its place among what is new: of two the one with the higher number says both.
    pub number: u64,
    /// The message.
    pub message: Arc<[u8]>,
}

/// Who wrote what is pushed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Author {
    /// The player.
    pub player: PlayerKey,
    /// What he wrote it on; none where it is not known, and then it keeps nobody from reading.
    pub crossing: Option<Crossing>,
    /// Those whom he has blocked: it counts where he is not in the room himself.
    pub blocked: Vec<PlayerKey>,
    /// When that was so, Unix milliseconds.
    pub blocked_at_ms: u64,
}

/// How many readers pushes may reach.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PushLimits {
    /// In a second, on the shard, each time that one is sent something: 22 us of CPU, his
    /// acknowledgement included, and 9 us for each further message at the same time, which counts
    /// accordingly (`bench-relay pushing`; 2026-11-30). So this is an eighth of a core.
    pub readers_per_s: u32,
}

impl PushLimits {
    /// What applies unless somebody says otherwise.
    pub const DEFAULT: Self = Self {
        readers_per_s: 5_000,
    };

    fn rate(self) -> Rate {
        let per_s = u64::from(self.readers_per_s);
        Rate {
            per_s,
            burst: (per_s / BURST_PER_RATE).max(1),
        }
    }
}

impl Default for PushLimits {
    fn default() -> Self {
        Self::DEFAULT
    }
}

/// What waits to be pushed, and what was pushed lately.
#[derive(Debug, Default)]
pub(crate) struct Pushes {
    spent: Bucket,
    waiting: VecDeque<Waiting>,
}

/// What waits for one audience.
#[derive(Debug)]
pub(crate) struct Waiting {
    pub(crate) to: Audience,
    /// In order, each for those who may read its author.
    pub(crate) texts: Vec<Push>,
    bytes: usize,
    /// In their place, once there was too much.
    pub(crate) news: Option<News>,
    is_over: bool,
}

impl Pushes {
    /// Whether something may go out at `now`: one push may owe what its readers cost.
    pub(crate) fn may_go(&mut self, now: Instant, limits: PushLimits) -> bool {
        self.spent.has(now, limits.rate(), 1)
    }

    /// Whether nothing waits, so that nothing is overtaken.
    pub(crate) fn is_idle(&self) -> bool {
        self.waiting.is_empty()
    }

    /// For how many readers it counts that messages left together: `sent` in all, and that which
    /// most got to `readers`.
    pub(crate) fn cost(sent: u64, readers: u64) -> u64 {
        let further = sent.saturating_sub(readers) * FURTHER_COST;
        readers + further.div_ceil(FIRST_COST)
    }

    /// So many readers were sent something.
    pub(crate) fn spend(&mut self, now: Instant, limits: PushLimits, readers: u64) {
        self.spent.spend(now, limits.rate(), readers);
    }

    /// When the next may go out.
    pub(crate) fn next_at(&mut self, now: Instant, limits: PushLimits) -> Instant {
        self.spent.ready_at(now, limits.rate(), 1)
    }

    /// What has waited for the longest.
    pub(crate) fn next(&mut self) -> Option<Waiting> {
        self.waiting.pop_front()
    }

    /// Keeps a push for later; how many texts will not be read for it.
    pub(crate) fn wait(&mut self, push: Push) -> u64 {
        let to = push.to;
        if let Some(known) = self.waiting.iter_mut().find(|known| known.to == to) {
            return known.add(push);
        }
        if self.waiting.len() >= MAX_WAITING {
            return 1;
        }
        let mut waiting = Waiting {
            to,
            texts: Vec::new(),
            bytes: 0,
            news: None,
            is_over: false,
        };
        let lost = waiting.add(push);
        self.waiting.push_back(waiting);
        lost
    }
}

impl Waiting {
    fn add(&mut self, push: Push) -> u64 {
        let bytes = self.bytes + push.message.len();
        if !self.is_over && self.texts.len() < MAX_TEXTS && bytes <= MAX_TEXT_BYTES {
            self.bytes = bytes;
            self.texts.push(push);
            return 0;
        }
        self.is_over = true;
        let texts = std::mem::take(&mut self.texts);
        let lost = texts.len() as u64 + 1;
        for push in texts.into_iter().chain([push]) {
            let number = self.news.as_ref().map_or(0, |news| news.number);
            let newer = push.news.filter(|news| news.number >= number);
            self.news = newer.or(self.news.take());
        }
        lost
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TO: Audience = Audience::Topic(TopicKey([1; 8]));

    fn push(number: u64, bytes: usize) -> Push {
        let news = News {
            number,
            message: Arc::from(number.to_be_bytes().as_slice()),
        };
        Push {
            news: Some(news),
            ..Push::new(TO, vec![b'x'; bytes].into())
        }
    }

    #[test]
    fn what_leaves_together_costs_less() {
        assert_eq!(Pushes::cost(0, 0), 0);
        assert_eq!(Pushes::cost(1000, 1000), 1000);
        assert_eq!(Pushes::cost(5000, 1000), 2600);
        assert_eq!(Pushes::cost(16, 1), 7);
    }

    #[test]
    fn what_waits_is_bounded_and_the_newest_of_it_is_told_once() {
        let mut pushes = Pushes::default();
        assert_eq!((0..16).map(|n| pushes.wait(push(n, 100))).sum::<u64>(), 0);
        assert_eq!(pushes.wait(push(99, 100)), 17, "one too many");
        assert_eq!(pushes.wait(push(98, 100)), 1);
        let typing = Push::new(TO, Arc::from(b"typing".as_slice()));
        assert_eq!(pushes.wait(typing), 1, "nobody misses it");
        let waiting = pushes.next().unwrap();
        assert!(waiting.texts.is_empty() && pushes.is_idle());
        assert_eq!(waiting.news.unwrap().number, 99);
        assert_eq!(pushes.wait(push(1, 3601)), 1, "one that is too long");
        assert_eq!(pushes.next().unwrap().news.unwrap().number, 1);
        for n in 0..2 * MAX_WAITING as u64 {
            let to = Audience::Topic(TopicKey(n.to_be_bytes()));
            let lost = pushes.wait(Push::new(to, Arc::from([])));
            assert_eq!(lost, u64::from(n >= MAX_WAITING as u64));
        }
        assert_eq!(pushes.waiting.len(), MAX_WAITING);
    }
}
