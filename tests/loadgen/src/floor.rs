//! What the kernel alone takes to send what a relay sends.

use std::time::Duration;

use anyhow::Result;
use udp::{Options, RecvBatch, SendBatch, Socket, thread_cpu_time};

/// Receivers of one batch: the listeners of a room.
const RECEIVERS: usize = 100;
/// A voice packet of 60 bytes with header, extension and tag, rounded up.
const PAYLOAD_BYTES: usize = 120;

/// Options of every socket that stands for a client. Clients are on other machines in truth, so
/// their kernel's offload must not take work off the relay.
pub fn client_options() -> Options {
    Options {
        receive_buffer_bytes: 512 * 1024,
        send_buffer_bytes: 256 * 1024,
        gso: false,
        gro: false,
        arrivals: false,
    }
}

/// CPU time of one datagram of a batch to [`RECEIVERS`] sockets of loopback, over `rounds` batches.
///
/// # Errors
/// When there are not enough sockets.
pub fn measure(rounds: u32) -> Result<Duration> {
    let any = ([127, 0, 0, 1], 0).into();
    let sender = Socket::bind(any, &Options::default())?;
    let mut receivers = (0..RECEIVERS)
        .map(|_| Socket::bind(any, &client_options()))
        .collect::<Result<Vec<_>, _>>()?;
    let mut batch = SendBatch::new(&sender);
    let mut received = RecvBatch::new();
    let mut spent = Duration::ZERO;
    let payload = [7; PAYLOAD_BYTES];
    for _ in 0..rounds {
        for receiver in &receivers {
            batch.push(&sender, receiver.local_address(), &payload);
        }
        let before = thread_cpu_time();
        batch.flush(&sender);
        spent += thread_cpu_time().saturating_sub(before);
        for receiver in &mut receivers {
            receiver.recv(&mut received)?;
        }
    }
    let datagrams = u32::try_from(batch.stats().datagrams)?;
    assert_eq!(datagrams, rounds * RECEIVERS as u32, "loopback takes all");
    Ok(spent / datagrams)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_datagram_takes_some_time_and_not_a_second() {
        let each = measure(20).unwrap();
        assert!(each > Duration::from_nanos(50), "{each:?}");
        assert!(each < Duration::from_millis(1), "{each:?}");
    }
}
