//! Receiving: `recvmmsg` into one reusable buffer.

use std::io;
use std::mem::{MaybeUninit, size_of};
use std::net::SocketAddr;
use std::time::Duration;

use crate::DATAGRAM_BYTES_MAX;
use crate::address::RawAddress;
use crate::socket::Socket;

/// Messages taken per call.
const MESSAGES_PER_CALL_MAX: usize = 64;

/// Messages asked for when traffic is light: each costs the set-up of its header.
const MESSAGES_PER_CALL_MIN: usize = 8;

/// With GRO one message holds several datagrams, up to 64 KiB together.
const MESSAGE_BYTES_MAX: usize = 65_536;

/// Distance between two messages' buffers. Not a power of two: otherwise the first bytes of all
/// buffers, which are most of what is ever written, would share one set of the cache.
const STRIDE_BYTES: usize = MESSAGE_BYTES_MAX + 192;

/// Room for the three control messages that are asked for: segment size, drop counter, arrival.
const CONTROL_BYTES: usize = 96;

/// One received datagram.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Datagram<'a> {
    /// Who sent it.
    pub from: SocketAddr,
    /// Its payload, at most [`DATAGRAM_BYTES_MAX`] bytes; may be empty.
    pub data: &'a [u8],
    /// When the kernel got it, as time since the Unix epoch by the machine's clock; none unless
    /// [`crate::Options::arrivals`] asks for it.
    pub arrived: Option<Duration>,
}

/// Counters of a [`RecvBatch`] since it was made.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RecvStats {
    /// Calls of `recvmmsg`, those that found nothing included.
    pub calls: u64,
    /// Datagrams handed over.
    pub datagrams: u64,
    /// Their payload bytes.
    pub bytes: u64,
    /// Datagrams left out because they were longer than [`DATAGRAM_BYTES_MAX`].
    pub oversize: u64,
}

/// The buffers of [`Socket::recv`], and what the last call put there. Address space for 4 MiB, of
/// which only the pages in use take memory; nothing is allocated after [`RecvBatch::new`].
#[derive(Debug)]
pub struct RecvBatch {
    buffer: Box<[u8]>,
    messages: Vec<Message>,
    armed: usize,
    stats: RecvStats,
}

/// One message of the last call: a datagram, or several of one size.
#[derive(Clone, Copy, Debug)]
struct Message {
    from: SocketAddr,
    start: usize,
    bytes: usize,
    segment_bytes: usize,
    arrived: Option<Duration>,
}

impl RecvBatch {
    /// Allocates the buffers.
    pub fn new() -> Self {
        Self {
            buffer: vec![0; STRIDE_BYTES * MESSAGES_PER_CALL_MAX].into_boxed_slice(),
            messages: Vec::with_capacity(MESSAGES_PER_CALL_MAX),
            armed: MESSAGES_PER_CALL_MIN,
            stats: RecvStats::default(),
        }
    }

    /// The datagrams of the last [`Socket::recv`], in the order in which they arrived.
    pub fn datagrams(&self) -> impl Iterator<Item = Datagram<'_>> {
        self.messages.iter().flat_map(|message| {
            let data = &self.buffer[message.start..message.start + message.bytes];
            segments(data, message.segment_bytes)
                .filter(|data| data.len() <= DATAGRAM_BYTES_MAX)
                .map(|data| Datagram {
                    from: message.from,
                    data,
                    arrived: message.arrived,
                })
        })
    }

    /// Counters since the start.
    pub fn stats(&self) -> RecvStats {
        self.stats
    }

    /// Takes over one message that the kernel wrote to slot `slot`.
    fn note(&mut self, slot: usize, received: Received) {
        let Some(from) = received.from else { return };
        if received.truncated {
            self.stats.oversize += 1;
            return;
        }
        let start = slot * STRIDE_BYTES;
        let bytes = received.bytes.min(MESSAGE_BYTES_MAX);
        let segment_bytes = received.segment_bytes.unwrap_or(bytes);
        self.messages.push(Message {
            from,
            start,
            bytes,
            segment_bytes,
            arrived: received.arrived,
        });
        for data in segments(&self.buffer[start..start + bytes], segment_bytes) {
            if data.len() > DATAGRAM_BYTES_MAX {
                self.stats.oversize += 1;
            } else {
                self.stats.datagrams += 1;
                self.stats.bytes += data.len() as u64;
            }
        }
    }
}

impl Default for RecvBatch {
    fn default() -> Self {
        Self::new()
    }
}

/// Cuts a message into its datagrams: all of `segment_bytes`, the last one possibly shorter. An
/// empty message is one empty datagram.
fn segments(data: &[u8], segment_bytes: usize) -> impl Iterator<Item = &[u8]> {
    let empty = data.is_empty().then_some(data);
    data.chunks(segment_bytes.max(1)).chain(empty)
}

impl Socket {
    /// Replaces the content of `batch` by what has arrived, up to 64 messages, and returns whether
    /// there may be more. Nothing there is not an error.
    ///
    /// # Errors
    ///
    /// Only those that will not pass by themselves, such as a closed descriptor.
    pub fn recv(&mut self, batch: &mut RecvBatch) -> io::Result<bool> {
        batch.messages.clear();
        batch.stats.calls += 1;
        let armed = batch.armed;
        let mut received = [Received::default(); MESSAGES_PER_CALL_MAX];
        let count = match recv_raw(self.raw(), &mut batch.buffer, &mut received[..armed]) {
            Ok(count) => count,
            Err(error) if passes(&error) => 0,
            Err(error) => return Err(error),
        };
        for (slot, received) in received[..count].iter().enumerate() {
            if let Some(counter) = received.overflow {
                self.note_overflow(counter);
            }
            batch.note(slot, *received);
        }
        batch.armed = (count * 2).clamp(MESSAGES_PER_CALL_MIN, MESSAGES_PER_CALL_MAX);
        Ok(count == armed)
    }
}

/// Whether an error says nothing about the socket: nothing there, a signal, memory short for a
/// moment, or the fate of an earlier datagram that ICMP reports.
fn passes(error: &io::Error) -> bool {
    matches!(
        error.raw_os_error(),
        Some(
            libc::EAGAIN
                | libc::EINTR
                | libc::ENOMEM
                | libc::ENOBUFS
                | libc::ECONNREFUSED
                | libc::EHOSTUNREACH
                | libc::ENETUNREACH
                | libc::EHOSTDOWN
                | libc::ENETDOWN
                | libc::EMSGSIZE
                | libc::EPROTO
        )
    )
}

/// What the kernel says about one message.
#[derive(Clone, Copy, Debug, Default)]
struct Received {
    from: Option<SocketAddr>,
    bytes: usize,
    truncated: bool,
    segment_bytes: Option<usize>,
    overflow: Option<u32>,
    arrived: Option<Duration>,
}

#[repr(C, align(8))]
#[derive(Clone, Copy)]
struct Control([u8; CONTROL_BYTES]);

/// Receives up to `received.len()` messages; message n goes to the n-th stride of `buffer`.
fn recv_raw(fd: libc::c_int, buffer: &mut [u8], received: &mut [Received]) -> io::Result<usize> {
    let armed = received.len();
    assert!(armed <= MESSAGES_PER_CALL_MAX && buffer.len() >= armed * STRIDE_BYTES);
    let mut headers = [const { MaybeUninit::<libc::mmsghdr>::uninit() }; MESSAGES_PER_CALL_MAX];
    let mut vectors = [const { MaybeUninit::<libc::iovec>::uninit() }; MESSAGES_PER_CALL_MAX];
    let mut addresses = [const { MaybeUninit::<RawAddress>::uninit() }; MESSAGES_PER_CALL_MAX];
    let mut controls = [const { MaybeUninit::<Control>::uninit() }; MESSAGES_PER_CALL_MAX];
    for (slot, data) in buffer.chunks_mut(STRIDE_BYTES).take(armed).enumerate() {
        let vector = libc::iovec {
            iov_base: data.as_mut_ptr().cast(),
            iov_len: MESSAGE_BYTES_MAX,
        };
        // SAFETY: an mmsghdr consists of integers and pointers, for which zero is valid.
        let mut header: libc::mmsghdr = unsafe { std::mem::zeroed() };
        header.msg_hdr.msg_name =
            (addresses[slot].write(RawAddress::unspecified()) as *mut RawAddress).cast();
        header.msg_hdr.msg_namelen = RawAddress::LENGTH_MAX;
        header.msg_hdr.msg_iov = vectors[slot].write(vector);
        header.msg_hdr.msg_iovlen = 1;
        header.msg_hdr.msg_control = controls[slot].as_mut_ptr().cast();
        // Its type differs between C libraries.
        header.msg_hdr.msg_controllen = CONTROL_BYTES as _;
        headers[slot].write(header);
    }
    // SAFETY: the first `armed` headers are initialised and point to an address, a vector, a
    // control buffer and payload space that all outlive the call, with their true sizes.
    // The system call itself, as for sending.
    let count = unsafe {
        libc::syscall(
            libc::SYS_recvmmsg,
            fd,
            headers.as_mut_ptr(),
            armed as libc::c_uint,
            libc::MSG_DONTWAIT,
            std::ptr::null_mut::<libc::timespec>(),
        )
    };
    let count = usize::try_from(count).map_err(|_| io::Error::last_os_error())?;
    for slot in 0..count {
        // SAFETY: `count <= armed`, and all of these were initialised above.
        let (header, address) = unsafe {
            (
                headers[slot].assume_init_ref(),
                addresses[slot].assume_init_ref(),
            )
        };
        received[slot] = Received {
            from: address.decode(),
            bytes: header.msg_len as usize,
            truncated: header.msg_hdr.msg_flags & libc::MSG_TRUNC != 0,
            ..Received::default()
        };
        read_controls(&header.msg_hdr, &mut received[slot]);
    }
    Ok(count)
}

/// Reads the segment size, the drop counter and the arrival, where there are any. `header` must be
/// one that `recvmmsg` has just filled, with its control buffer still alive.
fn read_controls(header: &libc::msghdr, received: &mut Received) {
    // SAFETY: the kernel has set `msg_controllen` to what it wrote, and the macro stays within it.
    let mut next = unsafe { libc::CMSG_FIRSTHDR(header) };
    while !next.is_null() {
        // SAFETY: `next` is not null, so it points to a whole control header.
        let control = unsafe { &*next };
        // SAFETY: pointer arithmetic within that control message.
        let data = unsafe { libc::CMSG_DATA(next) };
        let holds = |bytes: usize| {
            // SAFETY: no pointers; the macro is arithmetic.
            control.cmsg_len as u64 >= unsafe { libc::CMSG_LEN(bytes as u32) } as u64
        };
        let holds_int = holds(size_of::<libc::c_int>());
        match (control.cmsg_level, control.cmsg_type) {
            (libc::SOL_UDP, libc::UDP_GRO) if holds_int => {
                // SAFETY: the message holds at least an int; alignment is not assumed.
                let size = unsafe { data.cast::<libc::c_int>().read_unaligned() };
                received.segment_bytes = usize::try_from(size).ok().filter(|size| *size > 0);
            }
            (libc::SOL_SOCKET, libc::SO_RXQ_OVFL) if holds_int => {
                // SAFETY: as above.
                received.overflow = Some(unsafe { data.cast::<u32>().read_unaligned() });
            }
            (libc::SOL_SOCKET, libc::SCM_TIMESTAMPNS) if holds(size_of::<libc::timespec>()) => {
                // SAFETY: the message holds a timespec; alignment is not assumed.
                let at = unsafe { data.cast::<libc::timespec>().read_unaligned() };
                received.arrived = since_epoch(at);
            }
            _ => {}
        }
        // SAFETY: `next` came from this header, whose control buffer is unchanged.
        next = unsafe { libc::CMSG_NXTHDR(header, next) };
    }
}

/// None for times before the epoch, which a clock that was never set may have.
fn since_epoch(at: libc::timespec) -> Option<Duration> {
    let (seconds, nanos) = (
        u64::try_from(at.tv_sec).ok()?,
        u32::try_from(at.tv_nsec).ok()?,
    );
    Some(Duration::new(seconds, nanos))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(bytes: usize, segment_bytes: Option<usize>) -> Received {
        let from = Some("127.0.0.1:9".parse().unwrap());
        Received {
            from,
            bytes,
            segment_bytes,
            ..Received::default()
        }
    }

    fn sizes(batch: &RecvBatch) -> Vec<usize> {
        batch
            .datagrams()
            .map(|datagram| datagram.data.len())
            .collect()
    }

    #[test]
    fn a_coalesced_message_is_cut_into_its_datagrams() {
        let mut batch = RecvBatch::new();
        batch.note(0, message(250, Some(100)));
        batch.note(1, message(100, None));
        assert_eq!(sizes(&batch), [100, 100, 50, 100]);
        assert_eq!(batch.stats().datagrams, 4);
        assert_eq!(batch.stats().bytes, 350);
    }

    #[test]
    fn an_empty_datagram_is_one_datagram() {
        let mut batch = RecvBatch::new();
        batch.note(0, message(0, None));
        assert_eq!(sizes(&batch), [0]);
    }

    #[test]
    fn oversize_is_counted_and_left_out() {
        let mut batch = RecvBatch::new();
        batch.note(0, message(DATAGRAM_BYTES_MAX + 1, None));
        batch.note(1, message(2 * 3000 + 10, Some(3000)));
        batch.note(
            2,
            Received {
                truncated: true,
                ..message(10, None)
            },
        );
        assert_eq!(sizes(&batch), [10]);
        assert_eq!(batch.stats().oversize, 4);
    }

    #[test]
    fn errors_of_earlier_datagrams_pass_and_a_bad_descriptor_does_not() {
        assert!(passes(&io::Error::from_raw_os_error(libc::ECONNREFUSED)));
        assert!(passes(&io::Error::from_raw_os_error(libc::EAGAIN)));
        assert!(!passes(&io::Error::from_raw_os_error(libc::EBADF)));
    }
}
