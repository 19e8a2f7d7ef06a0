//! Usage on its way from a shard's core to whoever bills it: printed, or kept in a journal
//! ([`journal`]) and brought to the edge ([`courier`]). Decision 0043.

pub(crate) mod courier;
pub(crate) mod figures;
pub(crate) mod files;
pub mod journal;
mod stats;
pub(crate) mod writer;

use std::path::Path;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::time::Duration;

use tokio::sync::{Notify, mpsc, oneshot};
use wire::record::{ListenerQuality, VoiceMode};
use wire::usage::{MINUTE_MS, RoomUsage};
use wire::{BootId, RegionName, ShardId};

use courier::{Courier, Signer};
use files::Folder;
use journal::Head;
use stats::Entry;
pub(crate) use stats::Stats;
use writer::{Limits, Writer};

use crate::clock;
use crate::config::{EdgeUrl, Settings, StartError};
use crate::heartbeat::EdgeClient;

/// How long a record of usage is in the making where a killed relay's journal is read: so much may
/// be lost of each of its rooms.
pub(crate) const INTERVAL: Duration = Duration::from_secs(5);

/// Records that may wait for the journal: those of some minutes of the largest shard.
const ENTRIES_MAX: usize = 16 * 1024;

/// Longest time by which relays that close their files at one moment bring them one after another.
const SPREAD_MAX: Duration = Duration::from_secs(60);

/// Where a shard's records go.
#[derive(Debug, Clone)]
pub(crate) enum Outlet {
    /// Printed, a line of JSON each.
    Lines(mpsc::Sender<String>),
    /// Into the journal.
    Journal(SyncSender<Entry>),
}

/// The records of one shard.
#[derive(Debug)]
pub(crate) struct Books {
    /// Which shard of the relay it is, from 0.
    pub(crate) number: usize,
    pub(crate) head: Head,
    pub(crate) outlet: Outlet,
    pub(crate) stats: Arc<Stats>,
    pub(crate) cpu: CpuShares,
    pub(crate) rest: Rest,
}

/// What is left of times whose records have whole units: it goes into the next record, so that the
/// sum of all is whole too.
#[derive(Debug, Default)]
pub(crate) struct Rest {
    participants: Duration,
    talk: Duration,
    cpu: Duration,
}

impl Outlet {
    /// How long a record of usage is in the making, of which a batch has this much.
    pub(crate) fn interval(&self, batch: Duration) -> Duration {
        match self {
            Self::Lines(_) => Duration::from_millis(MINUTE_MS),
            Self::Journal(_) => INTERVAL.min(batch),
        }
    }
}

impl Books {
    /// Takes a record of the core, which has counted `counted` in all, on a thread that has used
    /// `cpu`.
    pub(crate) fn note(&mut self, record: &sfu::UsageRecord, counted: &sfu::Usage, cpu: Duration) {
        let packets = |usage: &sfu::Usage| usage.packets_in + usage.packets_out;
        let share = self.cpu.take(cpu, packets(counted), packets(&record.usage));
        let usage = room_usage(record, share, &mut self.rest);
        let is_taken = match &self.outlet {
            Outlet::Lines(lines) => {
                let Head {
                    shard,
                    boot,
                    region,
                    ..
                } = &self.head;
                let record = usage.record(shard, *boot, region);
                let line = serde_json::to_string(&record).expect("a record has string keys only");
                lines.try_send(line).is_ok()
            }
            Outlet::Journal(entries) => {
                let shard = self.number;
                entries.try_send(Entry { shard, usage }).is_ok()
            }
        };
        if !is_taken {
            Stats::add(&self.stats.lost, 1);
        }
    }
}

/// Where the records of a relay go: into the journal in a folder, or to `lines` where it has none.
///
/// # Errors
/// When the folder cannot be used.
pub(crate) fn outlet(
    journal: Option<&Path>,
    lines: mpsc::Sender<String>,
    stats: &Arc<Stats>,
) -> Result<(Option<Keeper>, Outlet), StartError> {
    let Some(folder) = journal else {
        return Ok((None, Outlet::Lines(lines)));
    };
    let (keeper, outlet) = Keeper::new(folder, stats.clone())?;
    Ok((Some(keeper), outlet))
}

/// A journal before anything is written to it.
pub(crate) struct Keeper {
    folder: Arc<Folder>,
    entries: Receiver<Entry>,
    stats: Arc<Stats>,
}

impl Keeper {
    /// Takes the folder of a journal; returns what shards write to it with.
    ///
    /// # Errors
    /// When it cannot be used.
    pub(crate) fn new(path: &Path, stats: Arc<Stats>) -> Result<(Self, Outlet), StartError> {
        let folder = Arc::new(Folder::take(path)?);
        let (sender, entries) = sync_channel(ENTRIES_MAX);
        let keeper = Self {
            folder,
            entries,
            stats,
        };
        Ok((keeper, Outlet::Journal(sender)))
    }

    /// Writes the journal and brings it to the edge, from now until no shard writes any more.
    ///
    /// # Errors
    /// When there is no thread for it.
    pub(crate) fn start(
        self,
        (signers, heads): (Vec<Signer>, Vec<Head>),
        limits: Limits,
        (edge, client): (EdgeUrl, EdgeClient),
    ) -> Result<impl Future<Output = ()> + Send + use<>, StartError> {
        let news = Arc::new(Notify::new());
        let courier = Courier {
            folder: self.folder.clone(),
            signers,
            edge,
            client,
            stats: self.stats.clone(),
            news: news.clone(),
            spread: (limits.batch / 5).min(SPREAD_MAX),
        };
        let run = (heads, clock::unix_ms());
        let writer = Writer::new(self.folder, limits, run, self.stats, news);
        let (done, written) = oneshot::channel();
        let entries = self.entries;
        std::thread::Builder::new()
            .name("usage".to_owned())
            .spawn(move || {
                writer.run(&entries);
                // Nobody waits for it where the relay was dropped.
                let _ = done.send(());
            })
            .map_err(|error| StartError(format!("a thread cannot be set up: {error}")))?;
        Ok(courier.run(written))
    }
}

/// How much of the journal is kept, as flags say.
pub(crate) fn limits(settings: &Settings) -> Limits {
    Limits {
        batch: Duration::from_secs(settings.usage_seconds.into()),
        bytes: u64::from(settings.usage_megabytes) << 20,
    }
}

/// What a shard's records say of themselves.
pub(crate) fn head(shard: &ShardId, boot: BootId, region: &RegionName) -> Head {
    Head::new(shard.clone(), boot, region.clone())
}

fn room_usage(record: &sfu::UsageRecord, cpu: Duration, rest: &mut Rest) -> RoomUsage {
    let usage = &record.usage;
    RoomUsage {
        sequence: record.sequence,
        minute_ms: record.minute_ms,
        room: wire::RoomKey(record.room.0),
        mode: VoiceMode::Forward,
        participant_ms: units(&mut rest.participants, usage.participant_time, MILLISECOND),
        talk_ms: units(&mut rest.talk, usage.talk_time, MILLISECOND),
        packets_in: usage.packets_in,
        bytes_in: usage.bytes_in,
        packets_out: usage.packets_out,
        bytes_out: usage.bytes_out,
        mixed_frames: usage.mixed_frames,
        cpu_us: units(&mut rest.cpu, cpu, MICROSECOND),
        quality: (usage.reports > 0).then_some(ListenerQuality {
            reports: usage.reports,
            rating_sum: usage.rating_sum,
        }),
    }
}

const MICROSECOND: Duration = Duration::from_micros(1);
const MILLISECOND: Duration = Duration::from_millis(1);

/// The whole units of a time and of what is left of those before it.
fn units(rest: &mut Duration, more: Duration, unit: Duration) -> u64 {
    let all_ns = (*rest + more).as_nanos();
    *rest = Duration::from_nanos(whole(all_ns % unit.as_nanos()));
    whole(all_ns / unit.as_nanos())
}

fn whole(number: u128) -> u64 {
    u64::try_from(number).unwrap_or(u64::MAX)
}

/// The CPU time of a shard's thread, divided among its rooms by their datagrams. Each takes of what
/// nobody has taken yet as large a part as its datagrams are of those of which no record was made,
/// so that all of it is somebody's once and nobody's twice.
#[derive(Debug, Default)]
pub(crate) struct CpuShares {
    taken: Duration,
    packets: u64,
}

impl CpuShares {
    /// The share of a room with `packets` in its record, of a thread that has used `cpu` for
    /// `all` of them since its start.
    fn take(&mut self, cpu: Duration, all: u64, packets: u64) -> Duration {
        let left = cpu.saturating_sub(self.taken);
        let of = all.saturating_sub(self.packets).max(packets).max(1);
        let share_ns = left.as_nanos() * u128::from(packets) / u128::from(of);
        let share = Duration::from_nanos(whole(share_ns));
        self.taken += share;
        self.packets += packets;
        share
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::Ordering;

    use super::*;

    #[test]
    fn the_cpu_time_is_divided_and_all_of_it_is_taken() {
        let ms = Duration::from_millis;
        let mut shares = CpuShares::default();
        // Three rooms with 100, 200 and 700 datagrams.
        assert_eq!(shares.take(ms(1_000), 1_000, 100), ms(100));
        assert_eq!(shares.take(ms(1_000), 1_000, 200), ms(200));
        assert_eq!(shares.take(ms(1_000), 1_000, 700), ms(700));
        // What came while nobody sent goes to whoever is next.
        assert_eq!(shares.take(ms(1_500), 1_000, 0), ms(0));
        assert_eq!(shares.take(ms(1_500), 1_001, 1), ms(500));
    }

    #[test]
    fn parts_of_a_unit_are_in_a_later_record() {
        let us = Duration::from_micros;
        let mut rest = Duration::ZERO;
        let told = [600, 600, 2_700, 100].map(|more| units(&mut rest, us(more), MILLISECOND));
        assert_eq!(told, [0, 1, 2, 1]);
        assert_eq!(rest, Duration::ZERO);
    }

    #[test]
    fn usage_becomes_one_json_line_where_there_is_no_journal() {
        let (lines, mut printed) = mpsc::channel(1);
        let usage = sfu::Usage {
            participant_time: Duration::from_secs(90),
            talk_time: Duration::from_millis(1_500),
            packets_in: 75,
            bytes_in: 8_000,
            packets_out: 75,
            bytes_out: 9_000,
            mixed_frames: 0,
            reports: 2,
            rating_sum: 1_700,
        };
        let record = sfu::UsageRecord {
            sequence: 3,
            minute_ms: 60_000,
            room: sfu::RoomKey([0xab; 8]),
            usage,
        };
        let (shard, region) = ("dev-0".parse().unwrap(), "eu".parse().unwrap());
        let mut books = Books {
            number: 0,
            head: head(&shard, BootId([5; 8]), &region),
            outlet: Outlet::Lines(lines),
            stats: Arc::default(),
            cpu: CpuShares::default(),
            rest: Rest::default(),
        };
        books.note(&record, &usage, Duration::from_micros(660));
        assert_eq!(
            printed.try_recv().unwrap(),
            r#"{"kind":"usage","form":2,"minute_ms":60000,"shard":"dev-0","#.to_owned()
                + r#""boot":"0505050505050505","seq":3,"room":"abababababababab","#
                + r#""region":"eu","participant_ms":90000,"talk_ms":1500,"packets_in":75,"#
                + r#""bytes_in":8000,"packets_out":75,"bytes_out":9000,"cpu_us":660,"#
                + r#""quality":{"reports":2,"rating_sum":1700}}"#
        );
        books.note(&record, &usage, Duration::ZERO);
        books.note(&record, &usage, Duration::ZERO);
        assert_eq!(books.stats.lost.load(Ordering::Relaxed), 1, "one too many");
    }
}
