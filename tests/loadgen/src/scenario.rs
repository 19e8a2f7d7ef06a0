//! One loaded relay: who is there, how long it is measured, and what came of it.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use anyhow::{Result, ensure};
use wire::limits::MAX_SLOTS;

use crate::peer::{Common, Role, Voice};
use crate::profile::Recording;
use crate::relay_process::{Figures, RelayProcess, SHARD};
use crate::swarm::{Counts, Latency, Phase, Swarm, TalkPattern, pause};
use crate::{floor, now};

/// Batches of a floor measurement, 100 datagrams each.
const FLOOR_ROUNDS: u32 = 1500;
/// Talking before the measurement, so that slots are taken and caches are warm.
const WARM_UP: Duration = Duration::from_secs(1);
/// Wait for what is under way after the last packet.
const AFTERMATH: Duration = Duration::from_millis(400);
/// Time of the profile.
const PROFILED: Duration = Duration::from_secs(2);
/// Time after joining until everybody was told of everybody, and participants that do nothing have
/// done everything once.
pub const SETTLED: Duration = Duration::from_secs(12);
/// Longer than the relay keeps figures to itself.
const PUBLISHED: Duration = Duration::from_millis(450);
/// Fewest slots of a client, as in the SDK.
const SLOTS_MIN: usize = 4;

/// Rooms of equal size.
#[derive(Debug, Clone)]
pub struct Scenario {
    /// For the table and the progress line.
    pub name: String,
    /// Number of rooms.
    pub rooms: usize,
    /// Speakers of each, who hear nobody.
    pub speakers: usize,
    /// Listeners of each.
    pub listeners: usize,
    /// Listeners of all rooms together who decrypt what they hear.
    pub probes: usize,
    /// Listeners hear nobody, so that what else they cost is measured.
    pub deafened: bool,
    /// How speakers talk and pause.
    pub pattern: TalkPattern,
    /// How they send.
    pub voice: Voice,
}

/// What a scenario showed.
pub struct Outcome {
    /// CPU time of the shard's thread for each packet forwarded, microseconds.
    pub cpu_us: f64,
    /// Kernel floor just before, microseconds.
    pub floor_us: f64,
    /// Share of a core that the shard used.
    pub core: f64,
    /// Packets forwarded in a second.
    pub forwarded_per_s: f64,
    /// UDP payload bytes of a datagram sent.
    pub payload_bytes: f64,
    /// Voice that should have been heard and was not, in the whole run.
    pub lost: u64,
    /// Of it, what the relay counted as dropped.
    pub dropped: u64,
    /// Latencies of the measured time.
    pub latency: Latency,
    /// What the relay itself added in that time, by its own account: bounds in seconds, and how
    /// many datagrams were at most that.
    pub transit: Vec<(f64, f64)>,
    /// What the shard's CPU time went to just after the measurement, percent by category; none
    /// where `perf` is not installed.
    pub profile: Option<BTreeMap<&'static str, f64>>,
}

impl Scenario {
    /// Everybody's role.
    ///
    /// # Errors
    /// When there are more speakers than slots are counted.
    pub fn roles(&self) -> Result<Vec<Role>> {
        let (mut roles, mut probes) = (Vec::new(), self.probes);
        for n in 0..self.rooms {
            let room: wire::RoomName = format!("room-{n}").parse()?;
            for member in 0..self.speakers + self.listeners {
                let speaks = member < self.speakers;
                let is_probe = !speaks && probes > 0;
                probes -= usize::from(is_probe);
                roles.push(Role {
                    room: room.clone(),
                    speaks,
                    probes: is_probe,
                    hello: true,
                    deafened: self.deafened && !speaks,
                    slots: u8::try_from(self.speakers.clamp(SLOTS_MIN, MAX_SLOTS))?,
                });
            }
        }
        Ok(roles)
    }

    /// Starts a relay and fills it.
    ///
    /// # Errors
    /// When the relay or a peer does not come up.
    pub fn join(&self, binary: &Path) -> Result<(RelayProcess, Swarm)> {
        let relay = RelayProcess::start(binary)?;
        let common = Common::new(relay.entry(), self.voice, now())?;
        let swarm = Swarm::start(&common, self.roles()?, self.pattern)?;
        swarm.wait_joined(|counts| self.progress(counts))?;
        Ok((relay, swarm))
    }

    /// Starts a relay, fills it, and measures while speakers talk for `time`.
    ///
    /// # Errors
    /// When the relay or a peer does not come up.
    pub fn measure(&self, binary: &Path, time: Duration) -> Result<Outcome> {
        let floor_us = floor::measure(FLOOR_ROUNDS)?.as_secs_f64() * 1e6;
        let (relay, swarm) = self.join(binary)?;
        swarm.set_phase(Phase::Talk);
        pause(WARM_UP)?;
        swarm.set_phase(Phase::Measure);
        let (before, began) = (relay.figures()?, now());
        let until = began + time;
        while now() < until {
            pause(until.saturating_duration_since(now()).min(WARM_UP))?;
            self.progress(swarm.counts());
        }
        let (after, took) = (relay.figures()?, now() - began);
        // Afterwards, since sampling takes time too.
        let profile = match Recording::start(relay.id(), SHARD)? {
            Some(recording) => {
                pause(PROFILED)?;
                recording.finish()?
            }
            None => None,
        };
        swarm.set_phase(Phase::Quiet);
        pause(AFTERMATH)?;
        pause(PUBLISHED)?;
        let (counts, at_end) = (swarm.counts(), relay.figures()?);
        let latency = swarm.stop()?;
        let expected = counts.sent * self.listeners as u64;
        let forwarded = after.forwarded() - before.forwarded();
        let cpu_s = after.cpu_s() - before.cpu_s();
        Ok(Outcome {
            cpu_us: cpu_s / forwarded.max(1.0) * 1e6,
            floor_us,
            core: cpu_s / took.as_secs_f64(),
            forwarded_per_s: forwarded / took.as_secs_f64(),
            payload_bytes: delta(&before, &after, "relay_sent_bytes_total")
                / delta(&before, &after, "relay_datagrams_sent_total").max(1.0),
            lost: expected.saturating_sub(counts.received),
            dropped: at_end.dropped() as u64,
            latency,
            transit: transit(&before, &after),
            profile,
        })
    }

    /// Starts a relay, fills it, and measures for `time` what is told while speakers talk and
    /// pause: the share of a core of the shard, less what it takes while all are silent, and
    /// messages of the relay in a second.
    ///
    /// # Errors
    /// When the relay or a peer does not come up, or nobody is told anything.
    pub fn measure_told(&self, binary: &Path, time: Duration) -> Result<(f64, f64)> {
        let (relay, swarm) = self.join(binary)?;
        // Until everybody was told of everybody.
        pause(SETTLED)?;
        let core = |time| -> Result<(f64, u64)> {
            let (before, began) = (relay.figures()?, now());
            let told = swarm.counts().messages;
            pause(time)?;
            let (after, took) = (relay.figures()?, now() - began);
            let told = swarm.counts().messages - told;
            Ok(((after.cpu_s() - before.cpu_s()) / took.as_secs_f64(), told))
        };
        let (silent, _) = core(time)?;
        swarm.set_phase(Phase::Talk);
        pause(WARM_UP)?;
        let (talking, told) = core(time)?;
        swarm.stop()?;
        ensure!(
            told > 0,
            "{}: nobody was told that somebody talks",
            self.name
        );
        Ok((talking - silent, told as f64 / time.as_secs_f64()))
    }

    #[expect(clippy::print_stderr, reason = "progress is for whoever watches")]
    fn progress(&self, counts: Counts) {
        let Counts {
            connected,
            welcomed,
            sent,
            received,
            ..
        } = counts;
        eprintln!(
            "{}: {connected} connected, {welcomed} welcome, {sent} sent, {received} received",
            self.name
        );
    }
}

fn transit(before: &Figures, after: &Figures) -> Vec<(f64, f64)> {
    let of = |figures: &Figures| figures.buckets("relay_transit_seconds");
    let (before, after) = (of(before), of(after));
    let pairs = before.iter().zip(&after);
    pairs.map(|(old, new)| (new.0, new.1 - old.1)).collect()
}

/// The value below which `share` (0 to 1) of a histogram lie, read off a straight line through its
/// bucket; not a number when it is empty.
pub fn quantile(buckets: &[(f64, f64)], share: f64) -> f64 {
    let total = buckets.last().map_or(0.0, |last| last.1);
    let (mut low, mut below) = (0.0, 0.0);
    for &(high, count) in buckets {
        if total > 0.0 && count >= share * total {
            return low + (high - low) * (share * total - below) / (count - below).max(1.0);
        }
        (low, below) = (high, count);
    }
    f64::NAN
}

fn delta(before: &Figures, after: &Figures, family: &str) -> f64 {
    after.get(family) - before.get(family)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_read_off_the_buckets() {
        let buckets = [(0.5, 10.0), (1.0, 30.0), (f64::INFINITY, 40.0)];
        assert_eq!(quantile(&buckets, 0.5), 0.75);
        assert_eq!(quantile(&buckets, 0.25), 0.5);
        assert_eq!(quantile(&buckets, 0.99), f64::INFINITY);
        assert!(quantile(&[], 0.5).is_nan());
    }

    #[test]
    fn roles_fill_the_rooms_and_probes_listen() {
        let scenario = Scenario {
            name: "test".to_owned(),
            rooms: 3,
            speakers: 5,
            listeners: 4,
            probes: 6,
            deafened: false,
            pattern: TalkPattern::ENDLESS,
            voice: Voice::default(),
        };
        let roles = scenario.roles().unwrap();
        let count = |wanted: &dyn Fn(&Role) -> bool| roles.iter().filter(|r| wanted(r)).count();
        assert_eq!(roles.len(), 27);
        assert_eq!(count(&|role| role.speaks), 15);
        assert_eq!(count(&|role| role.probes && !role.speaks), 6);
        assert_eq!(count(&|role| role.hello), 21);
        assert!(roles.iter().all(|role| role.slots == 5));
    }
}
