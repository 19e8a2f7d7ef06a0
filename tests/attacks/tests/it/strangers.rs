//! Datagrams of people without a ticket, and of one whose ticket has been seen on the way: none is
//! answered, none costs much, and nothing grows.

use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::time::Duration;

use attacks::{Attacker, Scale, relay_program};
use loadgen::relay_process::RelayProcess;

/// Most CPU time of the shard for one datagram of a stranger, microseconds, and what it may be
/// where others use the processor's caches.
const GARBAGE_MAX_US: f64 = 5.0;
const GARBAGE_AMONG_OTHERS_MAX_US: f64 = 12.0;
/// Datagrams that are sent before the shard is given 5 ms, fewer than its socket holds.
const BURST: u32 = 200;
/// Sources that use one check of a ticket.
const SOURCES: u32 = 40_000;
/// Most memory that they may leave behind, bytes: 100 for each would be more. Resident memory goes
/// up and down by a megabyte or two by itself.
const GROWTH_MAX: f64 = 3.5e6;

/// A STUN message (RFC 8489) of a type and attributes, with the length that they have.
fn stun(kind: u16, cookie: u32, attributes: &[u8]) -> Vec<u8> {
    let mut data = kind.to_be_bytes().to_vec();
    data.extend((attributes.len() as u16).to_be_bytes());
    data.extend(cookie.to_be_bytes());
    data.extend([9; 12]);
    data.extend(attributes);
    data
}

fn attribute(kind: u16, value: &[u8]) -> Vec<u8> {
    let mut data = kind.to_be_bytes().to_vec();
    data.extend((value.len() as u16).to_be_bytes());
    data.extend(value);
    data.resize(data.len().next_multiple_of(4), 0);
    data
}

/// Twelve kinds of what strangers send; `check` is a good one of a player's.
fn kinds(check: &[u8]) -> Vec<(&'static str, Vec<u8>)> {
    const COOKIE: u32 = 0x2112_a442;
    const USERNAME: u16 = 6;
    const INTEGRITY: u16 = 8;
    let long_name = [b"a".repeat(111), b":b".to_vec()].concat();
    let unsealed = [
        attribute(USERNAME, &long_name),
        attribute(INTEGRITY, &[7; 20]),
    ]
    .concat();
    let mut cut = check.to_vec();
    cut.truncate(check.len() - 8);
    let mut changed = check.to_vec();
    changed[30] ^= 1;
    let mut hello = vec![22, 254, 253, 0, 0, 0, 0, 0, 0, 0, 0, 0, 60, 1];
    hello.resize(73, 0);
    vec![
        ("nothing", Vec::new()),
        ("one byte", vec![0]),
        ("noise", b"\x99\x01lifeverse".repeat(100)),
        ("a check without a name", stun(1, COOKIE, &[])),
        ("a check without a cookie", stun(1, 0, &unsealed)),
        ("a check whose ticket is none", stun(1, COOKIE, &unsealed)),
        ("a check cut short", cut),
        ("a check with a bit changed", changed),
        ("a response", stun(0x0101, COOKIE, &[])),
        ("a handshake", hello),
        ("voice", [&[0x80, 111][..], &[3; 80]].concat()),
        ("a report", [&[0x80, 200, 0, 6][..], &[3; 40]].concat()),
    ]
}

#[test]
fn strangers_get_no_answer_and_cost_little() {
    let _alone = crate::alone();
    let relay = RelayProcess::start(&relay_program().unwrap()).unwrap();
    let mut attacker = Attacker::join_room(&relay, "honest-0", 0).unwrap();
    let check = attacker.check().expect("it has checked connectivity");
    let to = attacker.relay();
    let scale = Scale::wanted();
    let most_us = if scale.is_large {
        GARBAGE_MAX_US
    } else {
        GARBAGE_AMONG_OTHERS_MAX_US
    };
    let time = scale.time / 10;
    for (name, data) in kinds(&check) {
        let stranger = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        stranger.set_nonblocking(true).unwrap();
        let before = attacker.figures(&relay).unwrap();
        let sent = attacker.keep_doing(time, |_, _, _| {
            for _ in 0..BURST {
                stranger.send_to(&data, to)?;
            }
            Ok(())
        });
        sent.unwrap();
        let after = attacker.figures(&relay).unwrap();
        let rise = |family| after.get(family) - before.get(family);
        let received = rise("relay_datagrams_received_total");
        let cpu_us = rise("relay_cpu_seconds_total") * 1e6 / received;
        println!("{name}: {cpu_us:.2} us of CPU for each of {received}");
        assert!(stranger.recv(&mut [0; 1500]).is_err(), "{name} is answered");
        assert!(received > 1000.0, "{name}: {received} received");
        assert!(cpu_us <= most_us, "{name}: {cpu_us:.2} us");
    }
    assert!(!attacker.is_over());
}

#[test]
fn a_check_from_ever_new_sources_leaves_nothing_behind() {
    let _alone = crate::alone();
    let relay = RelayProcess::start(&relay_program().unwrap()).unwrap();
    let mut attacker = Attacker::join_room(&relay, "honest-0", 0).unwrap();
    let check = attacker.check().expect("it has checked connectivity");
    let to = attacker.relay();
    let source = |n: u32| {
        let [_, a, b, c] = (n + 1).to_be_bytes();
        let from = SocketAddr::from((Ipv4Addr::new(127, a + 1, b, c), 0));
        UdpSocket::bind(from).unwrap().send_to(&check, to).unwrap();
    };
    // What the first ones take is not growth: tables have a size.
    let (mut n, mut before) = (0, None);
    while n < SOURCES {
        let sent = attacker.keep_doing(Duration::ZERO, |_, _, _| Ok(()));
        sent.unwrap();
        (n..n + BURST).for_each(source);
        n += BURST;
        if before.is_none() && n >= SOURCES / 10 {
            before = Some(attacker.figures(&relay).unwrap());
        }
    }
    let before = before.expect("it is taken on the way");
    let after = attacker.figures(&relay).unwrap();
    let grown = after.resident_bytes() - before.resident_bytes();
    println!("{SOURCES} sources: {:.0} kB more", grown / 1e3);
    assert!(grown <= GROWTH_MAX, "{grown} bytes more");
    attacker
        .keep_doing(Duration::from_millis(500), |_, _, _| Ok(()))
        .unwrap();
    assert!(!attacker.is_over(), "he is still there");
}
