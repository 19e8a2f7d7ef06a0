//! ICE-TCP for all shards of a relay on one port (RFC 6544): takes connections, and hands each to
//! the shard whose ticket it shows.
//!
//! **No state before proof.** A stranger's connection gets a small buffer of fixed size and a few
//! seconds to send one STUN request whose ticket one of the shards has sealed; the shard checks
//! the rest. Until then it has a place at the door, which it may lose.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio::time::timeout;
use wire::ticket::Ticket;

use crate::frames::split_frame;
use crate::outcome::Outcome;
use crate::state::{Relay, Shard};
use crate::streams::Arrival;

/// Bytes that are read of a stranger: a binding request with a ticket has about 300.
const FIRST_READ_BYTES_MAX: usize = 600;

/// Pause after a failure to accept, which means that descriptors are short.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Takes connections of `listener` until dropped.
pub(crate) async fn accept(listener: TcpListener, relay: Arc<Relay>) {
    let mut tasks = JoinSet::new();
    let stats = &relay.accepted;
    loop {
        tokio::select! {
            // A task that panicked is no reason to take no others.
            Some(_) = tasks.join_next() => {}
            accepted = listener.accept() => match accepted {
                Ok((connection, from)) => {
                    let lost = stats.door.enter(from.ip(), |place| {
                        let relay = relay.clone();
                        tasks.spawn(async move {
                            let outcome = welcome(connection, from, &relay).await;
                            drop(place);
                            relay.accepted.note(outcome);
                        })
                    });
                    lost.into_iter().for_each(|outcome| stats.note(outcome));
                }
                Err(error) => {
                    tracing::warn!(kind = %error.kind(), "a media connection was not accepted");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            },
        }
    }
}

async fn welcome(connection: TcpStream, from: SocketAddr, relay: &Relay) -> Outcome {
    let patience = relay.accepted.door.patience();
    timeout(patience, prove(connection, from, relay))
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
