//! Real sockets on the loopback device.

use std::collections::HashMap;
use std::net::{Ipv6Addr, SocketAddr, UdpSocket};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use proptest::prelude::*;
use udp::{DATAGRAM_BYTES_MAX, DropReason, Options, Poller, RecvBatch, SendBatch, Socket};

const WAIT_MAX: Duration = Duration::from_secs(10);

fn bind(address: &str, options: &Options) -> Socket {
    Socket::bind(address.parse().expect("an address"), options).expect("loopback can be bound")
}

/// Whether the machine has IPv6; says so when not.
fn has_ipv6() -> bool {
    let found = UdpSocket::bind((Ipv6Addr::LOCALHOST, 0)).is_ok();
    if !found {
        eprintln!("skipped: this machine has no IPv6");
    }
    found
}

/// Receives until `count` datagrams have come or nothing comes any more.
fn receive(socket: &mut Socket, count: usize) -> Vec<(SocketAddr, Vec<u8>)> {
    let mut poller = Poller::new().expect("a poller");
    poller.add(socket, 0).expect("the socket can be polled");
    let mut batch = RecvBatch::new();
    let mut all = Vec::new();
    while all.len() < count {
        poller.wait(Some(WAIT_MAX)).expect("epoll works");
        if poller.readable().count() == 0 {
            break;
        }
        while socket.recv(&mut batch).expect("loopback receives") {
            all.extend(
                batch
                    .datagrams()
                    .map(|datagram| (datagram.from, datagram.data.to_vec())),
            );
        }
        all.extend(
            batch
                .datagrams()
                .map(|datagram| (datagram.from, datagram.data.to_vec())),
        );
    }
    all
}

fn payload(number: u32, bytes: usize) -> Vec<u8> {
    let mut payload = number.to_be_bytes().to_vec();
    payload.resize(bytes.max(4), number as u8);
    payload
}

fn round_trip(address: &str, options: &Options, count: u32, bytes: usize) {
    let sender = bind(address, options);
    let mut receiver = bind(address, options);
    let mut batch = SendBatch::new(&sender);
    for number in 0..count {
        batch.push(&sender, receiver.local_address(), &payload(number, bytes));
    }
    batch.flush(&sender);
    assert_eq!(batch.stats().datagrams, u64::from(count));
    let wanted: Vec<_> = (0..count)
        .map(|number| (sender.local_address(), payload(number, bytes)))
        .collect();
    assert_eq!(receive(&mut receiver, wanted.len()), wanted);
    assert_eq!(receiver.receive_overflows(), 0);
}

#[test]
fn more_than_a_batch_arrives_in_order_over_ipv4() {
    round_trip("127.0.0.1:0", &Options::default(), 1000, 120);
}

#[test]
fn more_than_a_batch_arrives_in_order_over_ipv6() {
    if has_ipv6() {
        round_trip("[::1]:0", &Options::default(), 1000, 120);
    }
}

#[test]
fn it_works_without_offloads() {
    let options = Options {
        gso: false,
        gro: false,
        ..Options::default()
    };
    round_trip("127.0.0.1:0", &options, 300, 120);
}

#[test]
#[expect(clippy::disallowed_methods, reason = "the kernel notes real time")]
fn arrivals_are_told_to_those_who_ask() {
    let now = || {
        SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .expect("after 1970")
    };
    for arrivals in [true, false] {
        let options = Options {
            arrivals,
            ..Options::default()
        };
        let sender = bind("127.0.0.1:0", &Options::default());
        let mut receiver = bind("127.0.0.1:0", &options);
        let mut batch = SendBatch::new(&sender);
        batch.push(&sender, receiver.local_address(), &payload(1, 100));
        let before = now();
        batch.flush(&sender);
        let mut received = RecvBatch::new();
        // Loopback delivers within the call that sends.
        receiver.recv(&mut received).expect("the socket lives");
        let told: Vec<_> = received
            .datagrams()
            .map(|datagram| datagram.arrived)
            .collect();
        assert_eq!(told.len(), 1);
        assert_eq!(told[0].is_some(), arrivals);
        assert!(
            told[0].is_none_or(|at| before <= at && at <= now()),
            "{told:?}"
        );
    }
}

#[test]
fn trains_to_a_receiver_without_gro_arrive_as_datagrams() {
    let sender = bind("127.0.0.1:0", &Options::default());
    let mut receiver = bind(
        "127.0.0.1:0",
        &Options {
            gro: false,
            ..Options::default()
        },
    );
    let mut batch = SendBatch::new(&sender);
    for number in 0..200 {
        batch.push(&sender, receiver.local_address(), &payload(number, 100));
    }
    batch.flush(&sender);
    let sizes: Vec<_> = receive(&mut receiver, 200)
        .into_iter()
        .map(|(_, data)| data.len())
        .collect();
    assert_eq!(sizes, [100; 200]);
    let offloaded = if sender.granted().gso { 200 } else { 0 };
    assert_eq!(batch.stats().offloaded, offloaded);
}

#[test]
fn the_same_port_serves_both_families() {
    if !has_ipv6() {
        return;
    }
    let mut v4 = bind("0.0.0.0:0", &Options::default());
    let port = v4.local_address().port();
    let mut v6 = bind(&format!("[::]:{port}"), &Options::default());
    let client = UdpSocket::bind("127.0.0.1:0").expect("loopback");
    client.send_to(b"four", ("127.0.0.1", port)).expect("sent");
    let client = UdpSocket::bind("[::1]:0").expect("loopback");
    client.send_to(b"six", ("::1", port)).expect("sent");
    assert_eq!(receive(&mut v4, 1)[0].1, b"four");
    let (from, data) = receive(&mut v6, 1).remove(0);
    assert_eq!(data, b"six");
    assert!(
        from.is_ipv6(),
        "an IPv6 socket takes no mapped IPv4 addresses"
    );
}

#[test]
fn oversize_is_left_out_and_counted_at_both_ends() {
    let sender = bind("127.0.0.1:0", &Options::default());
    for gro in [false, true] {
        let mut receiver = bind(
            "127.0.0.1:0",
            &Options {
                gro,
                ..Options::default()
            },
        );
        let plain = UdpSocket::bind("127.0.0.1:0").expect("loopback");
        let to = receiver.local_address();
        plain
            .send_to(&vec![1; DATAGRAM_BYTES_MAX + 1], to)
            .expect("sent");
        plain.send_to(&vec![2; 60_000], to).expect("sent");
        plain
            .send_to(&vec![3; DATAGRAM_BYTES_MAX], to)
            .expect("sent");
        plain.send_to(&[], to).expect("sent");
        let mut batch = RecvBatch::new();
        receiver.recv(&mut batch).expect("received");
        let sizes: Vec<_> = batch
            .datagrams()
            .map(|datagram| datagram.data.len())
            .collect();
        assert_eq!(sizes, [DATAGRAM_BYTES_MAX, 0]);
        assert_eq!(batch.stats().oversize, 2);
        let mut out = SendBatch::new(&sender);
        out.push(&sender, to, &vec![0; DATAGRAM_BYTES_MAX + 1]);
        assert!(out.is_empty());
        assert_eq!(out.stats().dropped_for(DropReason::TooLarge), 1);
    }
}

#[test]
fn a_peer_that_is_gone_does_not_disturb_the_others() {
    let gone = UdpSocket::bind("127.0.0.1:0")
        .and_then(|socket| socket.local_addr())
        .expect("bound");
    let mut sender = bind("127.0.0.1:0", &Options::default());
    let mut receiver = bind("127.0.0.1:0", &Options::default());
    let mut batch = SendBatch::new(&sender);
    for number in 0..50 {
        batch.push(&sender, gone, b"nobody listens");
        batch.push(
            &sender,
            "[::1]:9".parse().expect("an address"),
            b"wrong family",
        );
        batch.push(&sender, receiver.local_address(), &payload(number, 40));
        batch.flush(&sender);
        let nothing = sender.recv(&mut RecvBatch::new());
        assert!(!nothing.expect("the refusal of one peer is no error of the socket"));
    }
    assert_eq!(receive(&mut receiver, 50).len(), 50);
    assert_eq!(batch.stats().dropped_for(DropReason::Unreachable), 50);
}

#[test]
fn what_the_kernel_drops_is_known() {
    let sender = bind("127.0.0.1:0", &Options::default());
    let small = Options {
        receive_buffer_bytes: 1,
        ..Options::default()
    };
    let mut receiver = bind("127.0.0.1:0", &small);
    let to = receiver.local_address();
    let mut batch = SendBatch::new(&sender);
    let sent = 500;
    for _ in 0..sent {
        batch.push(&sender, to, &[7; 1000]);
        batch.flush(&sender);
    }
    let mut received = RecvBatch::new();
    while receiver.recv(&mut received).expect("received") {}
    // The counter comes with the next datagram that finds room.
    batch.push(&sender, to, b"last");
    batch.flush(&sender);
    receiver.recv(&mut received).expect("received");
    assert!(receiver.receive_overflows() > 0);
    assert_eq!(
        receiver.receive_overflows() + received.stats().datagrams,
        sent + 1
    );
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Whatever mix of sizes goes to whatever peers with whatever offloads: each peer receives
    /// exactly what was sent to it, in order.
    #[test]
    fn each_peer_receives_what_was_sent_to_it_in_order(
        gso in any::<bool>(),
        gro in any::<bool>(),
        datagrams in prop::collection::vec(
            (0usize..3, prop_oneof![Just(120usize), Just(0), 1usize..400]),
            0..300,
        ),
    ) {
        let sender = bind("127.0.0.1:0", &Options { gso, ..Options::default() });
        let options = Options { gro, ..Options::default() };
        let mut receivers: Vec<_> = (0..3).map(|_| bind("127.0.0.1:0", &options)).collect();
        let mut batch = SendBatch::new(&sender);
        let mut wanted: HashMap<usize, Vec<Vec<u8>>> = HashMap::new();
        for (number, (peer, bytes)) in datagrams.into_iter().enumerate() {
            let data = vec![number as u8; bytes];
            batch.push(&sender, receivers[peer].local_address(), &data);
            wanted.entry(peer).or_default().push(data);
        }
        batch.flush(&sender);
        for (peer, wanted) in wanted {
            let received = receive(&mut receivers[peer], wanted.len());
            let received: Vec<_> = received.into_iter().map(|(_, data)| data).collect();
            prop_assert_eq!(received, wanted);
        }
    }
}
