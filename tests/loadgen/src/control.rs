//! The edge's end of a relay's control endpoint, on one connection.

use std::io::{BufReader, Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use wire::SessionId;
use wire::channel::RelayMessage;
use wire::chat::ChatEvent;
use wire::control::{CONTROL_PATH, ControlCommand, ControlMessage, SHARD_HEADER};

use crate::relay_process::{RelayProcess, read_head, shard_key};
use crate::unix_s;

/// Longest wait for an answer.
const PATIENCE: Duration = Duration::from_secs(10);
/// Longest answer that is read.
const ANSWER_BYTES_MAX: usize = 64 * 1024;

/// A chat message as the edge pushes it, of number `seq` and so many letters.
///
/// # Errors
/// When the room has no name.
pub fn chat_message(room: &str, seq: u64, letters: usize) -> Result<String> {
    let message = serde_json::json!({
        "seq": seq,
        "at_ms": unix_s() * 1000,
        "version": 1,
        "author": "player-1",
        "name": "Player 1",
        "text": "x".repeat(letters),
    });
    let message = RelayMessage::Chat {
        channel: format!("room~{room}~main").parse()?,
        event: Box::new(ChatEvent::Posted {
            message: serde_json::from_value(message)?,
            tail: String::new(),
        }),
    };
    Ok(serde_json::to_string(&message)?)
}

/// Orders for one relay.
pub struct Control<'a> {
    relay: &'a RelayProcess,
    stream: BufReader<TcpStream>,
    host: &'a str,
    orders: u64,
}

impl<'a> Control<'a> {
    /// Connects to the relay.
    ///
    /// # Errors
    /// When it does not take the connection.
    pub fn connect(relay: &'a RelayProcess) -> Result<Self> {
        let url = &relay.heartbeat.control_url;
        let host = url.strip_prefix("http://").context("an http address")?;
        let stream = TcpStream::connect(host)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        Ok(Self {
            relay,
            stream: BufReader::new(stream),
            host,
            orders: 0,
        })
    }

    /// Has the relay do something; it has taken the order when this returns.
    ///
    /// # Errors
    /// When it does not take it.
    pub fn order(&mut self, command: ControlCommand) -> Result<()> {
        self.orders += 1;
        let message = ControlMessage {
            at_ms: unix_s() * 1000,
            nonce: SessionId(self.orders.to_be_bytes()),
            command,
        };
        let sealed = message.seal(&shard_key().subkeys(), self.relay.heartbeat.boot);
        let (host, shard, length) = (self.host, &self.relay.heartbeat.shard, sealed.len());
        let request = format!(
            "POST {CONTROL_PATH} HTTP/1.1\r\nhost: {host}\r\n{SHARD_HEADER}: {shard}\r\n\
             content-length: {length}\r\n\r\n{sealed}"
        );
        self.stream.get_mut().write_all(request.as_bytes())?;
        let head = read_head(&mut self.stream)?.context("the relay closed the connection")?;
        let mut body = vec![0; head.length.min(ANSWER_BYTES_MAX)];
        self.stream.read_exact(&mut body)?;
        let is_taken = head.first.contains(" 20");
        let body = String::from_utf8_lossy(&body);
        ensure!(
            is_taken,
            "order {} is refused: {} {body}",
            self.orders,
            head.first
        );
        Ok(())
    }
}
