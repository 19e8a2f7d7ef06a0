//! CPU time of the calling thread, and its turn among others.

use std::io;
use std::time::Duration;

use crate::check;

/// CPU time, user and system, that the calling thread has used since it started. It includes the
/// kernel's work in the thread's own system calls, which is most of what a datagram costs.
pub fn thread_cpu_time() -> Duration {
    let mut time = libc::timespec {
        tv_sec: 0,
        tv_nsec: 0,
    };
    // SAFETY: `time` is a valid timespec that outlives the call.
    let result = unsafe { libc::clock_gettime(libc::CLOCK_THREAD_CPUTIME_ID, &mut time) };
    assert_eq!(result, 0, "CLOCK_THREAD_CPUTIME_ID exists on every Linux");
    Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
}

/// Sets the calling thread's nice value, -20 (first) to 19 (last); others keep theirs. Below what
/// it has needs `CAP_SYS_NICE` or `RLIMIT_NICE`; see setpriority(2).
///
/// # Errors
/// What the kernel says: `PermissionDenied` without that right.
pub fn set_thread_nice(nice: i32) -> io::Result<()> {
    // SAFETY: takes three numbers. A `who` of 0 is the calling thread on Linux.
    check(unsafe { libc::setpriority(libc::PRIO_PROCESS, 0, nice) })?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_thread_is_made_to_wait_alone() {
        let nice = || -> i32 {
            let stat = std::fs::read_to_string("/proc/thread-self/stat").unwrap();
            // What follows the name in parentheses begins with field 3; this is field 19, proc(5).
            let (_, fields) = stat.rsplit_once(") ").unwrap();
            fields.split(' ').nth(16).unwrap().parse().unwrap()
        };
        let before = nice();
        let other = std::thread::spawn(move || {
            set_thread_nice(19).unwrap();
            nice()
        });
        assert_eq!(other.join().unwrap(), 19);
        assert_eq!(nice(), before);
    }

    #[test]
    fn work_is_seen_and_never_goes_back() {
        let start = thread_cpu_time();
        let mut last = start;
        let mut sum = 0u64;
        while last < start + Duration::from_millis(5) {
            sum = std::hint::black_box((0..10_000u64).fold(sum, u64::wrapping_add));
            let now = thread_cpu_time();
            assert!(now >= last);
            last = now;
        }
    }
}
