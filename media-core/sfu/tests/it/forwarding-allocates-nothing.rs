//! In the steady state the core itself allocates nothing for a packet that it passes on.

use crate::common::{Want, World};

/// `rtc-srtp` gives out each sealed packet in a buffer of its own.
const BY_THE_SEALING_CRATE: u64 = 1;

/// Most allocations for a voice packet that came in, and for one that went out, once everything
/// has its size.
fn allocations(listeners: usize) -> (u64, u64) {
    let want = Want {
        room: "room",
        channels: "main",
        ..Want::default()
    };
    let mut world = World::new(&vec![want; listeners + 1]);
    world.start_all();
    world.run_until("everybody is welcome", World::are_welcome);
    world.clients[0].level = Some(-20);
    world.run_ms(1000);
    world.allocations = Default::default();
    world.run_ms(5000);
    let (received, sent) = &world.allocations;
    assert!(received.len() >= 249 && sent.len() >= 249 * listeners);
    let most = |counts: &[u64]| counts.iter().copied().max().unwrap_or_default();
    (most(received), most(sent))
}

#[test]
fn sending_takes_one_buffer_and_receiving_does_not_grow_with_listeners() {
    let (received_by_few, sent) = allocations(3);
    assert_eq!(sent, BY_THE_SEALING_CRATE);
    let (received_by_many, sent) = allocations(30);
    assert_eq!(sent, BY_THE_SEALING_CRATE);
    assert_eq!(received_by_many, received_by_few);
}
