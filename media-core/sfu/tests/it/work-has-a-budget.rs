//! What a session may make the shard do apart from voice: a compliant one takes a part of it, and
//! one that wants more is refused, and ended when it goes on.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use crate::common::{Want, World, party};
use sfu::{Command, EndReason, Meter, Push, RejectReason, Work, WorkLimits};
use wire::channel::ClientMessage;

/// Datagrams and bytes that the clients sent since they are recorded, voice apart.
fn recorded(world: &mut World) -> (usize, usize) {
    let all = world.recorded.replace(Vec::new()).unwrap_or_default();
    let is_work = |data: &&Vec<u8>| data.first().is_some_and(|first| *first < 64);
    let work = all.iter().map(|(_, data)| data).filter(is_work);
    work.fold((0, 0), |(count, bytes), data| {
        (count + 1, bytes + data.len())
    })
}

#[test]
fn a_join_and_a_busy_session_take_a_part_of_the_budget() {
    let mut world = World::new(&[Want::default()]);
    recorded(&mut world);
    world.start_all();
    world.run_until("he is in the room", World::are_welcome);
    let (count, bytes) = recorded(&mut world);
    println!("a join: {count} datagrams, {bytes} bytes");
    // Of 600 and 128 KiB at once.
    assert!((5..60).contains(&count), "{count} datagrams to join");
    assert!((1_000..16_000).contains(&bytes), "{bytes} bytes to join");
    for second in 0..5 {
        for n in 0..50_u32 {
            if n % 5 < 2 {
                world.say(0, ClientMessage::Ping { id: n });
            }
            let text = Arc::from([b'x'; 600].as_slice());
            world.command(Command::Push(Push::new(party("room"), text)));
            world.run_ms(20);
        }
        let (count, bytes) = recorded(&mut world);
        println!("a busy second: {count} datagrams, {bytes} bytes");
        let limits = WorkLimits::DEFAULT;
        let (most, most_bytes) = (limits.datagrams_per_s, limits.bytes_per_s);
        assert!(count < most as usize / 2, "{count} in second {second}");
        assert!(
            bytes < most_bytes as usize / 2,
            "{bytes} in second {second}"
        );
    }
    assert_eq!(world.sfu.stats().rejected(RejectReason::Budget), 0);
}

#[test]
fn the_17th_data_channel_ends_its_session() {
    let mut world = World::new(&vec![Want::default(); 2]);
    world.start_all();
    world.run_until("all are in the room", World::are_welcome);
    let now = world.now;
    world.clients[0].open_channels(now, 15);
    world.run_ms(1000);
    assert_eq!(world.sfu.participants(), 2, "sixteen are open");
    let now = world.now;
    world.clients[0].open_channels(now, 1);
    world.run_ms(1000);
    assert_eq!(world.sfu.stats().ended(EndReason::Protocol), 1);
    assert_eq!(world.sfu.participants(), 1);
    assert!(world.clients[1].is_connected());
}

/// Work costs what a test says.
struct Cost(Arc<AtomicU64>);

impl Meter for Cost {
    fn begin(&self) -> Duration {
        Duration::ZERO
    }

    fn spent(&self, _: Duration, work: Work) -> Duration {
        match work {
            Work::Datagram => Duration::from_micros(self.0.load(Ordering::Relaxed)),
            Work::Service => Duration::ZERO,
        }
    }
}

#[test]
fn a_session_whose_datagrams_take_long_is_refused_and_then_ended() {
    let cost = Arc::new(AtomicU64::new(40));
    let meter = Arc::new(Cost(Arc::clone(&cost)));
    let wants = vec![Want::default(); 2];
    let mut world = World::with(&wants, |config| config.meter = meter);
    world.start_all();
    world.run_until("all are in the room", World::are_welcome);
    cost.store(4_000, Ordering::Relaxed);
    let before = world.sfu.stats().datagrams_in;
    let mut ended_after_ms = None;
    for ms in (0..12_000).step_by(10) {
        // A client's own SCTP would rest when nothing is acknowledged.
        let address = world.clients[0].address;
        world.inject(address, &[23; 100]);
        world.run_ms(10);
        if world.sfu.stats().ended(EndReason::Budget) == 1 {
            ended_after_ms = Some(ms);
            break;
        }
    }
    let ended_after_ms = ended_after_ms.expect("it ends");
    assert!(
        (5_000..9_000).contains(&ended_after_ms),
        "{ended_after_ms} ms"
    );
    let refused = world.sfu.stats().rejected(RejectReason::Budget);
    assert!(refused > 50, "{refused} refused");
    let taken = world.sfu.stats().datagrams_in - before - refused;
    // 50 ms at once, 20 ms of each second, 4 ms each; and the other client's few.
    assert!(taken < 100, "{taken} were looked at");
    assert_eq!(world.sfu.participants(), 1, "the other one lives");
}
