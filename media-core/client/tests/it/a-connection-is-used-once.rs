//! What a connection refuses and survives: strangers' bytes, bad answers, orders out of order.

use std::net::SocketAddr;
use std::time::Instant;

use client::{Cause, Connection, Contact, Event, Options, Voice};
use wire::channel::ClientMessage;
use wire::join::JoinReply;

use crate::world::crypto;

const RELAY: &str = "10.0.0.1:7410";

fn options() -> Options {
    let (crypto, certificate) = crypto();
    Options::new(crypto, certificate, "10.0.1.1:5000".parse().unwrap())
}

#[expect(
    clippy::disallowed_methods,
    reason = "virtual time needs an instant to start from"
)]
fn start() -> Instant {
    Instant::now()
}

fn reply(answer: &str) -> JoinReply {
    JoinReply {
        session: "eu-1~0000000000000001".parse().unwrap(),
        answer: answer.to_owned(),
        hello: "sealed".to_owned(),
        region: "eu".parse().unwrap(),
        relay: "eu-1".parse().unwrap(),
        world: None,
        expires_at: 0,
    }
}

#[test]
fn an_answer_that_makes_no_sense_is_an_error_and_no_panic() {
    let now = start();
    for answer in [
        "",
        "v=0",
        "<html>",
        "v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\n",
    ] {
        let (mut connection, offer) = Connection::offer(options(), now).unwrap();
        assert!(offer.contains("m=audio") && offer.contains("m=application"));
        assert!(
            connection.handle_reply(now, &reply(answer)).is_err(),
            "{answer:?}"
        );
    }
    let mut never_offered = Connection::new(options(), now);
    let error = never_offered.handle_reply(now, &reply("v=0")).unwrap_err();
    assert_eq!(error, "there was no offer");
}

#[test]
fn an_address_that_nobody_can_be_reached_at_is_refused() {
    let mut options = options();
    options.local = "0.0.0.0:5000".parse().unwrap();
    assert!(Connection::offer(options, start()).is_err());
}

#[test]
fn bytes_of_strangers_and_orders_before_their_time_change_nothing() {
    let now = start();
    let mut connection = Connection::new(options(), now);
    let relay: SocketAddr = RELAY.parse().unwrap();
    let contact = Contact {
        relay,
        fingerprint: format!("sha-256 {}", ["AB"; 32].join(":")),
        ufrag: "ticket".to_owned(),
        password: "a-password-of-enough-bytes".to_owned(),
        slot_ssrcs: vec![1, 2],
        has_channel: true,
        hello: Some("sealed".to_owned()),
    };
    connection.handle_contact(now, contact).unwrap();
    let mut bytes: Vec<u8> = Vec::new();
    for n in 0..2000_u32 {
        bytes.push((n.wrapping_mul(2_654_435_761) >> 24) as u8);
        let from = bytes.len().saturating_sub(200);
        connection.handle_datagram(now, relay, &bytes[from..]);
    }
    let voice = Voice {
        seq: 1,
        time: 960,
        level: -20,
        payload: vec![0; 60],
        payload_type: None,
    };
    assert!(!connection.handle_voice(now, voice));
    connection.handle_bytes(now, b"nobody hears this");
    for id in 0..10_000 {
        connection.handle_message(now, ClientMessage::Ping { id });
    }
    assert!(connection.poll_event().is_none());
    assert_eq!(connection.view().slots(), [None, None]);
    connection.leave(now);
    assert!(matches!(
        connection.poll_event(),
        Some(Event::Closed(Cause::Left))
    ));
    // Over is over.
    connection.close(Cause::Network);
    connection.handle_timeout(now);
    connection.handle_datagram(now, relay, &bytes);
    assert!(connection.poll_event().is_none() && connection.poll_timeout().is_none());
}
