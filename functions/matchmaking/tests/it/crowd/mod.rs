//! Parties that queue up, send things twice, cancel, accept, decline and vanish, while requests die
//! half way; and what the store then says of their matches.

#![allow(unreachable_pub, reason = "each module of tests uses its part")]

use std::collections::{BTreeMap, BTreeSet};
use std::future::poll_fn;
use std::pin::Pin;
use std::sync::Mutex;
use std::sync::atomic::Ordering;
use std::task::Poll;

use edge::http::{Request, Response};
use edge::ports::Clock;
use edge::testing::schedule::{Chance, yield_now};
use serde_json::{Value, json};
use wire::matching::{MatchStatus, TicketReply, TicketStatus};

use crate::rig::{self, Rig, claims, problem, read, request};

const QUEUE: &str = "/v1/match/queues/q/tickets";
const PARTIES: usize = 9;
/// Rounds in which a client does what chance says, with faults; then it only asks.
const WILD_ROUNDS: usize = 6;
const CALM_ROUNDS: usize = 40;
/// Longest time for which a request stops half way: all of its life is a minute.
const STALL_MAX_MS: u64 = 50_000;

/// What happened that can be held against the store afterwards: matches that players were told to
/// be in.
pub type Seen = BTreeMap<String, BTreeSet<String>>;

pub struct Party<'a> {
    rig: &'a Rig,
    seen: &'a Mutex<Seen>,
    chance: Chance,
    pub players: Vec<String>,
    /// Counts the tickets that it asked for.
    key: u32,
    ticket: Option<TicketReply>,
    /// Requests that have stopped half way, and when they go on.
    stalled: Vec<(u64, Stalled<'a>)>,
}

type Stalled<'a> = Pin<Box<dyn Future<Output = Response> + 'a>>;

impl<'a> Party<'a> {
    fn one_in(&self, bound: u64) -> bool {
        self.chance.below(bound) == 0
    }

    /// A request that stops before one of its store calls, for up to as long as a host lets it
    /// live.
    async fn stall(&mut self, request: Request) {
        let mut future: Stalled<'a> = Box::pin(matchmaking::handle(self.rig, request));
        for _ in 0..=self.chance.below(12) {
            let polled = poll_fn(|context| Poll::Ready(future.as_mut().poll(context).is_ready()));
            if polled.await {
                return;
            }
            yield_now().await;
        }
        let until_ms = self.rig.now_ms() + self.chance.below(STALL_MAX_MS);
        self.stalled.push((until_ms, future));
    }

    /// Lets those go on that have stalled for as long as they should.
    async fn go_on(&mut self) {
        let now_ms = self.rig.now_ms();
        let due = |(until_ms, _): &mut (u64, Stalled<'a>)| *until_ms <= now_ms;
        let due: Vec<_> = self.stalled.extract_if(.., due).collect();
        for (until_ms, future) in due {
            // Else its host has ended it.
            if now_ms < until_ms + STALL_MAX_MS / 10 {
                future.await;
            }
        }
    }

    /// Sends a request as a client does whose network and whose service are bad.
    async fn call(
        &mut self,
        player: &str,
        method: &str,
        path: &str,
        body: Value,
        wild: bool,
    ) -> Option<Response> {
        let request = request(&claims(player, None), method, path, body);
        if wild && self.one_in(5) {
            let calls = self.chance.below(12);
            return self.rig.crashing(request, calls).await;
        }
        if wild && self.one_in(5) {
            self.stall(request).await;
            return None;
        }
        if wild && self.one_in(6) {
            matchmaking::handle(self.rig, request.clone()).await;
        }
        Some(matchmaking::handle(self.rig, request).await)
    }

    async fn queue_up(&mut self, wild: bool) {
        let key = format!("k{}", self.key);
        let players: Vec<&str> = self.players.iter().map(String::as_str).collect();
        let mut body = rig::ticket(&key, &players);
        body["players"][0]["details"]["blocks"] = json!(blocks(players[0]));
        let leader = self.players[0].clone();
        if let Some(response) = self.call(&leader, "POST", QUEUE, body, wild).await {
            match problem(&response).as_str() {
                "" => self.ticket = Some(read(&response)),
                // What it asked for ended, or came to nothing: it asks anew.
                "ticket-expired" => self.key += 1,
                _ => {}
            }
        }
    }

    async fn join(&mut self, ticket: &TicketReply, wild: bool) {
        for player in &self.players.clone()[1..] {
            let path = format!("{}/party", rig::path(ticket));
            let body = json!({ "blocks": blocks(player) });
            self.call(player, "PUT", &path, body, wild).await;
        }
    }

    async fn round(&mut self, wild: bool) {
        let Some(ticket) = self.ticket.clone() else {
            return self.queue_up(wild).await;
        };
        if wild && self.one_in(12) {
            // The same request again, late.
            return self.queue_up(wild).await;
        }
        if ticket.status == TicketStatus::Gathering {
            self.join(&ticket, wild).await;
        }
        if wild && self.one_in(10) && ticket.status != TicketStatus::Matched {
            let leader = self.players[0].clone();
            self.call(&leader, "DELETE", &rig::path(&ticket), Value::Null, wild)
                .await;
        }
        let asking = self.players[self.chance.below(self.players.len() as u64) as usize].clone();
        let Some(response) = self
            .call(&asking, "GET", &rig::path(&ticket), Value::Null, wild)
            .await
        else {
            return;
        };
        if problem(&response) == "ticket-expired" {
            (self.ticket, self.key) = (None, self.key + 1);
        }
        if response.status != 200 {
            return;
        }
        let reply: TicketReply = read(&response);
        match reply.status {
            TicketStatus::Proposed => self.answer(&reply, wild).await,
            TicketStatus::Matched => self.note(&reply),
            TicketStatus::Ended => (self.ticket, self.key) = (None, self.key + 1),
            _ => {}
        }
        if reply.status != TicketStatus::Ended {
            self.ticket = Some(reply);
        }
    }

    async fn answer(&mut self, reply: &TicketReply, wild: bool) {
        let id = &reply
            .found
            .as_ref()
            .expect("a proposed ticket has a match")
            .id;
        let path = format!("/v1/match/matches/{id}/acceptance");
        for player in &self.players.clone() {
            let accepts = !(wild && self.one_in(8));
            if !(wild && self.one_in(8)) {
                self.call(player, "POST", &path, json!({ "accept": accepts }), wild)
                    .await;
            }
        }
    }

    fn note(&self, reply: &TicketReply) {
        let found = reply.found.as_ref().expect("a matched ticket has a match");
        let is_decided = matches!(found.status, MatchStatus::Ready | MatchStatus::Over);
        assert!(is_decided, "{:?}", found.status);
        let mut seen = self.seen.lock().unwrap();
        for player in &self.players {
            seen.entry(player.clone())
                .or_default()
                .insert(found.id.to_string());
        }
    }

    pub async fn run(mut self) {
        for round in 0..WILD_ROUNDS + CALM_ROUNDS {
            let wild = round < WILD_ROUNDS;
            self.go_on().await;
            let done = self
                .ticket
                .as_ref()
                .is_some_and(|t| t.status == TicketStatus::Matched);
            if !wild && done {
                return;
            }
            self.round(wild).await;
            if !wild {
                self.rig
                    .store
                    .faults_per_thousand
                    .store(0, Ordering::Relaxed);
            }
            self.rig.pass(200 + self.chance.below(600));
            yield_now().await;
        }
    }
}

/// A crowd by `chance`: parties of one player to `most`.
pub fn parties<'a>(
    rig: &'a Rig,
    seen: &'a Mutex<Seen>,
    chance: &Chance,
    most: u32,
) -> Vec<Party<'a>> {
    let mut numbers = 0..;
    let party = |_| {
        let size = 1 + chance.below(u64::from(most)) as usize;
        let players = numbers.by_ref().take(size);
        Party {
            rig,
            seen,
            chance: Chance::new(chance.next()),
            players: players.map(|number| format!("p{number}")).collect(),
            key: 0,
            ticket: None,
            stalled: Vec::new(),
        }
    };
    (0..PARTIES).map(party).collect()
}

/// Every fourth player blocks the one five after him.
pub fn blocks(player: &str) -> Vec<String> {
    let number: u32 = player.trim_start_matches('p').parse().unwrap();
    match number % 4 {
        0 => vec![format!("p{}", number + 5)],
        _ => vec![],
    }
}

/// The tickets of a team, each with its players.
pub type Team = Vec<(String, Vec<String>)>;

/// Who took himself out of which match, by the match's partition.
pub fn quitters(rig: &Rig) -> BTreeSet<(String, String)> {
    let everything = rig.store.inner.everything();
    let of_match = everything.iter().filter(|(_, item)| item.sort == "quit");
    let players = of_match.flat_map(|(partition, item)| {
        let players: Vec<String> = serde_json::from_slice(&item.value).unwrap();
        players
            .into_iter()
            .map(|player| (partition.clone(), player))
    });
    players.collect()
}

/// The parts of matches that came to be: who is in which team, by match.
pub fn ready(rig: &Rig) -> BTreeMap<(String, String), Vec<Team>> {
    let everything = rig.store.inner.everything();
    let value = |partition: &str, sort: &str| {
        let mut items = everything.iter();
        let item = items.find(|(found, item)| found == partition && item.sort == sort)?;
        serde_json::from_slice::<Value>(&item.1.value).ok()
    };
    let mut found = BTreeMap::new();
    for (partition, item) in &everything {
        let Some(part) = item.sort.strip_prefix("body#") else {
            continue;
        };
        if value(partition, &format!("phase#{part}")) != Some(json!("r")) {
            continue;
        }
        let body: Value = serde_json::from_slice(&item.value).unwrap();
        let text = |value: &Value| value.as_str().unwrap().to_owned();
        let ticket = |ticket: &Value| {
            let players = ticket["p"].as_array().unwrap().iter();
            (
                text(&ticket["t"]),
                players.map(|player| text(&player["i"])).collect(),
            )
        };
        let teams = body["t"].as_array().unwrap().iter();
        let teams = teams.map(|team| team["t"].as_array().unwrap().iter().map(ticket).collect());
        found.insert((partition.clone(), part.to_owned()), teams.collect());
    }
    found
}

/// The pass of a lane begins no later than at the oldest ticket that waits there.
pub fn everybody_who_waits_is_read(rig: &Rig, seed: u64) {
    let everything = rig.store.inner.everything();
    let now_ms = edge::ports::Clock::now_ms(rig);
    let lives = |at: Option<u64>| at.is_none_or(|at| at > now_ms);
    for (partition, lease) in everything.iter().filter(|(_, item)| item.sort == "lease") {
        let lease: Value = serde_json::from_slice(&lease.value).unwrap();
        let oldest = lease["o"].as_str().unwrap_or_default();
        let tickets = everything.iter().filter(|(other, item)| {
            other == partition && item.sort.starts_with("t#") && lives(item.expires_at_ms)
        });
        for (_, item) in tickets {
            let ticket: Value = serde_json::from_slice(&item.value).unwrap();
            let is_read = ticket["t"] != "w" || oldest <= item.sort.as_str();
            assert!(is_read, "{} is never read, seed {seed}", item.sort);
        }
    }
}
