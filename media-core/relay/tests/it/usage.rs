//! What rooms used comes to the function fleet once, from real processes with real clients,
//! whatever ends them. `USAGE_KILLS=200` for the long form.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;
use std::time::Duration;

use crate::common::fleet::Fleet;
use crate::common::player::{Client, Noticed};
use crate::common::{WAIT_MAX, get, key, metrics_until, sample};
use nix::sys::signal::Signal;
use process::Process;
use relay::journal::{self, Head};
use serde_json::Value;
use tokio::time::{Instant, sleep};
use wire::BootId;
use wire::fleet::Heartbeat;
use wire::record::UsageRecord;
use wire::usage::{MINUTE_MS, RoomUsage};

/// A record is about a second here, and is written down within another; the machine may be busy.
const LOST_MAX: Duration = Duration::from_secs(4);
/// Age of figures.
const AGE_MAX: Duration = Duration::from_millis(300);

struct Rig {
    fleet: Fleet,
    folder: tempfile::TempDir,
}

struct Relay {
    process: Process,
    heartbeat: Heartbeat,
    health: std::net::SocketAddr,
}

impl Rig {
    async fn new() -> Self {
        let fleet = Fleet::start().await;
        fleet.set("static_shards", r#"[{"shards": "*"}]"#);
        let folder = tempfile::tempdir().unwrap();
        Self { fleet, folder }
    }

    fn journal(&self) -> std::path::PathBuf {
        self.folder.path().join("usage")
    }

    async fn start(&self) -> Relay {
        let mut command = process::command(env!("CARGO_BIN_EXE_relay"));
        command
            .args([
                "--shard",
                "dev-0",
                "--region",
                "dev",
                "--edge",
                &self.fleet.url,
            ])
            .args(["--listen", "127.0.0.1:0", "--health", "127.0.0.1:0"])
            .args(["--control", "127.0.0.1:0", "--usage-seconds", "1"])
            .arg("--usage-journal")
            .arg(self.journal())
            .env("RELAY_SHARD_KEYS", key().to_base64());
        let process = Process::start("relay", command).unwrap();
        let ready = process.until(|relay| relay.ready("ready", WAIT_MAX)).await;
        let health = ready.unwrap()["health"].as_str().unwrap().parse().unwrap();
        let list = self.fleet.operator("GET", "/v1/relays", Value::Null).await;
        let heartbeat = serde_json::from_value(list["relays"][0]["heartbeat"].clone());
        Relay {
            process,
            heartbeat: heartbeat.unwrap(),
            health,
        }
    }

    /// The records of all objects; none is there twice.
    fn records(&self) -> Vec<UsageRecord> {
        let objects = self.fleet.host.objects.lock().unwrap();
        let text: String = objects
            .values()
            .map(|object| str::from_utf8(object).unwrap())
            .collect();
        let read = |line| serde_json::from_str(line).unwrap();
        let records: Vec<UsageRecord> = text.lines().map(read).collect();
        let key = |one: &UsageRecord| (one.boot.unwrap(), one.sequence);
        let keys: BTreeSet<_> = records.iter().map(key).collect();
        assert_eq!(keys.len(), records.len(), "a record in two objects");
        records
    }

    /// Files of the journal that wait.
    fn waiting(&self) -> usize {
        let files = |folder: &Path| fs::read_dir(folder).map_or(0, Iterator::count);
        files(&self.journal().join("dev-0"))
    }
}

/// What one run used: seconds of participants and of talk, and bytes.
type Sums = [f64; 3];

fn sums(records: &[UsageRecord]) -> BTreeMap<BootId, Sums> {
    let mut all: BTreeMap<BootId, Sums> = BTreeMap::new();
    for record in records {
        let sums = all.entry(record.boot.unwrap()).or_default();
        sums[0] += record.participant_ms as f64 / 1000.0;
        sums[1] += record.talk_ms as f64 / 1000.0;
        sums[2] += (record.bytes_in + record.bytes_out) as f64;
    }
    all
}

impl Relay {
    /// What its core has counted.
    async fn counted(&self) -> Sums {
        let (_, text) = get(self.health, "/metrics").await;
        [
            "relay_usage_participant_seconds_total",
            "relay_usage_talk_seconds_total",
            "relay_usage_bytes_total",
        ]
        .map(|name| sample(&text, &format!("{name}{{shard=\"dev-0\"}}")))
    }

    /// Two clients who talk, and hear each other.
    async fn pair(&self) -> (Client, Client) {
        let mut a = Client::join(1, &self.heartbeat).await;
        let mut b = Client::join(2, &self.heartbeat).await;
        a.until_welcome().await;
        b.until_welcome().await;
        a.talk(true);
        b.talk(true);
        let voice = |noticed: &Noticed| matches!(noticed, Noticed::Voice { .. }).then_some(());
        a.until(voice).await;
        b.until(voice).await;
        (a, b)
    }

    async fn end(self, signal: Signal) {
        self.process.signal(signal).unwrap();
        let ended = self.process.until(|relay| relay.ended(WAIT_MAX)).await;
        ended.unwrap();
    }
}

#[tokio::test]
async fn records_are_what_the_core_counted_after_relays_were_killed() {
    let kills = std::env::var("USAGE_KILLS").ok();
    let kills: u64 = kills.and_then(|n| n.parse().ok()).unwrap_or(4);
    let rig = Rig::new().await;
    let mut counted: BTreeMap<BootId, (Sums, Duration)> = BTreeMap::new();
    for kill in 0..kills {
        let relay = rig.start().await;
        let pair = relay.pair().await;
        // Another moment of the second in which records are made, written and brought each time.
        sleep(Duration::from_millis(900 + kill * 379 % 2_300)).await;
        // What the edge says gets lost, or it is away.
        let host = &rig.fleet.host;
        host.lose
            .store((kill % 2) as u32, std::sync::atomic::Ordering::Relaxed);
        host.refuse
            .store((kill % 3) as u32, std::sync::atomic::Ordering::Relaxed);
        let (boot, asked) = (relay.heartbeat.boot, Instant::now());
        let figures = relay.counted().await;
        relay.end(Signal::SIGKILL).await;
        counted.insert(boot, (figures, asked.elapsed() + AGE_MAX));
        drop(pair);
    }
    let last = rig.start().await;
    let began = Instant::now();
    while rig.waiting() > 0 && began.elapsed() < WAIT_MAX {
        sleep(Duration::from_millis(50)).await;
    }
    last.end(Signal::SIGTERM).await;
    assert_eq!(rig.waiting(), 0, "the edge has everything");

    let records = rig.records();
    let told = sums(&records);
    let (mut all, mut of_all) = ([0.0; 3], [0.0; 3]);
    for (boot, (counted, ahead)) in &counted {
        let told = told.get(boot).copied().unwrap_or_default();
        let (least, most) = (2.0 * LOST_MAX.as_secs_f64(), 2.0 * ahead.as_secs_f64());
        for n in 0..2 {
            assert!(
                told[n] >= counted[n] - least,
                "{told:?} of {counted:?} were told"
            );
            assert!(
                told[n] <= counted[n] + most,
                "{told:?} of {counted:?} were told"
            );
        }
        for n in 0..3 {
            all[n] += told[n];
            of_all[n] += counted[n];
        }
    }
    println!(
        "{kills} kills, {} records: {:.1} of {:.1} participant-seconds, {:.1} of {:.1} \
         talk-seconds, {} of {} bytes; the rest was less than {LOST_MAX:?} old",
        records.len(),
        all[0],
        of_all[0],
        all[1],
        of_all[1],
        all[2],
        of_all[2],
    );
    assert!(all[0] > 0.0 && all[1] > 0.0 && all[2] > 0.0);
}

#[tokio::test]
async fn a_relay_that_ends_well_leaves_nothing_behind() {
    let rig = Rig::new().await;
    let relay = rig.start().await;
    let pair = relay.pair().await;
    sleep(Duration::from_millis(1_300)).await;
    let (boot, asked) = (relay.heartbeat.boot, Instant::now());
    let counted = relay.counted().await;
    relay.end(Signal::SIGTERM).await;
    let ahead = asked.elapsed() + AGE_MAX;
    assert_eq!(rig.waiting(), 0);
    let told = sums(&rig.records())[&boot];
    // What came after the figures were read is told too.
    for n in 0..3 {
        assert!(told[n] >= counted[n] - 0.002, "{told:?} of {counted:?}");
    }
    assert!(told[0] <= counted[0] + 2.0 * ahead.as_secs_f64());
    drop(pair);
}

fn record(sequence: u64, minute_ms: u64) -> RoomUsage {
    let text = format!(
        r#"{{"seq":{sequence},"minute_ms":{minute_ms},"room":"0303030303030303","talk_ms":7}}"#
    );
    serde_json::from_str(&text).unwrap()
}

/// Leaves a journal as an earlier run would have.
fn leave(rig: &Rig, boot: BootId, lines: &[u8]) {
    let folder = rig.journal().join("dev-0");
    fs::create_dir_all(&folder).unwrap();
    let head = Head::new("dev-0".parse().unwrap(), boot, "dev".parse().unwrap());
    let bytes = [journal::line(&head), lines.to_vec()].concat();
    let file = folder.join(format!("{:015}-{boot}-00000001.open", 1));
    fs::write(file, bytes).unwrap();
}

#[tokio::test]
async fn what_an_earlier_run_left_is_brought_first_and_a_torn_line_is_lost_alone() {
    let rig = Rig::new().await;
    let now_ms = edge::ports::Clock::now_ms(&*rig.fleet.host);
    let minute_ms = now_ms / MINUTE_MS * MINUTE_MS;
    let torn = &journal::line(&record(3, minute_ms))[..30];
    let whole = [1, 2]
        .map(|n| journal::line(&record(n, minute_ms)))
        .concat();
    leave(&rig, BootId([1; 8]), &[whole, torn.to_vec()].concat());
    // Of a clock that was years behind, and of one that is an hour ahead and may come yet.
    leave(&rig, BootId([2; 8]), &journal::line(&record(1, MINUTE_MS)));
    let relay = rig.start().await;
    let text = metrics_until(relay.health, |text| {
        sample(
            text,
            "relay_usage_records_dropped_total{reason=\"refused\"}",
        ) >= 1.0
            && sample(text, "relay_usage_records_taken_total") >= 1.0
    })
    .await;
    assert_eq!(sample(&text, "relay_usage_lines_torn_total"), 1.0);
    relay.end(Signal::SIGTERM).await;
    let records = rig.records();
    assert_eq!(records.len(), 1, "{records:?}");
    assert_eq!((records[0].sequence, records[0].talk_ms), (1, 14));
    assert_eq!(records[0].boot, Some(BootId([1; 8])));
    assert_eq!(rig.waiting(), 0);
}

#[tokio::test]
async fn two_relays_do_not_write_one_journal() {
    let rig = Rig::new().await;
    let relay = rig.start().await;
    let mut command = process::command(env!("CARGO_BIN_EXE_relay"));
    command
        .args([
            "--shard",
            "dev-1",
            "--region",
            "dev",
            "--edge",
            &rig.fleet.url,
        ])
        .args(["--listen", "127.0.0.1:0", "--health", "127.0.0.1:0"])
        .args(["--control", "127.0.0.1:0", "--usage-journal"])
        .arg(rig.journal())
        .env("RELAY_SHARD_KEYS", key().to_base64());
    let other = Process::start("relay", command).unwrap();
    let ended = other.until(|relay| relay.ended(WAIT_MAX)).await;
    assert_eq!(ended.unwrap().code(), Some(1));
    let said = other.lines().join("\n");
    assert!(said.contains("is used by another relay"), "{said}");
    relay.end(Signal::SIGTERM).await;
}
