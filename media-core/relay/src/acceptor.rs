//! ICE-TCP for all shards of a relay on one port (RFC 6544): takes connections, and hands each to
//! the shard whose ticket it shows.
//!
//! **No state before proof.** A stranger's connection gets a small buffer of fixed size and a few
//! seconds to send one STUN request whose ticket one of the shards has sealed; the shard checks
//! the rest. Strangers are counted, in all and for each source.

use std::collections::HashMap;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream};
use tokio::task::{Id, JoinSet};
use tokio::time::timeout;
use wire::ticket::Ticket;

use crate::accepted::Outcome;
use crate::frames::split_frame;
use crate::shares::source;
use crate::state::{Relay, Shard};
use crate::streams::Arrival;

/// Connections that may be without proof at a time.
const STRANGERS_MAX: usize = 1024;

/// The same for one source: an IPv4 address, or the first 64 bits of an IPv6 address. Many
/// players may be behind one address, but few connect within the same second.
const STRANGERS_PER_SOURCE_MAX: u32 = 64;

/// Time to show a ticket.
const PROOF_MAX: Duration = Duration::from_secs(3);

/// Bytes that are read of a stranger: a binding request with a ticket has about 300.
const FIRST_READ_BYTES_MAX: usize = 600;

/// Pause after a failure to accept, which means that descriptors are short.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Takes connections of `listener` until dropped.
pub(crate) async fn accept(listener: TcpListener, relay: Arc<Relay>) {
    let mut strangers = Strangers::default();
    let mut tasks = JoinSet::new();
    loop {
        let stats = &relay.accepted;
        let strangers_now = u64::try_from(tasks.len()).unwrap_or(u64::MAX);
        stats.strangers.store(strangers_now, Ordering::Relaxed);
        tokio::select! {
            Some(ended) = tasks.join_next_with_id() => match ended {
                Ok((id, outcome)) => {
                    stats.note(outcome);
                    strangers.forget(id);
                }
                // A task that panicked is no reason to take no others.
                Err(error) => strangers.forget(error.id()),
            },
            accepted = listener.accept() => match accepted {
                Ok((connection, from)) => {
                    if tasks.len() >= STRANGERS_MAX {
                        stats.note(Outcome::Busy);
                        continue;
                    }
                    let source = source(from.ip());
                    if strangers.of(source) >= STRANGERS_PER_SOURCE_MAX {
                        stats.note(Outcome::BusySource);
                        continue;
                    }
                    let task = tasks.spawn(welcome(connection, from, relay.clone()));
                    strangers.remember(task.id(), source);
                }
                Err(error) => {
                    tracing::warn!(kind = %error.kind(), "a media connection was not accepted");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            },
        }
    }
}

/// Who waits, by source.
#[derive(Default)]
struct Strangers {
    sources: HashMap<IpAddr, u32>,
    by_task: HashMap<Id, IpAddr>,
}

impl Strangers {
    fn of(&self, source: IpAddr) -> u32 {
        self.sources.get(&source).copied().unwrap_or_default()
    }

    fn remember(&mut self, task: Id, source: IpAddr) {
        *self.sources.entry(source).or_default() += 1;
        self.by_task.insert(task, source);
    }

    fn forget(&mut self, task: Id) {
        let Some(source) = self.by_task.remove(&task) else {
            return;
        };
        if let Some(count) = self.sources.get_mut(&source) {
            *count -= 1;
            if *count == 0 {
                self.sources.remove(&source);
            }
        }
    }
}

async fn welcome(connection: TcpStream, from: SocketAddr, relay: Arc<Relay>) -> Outcome {
    timeout(PROOF_MAX, prove(connection, from, &relay))
        .await
        .unwrap_or(Outcome::Late)
}

async fn prove(connection: TcpStream, from: SocketAddr, relay: &Relay) -> Outcome {
    let (mut buffer, mut length) = ([0; FIRST_READ_BYTES_MAX], 0);
    let shard = loop {
        if connection.readable().await.is_err() {
            return Outcome::Closed;
        }
        match connection.try_read(&mut buffer[length..]) {
            Ok(0) => return Outcome::Closed,
            Ok(count) => length += count,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => continue,
            Err(_) => return Outcome::Closed,
        }
        match split_frame(&buffer[..length]) {
            Ok(Some((datagram, _))) => {
                let Some(ticket) = sfu::ticket_of(datagram) else {
                    return Outcome::NotStun;
                };
                match relay.shards.iter().find(|shard| shard.has_sealed(ticket)) {
                    Some(shard) => break shard,
                    None => return Outcome::Ticket,
                }
            }
            Ok(None) if length < FIRST_READ_BYTES_MAX => {}
            _ => return Outcome::NotStun,
        }
    };
    let read = buffer[..length].to_vec();
    match hand_over(shard, connection, from, read) {
        Ok(()) => Outcome::Taken,
        Err(_) => Outcome::Shard,
    }
}

/// The connection is non-blocking, as tokio made it.
fn hand_over(
    shard: &Shard,
    connection: TcpStream,
    from: SocketAddr,
    read: Vec<u8>,
) -> io::Result<()> {
    let arrival = Arrival {
        connection: connection.into_std()?,
        from,
        read,
    };
    shard
        .handle
        .take_connection(arrival)
        .map_err(|_| io::ErrorKind::WouldBlock.into())
}

impl Shard {
    /// Whether this run of the shard could admit the session of `ticket`, whatever its age: a
    /// session that exists may come back by another connection.
    fn has_sealed(&self, ticket: &str) -> bool {
        Ticket::open_expired(ticket, &self.keys, self.boot).is_ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_ipv6_network_is_one_source_and_an_ipv4_address_is_one() {
        let of = |text: &str| source(text.parse().unwrap());
        assert_eq!(of("2001:db8::1"), of("2001:db8::ffff:1"));
        assert_ne!(of("2001:db8::1"), of("2001:db8:0:1::1"));
        assert_ne!(of("192.0.2.1"), of("192.0.2.2"));
        assert_eq!(of("::ffff:192.0.2.1"), of("192.0.2.1"));
    }
}
