//! ICE-TCP as the core sees it: the same datagrams on another path.

use crate::common::{Want, World};
use sfu::{Path, RejectReason};

fn mixed() -> World {
    let tcp = Want {
        tcp: true,
        ..Want::default()
    };
    let mut world = World::new(&[tcp, Want::default()]);
    world.start_all();
    world.run_until("both are in the room", World::are_welcome);
    world
}

#[test]
fn a_client_on_tcp_and_one_on_udp_hear_each_other() {
    let mut world = mixed();
    for client in &mut world.clients {
        client.level = Some(-20);
    }
    world.run_ms(500);
    assert_eq!(world.clients[0].voices(), [2].into());
    assert_eq!(world.clients[1].voices(), [1].into());
    assert!(world.sfu.knows(Path::tcp(world.clients[0].address)));
    assert!(!world.sfu.knows(Path::udp(world.clients[0].address)));
}

#[test]
fn the_same_address_on_the_other_transport_is_a_stranger() {
    let mut world = mixed();
    let (address, voice) = (world.clients[0].address, [0x80; 40]);
    let before = world.sfu.stats().rejected(RejectReason::NoSession);
    world
        .sfu
        .handle_datagram(world.now, Path::udp(address), &voice);
    let after = world.sfu.stats().rejected(RejectReason::NoSession);
    assert_eq!(after, before + 1);
}

#[test]
fn a_session_outlives_its_connection_and_goes_on_with_the_next() {
    let mut world = mixed();
    let closed = Path::tcp(world.clients[0].address);
    world.sfu.handle_closed(world.now, closed);
    assert!(!world.sfu.knows(closed));
    // The client's next connection comes from another port.
    world.clients[0].address.set_port(5001);
    world.clients[1].level = Some(-20);
    world.run_ms(6_000);
    let heard = world.clients[0].heard.len();
    world.run_ms(500);
    assert!(world.clients[0].heard.len() > heard, "he hears on");
    assert_eq!(world.sfu.sessions(), 2);
}

#[test]
fn a_session_without_a_way_to_its_client_ends_when_consent_does() {
    let mut world = mixed();
    world.clients[0].online = false;
    let closed = Path::tcp(world.clients[0].address);
    world.sfu.handle_closed(world.now, closed);
    world.run_ms(20_000);
    assert_eq!((world.sfu.sessions(), world.sfu.queues().addresses), (1, 1));
}
