//! A small swarm on a real relay in this process: everybody gets in, and every packet arrives.

use std::time::Duration;

use loadgen::peer::{Common, Entry, Role, Voice};
use loadgen::relay_process::{FakeFleet, SHARD, figures, shard_key};
use loadgen::swarm::{Phase, Swarm, TalkPattern, pause};
use relay::{Config, LINES_MAX, Running, Settings};
use tokio::runtime::Runtime;
use tokio::sync::mpsc;

fn start_relay(runtime: &Runtime, fleet: &FakeFleet) -> Running {
    let config = Config {
        shard: SHARD.parse().unwrap(),
        region: "bench".parse().unwrap(),
        edge: fleet.url.parse().unwrap(),
        keys: vec![shard_key()],
        settings: Settings {
            listen: vec!["127.0.0.1:0".parse().unwrap()],
            health: "127.0.0.1:0".parse().unwrap(),
            control: "127.0.0.1:0".parse().unwrap(),
            max_participants: 100,
            full_cpu_percent: 100,
            drain_seconds: 0,
            ..Settings::default()
        },
        usage_journal: None,
    };
    let (lines, _) = mpsc::channel(LINES_MAX);
    runtime.block_on(relay::start(config, lines)).unwrap()
}

fn role(speaks: bool, probes: bool) -> Role {
    Role {
        room: "lobby".parse().unwrap(),
        speaks,
        probes,
        hello: true,
        deafened: false,
        slots: 4,
    }
}

#[test]
fn a_swarm_talks_and_every_listener_hears() {
    let runtime = Runtime::new().unwrap();
    let fleet = FakeFleet::start().unwrap();
    let running = start_relay(&runtime, &fleet);
    let health = running.health();
    let heartbeat = fleet.heartbeat().unwrap();
    let entry = Entry::Sealed {
        keys: Box::new(shard_key().subkeys()),
        heartbeat: Box::new(heartbeat.clone()),
    };
    let common = Common::new(entry, Voice::default(), loadgen::now()).unwrap();
    let mut roles = vec![role(true, false), role(true, false), role(false, true)];
    roles.extend((0..5).map(|_| role(false, false)));
    let listeners = 6;
    let swarm = Swarm::start(&common, roles, TalkPattern::ENDLESS).unwrap();
    swarm.wait_joined(|_| ()).unwrap();
    assert_eq!((swarm.counts().connected, swarm.counts().welcomed), (8, 8));
    swarm.set_phase(Phase::Measure);
    while swarm.counts().sent < 50 {
        pause(Duration::from_millis(5)).unwrap();
    }
    swarm.set_phase(Phase::Quiet);
    let until = loadgen::now() + Duration::from_secs(10);
    while swarm.counts().received < swarm.counts().sent * listeners && loadgen::now() < until {
        pause(Duration::from_millis(5)).unwrap();
    }
    let counts = swarm.counts();
    assert_eq!(counts.received, counts.sent * listeners, "{counts:?}");
    let latency = swarm.stop().unwrap();
    assert!(!latency.voice.is_empty(), "the probe decrypted");
    assert!(!latency.generator.is_empty());
    while figures(health).unwrap().forwarded() < counts.received as f64 {
        assert!(loadgen::now() < until, "the relay counted them too");
        pause(Duration::from_millis(20)).unwrap();
    }
    assert_eq!(figures(health).unwrap().dropped(), 0.0);
    runtime.block_on(running.stop()).unwrap();
}
