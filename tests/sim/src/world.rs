//! The world: one shard, its clients and their links on a virtual clock.

mod forgeries;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use relay::SealedProtocol;
use sfu::{Command, Config, EndReason, Event, RejectReason, Sfu, SpeakerLimits, WallClock};
use str0m::RtcConfig;
use str0m::config::{CryptoProvider, DtlsVersion};
use str0m::crypto::from_feature_flags;
use wire::SessionId;
use wire::keys::{ShardKey, ShardKeys};

use crate::chance::Chance;
use crate::client::{Client, PATIENCE, is_voice};
use crate::dtls;
use crate::egress::Egress;
use crate::hostile::Hostile;
use crate::model::{Grant, Model, Plan};
use crate::network::{Datagram, Link, Weather};
use crate::observed::{Log, Observed, Sabotage};
use crate::strangers::{Strangers, There};
use crate::tickets::{self, BOOT};
use crate::told::{self, Told};
use crate::transition::{DRAIN_OVER, Known, Transition};
use crate::watch::Watch;

/// Unix time at which every run starts.
pub(crate) const UNIX_S: u64 = 1_800_000_000;
/// How often the invariants that need time are looked at.
const CHECK_EVERY: Duration = Duration::from_millis(200);
/// Runs of this seed and later ones have clients with DTLS 1.3 too. Those before keep to 1.2, and
/// so to what they once found.
const DTLS_13_FROM: u64 = 10_000_000;
/// How long a path is kept for who was there, and for who came first: the relay's limits, said
/// again.
const CONSENT: Duration = Duration::from_secs(5);
const CANDIDACY: Duration = Duration::from_secs(2);
/// Transitions that a violation shows.
const HISTORY: usize = 15;

/// Both directions between a client and the shard.
struct Links {
    up: Link,
    down: Link,
    weather: Weather,
}

pub(crate) struct World {
    t0: Instant,
    pub(crate) now: Instant,
    pub(crate) sfu: Sfu<Observed>,
    pub(crate) chance: Chance,
    pub(crate) watch: Watch,
    pub(crate) history: VecDeque<String>,
    clients: Vec<Client>,
    links: Vec<Links>,
    /// Each client's address as the relay sees it.
    public: Vec<SocketAddr>,
    owners: BTreeMap<SocketAddr, usize>,
    /// Whose voice has an SSRC that the relay sends.
    model: Model,
    log: Log,
    sabotage: Sabotage,
    keys: ShardKeys,
    crypto: Arc<CryptoProvider>,
    server: SocketAddr,
    server_fingerprint: String,
    /// Half of the clients have it.
    has_dtls_13: bool,
    pub(crate) hostile: Hostile,
    egress: Egress,
    /// What the relay writes of members.
    written: told::Log,
    told: Told,
    strangers: Strangers,
    /// Clients that are not where they say.
    impostors: BTreeSet<usize>,
    there: BTreeMap<usize, There>,
    rebinds: u16,
    check_at: Instant,
}

#[expect(
    clippy::disallowed_methods,
    reason = "virtual time needs an instant to start from"
)]
pub(crate) fn some_instant() -> Instant {
    Instant::now()
}

fn break_limits(config: &mut Config, sabotage: Sabotage) {
    match sabotage {
        Sabotage::NoSpeakerLimit => {
            config.speaker = SpeakerLimits {
                packets_per_s: u32::MAX,
                bytes_per_s: u32::MAX,
            }
        }
        Sabotage::NoStateLimit => config.max_states_per_s = u32::MAX,
        Sabotage::EndlessPatience => config.hello_timeout = Duration::from_secs(3600),
        Sabotage::NoUnprovedLimit => config.paths.unproved_factor = u32::MAX,
        Sabotage::ShortConsent => config.paths.consent = Duration::from_millis(300),
        _ => {}
    }
}

impl World {
    pub(crate) fn new(seed: u64, sabotage: Sabotage) -> Self {
        let now = some_instant();
        let crypto = dtls::seeded(&from_feature_flags(), seed);
        let certificate = crypto
            .dtls_provider
            .generate_certificate()
            .expect("the provider makes certificates");
        let mut probe = RtcConfig::new()
            .set_crypto_provider(Arc::clone(&crypto))
            .set_dtls_cert(certificate.clone())
            .build(now);
        let server_fingerprint = probe.direct_api().local_dtls_fingerprint().to_string();
        let server = SocketAddr::from(([10, 0, 0, 1], 7410));
        let keys = || ShardKey::new(0, [5; 32]).subkeys();
        let (log, written) = (Log::default(), told::Log::default());
        let protocol = Observed {
            sealed: SealedProtocol::new(keys(), BOOT, &"eu".parse().expect("a region")),
            log: Log::clone(&log),
            written: told::Log::clone(&written),
            sabotage,
        };
        let mut config = Config::new(Arc::clone(&crypto), certificate, vec![server]);
        break_limits(&mut config, sabotage);
        let clock = WallClock {
            at: now,
            unix_ms: UNIX_S * 1000,
        };
        Self {
            t0: now,
            now,
            sfu: Sfu::new(config, protocol, clock, seed, now),
            chance: Chance::new(seed),
            watch: Watch::default(),
            history: VecDeque::new(),
            clients: Vec::new(),
            links: Vec::new(),
            public: Vec::new(),
            owners: BTreeMap::new(),
            model: Model::default(),
            log,
            sabotage,
            keys: keys(),
            crypto,
            server,
            server_fingerprint,
            has_dtls_13: seed >= DTLS_13_FROM,
            hostile: Hostile::of(seed),
            egress: Egress::default(),
            written,
            told: Told::default(),
            strangers: Strangers::default(),
            impostors: BTreeSet::new(),
            there: BTreeMap::new(),
            rebinds: 0,
            check_at: now,
        }
    }

    /// Virtual time since the start.
    pub(crate) fn elapsed(&self) -> Duration {
        self.now.saturating_duration_since(self.t0)
    }

    /// What the generator may know.
    pub(crate) fn known(&self) -> Vec<Known> {
        let known = |(n, client): (usize, &Client)| Known {
            up: !client.down && !self.impostors.contains(&n),
            talking: client.talking,
            muted: client.muted,
            deafened: client.deafened,
            is_welcome: client.participant().is_some(),
            weather: self.links[n].weather,
        };
        self.clients.iter().enumerate().map(known).collect()
    }

    /// Makes `transition` happen now.
    pub(crate) fn apply(&mut self, transition: &Transition) -> Result<(), String> {
        let at_ms = self.elapsed().as_millis();
        if self.history.len() == HISTORY {
            self.history.pop_front();
        }
        self.history
            .push_back(format!("{at_ms} ms: {transition:?}"));
        let now = self.now;
        match *transition {
            Transition::Join(ref plan) => self.join(plan.clone(), Weather::Calm),
            Transition::Leave(n) if self.model.members[n].plan.is_nameless() => {
                self.kick(n, EndReason::Left)
            }
            Transition::Leave(n) => self.clients[n].leave(now),
            Transition::Crash(n) => self.crash(n),
            Transition::ComeBack { client, further } => self.come_back(client, further),
            Transition::Talk(n) => self.clients[n].talk(now, true),
            Transition::Flood(n) => self.clients[n].flood(now),
            Transition::JoinAs(stranger, ref plan) => self.join_as(stranger, plan.clone()),
            Transition::ForgeCheck {
                client,
                name,
                times,
            } => self.forge_checks(client, name, times)?,
            Transition::ReplayCheck { client, name } => {
                let check = self.strangers.last_check(client);
                self.send_as(client, name, &check.unwrap_or_default())?;
            }
            Transition::Replay { client, name, back } => {
                let datagram = self.strangers.recorded(now, client, back);
                self.send_as(client, name, &datagram.unwrap_or_default())?;
            }
            Transition::Toggle(n) => self.clients[n].toggle(now),
            Transition::Stop(n) => self.clients[n].talk(now, false),
            Transition::Mute(n, muted) => {
                let deafened = self.clients[n].deafened;
                self.clients[n].set_state(now, muted, deafened);
            }
            Transition::Deafen(n, deafened) => {
                let muted = self.clients[n].muted;
                self.clients[n].set_state(now, muted, deafened);
            }
            Transition::ChangeSource(n) => {
                let source = self.new_source();
                self.clients[n].change_source(source);
            }
            Transition::Rebind { client, of } => self.rebind(client, of),
            Transition::Weather(n, weather) => self.change_weather(n, weather),
            Transition::Kick(n) => self.kick(n, EndReason::Kicked),
            Transition::Drain => {
                let over = DRAIN_OVER;
                self.model.drain(now, true);
                self.sfu.handle_command(now, Command::Drain { over });
            }
            Transition::Undrain => {
                self.model.drain(now, false);
                self.sfu.handle_command(now, Command::Undrain);
            }
        }
        self.settle()
    }

    fn join(&mut self, plan: Plan, weather: Weather) {
        let n = self.clients.len();
        let dtls = self.dtls();
        let mut client = Client::new(self.now, n, &self.crypto, dtls, self.server);
        let (salt, [a, b, c, d]) = (self.chance.any().to_be_bytes(), (n as u32).to_be_bytes());
        let session = SessionId([salt[0], salt[1], salt[2], salt[3], a, b, c, d]);
        let unix_s = UNIX_S + self.elapsed().as_secs();
        let ticket = tickets::ticket(&plan, session, client.fingerprint(), unix_s);
        let hello = tickets::hello(&plan, session).seal(&self.keys, BOOT);
        let hello = (!plan.whip, (!plan.is_nameless()).then_some(hello));
        let fingerprint = self.server_fingerprint.clone();
        let contact = tickets::contact(&ticket, &self.keys, hello, self.server, fingerprint);
        let source = self.new_source();
        let address = client.local();
        self.strangers.join(&contact, address);
        client.start(self.now, contact, source);
        self.owners.insert(address, n);
        self.public.push(address);
        self.clients.push(client);
        self.links.push(Links {
            up: Link::new(weather, &mut self.chance),
            down: Link::new(weather, &mut self.chance),
            weather,
        });
        self.model.join(self.now, plan, sfu::SessionId(session.0));
    }

    /// The version of DTLS that the next client has.
    fn dtls(&mut self) -> DtlsVersion {
        if self.has_dtls_13 && self.chance.percent(50) {
            DtlsVersion::Auto
        } else {
            DtlsVersion::Dtls12
        }
    }

    /// The same player again, perhaps with one more channel, over the same network.
    fn come_back(&mut self, n: usize, further: Option<Grant>) {
        let mut plan = self.model.members[n].plan.clone();
        if let Some(further) = further
            && plan
                .grants
                .iter()
                .all(|grant| grant.channel != further.channel)
        {
            plan.grants.push(further);
        }
        let weather = self.links[n].weather;
        self.join(plan, weather);
        let talking = self.clients[n].talking;
        let last = self.clients.len() - 1;
        if weather != Weather::Calm {
            self.model.trouble(self.now, last, false, false);
        }
        self.clients[last].talk(self.now, talking);
    }

    fn crash(&mut self, n: usize) {
        self.clients[n].down = true;
        self.model.members[n].has_crashed = true;
    }

    fn kick(&mut self, n: usize, reason: EndReason) {
        let member = &mut self.model.members[n];
        member.is_leaving = true;
        let command = Command::End {
            session: member.session,
            player: sfu::PlayerKey(tickets::player_key(member.plan.player).0),
            reason,
        };
        self.sfu.handle_command(self.now, command);
    }

    fn rebind(&mut self, n: usize, of: Option<usize>) {
        let of = of.filter(|gone| !self.impostors.contains(gone));
        self.rebinds += 1;
        let [high, low] = self.rebinds.to_be_bytes();
        let fresh = SocketAddr::from(([10, 2, high, low], 6000));
        let address = of.map_or(fresh, |gone| self.public[gone]);
        if self
            .owners
            .get(&address)
            .is_some_and(|&owner| !self.clients[owner].down)
        {
            return;
        }
        self.owners.remove(&self.public[n]);
        self.owners.insert(address, n);
        self.public[n] = address;
        if self.sabotage != Sabotage::UnseenMove {
            self.strangers.moved(n, address);
        }
        // The relay learns of the new address with the next check of connectivity, and waits until
        // nobody else is there.
        let held = of.map_or(Duration::ZERO, |_| CONSENT);
        self.cut_off(n, held);
    }

    /// What client `n` sends and waits for may be lost for a moment, and for as long as another
    /// has its address.
    fn cut_off(&mut self, n: usize, held: Duration) {
        let passes = self.model.members[n].calm_since.is_some();
        let has_all = self.watch.has_all(n);
        self.watch.restart(n);
        self.model.trouble(self.now, n, passes, has_all);
        let member = &mut self.model.members[n];
        member.calm_since = member.calm_since.map(|since| since + held);
    }

    fn change_weather(&mut self, n: usize, weather: Weather) {
        let links = &mut self.links[n];
        links.up.change(weather, &mut self.chance);
        links.down.change(weather, &mut self.chance);
        links.weather = weather;
        if weather == Weather::Calm {
            self.model.members[n].calm_since = Some(self.now);
        } else {
            let has_all = self.watch.has_all(n);
            self.model.trouble(self.now, n, false, has_all);
        }
    }

    fn new_source(&mut self) -> (u32, u64, u32) {
        let ssrc = self.chance.any() as u32 & 0x7fff_ffff;
        // As RFC 3711 advises, no first number is near a roll-over.
        (
            ssrc,
            self.chance.between(0, 1 << 15),
            self.chance.any() as u32,
        )
    }

    /// Clears the sky for everybody.
    pub(crate) fn calm_all(&mut self) {
        for n in 0..self.clients.len() {
            if self.links[n].weather != Weather::Calm {
                self.change_weather(n, Weather::Calm);
            }
        }
    }

    /// Lets everybody go, the odd ones without a word.
    pub(crate) fn close(&mut self) -> Result<(), String> {
        for n in 0..self.clients.len() {
            if self.clients[n].down {
                continue;
            }
            let quietly = n % 2 == 1 || self.clients[n].participant().is_none();
            self.apply(&if quietly {
                Transition::Crash(n)
            } else {
                Transition::Leave(n)
            })?;
        }
        Ok(())
    }

    /// Clients that were asked to migrate do.
    fn migrate(&mut self) -> Result<(), String> {
        for n in 0..self.clients.len() {
            let client = &mut self.clients[n];
            if !std::mem::take(&mut client.asked_to_migrate) {
                continue;
            }
            self.model.asked_to_migrate(n)?;
            if !self.clients[n].down {
                let further = None;
                self.apply(&Transition::ComeBack { client: n, further })?;
            }
        }
        Ok(())
    }

    /// Lets `time` pass.
    pub(crate) fn run(&mut self, time: Duration) -> Result<(), String> {
        let until = self.now + time;
        while let Some(at) = self.next_at().filter(|at| *at <= until) {
            self.now = self.now.max(at);
            self.step()?;
        }
        self.now = until;
        Ok(())
    }

    fn next_at(&self) -> Option<Instant> {
        let clients = self.clients.iter().filter_map(Client::next_at);
        let links = self.links.iter();
        let arrivals = links.flat_map(|links| [links.up.next_at(), links.down.next_at()]);
        clients
            .chain(arrivals.flatten())
            .chain(self.sfu.poll_timeout())
            .chain([self.check_at])
            .min()
    }

    fn step(&mut self) -> Result<(), String> {
        let now = self.now;
        for n in 0..self.links.len() {
            for datagram in self.links[n].up.arrived(now) {
                if is_voice(&datagram.data) {
                    self.model.members[n].last_voice = Some(now);
                }
                self.strangers
                    .handle_received(datagram.peer, datagram.data.len());
                self.sfu.handle_datagram(now, datagram.peer, &datagram.data);
                self.note_arrived(n, datagram.peer, &datagram.data);
            }
            for datagram in self.links[n].down.arrived(now) {
                // What was sent to an address that the NAT has given up is lost.
                if self.public[n] == datagram.peer {
                    self.clients[n].handle_datagram(now, &datagram.data);
                }
            }
        }
        if self.sfu.poll_timeout().is_some_and(|at| at <= now) {
            self.sfu.handle_timeout(now);
        }
        self.settle()?;
        self.advance_clients()?;
        if now >= self.check_at {
            self.check_at = now + CHECK_EVERY;
            self.migrate()?;
            self.check()?;
        }
        Ok(())
    }

    fn advance_clients(&mut self) -> Result<(), String> {
        for n in 0..self.clients.len() {
            let was_up = !self.clients[n].down;
            let peer = self.public[n];
            let sent = self.clients[n].advance(self.now);
            for data in sent {
                self.strangers.record(self.now, n, &data);
                self.note_impostor(n, &data);
                if !(is_voice(&data) && self.sabotage == Sabotage::NoVoice) {
                    self.links[n].up.send(self.now, Datagram { peer, data });
                }
            }
            for heard in std::mem::take(&mut self.clients[n].heard) {
                self.model.check_heard(self.now, n, heard.speaker)?;
                self.watch.handle_heard(self.now, n, heard)?;
            }
            if was_up && self.clients[n].down {
                self.check_let_go(n)?;
                self.model.members[n].has_crashed = true;
            }
        }
        Ok(())
    }

    /// A client that says good-bye on a good network is let go before it loses patience.
    fn check_let_go(&self, n: usize) -> Result<(), String> {
        let member = &self.model.members[n];
        let long_ago = |at: Instant| self.now.saturating_duration_since(at) >= PATIENCE;
        let is_stuck = self.clients[n].leaving_at.is_some_and(long_ago)
            && member.calm_since.is_some_and(long_ago)
            && member.troubled_since.is_none()
            && member.ended_at.is_none();
        if is_stuck {
            return Err(format!("client {n} left, and the relay did not let it go"));
        }
        Ok(())
    }

    /// Takes what the shard has to say: datagrams, what it read, events.
    fn settle(&mut self) -> Result<(), String> {
        while let Some(transmit) = self.sfu.poll_transmit() {
            self.watch.handle_sent(&transmit.data)?;
            if self.sabotage == Sabotage::SendTwice {
                self.watch.handle_sent(&transmit.data)?;
            }
            let (peer, data) = (transmit.to.address, transmit.data);
            if let Some(listener) = self.strangers.handle_sent(peer, &data)? {
                self.egress.handle_sent(self.now, listener, data.len());
            }
            let Some(n) = self.receiver(peer, &data) else {
                continue;
            };
            self.links[n].down.send(self.now, Datagram { peer, data });
        }
        let written = std::mem::take(&mut *self.written.borrow_mut());
        self.told.handle_written(self.now, written)?;
        let read = std::mem::take(&mut *self.log.borrow_mut());
        for (session, read) in read {
            self.model.relay_read(self.now, session, read)?;
        }
        while let Some(event) = self.sfu.poll_event() {
            match event {
                Event::Connected { session } => self.model.connected(self.now, session)?,
                Event::Ended { session, reason } => self.model.ended(self.now, session, reason)?,
                Event::Used { .. } => {}
            }
        }
        Ok(())
    }

    fn check(&mut self) -> Result<(), String> {
        self.watch.check(self.now, &self.model, &self.clients)?;
        self.egress.check(self.now, &self.model)?;
        let refused = self.sfu.stats().rejected(RejectReason::Budget);
        if refused > 0 {
            return Err(format!(
                "{refused} datagrams are over a budget that is ample"
            ));
        }
        crate::queues::check(&self.sfu)
    }

    /// Checks that nothing is left.
    pub(crate) fn check_empty(&self) -> Result<(), String> {
        let (sessions, rooms) = (self.sfu.sessions(), self.sfu.rooms());
        if sessions + rooms > 0 {
            return Err(format!(
                "{sessions} sessions in {rooms} rooms are left behind"
            ));
        }
        crate::queues::check_empty(&self.sfu)
    }
}
