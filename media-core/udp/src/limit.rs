//! The process's limit of open descriptors.

use std::io;

use crate::check;

/// Raises the soft limit of open descriptors to the hard one, and returns it. Each TCP connection
/// is one, and many systems begin with 1024.
///
/// # Errors
/// What the kernel says.
pub fn raise_descriptor_limit() -> io::Result<u64> {
    let mut limit = libc::rlimit {
        rlim_cur: 0,
        rlim_max: 0,
    };
    // SAFETY: `limit` outlives the call and is of the kind that it writes.
    check(unsafe { libc::getrlimit(libc::RLIMIT_NOFILE, &raw mut limit) })?;
    limit.rlim_cur = limit.rlim_max;
    // SAFETY: `limit` outlives the call, which only reads it.
    check(unsafe { libc::setrlimit(libc::RLIMIT_NOFILE, &raw const limit) })?;
    Ok(limit.rlim_cur)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_limit_can_be_raised_again_and_again() {
        let limit = raise_descriptor_limit().unwrap();
        assert!(limit >= 64, "{limit}");
        assert_eq!(raise_descriptor_limit().unwrap(), limit);
    }
}
