//! Data-channel messages as the relay reads and writes them.

use std::sync::Arc;

use relay::{Profile, SealedProtocol};
use sfu::{Notice, Protocol as _, Request, RosterEntry, SessionId};
use wire::channel::{ClientMessage, RelayMessage};
use wire::hello::Hello;
use wire::limits::{MAX_MESSAGE_BYTES, MAX_TOPICS};

use crate::{BOOT, keys, protocol};

/// Who sends.
const SESSION: SessionId = SessionId([7; 8]);

/// The first byte chooses: a message as it is, or the JSON of a hello that the edge would seal.
pub fn run(data: &[u8]) {
    match data {
        [0, message @ ..] => plain(message),
        [_, json @ ..] => {
            if let Ok(hello) = serde_json::from_slice::<Hello>(json) {
                sealed(&hello);
            }
        }
        [] => {}
    }
}

fn plain(message: &[u8]) {
    let read = protocol().read(SESSION, message);
    let is_hello = matches!(read, Ok(Request::Hello(_)));
    assert!(!is_hello, "nobody without the key seals a hello");
    assert!(read.is_err() || message.len() <= MAX_MESSAGE_BYTES);
    // What a client would make of it, and that it is written as it was read.
    if let Ok(message) = RelayMessage::read(message) {
        let written = serde_json::to_vec(&message).expect("our messages have string keys only");
        let again = RelayMessage::read(&written).expect("what we wrote");
        assert_eq!(again, message);
    }
}

fn sealed(hello: &Hello) {
    let protocol = protocol();
    let sealed = hello.seal(&keys(), BOOT);
    let message = ClientMessage::Hello { sealed };
    let message = serde_json::to_vec(&message).expect("our messages have string keys only");
    let fits = message.len() <= MAX_MESSAGE_BYTES;
    let own = SessionId(hello.session.0);
    let other = SessionId(hello.session.0.map(|byte| !byte));
    assert!(protocol.read(other, &message).is_err(), "it is not theirs");
    match protocol.read(own, &message) {
        Ok(Request::Hello(read)) => {
            assert!(fits);
            let subscribed = hello.topics.len() + usize::from(hello.world);
            let reads_party = usize::from(hello.party != Some(false));
            assert_eq!(read.topics.len(), subscribed.min(MAX_TOPICS) + reads_party);
            assert_eq!(read.channels.len(), hello.channels.len());
            assert_eq!(read.issued_at_ms, hello.issued_at_ms);
            welcome(&protocol, &read.profile);
        }
        Ok(other) => panic!("a hello was read as {other:?}"),
        Err(_) => assert!(!fits, "a hello that the edge sealed was refused"),
    }
}

/// Whatever is in a profile, a client can read the roster.
fn welcome(protocol: &SealedProtocol, profile: &Arc<Profile>) {
    let entry = RosterEntry {
        id: 1,
        profile: Some(profile),
        muted: false,
        server_muted: false,
        deafened: true,
        speaker: true,
    };
    let written = protocol.write(&Notice::Welcome {
        participant: 1,
        profile,
        slots: 4,
        participants: vec![entry],
        count: None,
    });
    let Ok(RelayMessage::Welcome { participants, .. }) = RelayMessage::read(&written) else {
        panic!("a client cannot read its welcome");
    };
    let [participant] = &participants[..] else {
        panic!("one participant became {}", participants.len());
    };
    assert_eq!(participant.name, profile.name);
    assert_eq!(participant.player.as_ref(), Some(&profile.player));
    assert_eq!(participant.channels, profile.channels);
}
