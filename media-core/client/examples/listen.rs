//! Joins a room and prints who is there and who is heard: `listen http://HOST:PORT ROOM TOKEN`.
//!
//! A socket, a clock and an HTTP request are all that an application adds. The edge is asked over
//! plain HTTP, as one on the same machine answers it.
#![expect(
    clippy::disallowed_methods,
    clippy::print_stdout,
    reason = "a program with a real clock and an output"
)]

use std::error::Error;
use std::io::{Read as _, Write as _};
use std::net::{TcpStream, UdpSocket};
use std::sync::Arc;
use std::time::{Duration, Instant};

use client::{Call, CallEvent, CallOptions, Cause, Options, Refusal, State};
use wire::ShardId;
use wire::join::{JoinReply, JoinRequest};

/// Longest datagram.
const DATAGRAM_BYTES_MAX: usize = 2048;
const REPLY_LIMIT: Duration = Duration::from_secs(6);

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().collect();
    let [_, edge, room, token] = &arguments[..] else {
        return Err("usage: listen http://HOST:PORT ROOM TOKEN".into());
    };
    let host = edge.strip_prefix("http://").ok_or("use http://HOST:PORT")?;
    let socket = UdpSocket::bind("0.0.0.0:0")?;
    // The address of this machine from which the edge is reached.
    let route = UdpSocket::bind("0.0.0.0:0")?;
    route.connect(host)?;
    let local = (route.local_addr()?.ip(), socket.local_addr()?.port()).into();
    let crypto = Arc::new(str0m::crypto::from_feature_flags());
    let certificate = crypto.dtls_provider.generate_certificate();
    let certificate = certificate.ok_or("no certificate can be made")?;
    let options = CallOptions {
        connection: Options::new(crypto, certificate, local),
        seed: u64::from(std::process::id()),
    };
    let mut call = Call::new(options, Instant::now());
    let mut buffer = [0; DATAGRAM_BYTES_MAX];
    loop {
        while let Some(transmit) = call.poll_transmit() {
            // What is not sent is lost, as any datagram may be.
            let _ = socket.send_to(&transmit.data, transmit.destination);
        }
        let Some(event) = call.poll_event() else {
            let until = call.poll_timeout().ok_or("the call is over")?;
            let wait = until.saturating_duration_since(Instant::now());
            socket.set_read_timeout(Some(wait.max(Duration::from_millis(1))))?;
            if let Ok((length, from)) = socket.recv_from(&mut buffer) {
                call.handle_datagram(Instant::now(), from, &buffer[..length]);
            }
            call.handle_timeout(Instant::now());
            continue;
        };
        match event {
            CallEvent::Join(id, offer) => {
                let reply = ask(host, room, token, (offer, call.lost().cloned()));
                call.handle_reply(Instant::now(), id, reply);
            }
            CallEvent::State(State::Ended(cause)) => return Err(cause.label().into()),
            CallEvent::State(_) | CallEvent::Failed(_) => println!("{event:?}"),
            CallEvent::Heard(heard) if heard.voice.starts => println!("heard {:?}", heard.player),
            CallEvent::Changed(changed) if changed.roster => println!("here {:?}", call.players()),
            // It sends nothing that could be set.
            CallEvent::Quality | CallEvent::Settings(_) => {}
            CallEvent::Heard(_) | CallEvent::Changed(_) | CallEvent::Chat(..) => {}
        }
    }
}

/// The one request of a join.
fn ask(
    host: &str,
    room: &str,
    token: &str,
    (offer, lost): (String, Option<ShardId>),
) -> Result<JoinReply, Cause> {
    let request = JoinRequest {
        offer,
        channels: None,
        region: None,
        lost,
    };
    let body = serde_json::to_string(&request).map_err(|_| Cause::Network)?;
    let text = post(host, room, token, &body).map_err(|_| Cause::Network)?;
    let (head, body) = text.split_once("\r\n\r\n").ok_or(Cause::BadReply)?;
    let status = head
        .split(' ')
        .nth(1)
        .and_then(|status| status.parse().ok());
    match status {
        Some(201) => serde_json::from_str(body).map_err(|_| Cause::BadReply),
        status => Err(Cause::Refused(Refusal {
            status: status.unwrap_or_default(),
            problem: String::new(),
            retry_after: None,
        })),
    }
}

fn post(host: &str, room: &str, token: &str, body: &str) -> std::io::Result<String> {
    let mut stream = TcpStream::connect(host)?;
    stream.set_read_timeout(Some(REPLY_LIMIT))?;
    write!(
        stream,
        "POST /v1/rooms/{room}/sessions HTTP/1.1\r\nhost: {host}\r\nconnection: close\r\n\
         authorization: Bearer {token}\r\ncontent-type: application/json\r\n\
         content-length: {}\r\n\r\n{body}",
        body.len()
    )?;
    let mut reply = String::new();
    stream.read_to_string(&mut reply)?;
    Ok(reply)
}
