//! Sanctions reach whoever carries their player, whatever is lost: posts to relays, heartbeats,
//! their replies, relays themselves, a store's calls; while players join, and moderators contradict
//! each other. Tasks are interleaved by a seed on a virtual clock. A failure names the seed.

#![expect(clippy::unwrap_used, reason = "helpers of tests")]

use std::collections::BTreeMap;
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard};

use edge::directory;
use edge::items;
use edge::ports::{Clock, Entropy, RelayLink, Timer, Unreachable};
use edge::relays::Secrets;
use edge::sanctions::{self, Sanction, Sanctions};
use edge::store::Key;
use edge::testing::host::{any_heartbeat, any_terms};
use edge::testing::schedule::{Chance, block_on, interleave, yield_now};
use edge::testing::{FaultyStore, MemoryStore};
use wire::control::{ControlCommand, ControlMessage, open_pending, seal_pending};
use wire::fleet::Heartbeat;
use wire::keys::{ControlSecret, FleetSecret, PlayerSecret, Purpose, ShardKeys};
use wire::limits::TICKET_LIFETIME_S;
use wire::{BootId, PlayerId, PlayerKey, RoomName, SessionId, ShardId};

const BEGIN_MS: u64 = 1_700_000_000_000;
const SHARDS: [&str; 2] = ["a", "b"];
const PLAYERS: usize = 2;
const MODERATORS: usize = 4;
/// How long trouble lasts, in milliseconds; then everything lives again.
const TROUBLE_MS: u64 = 60_000;
/// As late as a sanction may be while relay and store live, in milliseconds.
const LATE_MS: u64 = 5_000;
const BEAT_MS: u64 = 2_000;
const RETRY_MS: u64 = 250;

/// What a relay does wrong, to see that it would be found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Sabotage {
    Nothing,
    /// Takes what is handed over for done.
    IgnoresWhatIsHandedOver,
    /// Lets somebody in with a ticket from before an order.
    ForgetsOrders,
    /// Carries commands out in the order in which they come.
    KnowsNoOrder,
}

#[derive(Debug, Default)]
struct Session {
    issued_at_ms: u64,
    muted_until_ms: Option<u64>,
}

/// A relay as far as sanctions go: what `sfu`'s model of a room says of orders.
#[derive(Debug, Default)]
struct Relay {
    boot: u8,
    lives: bool,
    /// It lives, and nobody hears of it.
    is_cut_off: bool,
    sessions: BTreeMap<PlayerKey, Session>,
    mutes: BTreeMap<PlayerKey, (u64, Option<u64>)>,
    kicks: BTreeMap<PlayerKey, u64>,
    taken: Vec<SessionId>,
    /// When the last heartbeat was sent whose reply arrived.
    answered_ms: u64,
}

impl Relay {
    fn boot(&self) -> BootId {
        BootId([self.boot; 8])
    }

    fn carry_out(&mut self, message: &ControlMessage, sabotage: Sabotage) {
        let at_ms = message.at_ms;
        match message.command {
            ControlCommand::Mute {
                player, until_ms, ..
            } => {
                let known = self.mutes.get(&player);
                if known.is_some_and(|(known, _)| *known > at_ms)
                    && sabotage != Sabotage::KnowsNoOrder
                {
                    return;
                }
                self.mutes.insert(player, (at_ms, until_ms));
                if let Some(session) = self.sessions.get_mut(&player)
                    && session.issued_at_ms <= at_ms
                {
                    session.muted_until_ms = until_ms;
                }
            }
            ControlCommand::Kick { player, .. } => {
                let last = self.kicks.entry(player).or_default();
                *last = at_ms.max(*last);
                let is_older = |session: &Session| session.issued_at_ms <= at_ms;
                if self.sessions.get(&player).is_some_and(is_older) {
                    self.sessions.remove(&player);
                }
            }
            _ => unreachable!("nothing else is sent here"),
        }
    }

    /// Lets somebody in whose ticket was made then, and says until when he is silenced.
    fn admit(&mut self, player: PlayerKey, ticket: Session, sabotage: Sabotage) {
        let mut session = ticket;
        if sabotage != Sabotage::ForgetsOrders {
            let kicked = self.kicks.get(&player).copied();
            if kicked.is_some_and(|at_ms| at_ms >= session.issued_at_ms / 1000 * 1000) {
                return;
            }
            if let Some((at_ms, until_ms)) = self.mutes.get(&player)
                && *at_ms >= session.issued_at_ms
            {
                session.muted_until_ms = *until_ms;
            }
        }
        self.sessions.insert(player, session);
    }
}

struct World {
    sabotage: Sabotage,
    now_ms: AtomicU64,
    store: FaultyStore,
    chance: Chance,
    secret: FleetSecret,
    relays: Mutex<[Relay; 2]>,
    /// Tasks that make trouble and are not done.
    busy: AtomicUsize,
    /// How often it was tried to change what holds against a player.
    begun: Mutex<BTreeMap<usize, u64>>,
    /// What does not hold.
    faults: Mutex<Vec<String>>,
    /// Sanctions that were looked at in time.
    looked_at: AtomicUsize,
}

type Task<'a> = Pin<Box<dyn Future<Output = ()> + 'a>>;

impl Clock for World {
    /// No two moments are the same.
    fn now_ms(&self) -> u64 {
        self.now_ms.fetch_add(1, Ordering::Relaxed)
    }
}

impl Timer for World {
    async fn sleep(&self, ms: u64) {
        let until = self.now_ms.load(Ordering::Relaxed) + ms;
        while self.now_ms.load(Ordering::Relaxed) < until && !self.is_over() {
            yield_now().await;
        }
    }
}

impl Entropy for World {
    fn fill(&self, bytes: &mut [u8]) {
        bytes.fill_with(|| self.chance.next() as u8);
    }
}

impl RelayLink for World {
    async fn post(&self, _: &str, shard: &ShardId, sealed: String) -> Result<u16, Unreachable> {
        yield_now().await;
        let status = self.arrive(shard, &sealed)?;
        yield_now().await;
        match self.is_lost() {
            true => Err(Unreachable),
            false => Ok(status),
        }
    }
}

fn room() -> RoomName {
    "lobby".parse().unwrap()
}

fn shard_number(shard: &ShardId) -> usize {
    let mut all = SHARDS.iter();
    all.position(|one| *one == shard.as_str()).unwrap()
}

fn player(n: usize) -> PlayerId {
    format!("player-{n}").parse().unwrap()
}

impl World {
    fn new(seed: u64, sabotage: Sabotage) -> Self {
        let relay = || Relay {
            lives: true,
            ..Relay::default()
        };
        Self {
            sabotage,
            now_ms: AtomicU64::new(BEGIN_MS),
            store: FaultyStore::new(MemoryStore::default(), seed, 0),
            chance: Chance::new(seed ^ 0x5eed),
            secret: FleetSecret::new([5; 32]),
            relays: Mutex::new([relay(), relay()]),
            busy: AtomicUsize::new(0),
            begun: Mutex::default(),
            faults: Mutex::default(),
            looked_at: AtomicUsize::new(0),
        }
    }

    fn relays(&self) -> MutexGuard<'_, [Relay; 2]> {
        self.relays.lock().unwrap()
    }

    fn keys(&self, shard: usize) -> ShardKeys {
        let shard = SHARDS[shard].parse().unwrap();
        self.secret.shard_key(&shard, 0).subkeys()
    }

    fn in_trouble(&self) -> bool {
        self.now_ms.load(Ordering::Relaxed) < BEGIN_MS + TROUBLE_MS
    }

    fn percent(&self, percent: u64) -> bool {
        self.chance.below(100) < percent
    }

    fn is_lost(&self) -> bool {
        self.in_trouble() && self.percent(15)
    }

    /// A command on its way to a relay.
    fn arrive(&self, shard: &ShardId, sealed: &str) -> Result<u16, Unreachable> {
        let shard = shard_number(shard);
        let mut relays = self.relays();
        let relay = &mut relays[shard];
        if self.is_lost() || !relay.lives || relay.is_cut_off {
            return Err(Unreachable);
        }
        let Ok(message) = ControlMessage::open(sealed, &self.keys(shard), relay.boot()) else {
            return Ok(401);
        };
        relay.carry_out(&message, self.sabotage);
        Ok(202)
    }

    async fn pause(&self, most_ms: u64) {
        self.sleep(self.chance.below(most_ms)).await;
    }

    /// Waits for one of a few moments, so that much is done at the same one.
    async fn wait_for_others(&self, most_ms: u64) {
        self.pause(most_ms).await;
        let now_ms = self.now_ms.load(Ordering::Relaxed);
        self.sleep(now_ms.next_multiple_of(1_000) - now_ms).await;
    }

    /// Lets time pass until the trouble is over, and as much longer as sanctions may be late.
    async fn run_clock(&self) {
        while self.in_trouble() || self.busy.load(Ordering::Relaxed) > 0 {
            self.now_ms.fetch_add(10, Ordering::Relaxed);
            yield_now().await;
        }
        self.store.faults_per_thousand.store(0, Ordering::Relaxed);
        let until = self.now_ms() + LATE_MS;
        while self.now_ms() < until {
            self.now_ms.fetch_add(10, Ordering::Relaxed);
            yield_now().await;
        }
        self.now_ms.fetch_add(1_000_000_000, Ordering::Relaxed);
    }

    fn is_over(&self) -> bool {
        self.now_ms.load(Ordering::Relaxed) > BEGIN_MS + 1_000_000_000
    }

    /// What a relay says of itself; none when it is dead.
    fn heartbeat(&self, shard: usize) -> Option<Heartbeat> {
        let relay = &self.relays()[shard];
        let (shard, region) = (SHARDS[shard].parse().unwrap(), "eu-1".parse().unwrap());
        relay.lives.then(|| Heartbeat {
            boot: relay.boot(),
            taken: relay.taken.clone(),
            ..any_heartbeat(shard, region, self.now_ms())
        })
    }

    async fn beats(&self, shard: usize) {
        while !self.is_over() {
            let Some(heartbeat) = self.heartbeat(shard) else {
                self.sleep(RETRY_MS).await;
                continue;
            };
            let is_done = self.beat(shard, &heartbeat).await;
            self.sleep(if is_done { BEAT_MS } else { RETRY_MS }).await;
        }
    }

    async fn beat(&self, shard: usize, heartbeat: &Heartbeat) -> bool {
        let is_cut_off = || self.relays()[shard].is_cut_off || self.is_lost();
        yield_now().await;
        if is_cut_off() {
            return false;
        }
        let now_ms = self.now_ms();
        let taken =
            directory::record_heartbeat(self, &self.store, now_ms, heartbeat, &any_terms).await;
        let Ok(orders) = taken else {
            return false;
        };
        // As the fleet function sends it and a relay reads it.
        let (keys, boot, sent_at_ms) = (self.keys(shard), heartbeat.boot, heartbeat.sent_at_ms);
        let sealed = seal_pending(&orders.pending, &keys, boot, sent_at_ms);
        yield_now().await;
        if is_cut_off() {
            return false;
        }
        let mut relays = self.relays();
        let relay = &mut relays[shard];
        if relay.boot() != boot || !relay.lives {
            return false;
        }
        let pending = open_pending(&sealed, &keys, boot, sent_at_ms).unwrap();
        relay.taken = pending.iter().map(|one| one.nonce).collect();
        relay.answered_ms = sent_at_ms;
        if self.sabotage != Sabotage::IgnoresWhatIsHandedOver {
            for pending in pending {
                relay.carry_out(&pending.message().unwrap(), self.sabotage);
            }
        }
        true
    }

    /// Kills relays, brings them back, and cuts them off.
    async fn trouble(&self) {
        while self.in_trouble() {
            self.pause(8_000).await;
            let shard = self.chance.below(2) as usize;
            if self.percent(50) {
                self.relays()[shard].lives = false;
                self.pause(15_000).await;
                let mut relays = self.relays();
                let boot = relays[shard].boot + 1;
                relays[shard] = Relay {
                    boot,
                    lives: true,
                    ..Relay::default()
                };
            } else {
                self.relays()[shard].is_cut_off = true;
                self.pause(15_000).await;
                self.relays()[shard].is_cut_off = false;
            }
        }
        self.busy.fetch_sub(1, Ordering::Relaxed);
    }

    /// A player who joins again and again.
    async fn plays(&self, n: usize) {
        while self.in_trouble() {
            self.wait_for_others(3_000).await;
            self.join(&player(n)).await;
        }
        self.busy.fetch_sub(1, Ordering::Relaxed);
    }

    async fn join(&self, player: &PlayerId) {
        let (now_ms, region) = (self.now_ms(), "eu-1".parse().unwrap());
        let home = directory::home_of(
            self,
            &self.store,
            now_ms,
            &room(),
            &region,
            &directory::Hearsay,
        )
        .await;
        let Ok(joinable) = home else {
            return;
        };
        let until_ms = |kind| joinable.sanctions.until_ms(now_ms, kind, player);
        if until_ms(Sanction::Ban).is_some() {
            return;
        }
        let ticket = Session {
            issued_at_ms: now_ms,
            muted_until_ms: until_ms(Sanction::Mute),
        };
        self.pause(1_000).await;
        let shard = shard_number(&joinable.placement.home.shard);
        let mut relays = self.relays();
        let relay = &mut relays[shard];
        let is_good = self.now_ms() < now_ms + TICKET_LIFETIME_S * 1000;
        if relay.lives && relay.boot() == joinable.placement.shard.heartbeat.boot && is_good {
            relay.admit(self.secret.player_key(player, 0), ticket, self.sabotage);
        }
    }

    /// A moderator, who says again what was not done.
    async fn moderates(&self) {
        while self.in_trouble() {
            self.wait_for_others(4_000).await;
            let of = self.chance.below(PLAYERS as u64) as usize;
            let kind = match self.percent(70) {
                true => Sanction::Mute,
                false => Sanction::Ban,
            };
            let seconds = self.percent(60).then(|| 1 + self.chance.below(40));
            let mut begun = self.begin(of);
            while !self.sanction(of, kind, seconds).await {
                self.pause(500).await;
                begun = self.begin(of);
            }
            self.sleep(LATE_MS).await;
            if self.begun.lock().unwrap()[&of] == begun {
                self.look(of, self.now_ms() - LATE_MS);
            }
        }
        self.busy.fetch_sub(1, Ordering::Relaxed);
    }

    /// Counts what is tried against a player.
    fn begin(&self, of: usize) -> u64 {
        let mut all = self.begun.lock().unwrap();
        let count = all.entry(of).or_default();
        *count += 1;
        *count
    }

    async fn sanction(&self, of: usize, kind: Sanction, seconds: Option<u64>) -> bool {
        let (room, player, now_ms) = (room(), player(of), self.now_ms());
        let until_ms = seconds.map(|seconds| now_ms + seconds * 1000);
        let of = (kind, &player);
        let written = sanctions::sanction(self, &self.store, now_ms, &room, of, until_ms).await;
        if written.is_err() {
            return false;
        }
        let secret = |purpose| self.secret.purpose(purpose);
        let control = ControlSecret(secret(Purpose::Control));
        let secrets = Secrets::new(control, PlayerSecret(secret(Purpose::Player)));
        let told = sanctions::enforce(self, &self.store, &secrets, &room, of).await;
        told.is_ok()
    }

    fn truth(&self) -> Sanctions {
        let partition = format!("home#{}", room());
        let now_ms = self.now_ms.load(Ordering::Relaxed);
        let key = Key::new(&partition, sanctions::SORT);
        let held = block_on(items::get(&self.store.inner, now_ms, key)).unwrap();
        held.map(|held| held.value).unwrap_or_default()
    }

    /// Whether what is written of a player holds on every relay that was heard of since then.
    fn look(&self, of: usize, since_ms: u64) {
        let truth = self.truth();
        let now_ms = self.now_ms.load(Ordering::Relaxed);
        let (player, key) = (player(of), self.secret.player_key(&player(of), 0));
        let relays = self.relays();
        let live = relays
            .iter()
            .filter(|relay| relay.lives && relay.answered_ms > since_ms);
        for session in live.filter_map(|relay| relay.sessions.get(&key)) {
            self.looked_at.fetch_add(1, Ordering::Relaxed);
            let banned = truth.until_ms(now_ms, Sanction::Ban, &player);
            let muted = truth.until_ms(now_ms, Sanction::Mute, &player);
            let heard = session.muted_until_ms.filter(|until_ms| *until_ms > now_ms);
            let when = now_ms - BEGIN_MS;
            let mut faults = self.faults.lock().unwrap();
            if banned.is_some() {
                faults.push(format!("{when} ms: {player} is banned and there"));
            }
            if muted != heard {
                faults.push(format!(
                    "{when} ms: {player} is silenced until {muted:?} and his relay says {heard:?}"
                ));
            }
        }
    }
}

/// What does not hold in a run, and how often it was looked.
fn run(seed: u64, sabotage: Sabotage) -> (Vec<String>, usize) {
    let world = World::new(seed, sabotage);
    world.store.faults_per_thousand.store(10, Ordering::Relaxed);
    let world = &world;
    let mut tasks: Vec<Task<'_>> = vec![Box::pin(world.run_clock()), Box::pin(world.trouble())];
    for shard in 0..SHARDS.len() {
        tasks.push(Box::pin(world.beats(shard)));
    }
    for n in 0..PLAYERS {
        tasks.push(Box::pin(world.plays(n)));
    }
    for _ in 0..MODERATORS {
        tasks.push(Box::pin(world.moderates()));
    }
    world
        .busy
        .store(1 + PLAYERS + MODERATORS, Ordering::Relaxed);
    interleave(seed, tasks);
    let faults = std::mem::take(&mut *world.faults.lock().unwrap());
    (faults, world.looked_at.load(Ordering::Relaxed))
}

/// `SANCTION_SEEDS` runs, or a few.
fn seeds() -> std::ops::Range<u64> {
    let most = std::env::var("SANCTION_SEEDS").ok();
    0..most.map_or(1_000, |most| most.parse().unwrap())
}

#[test]
fn what_is_written_holds_within_five_seconds_wherever_the_player_is() {
    let mut looked_at = 0;
    for seed in seeds() {
        let (faults, looked) = run(seed, Sabotage::Nothing);
        assert!(faults.is_empty(), "seed {seed}: {faults:#?}");
        looked_at += looked;
    }
    assert!(looked_at > 3 * seeds().count(), "looked at {looked_at}");
}

#[test]
fn a_relay_that_does_it_wrong_is_found() {
    for sabotage in [
        Sabotage::IgnoresWhatIsHandedOver,
        Sabotage::ForgetsOrders,
        Sabotage::KnowsNoOrder,
    ] {
        let found = (0..400).any(|seed| !run(seed, sabotage).0.is_empty());
        assert!(found, "{sabotage:?}");
    }
}
