use std::fs::{self, OpenOptions};
use std::sync::atomic::AtomicU64;
use std::sync::mpsc::sync_channel;

use wire::BootId;

use super::*;

const BEGAN_MS: u64 = 1_700_000_000_000;

fn usage(sequence: u64) -> RoomUsage {
    let text = format!(
        r#"{{"seq":{sequence},"minute_ms":60000,"room":"0303030303030303","talk_ms":{sequence}}}"#
    );
    serde_json::from_str(&text).unwrap()
}

struct Rig {
    folder: tempfile::TempDir,
    stats: Arc<Stats>,
    limits: Limits,
}

impl Rig {
    fn new() -> Self {
        Self {
            folder: tempfile::tempdir().unwrap(),
            stats: Arc::default(),
            limits: Limits {
                batch: Duration::from_secs(3600),
                bytes: 1 << 20,
            },
        }
    }

    fn writer(&self, boot: u8) -> Writer {
        let folder = Arc::new(Folder::take(self.folder.path()).unwrap());
        let (shard, region) = ("eu-1".parse().unwrap(), "eu".parse().unwrap());
        let head = Head::new(shard, BootId([boot; 8]), region);
        let run = (vec![head], BEGAN_MS + u64::from(boot));
        Writer::new(folder, self.limits, run, self.stats.clone(), Arc::default())
    }

    fn count(&self, of: impl Fn(&Stats) -> &AtomicU64) -> u64 {
        of(&self.stats).load(Ordering::Relaxed)
    }

    /// What is in the closed files, each with what is torn of it.
    fn read(&self) -> Vec<(Vec<u64>, u64)> {
        let folder = Folder::take(self.folder.path()).unwrap();
        let read = |file: &Closed| file.read().unwrap().unwrap();
        let sequences = |records: Vec<RoomUsage>| records.iter().map(|one| one.sequence).collect();
        let all = folder.closed().unwrap();
        let all = all.iter().map(read);
        all.map(|one| (sequences(one.records), one.torn)).collect()
    }
}

fn entry(sequence: u64) -> Entry {
    Entry {
        shard: 0,
        usage: usage(sequence),
    }
}

#[test]
fn what_was_written_is_there_when_nobody_writes_any_more() {
    let rig = Rig::new();
    let (sender, entries) = sync_channel(100);
    for sequence in 1..=50 {
        sender.send(entry(sequence)).unwrap();
    }
    drop(sender);
    rig.writer(1).run(&entries);
    assert_eq!(rig.read(), [((1..=50).collect(), 0)]);
    assert_eq!((rig.count(|s| &s.written), rig.count(|s| &s.lost)), (50, 0));
}

#[test]
fn a_killed_relay_leaves_what_was_synced_and_loses_a_torn_line_alone() {
    let rig = Rig::new();
    let mut writer = rig.writer(1);
    for sequence in 1..=3 {
        writer.write(&entry(sequence));
    }
    writer.sync();
    let path = writer.shards[0].open.as_ref().unwrap().path.clone();
    // A process that is killed runs no destructor.
    std::mem::forget(writer.shards.pop());
    drop(writer);
    let file = OpenOptions::new().append(true).open(&path).unwrap();
    let torn = &journal::line(&usage(4))[..40];
    { &file }.write_all(torn).unwrap();
    assert_eq!(rig.read(), [(vec![1, 2, 3], 1)]);
}

#[test]
fn a_full_disk_stops_the_journal_and_is_asked_again() {
    let rig = Rig::new();
    let mut writer = rig.writer(1);
    writer.write(&entry(1));
    writer.sync();
    // What is written from here on finds no space: the kernel says so.
    let full = OpenOptions::new().write(true).open("/dev/full").unwrap();
    let before = writer.shards[0].open.as_mut().unwrap();
    let (good, _) = std::mem::replace(&mut before.file, BufWriter::new(full)).into_parts();
    drop(good);
    writer.write(&entry(2));
    writer.sync();
    assert!(rig.stats.is_failing.load(Ordering::Relaxed));
    assert_eq!(rig.count(|s| &s.lost), 1, "the one in the buffer");
    writer.write(&entry(3));
    assert_eq!(rig.count(|s| &s.lost), 2, "the disk is not asked so soon");
    writer.shards[0].retry_at = Some(clock::now());
    writer.write(&entry(4));
    writer.close(0);
    assert!(!rig.stats.is_failing.load(Ordering::Relaxed));
    drop(writer);
    assert_eq!(rig.read(), [(vec![1], 0), (vec![4], 0)]);
}

#[test]
fn a_folder_that_is_gone_is_a_full_disk_too() {
    let rig = Rig::new();
    let mut writer = rig.writer(1);
    let shard = rig.folder.path().join("eu-1");
    fs::write(&shard, "in the way").unwrap();
    writer.write(&entry(1));
    assert!(rig.stats.is_failing.load(Ordering::Relaxed));
    assert_eq!(rig.count(|s| &s.lost), 1);
    fs::remove_file(&shard).unwrap();
    writer.shards[0].retry_at = None;
    writer.write(&entry(2));
    writer.close(0);
    drop(writer);
    assert_eq!(rig.read(), [(vec![2], 0)]);
}

#[test]
fn what_waits_has_a_bound_and_the_oldest_goes_first() {
    let mut rig = Rig::new();
    rig.limits.bytes = 2_000;
    let mut writer = rig.writer(1);
    for sequence in 1..=40 {
        writer.write(&entry(sequence));
        if sequence % 5 == 0 {
            writer.close(0);
        }
    }
    drop(writer);
    let kept: u64 = rig.read().iter().map(|(all, _)| all.len() as u64).sum();
    assert!((5..40).contains(&kept), "{kept}");
    assert_eq!(rig.count(|s| &s.dropped_size), 40 - kept);
    assert_eq!(rig.read().last().unwrap().0, [36, 37, 38, 39, 40]);
    assert!(rig.count(|s| &s.waiting_bytes) <= 2_000);
}

#[test]
fn what_waited_for_more_than_a_week_is_dropped_and_counted() {
    let rig = Rig::new();
    let mut writer = rig.writer(1);
    writer.write(&entry(1));
    writer.close(0);
    let path = writer.folder.closed().unwrap()[0].path.clone();
    let file = File::options().append(true).open(path).unwrap();
    let age = Duration::from_millis(MAX_USAGE_AGE_MS) + Duration::from_secs(60);
    let long_ago = std::time::UNIX_EPOCH + clock::since_epoch() - age;
    file.set_modified(long_ago).unwrap();
    writer.write(&entry(2));
    writer.close(0);
    drop(writer);
    assert_eq!(rig.read(), [(vec![2], 0)]);
    assert_eq!(rig.count(|s| &s.dropped_age), 1);
}

#[test]
fn a_file_is_closed_when_its_time_is_over() {
    let mut rig = Rig::new();
    rig.limits.batch = Duration::from_millis(1);
    let mut writer = rig.writer(1);
    writer.write(&entry(1));
    let began = clock::unix_ms();
    while clock::unix_ms() < began + 2 {
        std::thread::yield_now();
    }
    writer.sync();
    assert!(writer.shards[0].open.is_none());
    writer.write(&entry(2));
    writer.close(0);
    drop(writer);
    assert_eq!(rig.read(), [(vec![1], 0), (vec![2], 0)]);
}
