//! Writing in a channel: how a message is appended, once and with the next number, and how the
//! caller is charged for what is none. Why it is right:
//! `infra/decisions/0010-chat-the-log-is-the-state.md`.

use std::ops::ControlFlow::{self, Break, Continue};

use chat_channel::access::{Access, Place};
use chat_channel::author::{Author, Authors};
use chat_channel::log::{Log, Stored, Tail};
use edge::change::{unless_lost, until_done, until_done_from};
use edge::items::{Held, Over};
use edge::store::{Store, StoreError};
use edge::{Refusal, revocation};
use wire::chat::{ChannelSettings, ChatChannel, Message};

use crate::Ports;
use crate::reach::refresh_way;
use crate::strangers;

/// The caller as one who writes in a channel.
pub(crate) struct Writer<'a, H, S> {
    pub(crate) host: &'a H,
    pub(crate) store: &'a S,
    pub(crate) access: &'a Access<'a>,
    pub(crate) place: &'a Place,
}

/// A message on its way into the log.
pub(crate) struct Draft {
    /// Hash of the key.
    pub(crate) key: String,
    /// Number and time are filled in.
    pub(crate) message: Message,
    /// Settings that hold from this message on; none keeps what holds.
    pub(crate) settings: Option<ChannelSettings>,
}

/// What became of a draft.
pub(crate) struct Appended {
    pub(crate) stored: Stored,
    /// False when an earlier request with this key had done it.
    pub(crate) is_new: bool,
    /// The author as he is then.
    pub(crate) author: Author,
}

impl<'a, H: Ports, S: Store> Writer<'a, H, S> {
    pub(crate) fn of(host: &'a H, store: &'a S, access: &'a Access<'a>, place: &'a Place) -> Self {
        Self {
            host,
            store,
            access,
            place,
        }
    }

    pub(crate) fn log(&self) -> Log<'_, H, S> {
        Log::of(self.host, self.store, self.access.now_ms, &self.place.key)
    }

    /// Reads the caller as an author, if his token was not revoked a minute ago. In a direct
    /// channel where he is none yet, it is charged.
    pub(crate) async fn author(&self) -> Result<Held<Author>, Refusal> {
        let (store, now_ms) = (self.store, self.access.now_ms);
        let (authors, me) = (self.authors(), self.access.me());
        let mut held = authors.read(me).await?;
        if held.value.asks_now(now_ms) {
            revocation::check(store, now_ms, self.access.claims).await?;
        }
        if let ChatChannel::Direct(other) = &self.place.channel
            && !held.is_there()
            // Who answers addresses no stranger.
            && !authors.read(other).await?.value.has_written()
        {
            strangers::charge(self.host, store, now_ms, me).await?;
        }
        Ok(held)
    }

    /// Writes the caller as an author. `ConditionFailed`: read him again.
    pub(crate) async fn keep(&self, held: &mut Held<Author>) -> Result<(), StoreError> {
        self.authors().keep(self.access.me(), held).await
    }

    fn authors(&self) -> Authors<'_, S> {
        Authors::of(self.store, self.access.now_ms, self.place)
    }

    /// Finds out where the members are, unless the author knows it. Called before he is written.
    pub(crate) async fn refresh_way(&self, author: &mut Author) {
        let (now_ms, channel) = (self.access.now_ms, &self.place.channel);
        let author = (self.access.me(), author);
        refresh_way(self.store, now_ms, channel, author).await;
    }

    /// The caller as an author, checked and charged for something that is not a message.
    pub(crate) async fn charged(&self) -> Result<Held<Author>, Refusal> {
        let now_ms = self.access.now_ms;
        until_done(self.host, || async {
            let mut held = self.author().await?;
            held.value.check(now_ms)?;
            held.value.charge(now_ms, &self.access.rights)?;
            self.refresh_way(&mut held.value).await;
            let kept = unless_lost(self.keep(&mut held).await)?;
            Ok(kept.map(|()| held))
        })
        .await
    }

    /// Appends the draft of the author, who was read just now, or finds that it was appended.
    /// `known` is a tail that a client brought along.
    pub(crate) async fn append(
        &self,
        held: Held<Author>,
        draft: &Draft,
        known: Option<Tail>,
    ) -> Result<Appended, Refusal> {
        let from = (held, known);
        until_done_from(self.host, from, |(held, known)| {
            self.try_append(held, draft, known)
        })
        .await
    }

    async fn try_append(
        &self,
        mut held: Held<Author>,
        draft: &Draft,
        mut known: Option<Tail>,
    ) -> Result<ControlFlow<Appended, (Held<Author>, Option<Tail>)>, Refusal> {
        let (tail, is_noted) = match held.value.tried(&draft.key) {
            None => match known.take() {
                Some(tail) => (tail, false),
                None => (self.log().tail().await?, false),
            },
            Some(seq) => match self.follow(draft, seq).await? {
                Follow::Done(stored) => {
                    return Ok(Break(self.appended(*stored, false, held).await?));
                }
                Follow::Same(tail) => (tail, true),
                Follow::Next(tail) => (tail, false),
            },
        };
        if !is_noted && !self.note(&mut held, draft, &tail).await? {
            return Ok(Continue((held, known)));
        }
        match self.put(draft, &tail).await? {
            Some(stored) => Ok(Break(self.appended(stored, true, held).await?)),
            None => Ok(Continue((held, known))),
        }
    }

    async fn appended(
        &self,
        stored: Stored,
        is_new: bool,
        held: Held<Author>,
    ) -> Result<Appended, Refusal> {
        self.log().raise_floor(&stored).await?;
        Ok(Appended {
            stored,
            is_new,
            author: held.value,
        })
    }

    /// What an earlier attempt with this key, at number `seq`, came to.
    async fn follow(&self, draft: &Draft, seq: u64) -> Result<Follow, Refusal> {
        // The tail first: a message that is missing although its number is not above the tail
        // has expired.
        let tail = self.log().tail().await?;
        Ok(match self.log().message(seq).await? {
            Some(stored) if stored.key == draft.key => Follow::Done(Box::new(stored)),
            Some(other) if other.message.seq > tail.seq => Follow::Next(other.tail()),
            None if tail.seq + 1 == seq => Follow::Same(tail),
            _ => Follow::Next(tail),
        })
    }

    /// Checks that the author may write after `tail` and writes down that he will. False when
    /// another request of his came between; he was read again.
    async fn note(
        &self,
        held: &mut Held<Author>,
        draft: &Draft,
        tail: &Tail,
    ) -> Result<bool, Refusal> {
        let is_first = held.value.tried(&draft.key).is_none();
        let now_ms = self.access.now_ms;
        held.value.check(now_ms)?;
        if draft.settings.is_none() {
            let mut author = held.value.clone();
            if !is_first {
                author.forget_last();
            }
            let who = (self.place, &self.access.rights);
            author.check_settings(now_ms, who, tail.settings)?;
        }
        if is_first {
            held.value.charge(now_ms, &self.access.rights)?;
        }
        self.refresh_way(&mut held.value).await;
        held.value.note(&draft.key, tail.seq + 1, now_ms);
        let kept = unless_lost(self.keep(held).await)?;
        if kept.is_none() {
            *held = self.author().await?;
        }
        Ok(kept.is_some())
    }

    /// Puts the draft after `tail`; none when the number is taken.
    async fn put(&self, draft: &Draft, tail: &Tail) -> Result<Option<Stored>, Refusal> {
        let mut message = draft.message.clone();
        message.seq = tail.seq + 1;
        message.at_ms = self.access.now_ms;
        message.version = 1;
        let stored = Stored {
            message,
            key: draft.key.clone(),
            settings: draft.settings.unwrap_or(tail.settings),
            one_platform: !self.access.rights.cross_play,
            expires_at_ms: self.access.now_ms + self.place.retention_ms,
            over: Over::NOTHING,
        };
        let written = unless_lost(self.log().write(&stored, Over::NOTHING).await)?;
        Ok(written.map(|_| stored))
    }
}

/// Where an attempt goes on.
enum Follow {
    /// It has happened.
    Done(Box<Stored>),
    /// At the number that is written down already.
    Same(Tail),
    /// At a new one.
    Next(Tail),
}
