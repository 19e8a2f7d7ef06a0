//! Sending: a queue of datagrams, and what to do when the kernel does not take them all.
//!
//! This half is plain safe code over [`Line`], so that tests can play every answer that a kernel
//! may give; `transmit` is the half that makes the system call.

use std::net::SocketAddr;

use crate::DATAGRAM_BYTES_MAX;
use crate::line::{Line, PARCELS_PER_CALL_MAX, Parcel};
use crate::socket::Socket;
use crate::transmit::KernelLine;

/// Datagrams queued before a batch flushes itself.
const DATAGRAMS_PER_BATCH_MAX: usize = 4096;

/// Payload bytes queued before a batch flushes itself.
const BYTES_PER_BATCH_MAX: usize = 1024 * 1024;

/// Datagrams per train: the kernel's limit up to Linux 6.8, UDP_MAX_SEGMENTS.
const SEGMENTS_PER_TRAIN_MAX: u16 = 64;

/// Payload bytes per train: what one IP packet of 64 KiB can hold, headers left out.
const BYTES_PER_TRAIN_MAX: usize = 65_000;

/// Waits for room in the socket buffer during one flush. Each is at most a millisecond, so a
/// flush never holds a shard for longer than two.
const WAITS_PER_FLUSH_MAX: u32 = 2;

/// Why a datagram was not sent. Voice that is late is worthless, so nothing is kept for later.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum DropReason {
    /// The socket buffer stayed full.
    BufferFull,
    /// The device's queue was full.
    QueueFull,
    /// Longer than [`DATAGRAM_BYTES_MAX`], or than the path takes.
    TooLarge,
    /// No route, a port that nobody listens on, an address of the wrong family.
    Unreachable,
    /// A firewall of this machine forbids it.
    Forbidden,
    /// Anything else that the kernel may say.
    Other,
}

impl DropReason {
    /// Every reason, in the order of [`SendStats::dropped`].
    pub const ALL: [Self; 6] = [
        Self::BufferFull,
        Self::QueueFull,
        Self::TooLarge,
        Self::Unreachable,
        Self::Forbidden,
        Self::Other,
    ];

    /// The label of the metric.
    pub fn label(self) -> &'static str {
        match self {
            Self::BufferFull => "buffer-full",
            Self::QueueFull => "queue-full",
            Self::TooLarge => "too-large",
            Self::Unreachable => "unreachable",
            Self::Forbidden => "forbidden",
            Self::Other => "other",
        }
    }

    fn of(errno: i32) -> Self {
        match errno {
            libc::EAGAIN => Self::BufferFull,
            libc::ENOBUFS | libc::ENOMEM => Self::QueueFull,
            libc::EMSGSIZE => Self::TooLarge,
            libc::ECONNREFUSED
            | libc::EHOSTUNREACH
            | libc::ENETUNREACH
            | libc::EHOSTDOWN
            | libc::ENETDOWN
            | libc::EADDRNOTAVAIL
            | libc::EAFNOSUPPORT
            | libc::EINVAL => Self::Unreachable,
            libc::EPERM | libc::EACCES => Self::Forbidden,
            _ => Self::Other,
        }
    }
}

/// Counters of a [`SendBatch`] since it was made.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SendStats {
    /// Datagrams that the kernel took.
    pub datagrams: u64,
    /// Their payload bytes.
    pub bytes: u64,
    /// Datagrams among them that went in a GSO train of two or more.
    pub offloaded: u64,
    /// Calls of `sendmmsg`.
    pub calls: u64,
    /// Waits for room in the socket buffer.
    pub waits: u64,
    /// Trains that the kernel refused and that were sent one by one.
    pub splits: u64,
    /// Datagrams dropped, by [`DropReason`] in the order of [`DropReason::ALL`].
    pub dropped: [u64; DropReason::ALL.len()],
}

impl SendStats {
    /// Datagrams dropped for one reason.
    pub fn dropped_for(&self, reason: DropReason) -> u64 {
        self.dropped[reason as usize]
    }

    fn note_sent(&mut self, parcel: &Parcel<'_>) {
        self.datagrams += u64::from(parcel.count);
        self.bytes += parcel.data.len() as u64;
        if parcel.count > 1 {
            self.offloaded += u64::from(parcel.count);
        }
    }

    fn drop(&mut self, reason: DropReason, datagrams: usize) {
        self.dropped[reason as usize] += datagrams as u64;
    }
}

impl std::ops::AddAssign<&Self> for SendStats {
    /// Adds the counters of another batch.
    fn add_assign(&mut self, other: &Self) {
        self.datagrams += other.datagrams;
        self.bytes += other.bytes;
        self.offloaded += other.offloaded;
        self.calls += other.calls;
        self.waits += other.waits;
        self.splits += other.splits;
        for (sum, dropped) in self.dropped.iter_mut().zip(other.dropped) {
            *sum += dropped;
        }
    }
}

/// Datagrams that wait for the end of a turn. Payloads are copied into one arena, which makes
/// consecutive datagrams of one size to one peer a single GSO train without further work.
#[derive(Debug)]
pub struct SendBatch {
    queue: Queue,
    stats: SendStats,
}

#[derive(Debug)]
struct Queue {
    arena: Vec<u8>,
    trains: Vec<Train>,
    datagrams: usize,
    gso: bool,
}

/// Consecutive datagrams to one peer: all of `segment_bytes`, the last one possibly shorter.
#[derive(Clone, Copy, Debug)]
struct Train {
    to: SocketAddr,
    start: usize,
    bytes: usize,
    segment_bytes: usize,
    count: u16,
    /// Set when the kernel refused the train as a whole.
    split: bool,
}

impl Train {
    /// Whether a datagram of `bytes` may follow: no longer than the others, and nothing after a
    /// shorter one.
    fn takes(&self, to: SocketAddr, bytes: usize) -> bool {
        self.to == to
            && self.count < SEGMENTS_PER_TRAIN_MAX
            && bytes > 0
            && bytes <= self.segment_bytes
            && self.bytes == self.segment_bytes * usize::from(self.count)
            && self.bytes + bytes <= BYTES_PER_TRAIN_MAX
    }
}

/// How far a flush has come.
#[derive(Clone, Copy, Debug, Default)]
struct Position {
    train: usize,
    segment: u16,
}

impl SendBatch {
    /// An empty batch for `socket`, which is to be passed to every further call.
    pub fn new(socket: &Socket) -> Self {
        Self::with_gso(socket.granted().gso)
    }

    fn with_gso(gso: bool) -> Self {
        let queue = Queue {
            arena: Vec::with_capacity(64 * 1024),
            trains: Vec::with_capacity(512),
            datagrams: 0,
            gso,
        };
        Self {
            queue,
            stats: SendStats::default(),
        }
    }

    /// Queues one datagram. A batch that is full is flushed first.
    pub fn push(&mut self, socket: &Socket, to: SocketAddr, payload: &[u8]) {
        if self.queue.is_full() {
            self.flush(socket);
        }
        self.enqueue(to, payload);
    }

    /// Hands everything to the kernel. Afterwards the batch is empty: what could not be sent is
    /// dropped and counted by reason. Takes at most two milliseconds longer than the system calls.
    pub fn flush(&mut self, socket: &Socket) {
        self.flush_over(&mut KernelLine { fd: socket.raw() });
    }

    /// Datagrams that wait for the next flush.
    pub fn len(&self) -> usize {
        self.queue.datagrams
    }

    /// Whether nothing waits.
    pub fn is_empty(&self) -> bool {
        self.queue.datagrams == 0
    }

    /// Counters since the start.
    pub fn stats(&self) -> &SendStats {
        &self.stats
    }

    fn enqueue(&mut self, to: SocketAddr, payload: &[u8]) {
        if payload.len() > DATAGRAM_BYTES_MAX {
            self.stats.drop(DropReason::TooLarge, 1);
        } else {
            self.queue.push(to, payload);
        }
    }

    fn flush_over(&mut self, line: &mut impl Line) {
        let mut position = Position::default();
        let mut waits = 0;
        while position.train < self.queue.trains.len() {
            let mut parcels = [Parcel::EMPTY; PARCELS_PER_CALL_MAX];
            let count = self.queue.load(position, &mut parcels);
            let parcels = &parcels[..count];
            let first = parcels[0].count;
            self.stats.calls += 1;
            match line.send(parcels) {
                Ok(sent) => {
                    debug_assert!(sent >= 1 && sent <= count);
                    for parcel in &parcels[..sent] {
                        self.stats.note_sent(parcel);
                        self.queue.advance(&mut position, parcel.count);
                    }
                }
                Err(libc::EAGAIN | libc::EINTR) if waits < WAITS_PER_FLUSH_MAX => {
                    waits += 1;
                    self.stats.waits += 1;
                    line.wait();
                }
                Err(libc::EAGAIN | libc::EINTR) => {
                    self.stats
                        .drop(DropReason::BufferFull, self.queue.left(position));
                    break;
                }
                Err(errno) if first > 1 && refuses_train(errno) => {
                    // EIO: the device cannot do checksums for segments, and never will.
                    self.queue.gso &= errno != libc::EIO;
                    self.queue.trains[position.train].split = true;
                    self.stats.splits += 1;
                }
                Err(errno) => {
                    self.stats.drop(DropReason::of(errno), usize::from(first));
                    self.queue.advance(&mut position, first);
                }
            }
        }
        self.queue.clear();
    }
}

impl Queue {
    fn is_full(&self) -> bool {
        self.datagrams >= DATAGRAMS_PER_BATCH_MAX || self.arena.len() >= BYTES_PER_BATCH_MAX
    }

    fn push(&mut self, to: SocketAddr, payload: &[u8]) {
        let (start, bytes) = (self.arena.len(), payload.len());
        self.arena.extend_from_slice(payload);
        self.datagrams += 1;
        match self
            .trains
            .last_mut()
            .filter(|train| train.takes(to, bytes))
        {
            Some(train) => {
                train.bytes += bytes;
                train.count += 1;
            }
            None => self.trains.push(Train {
                to,
                start,
                bytes,
                segment_bytes: bytes,
                count: 1,
                split: false,
            }),
        }
    }

    /// Fills `parcels` from `position` on and returns how many.
    fn load<'a>(&'a self, mut position: Position, parcels: &mut [Parcel<'a>]) -> usize {
        let mut count = 0;
        while count < parcels.len() && position.train < self.trains.len() {
            let train = &self.trains[position.train];
            let whole = self.gso && !train.split && train.count > 1 && position.segment == 0;
            let first = usize::from(position.segment) * train.segment_bytes;
            let data = &self.arena[train.start + first..train.start + train.bytes];
            let parcel = if whole {
                let segment_bytes = Some(train.segment_bytes as u16);
                Parcel {
                    to: train.to,
                    data,
                    count: train.count,
                    segment_bytes,
                }
            } else {
                let data = &data[..data.len().min(train.segment_bytes)];
                Parcel {
                    to: train.to,
                    data,
                    count: 1,
                    segment_bytes: None,
                }
            };
            self.advance(&mut position, parcel.count);
            parcels[count] = parcel;
            count += 1;
        }
        count
    }

    fn advance(&self, position: &mut Position, count: u16) {
        position.segment += count;
        if position.segment >= self.trains[position.train].count {
            *position = Position {
                train: position.train + 1,
                segment: 0,
            };
        }
    }

    fn left(&self, position: Position) -> usize {
        let trains = &self.trains[position.train..];
        let total: usize = trains.iter().map(|train| usize::from(train.count)).sum();
        total - usize::from(position.segment)
    }

    fn clear(&mut self) {
        self.arena.clear();
        self.trains.clear();
        self.datagrams = 0;
    }
}

/// Errors that mean the train, not its datagrams: no offload on this device, or a path whose
/// packets are smaller than the segments.
fn refuses_train(errno: i32) -> bool {
    matches!(
        errno,
        libc::EIO | libc::EINVAL | libc::EMSGSIZE | libc::EOPNOTSUPP
    )
}

#[cfg(test)]
#[path = "send_tests.rs"]
mod tests;
