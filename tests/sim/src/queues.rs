//! Bounds on everything that the core keeps.

use sfu::{Protocol, Sfu};

/// Timers that may be queued for each session and room, outdated ones included.
const TIMERS_EACH_MAX: usize = 256;
/// Messages that may wait for a data channel: what the core promises.
const OUTBOX_MAX: usize = 512;

/// Checks the bounds, with the core drained.
///
/// # Errors
/// What is too long.
pub fn check<P: Protocol>(sfu: &Sfu<P>) -> Result<(), String> {
    let queues = sfu.queues();
    let owners = sfu.sessions() + sfu.rooms();
    let bounds = [
        ("datagrams to send", queues.transmits, 0),
        ("events", queues.events, 0),
        ("sessions to serve", queues.dirty, 0),
        ("messages of one session", queues.longest_outbox, OUTBOX_MAX),
        ("addresses", queues.addresses, 4 * sfu.sessions()),
        ("players with sessions", queues.holders, sfu.sessions()),
        ("timers", queues.timers, TIMERS_EACH_MAX * (owners + 1)),
    ];
    for (what, length, bound) in bounds {
        if length > bound {
            return Err(format!("{length} {what} wait, at most {bound} may"));
        }
    }
    Ok(())
}

/// Checks that nothing is kept for sessions that are gone.
///
/// # Errors
/// What is left.
pub fn check_empty<P: Protocol>(sfu: &Sfu<P>) -> Result<(), String> {
    let queues = sfu.queues();
    let left = queues.addresses + queues.timers + queues.dirty + queues.transmits + queues.holders;
    if left > 0 {
        return Err(format!("nobody is left, but {queues:?} is"));
    }
    Ok(())
}
