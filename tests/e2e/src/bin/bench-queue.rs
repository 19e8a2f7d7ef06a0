//! `cargo xtask bench queue`: players who queue at a real edge, how soon they are matched, and what
//! a million of their tickets costs.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use clap::Parser;
use e2e::http::{Http, Reply};
use e2e::now;
use e2e::report::{Aim, Report, prices, quantile};
use e2e::service::{Edge, claims};
use hyper::{Method, StatusCode};
use serde_json::{Value, json};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use wire::matching::{TicketReply, TicketStatus};

/// Tickets of each measurement, and of a quick one.
const TICKETS: u32 = 4_000;
const QUICK_TICKETS: u32 = 400;
/// Tickets per second: what a busy queue of one region sees, and a quiet one.
const BUSY_PER_S: u32 = 50;
const QUIET_PER_S: u32 = 1;
/// Tickets of the quiet measurement, at most.
const QUIET_TICKETS: u32 = 90;
/// One ticket in so many is a party of two.
const PAIR_EVERY: u32 = 3;
/// Requests in flight: enough to keep both cores of a small machine busy.
const WORKERS: usize = 4;
/// Longest time that a ticket may wait before the measurement fails.
const PATIENCE: Duration = Duration::from_secs(60);

/// Measures queues
#[derive(Parser)]
struct Flags {
    /// Fewer tickets
    #[arg(long)]
    quick: bool,
}

#[tokio::main]
async fn main() -> Result<()> {
    let Flags { quick } = Flags::parse();
    let tickets = if quick { QUICK_TICKETS } else { TICKETS };
    let mut report = Report::default();
    let mut edge = Edge::start_with(|_| {}).await?;
    let _relay = edge.start_relay("bench").await?;
    for (queue, more) in [
        ("five", json!({})),
        ("asked", json!({ "acceptance": { "timeout_s": 30 } })),
        ("pairs", json!({})),
        ("quiet", json!({})),
        ("burst", json!({})),
    ] {
        set_rules(&edge, queue, more).await?;
    }
    let busy = |queue| Load {
        queue,
        per_s: BUSY_PER_S,
        tickets,
        pair_every: u32::MAX,
    };
    paced(&mut edge, busy("five"), &mut report).await?;
    let asked = Load {
        tickets: tickets / 4,
        ..busy("asked")
    };
    paced(&mut edge, asked, &mut report).await?;
    let pairs = Load {
        pair_every: PAIR_EVERY,
        ..busy("pairs")
    };
    paced(&mut edge, pairs, &mut report).await?;
    let quiet = Load {
        per_s: QUIET_PER_S,
        tickets: tickets.min(QUIET_TICKETS),
        ..busy("quiet")
    };
    paced(&mut edge, quiet, &mut report).await?;
    burst(&mut edge, tickets, &mut report).await?;
    report.finish("queue")
}

/// Two teams of five, by rating.
async fn set_rules(edge: &Edge, queue: &str, more: Value) -> Result<()> {
    let mut mode = json!({
        "mode": "five",
        "version": 1,
        "max_wait_s": 60,
        "teams": [{ "name": "team", "count": 2, "players": { "min": 5, "max": 5 } }],
        "rating": { "spread": 10 },
        "balance": { "favourite": 0.8 },
    });
    for (name, value) in more.as_object().into_iter().flatten() {
        mode[name] = value.clone();
    }
    let url = format!("{}/v1/match/queues/{queue}", edge.url());
    let token = edge.secrets.operator_token();
    let body = json!({ "version": 2, "modes": [mode] }).to_string();
    let reply = edge
        .http
        .send(Method::PUT, &url, &token, "application/json", body)
        .await?;
    ensure!(reply.status == StatusCode::OK, "{}", reply.problem());
    Ok(())
}

/// What is measured.
struct Load {
    queue: &'static str,
    per_s: u32,
    tickets: u32,
    /// One ticket in so many is a party of two.
    pair_every: u32,
}

/// Somebody who queues, alone or with a friend.
#[derive(Clone)]
struct Player {
    http: Http,
    /// Requests that may be in flight.
    permits: Arc<Semaphore>,
    base: String,
    queue: &'static str,
    name: String,
    token: String,
    /// Name and token of who plays with him.
    friend: Option<(String, String)>,
}

impl Player {
    fn new(edge: &Edge, queue: &'static str, number: u32, permits: &Arc<Semaphore>) -> Self {
        let name = format!("{queue}-{number}");
        Self {
            http: edge.http.clone(),
            permits: permits.clone(),
            base: format!("{}/v1/match", edge.url()),
            queue,
            token: edge.secrets.sign(&claims(&name, "none")),
            name,
            friend: None,
        }
    }

    fn with_friend(self, edge: &Edge) -> Self {
        let name = format!("{}-friend", self.name);
        let token = edge.secrets.sign(&claims(&name, "none"));
        Self {
            friend: Some((name, token)),
            ..self
        }
    }

    /// Queues up and asks when he is told to, until he has a match; so does his friend. Seconds
    /// from the first request to the reply that told of the match.
    async fn play(self) -> Result<f64> {
        let started = now();
        let mut players = vec![json!({ "player": self.name, "details": {} })];
        if let Some((friend, _)) = &self.friend {
            players.push(json!({ "player": friend }));
        }
        let body = json!({ "key": "k", "players": players });
        let queue = format!("{}/queues/{}/tickets", self.base, self.queue);
        let reply = self.post(&queue, body.to_string()).await?;
        ensure!(
            reply.status == StatusCode::CREATED,
            "{} {}",
            reply.status,
            reply.problem()
        );
        let ticket: TicketReply = reply.json()?;
        let url = format!("{queue}/{}", ticket.ticket);
        let Some((name, token)) = self.friend.clone() else {
            self.wait(&url, ticket, started).await?;
            return Ok(started.elapsed().as_secs_f64());
        };
        let friend = Self {
            name,
            token,
            ..self.clone()
        };
        let permit = self.permits.acquire().await?;
        let join = format!("{url}/party");
        let sent = self
            .http
            .send(Method::PUT, &join, &friend.token, "application/json", "{}");
        let reply = sent.await?;
        drop(permit);
        ensure!(reply.status == StatusCode::OK, "{}", reply.problem());
        let joined: TicketReply = reply.json()?;
        let both = tokio::join!(
            self.wait(&url, ticket, started),
            friend.wait(&url, joined, started)
        );
        both.0.and(both.1)?;
        Ok(started.elapsed().as_secs_f64())
    }

    /// Asks for a ticket until it has a match.
    async fn wait(
        &self,
        url: &str,
        mut ticket: TicketReply,
        started: std::time::Instant,
    ) -> Result<()> {
        let mut accepted = false;
        while ticket.status != TicketStatus::Matched {
            ensure!(
                started.elapsed() < PATIENCE,
                "{} waits for a minute",
                self.name
            );
            if ticket.status == TicketStatus::Proposed && !accepted {
                accepted = true;
                self.accept(&ticket).await?;
            }
            let Some(poll_after_ms) = ticket.poll_after_ms else {
                bail!("{} ended: {:?}", self.name, ticket.ended);
            };
            tokio::time::sleep(Duration::from_millis(poll_after_ms)).await;
            let permit = self.permits.acquire().await?;
            let reply = self.http.get(url, &self.token).await?;
            drop(permit);
            ensure!(
                reply.status == StatusCode::OK,
                "{} {}",
                reply.status,
                reply.problem()
            );
            ticket = reply.json()?;
        }
        Ok(())
    }

    async fn post(&self, url: &str, body: String) -> Result<Reply> {
        let _permit = self.permits.acquire().await?;
        self.http.post(url, &self.token, body).await
    }

    async fn accept(&self, ticket: &TicketReply) -> Result<()> {
        let found = ticket
            .found
            .as_ref()
            .context("a proposed ticket has a match")?;
        let url = format!("{}/matches/{}/acceptance", self.base, found.id);
        let body = json!({ "accept": true }).to_string();
        let reply = self.post(&url, body).await?;
        ensure!(
            reply.status == StatusCode::OK,
            "{} {}",
            reply.status,
            reply.problem()
        );
        Ok(())
    }
}

/// Tickets at a steady rate: how soon they are matched, and what they cost.
async fn paced(edge: &mut Edge, load: Load, report: &mut Report) -> Result<()> {
    let (queue, per_s) = (load.queue, load.per_s);
    drain(edge);
    let started = now();
    let permits = Arc::new(Semaphore::new(WORKERS));
    let mut players = JoinSet::new();
    for number in 0..load.tickets {
        let due = started + Duration::from_secs(1) * number / per_s;
        tokio::time::sleep_until(due.into()).await;
        let mut player = Player::new(edge, queue, number, &permits);
        if number % load.pair_every == load.pair_every - 1 {
            player = player.with_friend(edge);
        }
        players.spawn(player.play());
    }
    // Of parties, the last few wait for others in vain; those who queue alone come out even.
    let in_vain = if load.pair_every == u32::MAX { 0 } else { 12 };
    let mut matched = Vec::new();
    while players.len() > in_vain {
        let went = players.join_next().await.context("players are left")?;
        matched.push(went??);
    }
    players.abort_all();
    let name = |what: &str| format!("{queue}, {per_s} tickets/s: {what}");
    report.row(
        name("time to match, p50"),
        quantile(&mut matched, 0.5),
        "s",
        Aim::None,
    );
    report.row(
        name("time to match, p95"),
        quantile(&mut matched, 0.95),
        "s",
        Aim::None,
    );
    report.row(
        name("time to match, p99"),
        quantile(&mut matched, 0.99),
        "s",
        Aim::None,
    );
    costs(edge, queue, f64::from(load.tickets), report)
}

fn drain(edge: &mut Edge) -> Vec<edge_host::InvocationRecord> {
    let mut records = Vec::new();
    while let Ok(record) = edge.records.try_recv() {
        if record.route.starts_with("match-") {
            records.push(record);
        }
    }
    records
}

fn costs(edge: &mut Edge, queue: &str, tickets: f64, report: &mut Report) -> Result<()> {
    let records = drain(edge);
    let sum =
        |of: fn(&edge_host::InvocationRecord) -> f64| records.iter().map(of).sum::<f64>() / tickets;
    let name = |what: &str| format!("{queue}: {what}");
    let requests = records.len() as f64 / tickets;
    let reads = sum(|record| f64::from(record.store_read_units));
    let writes = sum(|record| f64::from(record.store_write_units));
    let calls = sum(|record| f64::from(record.store_calls));
    report.row(name("requests per ticket"), requests, "requests", Aim::None);
    report.row(name("read units per ticket"), reads, "units", Aim::None);
    report.row(name("write units per ticket"), writes, "units", Aim::None);
    report.row(name("store calls per ticket"), calls, "calls", Aim::None);
    let function_ms = sum(|record| record.duration_us as f64) / 1e3;
    report.row(
        name("function time per ticket"),
        function_ms,
        "ms",
        Aim::None,
    );
    let used = prices::on_lambda(&records).scaled(1_000_000, tickets as u128);
    let cost = prices::of_million(used.into());
    // The plain queue is what "a ticket" means where one figure is told.
    if queue == "five" {
        prices::keep("ticket", used.into())?;
        keep_records(&records)?;
    }
    let (store, lambda) = (cost.store.dollars(), cost.compute.dollars());
    report.row(name("store, per million tickets"), store, "$", Aim::None);
    let whole = name("store and Lambda, per million tickets");
    report.row(whole, store + lambda, "$", Aim::AtMost(5.0));
    let gateway = cost.gateway.dollars();
    let with_gateway = name("the same behind an HTTP API of API Gateway");
    report.row(with_gateway, store + lambda + gateway, "$", Aim::None);
    let all = name("the same with logs and egress");
    report.row(all, cost.total().dollars(), "$", Aim::None);
    let mut by_route: BTreeMap<&str, (u32, u32, u32)> = BTreeMap::new();
    for record in &records {
        let sums = by_route.entry(&record.route).or_default();
        sums.0 += 1;
        sums.1 += record.store_read_units;
        sums.2 += record.store_write_units;
    }
    for (route, (count, reads, writes)) in by_route {
        let per = |units: u32| f64::from(units) / f64::from(count);
        let times = f64::from(count) / tickets;
        let units = format!("{route}: {times:.2} per ticket; read units of one");
        report.row(name(&units), per(reads), "units", Aim::None);
        report.row(
            name(&format!("{route}: write units of one")),
            per(writes),
            "units",
            Aim::None,
        );
    }
    Ok(())
}

/// Keeps records as the host would print them, for reports of costs.
fn keep_records(records: &[edge_host::InvocationRecord]) -> Result<()> {
    let mut lines = String::new();
    for record in records {
        lines.push_str(&serde_json::to_string(record)?);
        lines.push('\n');
    }
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target/bench");
    std::fs::create_dir_all(&folder)?;
    Ok(std::fs::write(folder.join("queue.jsonl"), lines)?)
}

/// As many as the host takes: tickets per second from queueing to a match.
async fn burst(edge: &mut Edge, tickets: u32, report: &mut Report) -> Result<()> {
    let started = now();
    let permits = Arc::new(Semaphore::new(WORKERS));
    let players: Vec<_> = (0..tickets)
        .map(|number| tokio::spawn(Player::new(edge, "burst", number, &permits).play()))
        .collect();
    for player in players {
        player.await??;
    }
    let per_s = f64::from(tickets) / started.elapsed().as_secs_f64();
    let name = format!("{WORKERS} requests at a time: tickets matched per second");
    report.row(name, per_s, "1/s", Aim::None);
    drain(edge);
    Ok(())
}
