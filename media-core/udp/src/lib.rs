//! Batched UDP for Linux.
//!
//! A relay moves many small datagrams, so what it pays for is system calls, not bytes. This crate
//! is the thin layer that makes one call do the work of many, and nothing else: it knows no
//! protocol, reads no clock and starts no thread. All `unsafe` code of the workspace lives here.
//!
//! - [`Socket`]: a non-blocking socket with sized buffers, and what the kernel granted.
//! - [`RecvBatch`]: `recvmmsg` into one reusable buffer, with GRO where the kernel has it.
//! - [`SendBatch`]: `sendmmsg`, with GSO for consecutive datagrams of one size to one peer.
//! - [`Poller`] and [`Waker`]: epoll with a timeout in nanoseconds, woken by other threads.
//! - [`tune_tcp`], [`tcp_unsent_bytes`]: for the few who reach a relay by TCP only.
//! - [`thread_cpu_time`]: what the calling thread has cost so far.
//! - [`set_thread_nice`]: whose turn it is, where there are fewer cores than threads.
//! - [`raise_descriptor_limit`]: as many connections as the system allows.
//!
//! Order of calls, once per turn of a loop: [`Poller::wait`], then [`Socket::recv`] until it
//! returns less than it could, then any number of [`SendBatch::push`], then [`SendBatch::flush`].
//! Datagrams to one peer leave in the order in which they were pushed.
#![allow(unsafe_code)]

mod address;
mod cpu;
mod limit;
mod line;
mod poll;
mod recv;
mod send;
mod socket;
mod tcp;
mod transmit;

pub use cpu::{set_thread_nice, thread_cpu_time};
pub use limit::raise_descriptor_limit;
pub use poll::{Poller, Waker};
pub use recv::{Datagram, RecvBatch, RecvStats};
pub use send::{DropReason, SendBatch, SendStats};
pub use socket::{Granted, Options, Socket};
pub use tcp::{ipv6_only, tcp_unsent_bytes, tune_tcp};

/// Largest payload that is received or sent, in bytes. WebRTC stays far below it; a longer
/// datagram is counted and left out.
pub const DATAGRAM_BYTES_MAX: usize = 2048;

/// Turns the -1 of a system call into the error of the calling thread.
fn check(result: libc::c_int) -> std::io::Result<libc::c_int> {
    if result < 0 {
        Err(std::io::Error::last_os_error())
    } else {
        Ok(result)
    }
}
