//! A session's data channels: messages that wait, and how many may come.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

use str0m::Rtc;
use str0m::channel::ChannelId;

use crate::protocol::DataChannel;

/// Data channels that may be open at a time: a client has two, and SCTP has no limit below 65,535.
const MAX_CHANNELS: usize = 16;
/// Messages that may wait for the channel.
const MAX_WAITING: usize = 512;
/// Waiting messages and bytes above which nothing more is pushed: a client who reads slowly misses
/// pushes, but is not ended for them.
const MAX_WAITING_FOR_PUSH: usize = 64;
const MAX_BUFFER_FOR_PUSH_BYTES: usize = 256 * 1024;

/// The client does not read what it is sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Unread;

/// The data channels of one session.
#[derive(Debug)]
pub(crate) struct Outbox {
    channel: Option<ChannelId>,
    positions: Option<ChannelId>,
    /// Channels that are open, those included that are for nothing.
    open: usize,
    waiting: VecDeque<Arc<[u8]>>,
    received: RateWindow,
}

/// Counts messages in whole seconds.
#[derive(Debug)]
struct RateWindow {
    since: Instant,
    count: u32,
}

impl Outbox {
    pub(crate) fn new(now: Instant) -> Self {
        Self {
            channel: None,
            positions: None,
            open: 0,
            waiting: VecDeque::new(),
            received: RateWindow {
                since: now,
                count: 0,
            },
        }
    }

    /// Counts a channel that opened; false when there are too many.
    #[must_use]
    pub(crate) fn count_open(&mut self) -> bool {
        self.open += 1;
        self.open <= MAX_CHANNELS
    }

    /// Counts a channel that closed.
    pub(crate) fn count_close(&mut self) {
        self.open = self.open.saturating_sub(1);
    }

    /// The client opened a channel: the first one of each kind counts.
    pub(crate) fn handle_open(&mut self, channel: ChannelId, kind: DataChannel) {
        match kind {
            DataChannel::Messages => self.channel.get_or_insert(channel),
            DataChannel::Positions => self.positions.get_or_insert(channel),
        };
    }

    /// The client closed a channel. Another one for positions may follow.
    pub(crate) fn handle_close(&mut self, channel: ChannelId) {
        self.positions = self.positions.filter(|known| *known != channel);
    }

    /// What `channel` is for; none when it is none of the session's.
    pub(crate) fn kind(&self, channel: ChannelId) -> Option<DataChannel> {
        match Some(channel) {
            known if known == self.channel => Some(DataChannel::Messages),
            known if known == self.positions => Some(DataChannel::Positions),
            _ => None,
        }
    }

    /// Whether the client may send one more message at `now`.
    pub(crate) fn take_message(&mut self, now: Instant, max_per_s: u32) -> bool {
        if now.saturating_duration_since(self.received.since) >= Duration::from_secs(1) {
            self.received = RateWindow {
                since: now,
                count: 0,
            };
        }
        self.received.count = self.received.count.saturating_add(1);
        self.received.count <= max_per_s
    }

    /// Queues a message; false when the client has let too many pile up.
    #[must_use]
    pub(crate) fn queue(&mut self, message: Arc<[u8]>) -> bool {
        let fits = self.waiting.len() < MAX_WAITING;
        if fits {
            self.waiting.push_back(message);
        }
        debug_assert!(self.waiting.len() <= MAX_WAITING, "within bounds");
        fits
    }

    /// Queues a pushed message; false when the client has no channel or too much waiting.
    #[must_use]
    pub(crate) fn queue_push(&mut self, rtc: &mut Rtc, message: Arc<[u8]>) -> bool {
        let fits = self.waiting.len() < MAX_WAITING_FOR_PUSH
            && self
                .buffered(rtc)
                .is_some_and(|bytes| bytes < MAX_BUFFER_FOR_PUSH_BYTES);
        fits && self.queue(message)
    }

    /// Bytes that SCTP has and the client has not acknowledged; none without an open channel.
    pub(crate) fn buffered(&self, rtc: &mut Rtc) -> Option<usize> {
        let mut channel = rtc.channel(self.channel?)?;
        Some(channel.buffered_amount())
    }

    /// Messages that wait.
    pub(crate) fn waiting(&self) -> usize {
        self.waiting.len()
    }

    /// Hands what waits to the data channel.
    pub(crate) fn flush(&mut self, rtc: &mut Rtc) -> Result<(), Unread> {
        let Some(id) = self.channel else {
            return Ok(());
        };
        while let Some(message) = self.waiting.pop_front() {
            let Some(mut channel) = rtc.channel(id) else {
                self.waiting.clear();
                return Ok(());
            };
            match channel.write(false, &message) {
                Ok(true) => {}
                Ok(false) | Err(_) => return Err(Unread),
            }
        }
        debug_assert!(self.waiting.is_empty(), "all of it was handed on");
        Ok(())
    }
}
