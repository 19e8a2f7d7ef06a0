//! The function itself on a virtual clock: honest players who queue, ask as they are told and wait,
//! beside a share of the population that queues up and takes it back as fast as its pace allows.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::ops::Deref;
use std::sync::atomic::Ordering;

use anyhow::{Context, Result, ensure};
use edge::http::Response;
use edge::testing::calls::{bearer, request, share};
use edge::testing::host::{Host, NOW_MS, claims, signing_key};
use edge::testing::schedule::block_on;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use serde_json::{Value, json};
use wire::claims::Role;
use wire::matching::{TicketReply, TicketStatus};

/// Milliseconds from a reply to the request that it leads to.
const ROUND_TRIP_MS: u64 = 50;
/// How often relays say that they live.
const BEAT_MS: u64 = 2_000;
const TICKETS: &str = "/v1/match/queues/five/tickets";

/// What is simulated.
#[derive(Debug, Clone)]
pub struct Churn {
    /// Decides everything random.
    pub seed: u64,
    /// Players who are around at a time.
    pub population: u32,
    /// The share of them that does nothing but queue up and take it back, 0 to 1.
    pub share: f64,
    /// Others who queue up in a second, whatever that share is.
    pub per_s: f64,
    /// How long, seconds.
    pub seconds: u64,
    /// Whether all must accept a match.
    pub accepts: bool,
}

/// What came out.
#[derive(Debug, Clone, Default)]
pub struct ChurnOutcome {
    /// Seconds from queueing up to a match, of the others.
    pub waits_s: Vec<f64>,
    /// Tickets that were taken back.
    pub taken_back: usize,
    /// Times that one who wanted to queue up again was told to wait.
    pub put_off: usize,
    /// Read units of the dearest request.
    pub read_units_max: u32,
    /// Read units of all requests of the others, for each of them.
    pub read_units_each: f64,
}

enum Event {
    Beat,
    Arrive,
    Ask(Player),
    Churn(u32, u32),
    TakeBack(u32, u32, String),
}

/// An honest one.
struct Player {
    name: String,
    since_ms: u64,
    path: String,
}

struct Rig(Host);

impl Deref for Rig {
    type Target = Host;

    fn deref(&self) -> &Host {
        &self.0
    }
}

/// Lets them queue.
///
/// # Errors
/// When the function refuses what it should not.
pub fn simulate(churn: &Churn) -> Result<ChurnOutcome> {
    let mut run = Run {
        churn,
        rig: Rig(Host::new("matchmaking", churn.seed)),
        rng: ChaCha8Rng::seed_from_u64(churn.seed),
        events: BinaryHeap::new(),
        kinds: Vec::new(),
        arrived: 0,
        out: ChurnOutcome::default(),
    };
    run.begin()?;
    let until_ms = NOW_MS + churn.seconds * 1000;
    while let Some(Reverse((at_ms, number))) = run.events.pop() {
        let event = run.kinds[number].take().context("an event happens once")?;
        // Who has come is waited for; nobody else comes.
        let is_over = at_ms >= until_ms;
        if is_over && !matches!(event, Event::Ask(_) | Event::Beat) {
            continue;
        }
        if is_over && run.out.waits_s.len() + ODD >= run.arrived {
            break;
        }
        ensure!(at_ms < until_ms + 120_000, "somebody waits for two minutes");
        run.rig.now_ms.store(at_ms, Ordering::Relaxed);
        run.happen(event)?;
    }
    run.out.read_units_each /= run.arrived.max(1) as f64;
    Ok(run.out)
}

/// Players whom the last match leaves over.
const ODD: usize = 9;

struct Run<'a> {
    churn: &'a Churn,
    rig: Rig,
    rng: ChaCha8Rng,
    /// When what happens, an index of `kinds`.
    events: BinaryHeap<Reverse<(u64, usize)>>,
    kinds: Vec<Option<Event>>,
    arrived: usize,
    out: ChurnOutcome,
}

impl Run<'_> {
    fn begin(&mut self) -> Result<()> {
        let mut mode = json!({
            "mode": "five", "version": 1, "max_wait_s": 60,
            "teams": [{ "name": "team", "count": 2, "players": { "min": 5, "max": 5 } }],
        });
        if self.churn.accepts {
            mode["acceptance"] = json!({ "timeout_s": 20 });
        }
        let rules = json!({ "version": 1, "modes": [mode] });
        let put = self.call("operator", "PUT", "/v1/match/queues/five", &rules);
        ensure!(put.status == 200, "{}", String::from_utf8_lossy(&put.body));
        self.at(0, Event::Beat);
        self.at(1, Event::Arrive);
        let churners = f64::from(self.churn.population) * self.churn.share;
        for number in 0..churners as u32 {
            let first_ms = self.rng.random_range(0..6_000);
            self.at(first_ms, Event::Churn(number, 0));
        }
        Ok(())
    }

    fn at(&mut self, in_ms: u64, event: Event) {
        let at_ms = self.now_ms() + in_ms;
        self.events.push(Reverse((at_ms, self.kinds.len())));
        self.kinds.push(Some(event));
    }

    fn now_ms(&self) -> u64 {
        self.rig.now_ms.load(Ordering::Relaxed)
    }

    fn happen(&mut self, event: Event) -> Result<()> {
        match event {
            Event::Beat => {
                self.rig.beat(&serde_json::from_value(json!({
                    "shard": "eu-0", "region": "eu", "boot": "0707070707070707", "epoch": 0,
                    "sent_at_ms": self.now_ms(), "state": "open", "candidates": [],
                    "fingerprint": "sha-256 00", "control_url": "http://192.0.2.1:7411/",
                    "ticket_version": wire::ticket::TICKET_VERSION, "capacity": 100_000,
                    "load": { "participants": 0, "rooms": 0, "cpu_permille": 0 },
                }))?);
                self.at(BEAT_MS, Event::Beat);
            }
            Event::Arrive => self.arrive()?,
            Event::Ask(player) => self.ask(player)?,
            Event::Churn(number, turn) => self.queue_and_leave(number, turn)?,
            Event::TakeBack(number, turn, path) => {
                let player = format!("churner-{number}");
                let reply = self.call(&player, "DELETE", &path, &Value::Null);
                let again = match reply.status {
                    204 => Event::Churn(number, turn + 1),
                    503 => Event::TakeBack(number, turn, path),
                    status => anyhow::bail!("{status}: {}", text(&reply)),
                };
                self.out.taken_back += usize::from(reply.status == 204);
                self.at(ROUND_TRIP_MS, again);
            }
        }
        Ok(())
    }

    fn arrive(&mut self) -> Result<()> {
        let name = format!("player-{}", self.arrived);
        self.arrived += 1;
        let body = json!({ "key": "k", "players": [{ "player": name, "details": {} }] });
        let since_ms = self.now_ms();
        let ticket = self.honest(&name, "POST", TICKETS, &body)?;
        let path = format!("{TICKETS}/{}", ticket.ticket);
        let player = Player {
            name,
            since_ms,
            path,
        };
        self.go_on(player, &ticket)?;
        // Poisson.
        let gap_s = -(1.0 - self.rng.random::<f64>()).ln() / self.churn.per_s;
        self.at((gap_s * 1000.0) as u64, Event::Arrive);
        Ok(())
    }

    fn ask(&mut self, player: Player) -> Result<()> {
        let ticket = self.honest(&player.name, "GET", &player.path, &Value::Null)?;
        self.go_on(player, &ticket)
    }

    /// One of the others does as he was told.
    fn go_on(&mut self, player: Player, ticket: &TicketReply) -> Result<()> {
        if ticket.status == TicketStatus::Matched {
            let wait_ms = self.now_ms() - player.since_ms;
            self.out.waits_s.push(wait_ms as f64 / 1000.0);
            return Ok(());
        }
        if let (TicketStatus::Proposed, Some(found)) = (&ticket.status, &ticket.found)
            && !found.accepted.iter().any(|id| id.as_str() == player.name)
        {
            let path = format!("/v1/match/matches/{}/acceptance", found.id);
            self.call(&player.name, "POST", &path, &json!({ "accept": true }));
        }
        let pause_ms = ticket
            .poll_after_ms
            .context("who waits is told when to ask")?;
        self.at(pause_ms, Event::Ask(player));
        Ok(())
    }

    fn queue_and_leave(&mut self, number: u32, turn: u32) -> Result<()> {
        let name = format!("churner-{number}");
        let key = format!("k{turn}");
        let body = json!({ "key": key, "players": [{ "player": name, "details": {} }] });
        let reply = self.call(&name, "POST", TICKETS, &body);
        if reply.status == 201 {
            let ticket: TicketReply = serde_json::from_slice(&reply.body)?;
            let path = format!("{TICKETS}/{}", ticket.ticket);
            self.at(ROUND_TRIP_MS, Event::TakeBack(number, turn, path));
            return Ok(());
        }
        self.out.put_off += 1;
        let wait_s: u64 = match reply.header("retry-after") {
            Some(wait_s) => wait_s.parse()?,
            None => 1,
        };
        self.at(wait_s * 1000, Event::Churn(number, turn));
        Ok(())
    }

    fn honest(
        &mut self,
        name: &str,
        method: &str,
        path: &str,
        body: &Value,
    ) -> Result<TicketReply> {
        let reply = self.call(name, method, path, body);
        ensure!(reply.status < 300, "{name}: {}", text(&reply));
        self.out.read_units_each += f64::from(share(&reply).store_read_units);
        Ok(serde_json::from_slice(&reply.body)?)
    }

    fn call(&mut self, name: &str, method: &str, path: &str, body: &Value) -> Response {
        let role = (name == "operator").then_some(Role::Operator);
        let token = bearer(&claims(name, role), &signing_key());
        let request = request(token, method, path, body);
        let reply = block_on(matchmaking::handle(&self.rig, request));
        let units = share(&reply).store_read_units;
        self.out.read_units_max = self.out.read_units_max.max(units);
        reply
    }
}

fn text(reply: &Response) -> String {
    String::from_utf8_lossy(&reply.body).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use bench_report::quantile;

    #[test]
    fn who_comes_and_goes_keeps_nobody_waiting() {
        let of = |share| {
            let churn = Churn {
                seed: 11,
                population: 300,
                share,
                per_s: 5.0,
                seconds: 60,
                accepts: true,
            };
            simulate(&churn).unwrap()
        };
        let (mut alone, mut beside) = (of(0.0), of(0.3));
        assert!(beside.taken_back > 500, "{}", beside.taken_back);
        // A single wait is some whole pauses between polls, and so is a quantile of few.
        let mean = |waits: &[f64]| waits.iter().sum::<f64>() / waits.len() as f64;
        let (before, after) = (mean(&alone.waits_s), mean(&beside.waits_s));
        assert!(after <= before + 0.5, "mean: {before} s, {after} s");
        let late = |waits: &mut Vec<f64>| quantile(waits, 0.95);
        let (before, after) = (late(&mut alone.waits_s), late(&mut beside.waits_s));
        assert!(after <= before + 1.0, "p95: {before} s, {after} s");
        // What they have left is read by nobody: ten times as much would be, in its place.
        assert!(beside.read_units_max <= alone.read_units_max + 10);
    }
}
