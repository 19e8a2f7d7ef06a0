//! ICE-TCP on the side of a shard: connections that have shown a ticket of it.
//!
//! A connection lives as long as its path belongs to a session of the core, so the core's limits
//! bound it: a session has a few paths, and ends when its client falls silent. What a slow client
//! does not take is dropped if it is voice, which would be late, and else waits within a bound.

use std::collections::HashMap;
use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use sfu::{Path, Protocol, Sfu};
use udp::{Poller, tcp_unsent_bytes, tune_tcp};

use crate::frames::{Deframer, header};

/// Bytes taken from one connection per turn; the rest comes with the next turn.
const READ_BYTES_MAX: usize = 16 * 1024;

/// Bytes that may wait for a client that does not read.
const WAITING_BYTES_MAX: usize = 64 * 1024;

/// What a connection keeps of its buffer from one turn to the next.
const KEPT_BYTES_MAX: usize = 4 * 1024;

/// Voice is dropped while the kernel holds more unsent bytes than this: about half a second of
/// one speaker.
const UNSENT_BYTES_MAX: usize = 4 * 1024;

/// A client that acknowledges nothing for this long is gone, as after a silence on UDP.
const USER_TIMEOUT: Duration = Duration::from_secs(15);

/// Tokens of the poller: above those of the UDP sockets, and never used twice.
const FIRST_TOKEN: u64 = 1 << 32;

/// A connection as the acceptor hands it over.
#[derive(Debug)]
pub(crate) struct Arrival {
    /// Non-blocking.
    pub(crate) connection: TcpStream,
    pub(crate) from: SocketAddr,
    /// What was read of it: a STUN request with a ticket of this shard, and what came with it.
    pub(crate) read: Vec<u8>,
}

/// Why a connection was closed. Also the metric's label.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum CloseReason {
    /// The client closed it.
    Peer,
    /// It broke, or nothing was acknowledged for too long.
    Broken,
    /// A frame was too long.
    FrameTooLong,
    /// It belongs to no session: not admitted, ended, or given up for another path.
    NoSession,
    /// Another came from the same address.
    Replaced,
    /// Too many connections.
    TooMany,
}

impl CloseReason {
    pub(crate) const ALL: [Self; 6] = [
        Self::Peer,
        Self::Broken,
        Self::FrameTooLong,
        Self::NoSession,
        Self::Replaced,
        Self::TooMany,
    ];

    pub(crate) fn label(self) -> &'static str {
        match self {
            Self::Peer => "peer",
            Self::Broken => "broken",
            Self::FrameTooLong => "frame-too-long",
            Self::NoSession => "no-session",
            Self::Replaced => "replaced",
            Self::TooMany => "too-many",
        }
    }
}

/// Why a datagram was not written. Also the metric's label.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum DropReason {
    /// Voice, and the client's connection is slow.
    Slow,
    /// Too much waits already for a client that does not read.
    Waiting,
    /// There is no connection any more.
    Closed,
}

impl DropReason {
    pub(crate) const ALL: [Self; 3] = [Self::Slow, Self::Waiting, Self::Closed];

    pub(crate) fn label(self) -> &'static str {
        match self {
            Self::Slow => "slow",
            Self::Waiting => "waiting",
            Self::Closed => "closed",
        }
    }
}

/// What has been counted since the start.
#[derive(Clone, Debug, Default)]
pub(crate) struct StreamStats {
    /// Connections taken over from the acceptor.
    pub(crate) opened: u64,
    /// Bytes read, and written.
    pub(crate) bytes_in: u64,
    pub(crate) bytes_out: u64,
    closed: [u64; CloseReason::ALL.len()],
    dropped: [u64; DropReason::ALL.len()],
}

impl StreamStats {
    pub(crate) fn closed(&self, reason: CloseReason) -> u64 {
        self.closed[reason as usize]
    }

    pub(crate) fn dropped(&self, reason: DropReason) -> u64 {
        self.dropped[reason as usize]
    }
}

/// The connections of one shard.
pub(crate) struct Streams {
    by_token: HashMap<u64, Stream>,
    by_address: HashMap<SocketAddr, u64>,
    next_token: u64,
    connections_max: usize,
    /// Connections that have something to write, or were just taken over.
    touched: Vec<u64>,
    buffer: Box<[u8]>,
    stats: StreamStats,
}

struct Stream {
    connection: TcpStream,
    from: SocketAddr,
    deframer: Deframer,
    /// Frames that have not been written; the first may be written in part.
    waiting: Vec<u8>,
    /// The kernel takes no more for now; the poller tells when it does.
    blocked: bool,
    touched: bool,
}

impl Streams {
    /// No connections, and `connections_max` at most.
    pub(crate) fn new(connections_max: usize) -> Self {
        Self {
            by_token: HashMap::new(),
            by_address: HashMap::new(),
            next_token: FIRST_TOKEN,
            connections_max,
            touched: Vec::new(),
            buffer: vec![0; READ_BYTES_MAX].into_boxed_slice(),
            stats: StreamStats::default(),
        }
    }

    /// Whether a token of the poller is one of a connection.
    pub(crate) fn has(token: u64) -> bool {
        token >= FIRST_TOKEN
    }

    pub(crate) fn len(&self) -> usize {
        self.by_token.len()
    }

    pub(crate) fn stats(&self) -> StreamStats {
        self.stats.clone()
    }

    /// Takes a connection over and gives the core what was read of it.
    pub(crate) fn open<P: Protocol>(
        &mut self,
        poller: &Poller,
        core: &mut Sfu<P>,
        now: Instant,
        arrival: Arrival,
    ) {
        let Arrival {
            connection,
            from,
            read,
        } = arrival;
        self.stats.opened += 1;
        if let Some(&before) = self.by_address.get(&from) {
            self.close(core, now, before, CloseReason::Replaced);
        }
        if self.len() >= self.connections_max {
            self.stats.closed[CloseReason::TooMany as usize] += 1;
            return;
        }
        let token = self.next_token;
        let ready =
            tune_tcp(&connection, USER_TIMEOUT).and_then(|()| poller.add(&connection, token));
        if ready.is_err() {
            self.stats.closed[CloseReason::Broken as usize] += 1;
            return;
        }
        self.next_token += 1;
        let stream = Stream {
            connection,
            from,
            deframer: Deframer::default(),
            waiting: Vec::new(),
            blocked: false,
            touched: true,
        };
        self.by_token.insert(token, stream);
        self.by_address.insert(from, token);
        self.touched.push(token);
        self.take(core, now, token, &read);
    }

    /// Reads what has come on a connection that the poller reported, and gives it to the core.
    pub(crate) fn receive<P: Protocol>(&mut self, core: &mut Sfu<P>, now: Instant, token: u64) {
        let Some(stream) = self.by_token.get_mut(&token) else {
            return;
        };
        if stream.blocked {
            touch(&mut self.touched, token, stream);
        }
        let mut buffer = std::mem::take(&mut self.buffer);
        match stream.connection.read(&mut buffer) {
            Ok(0) => self.close(core, now, token, CloseReason::Peer),
            Ok(count) => self.take(core, now, token, &buffer[..count]),
            Err(error) if passes(&error) => {}
            Err(_) => self.close(core, now, token, CloseReason::Broken),
        }
        self.buffer = buffer;
    }

    /// Queues a datagram for the connection from `to`.
    pub(crate) fn send(&mut self, to: SocketAddr, datagram: &[u8]) {
        let open = self.by_address.get(&to).copied();
        let stream = open.and_then(|token| Some((token, self.by_token.get_mut(&token)?)));
        let sent = match stream {
            None => Err(DropReason::Closed),
            Some((token, stream)) => stream.queue(datagram).inspect(|()| {
                touch(&mut self.touched, token, stream);
            }),
        };
        if let Err(reason) = sent {
            self.stats.dropped[reason as usize] += 1;
        }
    }

    /// Writes what was queued; to be called once per turn, after the core was drained. A new
    /// connection that the core did not take is closed here, after its answer.
    pub(crate) fn flush<P: Protocol>(&mut self, poller: &Poller, core: &mut Sfu<P>, now: Instant) {
        let mut touched = std::mem::take(&mut self.touched);
        for token in touched.drain(..) {
            let Some(stream) = self.by_token.get_mut(&token) else {
                continue;
            };
            stream.touched = false;
            let written = stream.write(poller, token);
            self.stats.bytes_out += written.as_ref().map_or(0, |count| *count as u64);
            if written.is_err() {
                self.close(core, now, token, CloseReason::Broken);
            } else if !core.knows(Path::tcp(stream.from)) {
                self.close(core, now, token, CloseReason::NoSession);
            }
        }
        self.touched = touched;
    }

    /// Closes what belongs to no session any more.
    pub(crate) fn sweep<P: Protocol>(&mut self, core: &mut Sfu<P>, now: Instant) {
        let idle = self.by_token.iter();
        let idle = idle.filter(|(_, stream)| !core.knows(Path::tcp(stream.from)));
        let idle: Vec<u64> = idle.map(|(token, _)| *token).collect();
        for token in idle {
            self.close(core, now, token, CloseReason::NoSession);
        }
    }

    fn take<P: Protocol>(&mut self, core: &mut Sfu<P>, now: Instant, token: u64, data: &[u8]) {
        let Some(stream) = self.by_token.get_mut(&token) else {
            return;
        };
        self.stats.bytes_in += data.len() as u64;
        let path = Path::tcp(stream.from);
        let taken = stream
            .deframer
            .take(data, |datagram| core.handle_datagram(now, path, datagram));
        if taken.is_err() {
            self.close(core, now, token, CloseReason::FrameTooLong);
        }
    }

    fn close<P: Protocol>(
        &mut self,
        core: &mut Sfu<P>,
        now: Instant,
        token: u64,
        reason: CloseReason,
    ) {
        // Dropping it closes it, and what is closed is no longer polled.
        if let Some(stream) = self.by_token.remove(&token) {
            self.by_address.remove(&stream.from);
            core.handle_closed(now, Path::tcp(stream.from));
            self.stats.closed[reason as usize] += 1;
        }
    }
}

impl Stream {
    fn queue(&mut self, datagram: &[u8]) -> Result<(), DropReason> {
        // RTP and RTCP (RFC 7983): what comes late is of no use.
        let is_media = datagram
            .first()
            .is_some_and(|byte| (128..192).contains(byte));
        if is_media && self.is_slow() {
            return Err(DropReason::Slow);
        }
        let header = header(datagram).ok_or(DropReason::Waiting)?;
        if self.waiting.len() + header.len() + datagram.len() > WAITING_BYTES_MAX {
            return Err(DropReason::Waiting);
        }
        self.waiting.extend_from_slice(&header);
        self.waiting.extend_from_slice(datagram);
        Ok(())
    }

    fn is_slow(&self) -> bool {
        self.blocked
            || tcp_unsent_bytes(&self.connection).is_ok_and(|bytes| bytes > UNSENT_BYTES_MAX)
    }

    /// Writes as much as the kernel takes; how much that was.
    fn write(&mut self, poller: &Poller, token: u64) -> io::Result<usize> {
        let mut written = 0;
        while written < self.waiting.len() {
            match self.connection.write(&self.waiting[written..]) {
                Ok(count) => written += count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(error) => return Err(error),
            }
        }
        self.waiting.drain(..written);
        let blocked = !self.waiting.is_empty();
        if !blocked && self.waiting.capacity() > KEPT_BYTES_MAX {
            self.waiting = Vec::new();
        }
        if blocked != self.blocked {
            self.blocked = blocked;
            poller.watch_writable(&self.connection, token, blocked)?;
        }
        Ok(written)
    }
}

fn touch(touched: &mut Vec<u64>, token: u64, stream: &mut Stream) {
    if !stream.touched {
        stream.touched = true;
        touched.push(token);
    }
}

/// Whether an error says nothing about the connection.
fn passes(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted
    )
}
