//! Waiting for datagrams, for a deadline, or for another thread.

use std::io;
use std::os::fd::{AsFd, AsRawFd, FromRawFd, OwnedFd};
use std::sync::Arc;
use std::time::Duration;

use crate::check;

/// Events taken per call. What is left comes with the next call, for the kernel takes turns.
const EVENTS_PER_WAIT_MAX: usize = 64;

/// The token of the waker; users have the numbers below it.
const WAKER_TOKEN: u64 = u64::MAX;

/// Waits until a registered socket can be read, a [`Waker`] is used, or a timeout passes.
/// Level-triggered: a socket that was not read empty is reported again.
#[derive(Debug)]
pub struct Poller {
    epoll: OwnedFd,
    wakeup: Arc<OwnedFd>,
    ready: Vec<u64>,
    /// False once the kernel said that it has no `epoll_pwait2` (before Linux 5.11).
    nanoseconds: bool,
}

/// Ends the wait of a [`Poller`] from any thread. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Waker {
    wakeup: Arc<OwnedFd>,
}

impl Poller {
    /// A poller with its waker and no sockets. Fails when the process is out of descriptors.
    pub fn new() -> io::Result<Self> {
        // SAFETY: no pointers; the result is checked before it is used.
        let epoll = check(unsafe { libc::epoll_create1(libc::EPOLL_CLOEXEC) })?;
        // SAFETY: `epoll` is a new descriptor that nothing else owns.
        let epoll = unsafe { OwnedFd::from_raw_fd(epoll) };
        // SAFETY: no pointers; the result is checked before it is used.
        let wakeup = check(unsafe { libc::eventfd(0, libc::EFD_CLOEXEC | libc::EFD_NONBLOCK) })?;
        // SAFETY: `wakeup` is a new descriptor that nothing else owns.
        let wakeup = Arc::new(unsafe { OwnedFd::from_raw_fd(wakeup) });
        let poller = Self {
            epoll,
            wakeup,
            ready: Vec::with_capacity(EVENTS_PER_WAIT_MAX),
            nanoseconds: true,
        };
        poller.register(&*poller.wakeup, WAKER_TOKEN, libc::EPOLL_CTL_ADD, false)?;
        Ok(poller)
    }

    /// Reports `source` as `token` whenever it can be read. `token` is below `u64::MAX`. The
    /// registration ends when `source` is closed.
    pub fn add(&self, source: &impl AsFd, token: u64) -> io::Result<()> {
        assert_ne!(token, WAKER_TOKEN, "the largest token is the waker's");
        self.register(source, token, libc::EPOLL_CTL_ADD, false)
    }

    /// From now on reports `source`, which was added as `token`, also when it can be written, or
    /// no longer.
    pub fn watch_writable(&self, source: &impl AsFd, token: u64, writable: bool) -> io::Result<()> {
        self.register(source, token, libc::EPOLL_CTL_MOD, writable)
    }

    /// A handle that ends a wait from any thread.
    pub fn waker(&self) -> Waker {
        Waker {
            wakeup: self.wakeup.clone(),
        }
    }

    /// Waits at most `timeout` (for ever when `None`, not at all when zero); true when a
    /// [`Waker`] was used since the last call. [`Self::readable`] then lists the sockets. A signal
    /// ends the wait early, as if the time had passed.
    pub fn wait(&mut self, timeout: Option<Duration>) -> io::Result<bool> {
        let mut events = [libc::epoll_event { events: 0, u64: 0 }; EVENTS_PER_WAIT_MAX];
        self.ready.clear();
        let count = match self.wait_raw(&mut events, timeout) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => 0,
            result => result?,
        };
        let mut woken = false;
        for event in &events[..count] {
            match event.u64 {
                WAKER_TOKEN => woken = true,
                token => self.ready.push(token),
            }
        }
        if woken {
            self.drain_wakeup();
        }
        Ok(woken)
    }

    /// Tokens of the sockets that the last [`Self::wait`] found readable (or writable, where that
    /// is watched; or closed).
    pub fn readable(&self) -> impl Iterator<Item = u64> + '_ {
        self.ready.iter().copied()
    }

    fn register(
        &self,
        source: &impl AsFd,
        token: u64,
        operation: libc::c_int,
        writable: bool,
    ) -> io::Result<()> {
        let writable = if writable { libc::EPOLLOUT } else { 0 };
        let mut event = libc::epoll_event {
            events: (libc::EPOLLIN | writable) as u32,
            u64: token,
        };
        // SAFETY: both descriptors are open (borrowed), and `event` outlives the call.
        check(unsafe {
            libc::epoll_ctl(
                self.epoll.as_raw_fd(),
                operation,
                source.as_fd().as_raw_fd(),
                &mut event,
            )
        })?;
        Ok(())
    }

    fn wait_raw(
        &mut self,
        events: &mut [libc::epoll_event; EVENTS_PER_WAIT_MAX],
        timeout: Option<Duration>,
    ) -> io::Result<usize> {
        if self.nanoseconds {
            match wait_nanoseconds(&self.epoll, events, timeout) {
                // Absent before Linux 5.11; some sandboxes refuse unknown calls with EPERM.
                Err(error) if matches!(error.raw_os_error(), Some(libc::ENOSYS | libc::EPERM)) => {
                    self.nanoseconds = false;
                }
                result => return result,
            }
        }
        wait_milliseconds(&self.epoll, events, timeout)
    }

    fn drain_wakeup(&self) {
        let mut count = 0u64;
        // SAFETY: the buffer is eight bytes, as an eventfd wants, and outlives the call. A failure
        // means that another wait drained it first, so the result does not matter.
        let _ = unsafe {
            libc::read(
                self.wakeup.as_raw_fd(),
                (&raw mut count).cast(),
                size_of::<u64>(),
            )
        };
    }
}

impl Waker {
    /// Makes the current or the next [`Poller::wait`] return at once. Several calls before it
    /// returns count as one.
    pub fn wake(&self) {
        let one = 1u64;
        // SAFETY: the buffer is eight bytes, as an eventfd wants, and outlives the call. It fails
        // only when the counter is full, and then the poller wakes anyway.
        let _ = unsafe {
            libc::write(
                self.wakeup.as_raw_fd(),
                (&raw const one).cast(),
                size_of::<u64>(),
            )
        };
    }
}

fn wait_nanoseconds(
    epoll: &OwnedFd,
    events: &mut [libc::epoll_event; EVENTS_PER_WAIT_MAX],
    timeout: Option<Duration>,
) -> io::Result<usize> {
    let time = timeout.map(|timeout| libc::timespec {
        tv_sec: timeout.as_secs().try_into().unwrap_or(libc::c_long::MAX),
        tv_nsec: libc::c_long::from(timeout.subsec_nanos() as i32),
    });
    let time = time.as_ref().map_or(std::ptr::null(), std::ptr::from_ref);
    // SAFETY: `events` has room for the count that is passed, `time` is null or points to a
    // timespec that outlives the call, and a null signal mask leaves the mask as it is.
    let count = unsafe {
        libc::syscall(
            libc::SYS_epoll_pwait2,
            epoll.as_raw_fd(),
            events.as_mut_ptr(),
            EVENTS_PER_WAIT_MAX as libc::c_int,
            time,
            std::ptr::null::<libc::sigset_t>(),
            0usize,
        )
    };
    if count < 0 {
        Err(io::Error::last_os_error())
    } else {
        Ok(count as usize)
    }
}

/// Rounds the timeout up, so that a loop never spins through the last millisecond.
fn wait_milliseconds(
    epoll: &OwnedFd,
    events: &mut [libc::epoll_event; EVENTS_PER_WAIT_MAX],
    timeout: Option<Duration>,
) -> io::Result<usize> {
    let milliseconds = timeout.map_or(-1, |timeout| {
        libc::c_int::try_from(timeout.as_nanos().div_ceil(1_000_000)).unwrap_or(libc::c_int::MAX)
    });
    // SAFETY: `events` has room for the count that is passed.
    let count = check(unsafe {
        libc::epoll_wait(
            epoll.as_raw_fd(),
            events.as_mut_ptr(),
            EVENTS_PER_WAIT_MAX as libc::c_int,
            milliseconds,
        )
    })?;
    Ok(count as usize)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Instant;

    #[expect(
        clippy::disallowed_methods,
        reason = "these tests are about real time passing"
    )]
    fn now() -> Instant {
        Instant::now()
    }

    #[test]
    fn a_wait_below_a_millisecond_is_not_rounded_away() {
        let mut poller = Poller::new().unwrap();
        let start = now();
        assert!(!poller.wait(Some(Duration::from_micros(300))).unwrap());
        assert!(start.elapsed() >= Duration::from_micros(300));
        assert_eq!(poller.readable().count(), 0);
    }

    #[test]
    fn without_epoll_pwait2_a_wait_still_lasts_long_enough() {
        let mut poller = Poller::new().unwrap();
        poller.nanoseconds = false;
        let start = now();
        assert!(!poller.wait(Some(Duration::from_micros(1300))).unwrap());
        assert!(start.elapsed() >= Duration::from_micros(1300));
        poller.waker().wake();
        assert!(poller.wait(None).unwrap());
    }

    #[test]
    fn another_thread_ends_an_endless_wait() {
        let mut poller = Poller::new().unwrap();
        let waker = poller.waker();
        let other = std::thread::spawn(move || waker.wake());
        assert!(poller.wait(None).unwrap());
        other.join().unwrap();
    }

    #[test]
    fn many_wakes_are_one_and_none_is_left_over() {
        let mut poller = Poller::new().unwrap();
        let waker = poller.waker();
        for _ in 0..100 {
            waker.wake();
        }
        assert!(poller.wait(Some(Duration::ZERO)).unwrap());
        assert!(!poller.wait(Some(Duration::ZERO)).unwrap());
    }

    #[test]
    fn room_to_write_is_reported_only_while_it_is_watched() {
        let socket = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
        let mut poller = Poller::new().unwrap();
        poller.add(&socket, 7).unwrap();
        let mut reported = |writable| {
            poller.watch_writable(&socket, 7, writable).unwrap();
            poller.wait(Some(Duration::ZERO)).unwrap();
            poller.readable().count()
        };
        assert_eq!(reported(true), 1);
        assert_eq!(reported(false), 0);
    }

    #[test]
    fn a_socket_is_reported_until_it_is_read() {
        let socket = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
        let mut poller = Poller::new().unwrap();
        poller.add(&socket, 7).unwrap();
        socket.send_to(b"x", socket.local_addr().unwrap()).unwrap();
        for _ in 0..2 {
            assert!(!poller.wait(Some(Duration::from_secs(5))).unwrap());
            assert_eq!(poller.readable().collect::<Vec<_>>(), [7]);
        }
        socket.recv(&mut [0; 4]).unwrap();
        poller.wait(Some(Duration::ZERO)).unwrap();
        assert_eq!(poller.readable().count(), 0);
    }
}
