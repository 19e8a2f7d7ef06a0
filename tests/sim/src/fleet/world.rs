//! The world of the service: machines with shards, an edge, players, and what is on its way between
//! them, on one virtual clock.

use std::collections::{BTreeMap, VecDeque};
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use ::client::JoinId;
use edge::http::{Request, Response};
use edge::ports::{RelayReply, Unreachable};
use str0m::config::DtlsCert;
use str0m::crypto::from_feature_flags;
use wire::BootId;

use super::air::{Air, Post};
use super::edge::Edge;
use super::ground::{REGION, ROOMS, some_instant};
use super::orders::{Act, Orders, Sanction};
use super::player::{Packet, Player};
use super::reach::Reach;
use super::relay::{Outcome, Relay, Reply, Site};
use super::sabotage::Sabotage;
use super::transition::{Known, KnownPlayer, KnownShard, Transition};
use super::watch::{View, Watch};
use super::weather::StoreWeather;
use crate::chance::Chance;
use crate::client::is_voice;
use crate::dtls;
use crate::network::Weather;

/// Everything happens at a multiple of this: events that are close together are one step.
const TICK: Duration = Duration::from_millis(5);
/// How often the invariants are looked at.
const CHECK_EVERY: Duration = Duration::from_millis(200);
/// Transitions that a violation shows.
const HISTORY: usize = 60;
/// Certificates of a process of ours, for boot after boot: making one takes long.
const CERTIFICATES: usize = 12;

/// Who asked the edge for something.
#[derive(Debug, Clone, Copy)]
enum Asker {
    Player(usize, JoinId, Instant),
    Shard(usize, BootId, u64),
    Order(usize),
}

/// Something on its way.
enum Event {
    Asked(Asker, Request),
    /// And when it was made, by the edge's clock, to the second.
    Replied(Asker, Option<Response>, u64),
    Posted(usize, Post),
    Answered(u64, Result<RelayReply, Unreachable>),
    Later(Transition),
}

pub(super) struct World {
    t0: Instant,
    pub(super) now: Instant,
    pub(super) chance: Chance,
    pub(super) history: VecDeque<String>,
    pub(super) watch: Watch,
    pub(super) relays: Vec<Relay>,
    pub(super) players: Vec<Player>,
    orders: Orders,
    air: Rc<Air>,
    edge: Edge<Asker>,
    site: Site,
    agenda: BTreeMap<(Instant, u64), Event>,
    events: u64,
    boots: usize,
    roams: u8,
    sabotage: Sabotage,
    check_at: Instant,
}

fn certificate(n: usize) -> DtlsCert {
    static ALL: OnceLock<Vec<DtlsCert>> = OnceLock::new();
    let all = ALL.get_or_init(|| {
        let provider = from_feature_flags().dtls_provider;
        let make = |_| {
            provider
                .generate_certificate()
                .expect("the provider makes certificates")
        };
        (0..CERTIFICATES).map(make).collect()
    });
    all[n % CERTIFICATES].clone()
}

impl World {
    pub(super) fn new(seed: u64, shards: usize, reach: &Reach, sabotage: Sabotage) -> Self {
        let now = some_instant();
        let air = Rc::new(Air::new(now, seed ^ 0x0ed6_e000));
        let crypto = dtls::seeded(&from_feature_flags(), seed);
        Self {
            t0: now,
            now,
            chance: Chance::new(seed),
            history: VecDeque::new(),
            watch: Watch::new(now, reach.failover_max),
            relays: (0..shards).map(Relay::new).collect(),
            players: Vec::new(),
            orders: Orders::new(),
            edge: Edge::new(&air, REGION),
            air,
            site: Site {
                crypto,
                region: REGION.parse().expect("a name of a region"),
                seed,
            },
            agenda: BTreeMap::new(),
            events: 0,
            boots: 0,
            roams: 0,
            sabotage,
            check_at: now,
        }
    }

    /// Virtual time since the start.
    pub(super) fn elapsed(&self) -> Duration {
        self.now.saturating_duration_since(self.t0)
    }

    /// What the generator may know.
    pub(super) fn known(&self) -> Known {
        let player = |player: &Player| {
            let n = player.n;
            let muted = self.orders.last_of(n, &[Sanction::Mute, Sanction::Unmute]);
            KnownPlayer {
                stays: player.stays && self.orders.put_out(n).is_none(),
                room: player.room,
                talks: player.talks_since.is_some(),
                weather: player.weather,
                is_muted: muted.is_some_and(|(kind, _)| kind == Sanction::Mute),
                is_judged: self.orders.are_pending_of(n),
            }
        };
        let shard = |(n, relay): (usize, &Relay)| KnownShard {
            has_process: relay.run.is_some(),
            is_frozen: relay.is_frozen,
            drains: self.orders.drains(n),
            ahead_ms: relay.ahead_ms,
        };
        Known {
            players: self.players.iter().map(player).collect(),
            shards: self.relays.iter().enumerate().map(shard).collect(),
            store: self.air.store.get(),
            edge_is_up: self.edge.is_up,
        }
    }

    fn later(&mut self, after: Duration, event: Event) {
        self.events += 1;
        self.agenda.insert((self.now + after, self.events), event);
    }

    /// Makes `transition` happen after a while.
    pub(super) fn plan(&mut self, after_ms: u64, transition: Transition) {
        self.later(Duration::from_millis(after_ms), Event::Later(transition));
    }

    /// Makes `transition` happen now.
    pub(super) fn apply(&mut self, transition: Transition) -> Result<(), String> {
        self.note(&format!("{transition:?}"));
        self.watched(|watch, view| {
            watch.handle(view, transition);
            Ok(())
        })?;
        let now = self.now;
        match transition {
            Transition::Join(room) => self.join(room),
            Transition::Leave(n) => self.players[n].leave(now),
            Transition::Talk(n) => self.players[n].talk(now, true),
            Transition::Hush(n) => self.players[n].talk(now, false),
            Transition::Roam(n) => {
                self.roams += 1;
                self.players[n].roam(now, self.roams);
            }
            Transition::Weather(n, weather) => {
                self.players[n].change_weather(now, weather, &mut self.chance);
            }
            Transition::Sleep { player, ms } => {
                self.players[player].sleep(now + Duration::from_millis(ms));
            }
            Transition::Kill(n) => drop(self.relays[n].kill()),
            Transition::Start(n) if self.relays[n].run.is_none() => self.start(n),
            Transition::Freeze(n) => self.relays[n].is_frozen = self.relays[n].run.is_some(),
            Transition::Thaw(n) if self.relays[n].is_frozen => {
                let outcome = self.relays[n].thaw(now);
                self.take(n, outcome)?;
            }
            Transition::Start(_) | Transition::Thaw(_) => {}
            Transition::Drain(n, drains) => self.orders.ask(now, Act::Drain(n, drains)),
            Transition::Terminate(n) => self.relays[n].terminate(now),
            Transition::Store(weather) => self.air.store.set(weather),
            Transition::Edge(true) => self.edge.is_up = true,
            Transition::Edge(false) => self.drop_edge(),
            Transition::StepRelay { shard, ms } => self.relays[shard].ahead_ms += ms,
            Transition::StepEdge { ms } => {
                self.air
                    .edge_ahead_ms
                    .set(self.air.edge_ahead_ms.get() + ms);
            }
            Transition::Sanction(kind, n) => {
                let act = Act::Sanction(kind, n, self.players[n].room);
                self.orders.ask(now, act);
            }
        }
        self.step()
    }

    fn note(&mut self, what: &str) {
        if self.history.len() == HISTORY {
            self.history.pop_front();
        }
        let at_ms = self.elapsed().as_millis();
        self.history.push_back(format!("{at_ms} ms: {what}"));
    }

    fn join(&mut self, room: usize) {
        let n = self.players.len();
        let tools = (&self.site.crypto, certificate(0));
        let is_astray = self.sabotage == Sabotage::Astray && n == 1;
        let rooms = (room, if is_astray { 1 - room } else { room });
        let player = Player::new(self.now, n, rooms, tools, &mut self.chance);
        self.players.push(player);
    }

    fn start(&mut self, n: usize) {
        self.boots += 1;
        let certificate = certificate(1 + self.boots % (CERTIFICATES - 1));
        let true_ms = self.air.unix_ms();
        let relay = &mut self.relays[n];
        relay.start(self.now, true_ms, &self.site, certificate);
        if let Some(run) = &mut relay.run {
            run.ledger.is_cooked = self.sabotage == Sabotage::CookedBooks;
            run.drains_silently = self.sabotage == Sabotage::SilentDrains;
        }
    }

    /// Whoever waits for an answer learns that there is none.
    fn drop_edge(&mut self) {
        for asker in self.edge.stop() {
            self.later(Duration::ZERO, Event::Replied(asker, None, 0));
        }
    }

    /// Ends every fault, so that all must come right.
    pub(super) fn calm_all(&mut self, reach: &Reach) -> Result<(), String> {
        self.agenda
            .retain(|_, event| !matches!(event, Event::Later(_)));
        self.apply(Transition::Store(StoreWeather::Fine))?;
        self.apply(Transition::Edge(true))?;
        for n in 0..self.relays.len() {
            self.apply(Transition::Thaw(n))?;
            if self.orders.drains(n) && reach.undrains {
                self.apply(Transition::Drain(n, false))?;
            }
            self.apply(Transition::Start(n))?;
        }
        for n in 0..self.players.len() {
            if self.players[n].weather != Weather::Calm {
                self.apply(Transition::Weather(n, Weather::Calm))?;
            }
            if self.players[n].stays {
                self.apply(Transition::Talk(n))?;
            }
        }
        Ok(())
    }

    /// Lets `time` pass.
    pub(super) fn run(&mut self, time: Duration) -> Result<(), String> {
        let until = self.now + time;
        while let Some(at) = self.next_at().filter(|at| *at <= until) {
            self.now = at;
            self.step()?;
        }
        self.now = until;
        self.air.advance_to(until);
        Ok(())
    }

    /// When something happens next, on the grid.
    fn next_at(&self) -> Option<Instant> {
        let players = self
            .players
            .iter()
            .flat_map(|player| [player.next_at(self.now), player.up.next_at()]);
        let relays = self.relays.iter().filter_map(Relay::next_at);
        let agenda = self.agenda.keys().next().map(|(at, _)| *at);
        let others = [self.edge.next_at(), self.orders.next_at(), agenda];
        let all = players.chain(others).flatten().chain(relays);
        let at = all.chain([self.check_at]).min()?;
        let since_ns = at.saturating_duration_since(self.t0).as_nanos();
        let ticks = since_ns.div_ceil(TICK.as_nanos());
        Some((self.t0 + TICK * ticks as u32).max(self.now + TICK))
    }

    fn step(&mut self) -> Result<(), String> {
        let now = self.now;
        self.air.advance_to(now);
        self.carry_datagrams();
        while let Some(entry) = self
            .agenda
            .first_entry()
            .filter(|entry| entry.key().0 <= now)
        {
            let event = entry.remove();
            self.handle(event)?;
        }
        for n in 0..self.relays.len() {
            let outcome = self.relays[n].advance(now, &self.site);
            self.take(n, outcome)?;
        }
        for (order, request) in self.orders.due(now) {
            let after = self.air.draw_ms(5, 30);
            self.later(after, Event::Asked(Asker::Order(order), request));
        }
        for (asker, response) in self.edge.advance(&self.air) {
            self.reply(asker, response);
        }
        for post in self.air.take_posts() {
            self.post(post);
        }
        self.advance_players()?;
        if now >= self.check_at {
            self.check_at = now + CHECK_EVERY;
            self.sabotage();
            let checked = self.watched(Watch::check);
            for note in std::mem::take(&mut self.watch.notes) {
                self.note(&note);
            }
            checked?;
        }
        Ok(())
    }

    fn carry_datagrams(&mut self) {
        let now = self.now;
        for player in &mut self.players {
            for packet in player.up.arrived(now) {
                let is_lost = self.sabotage == Sabotage::NoVoice && is_voice(&packet.data);
                let to = packet.relay;
                let relay = self.relays.iter_mut().find(|relay| relay.address == to);
                if let Some(relay) = relay.filter(|_| !is_lost) {
                    relay.handle_datagram(now, packet.player, &packet.data);
                }
            }
        }
    }

    /// Takes what comes of a step of a relay.
    fn take(&mut self, n: usize, outcome: Outcome) -> Result<(), String> {
        let from = self.relays[n].address;
        for (to, data) in outcome.sent {
            self.send_down(from, to, data);
        }
        if let Some((number, request)) = outcome.beat
            && let Some(run) = &self.relays[n].run
        {
            let asker = Asker::Shard(n, run.boot, number);
            let after = self.air.draw_ms(2, 20);
            self.later(after, Event::Asked(asker, request));
        }
        for (number, answer) in outcome.answers {
            let after = self.air.draw_ms(2, 20);
            self.later(after, Event::Answered(number, answer));
        }
        if let Some((ledger, datagrams)) = outcome.ended {
            self.watch.handle_end(self.now);
            let checked = ledger.check(datagrams);
            checked.map_err(|what| format!("shard {n}, at its end: {what}"))?;
        }
        Ok(())
    }

    fn send_down(&mut self, relay: SocketAddr, to: SocketAddr, data: Vec<u8>) {
        let now = self.now;
        let player = self.players.iter_mut().find(|player| player.address == to);
        if let Some(player) = player {
            let packet = Packet {
                relay,
                player: to,
                data,
            };
            player.down.send(now, packet);
        }
    }

    fn handle(&mut self, event: Event) -> Result<(), String> {
        let now = self.now;
        match event {
            Event::Later(transition) => return self.apply(transition),
            Event::Asked(asker, request) if self.edge.is_up => {
                self.edge.handle(now, asker, request);
            }
            Event::Asked(asker, _) => {
                self.later(Duration::from_millis(2), Event::Replied(asker, None, 0))
            }
            Event::Replied(asker, response, date_ms) => {
                return self.handle_reply(asker, response, date_ms);
            }
            Event::Posted(n, post) => {
                let number = post.number;
                let taken = || RelayReply {
                    status: 202,
                    body: Vec::new(),
                };
                let answer = match self.sabotage {
                    Sabotage::DeafRelays => Some(Ok(taken())),
                    _ => self.relays[n].handle_post(now, post),
                };
                if let Some(answer) = answer {
                    let after = self.air.draw_ms(2, 20);
                    self.later(after, Event::Answered(number, answer));
                }
            }
            Event::Answered(number, answer) => {
                self.air.answer(number, answer);
                self.edge.wake(now);
            }
        }
        Ok(())
    }

    /// Sends an answer of the edge back.
    fn reply(&mut self, asker: Asker, response: Option<Response>) {
        let after = match asker {
            Asker::Player(..) => self.air.draw_ms(5, 60),
            Asker::Shard(..) | Asker::Order(_) => self.air.draw_ms(2, 20),
        };
        let date_ms = self.air.edge_ms() / 1000 * 1000;
        self.later(after, Event::Replied(asker, response, date_ms));
    }

    fn handle_reply(
        &mut self,
        asker: Asker,
        response: Option<Response>,
        date_ms: u64,
    ) -> Result<(), String> {
        let now = self.now;
        match asker {
            Asker::Player(n, id, asked_at) => {
                let player = &mut self.players[n];
                let is_lost = self.sabotage == Sabotage::DeafPlayers && player.admitted.len() == 1;
                if player.weather != Weather::Blackout && player.asleep_until.is_none() && !is_lost
                {
                    player.handle_reply(now, (id, asked_at), response.as_ref());
                }
            }
            Asker::Shard(n, boot, number) => {
                let relay = &mut self.relays[n];
                if relay.run.as_ref().is_some_and(|run| run.boot == boot) {
                    let reply = Reply {
                        number,
                        response,
                        date_ms,
                    };
                    relay.handle_reply(now, reply);
                }
            }
            Asker::Order(n) => {
                if let Some(reply) = response.as_ref().filter(|reply| {
                    (400..500).contains(&reply.status) && ![404, 409, 429].contains(&reply.status)
                }) {
                    let text = edge::testing::calls::text(reply);
                    return Err(format!("an order is refused: {} {text}", reply.status));
                }
                let was_done = self.orders.all[n].done_at.is_some();
                self.orders.handle_reply(now, n, response.as_ref());
                let order = self.orders.all[n];
                if order.done_at.is_some() && !was_done {
                    self.note(&format!("{:?} is done", order.act));
                }
            }
        }
        Ok(())
    }

    /// A message of the edge is on its way to a relay. Where nothing listens, that is known at
    /// once.
    fn post(&mut self, post: Post) {
        let after = self.air.draw_ms(2, 20);
        let to = self
            .relays
            .iter()
            .position(|relay| post.url.starts_with(&relay.url));
        let event = match to {
            Some(n) if self.relays[n].id == post.shard => Event::Posted(n, post),
            _ => Event::Answered(post.number, Err(Unreachable)),
        };
        self.later(after, event);
    }

    fn advance_players(&mut self) -> Result<(), String> {
        for n in 0..self.players.len() {
            let now = self.now;
            let player = &mut self.players[n];
            if player.next_at(now).is_some_and(|at| at <= now) {
                player.advance(now);
            }
            let asks = std::mem::take(&mut player.asks);
            for (id, body) in asks {
                let player = &self.players[n];
                if player.weather == Weather::Blackout {
                    continue;
                }
                let is_foreign = self.sabotage == Sabotage::ForeignToken && n == 1;
                let room = player.joins;
                let room = ROOMS[if is_foreign { 1 - room } else { room }];
                let request = player.request(&body, room);
                let after = self.air.draw_ms(5, 60);
                let asker = Asker::Player(n, id, now);
                self.later(after, Event::Asked(asker, request));
            }
            for mut heard in std::mem::take(&mut self.players[n].heard) {
                if self.sabotage == Sabotage::WrongNames {
                    heard.player = heard.player.and("p7".parse().ok());
                }
                self.watched(|watch, view| watch.handle_heard(view, n, &heard))?;
            }
        }
        Ok(())
    }

    fn watched(
        &mut self,
        look: impl FnOnce(&mut Watch, &View<'_>) -> Result<(), String>,
    ) -> Result<(), String> {
        let is_down = self.air.store.get() != StoreWeather::Fine || !self.edge.is_up;
        let view = View {
            now: self.now,
            players: &self.players,
            relays: &self.relays,
            orders: &self.orders,
            items: self.edge.items(),
            edge_ms: self.air.edge_ms(),
            is_troubled: is_down,
        };
        look(&mut self.watch, &view)
    }

    /// Takes a healthy shard out of the store, as a store does that forgets.
    fn sabotage(&mut self) {
        if self.sabotage == Sabotage::ForgetfulStore {
            super::sabotage::forget(self.edge.items(), self.air.edge_ms(), &self.relays[0].id);
        }
    }

    /// Checks the books of every process in which nobody is left.
    pub(super) fn check_books(&self) -> Result<(), String> {
        for (n, relay) in self.relays.iter().enumerate() {
            let Some(run) = &relay.run else {
                continue;
            };
            let (sessions, rooms) = (run.core.sessions(), run.core.rooms());
            if sessions + rooms > 0 {
                return Err(format!(
                    "shard {n} has {sessions} sessions in {rooms} rooms left"
                ));
            }
            let checked = run.ledger.check(run.core.stats().datagrams_out);
            checked.map_err(|what| format!("shard {n}: {what}"))?;
        }
        Ok(())
    }
}
