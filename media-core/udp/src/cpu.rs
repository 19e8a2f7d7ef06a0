//! CPU time of the calling thread.

use std::time::Duration;

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

#[cfg(test)]
mod tests {
    use super::*;

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
