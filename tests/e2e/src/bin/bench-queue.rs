//! `cargo xtask bench queue`: players who queue at a real edge, how soon they are matched, and what
//! a million of their tickets costs.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use e2e::http::{Http, Reply};
use e2e::now;
use e2e::report::{Aim, Report, quantile};
use e2e::service::{Edge, claims};
use hyper::{Method, StatusCode};
use serde_json::{Value, json};
use tokio::sync::Semaphore;
use wire::matching::{TicketReply, TicketStatus};

/// Tickets of each measurement, and of a quick one.
const TICKETS: u32 = 4_000;
const QUICK_TICKETS: u32 = 400;
/// Tickets per second of the paced measurement: what a busy queue of one region sees.
const PER_S: u32 = 50;
/// Requests in flight: enough to keep both cores of a small machine busy.
const WORKERS: usize = 4;
/// Longest time that a ticket may wait before the measurement fails.
const PATIENCE: Duration = Duration::from_secs(60);

// List prices of us-east-1 in dollars; dates and sources are in the price list that the project
// computes with.
const WRITE_UNITS_PER_MILLION: f64 = 0.625;
const READ_UNITS_PER_MILLION: f64 = 0.125;
const LAMBDA_REQUESTS_PER_MILLION: f64 = 0.20;
const LAMBDA_GB_SECOND_ARM: f64 = 0.000_013_333_4;
const LAMBDA_GB: f64 = 0.128;
/// Assumed for each item that a function on Lambda writes or asks DynamoDB for, and besides.
const LAMBDA_STORE_S: f64 = 0.004;
const LAMBDA_BASE_S: f64 = 0.002;

#[tokio::main]
async fn main() -> Result<()> {
    let is_quick = std::env::args().any(|argument| argument == "--quick");
    let tickets = if is_quick { QUICK_TICKETS } else { TICKETS };
    let mut report = Report::default();
    let mut edge = Edge::start_with(|_| {}).await?;
    let _relay = edge.start_relay("bench").await?;
    for (queue, more) in [
        ("five", json!({})),
        ("asked", json!({ "acceptance": { "timeout_s": 30 } })),
        ("burst", json!({})),
    ] {
        set_rules(&edge, queue, more).await?;
    }
    paced(&mut edge, "five", tickets, &mut report).await?;
    paced(&mut edge, "asked", tickets / 4, &mut report).await?;
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

/// Somebody who queues alone.
struct Player {
    http: Http,
    /// Requests that may be in flight.
    permits: Arc<Semaphore>,
    base: String,
    queue: &'static str,
    name: String,
    token: String,
}

/// How it went for him.
struct Went {
    /// From the first request to the reply that told of the match, milliseconds.
    matched_ms: f64,
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
        }
    }

    /// Queues up and asks when he is told to, until he has a match.
    async fn play(self) -> Result<Went> {
        let started = now();
        let body = json!({ "key": "k", "players": [{ "player": self.name, "details": {} }] });
        let queue = format!("{}/queues/{}/tickets", self.base, self.queue);
        let reply = self.post(&queue, body.to_string()).await?;
        ensure!(
            reply.status == StatusCode::CREATED,
            "{} {}",
            reply.status,
            reply.problem()
        );
        let mut ticket: TicketReply = reply.json()?;
        let url = format!("{queue}/{}", ticket.ticket);
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
            let reply = self.http.get(&url, &self.token).await?;
            drop(permit);
            ensure!(
                reply.status == StatusCode::OK,
                "{} {}",
                reply.status,
                reply.problem()
            );
            ticket = reply.json()?;
        }
        Ok(Went {
            matched_ms: started.elapsed().as_secs_f64() * 1e3,
        })
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
async fn paced(
    edge: &mut Edge,
    queue: &'static str,
    tickets: u32,
    report: &mut Report,
) -> Result<()> {
    drain(edge);
    let started = now();
    let permits = Arc::new(Semaphore::new(WORKERS));
    let mut players = Vec::new();
    for number in 0..tickets {
        let due = started + Duration::from_secs(1) * number / PER_S;
        tokio::time::sleep_until(due.into()).await;
        players.push(tokio::spawn(
            Player::new(edge, queue, number, &permits).play(),
        ));
    }
    let mut matched = Vec::new();
    for player in players {
        matched.push(player.await??.matched_ms / 1e3);
    }
    let name = |what: &str| format!("{queue}, {PER_S} tickets/s: {what}");
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
    costs(edge, queue, f64::from(tickets), report);
    Ok(())
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

fn costs(edge: &mut Edge, queue: &str, tickets: f64, report: &mut Report) {
    let records = drain(edge);
    let sum =
        |of: fn(&edge_host::InvocationRecord) -> f64| records.iter().map(of).sum::<f64>() / tickets;
    let name = |what: &str| format!("{queue}: {what}");
    let requests = records.len() as f64 / tickets;
    let reads = sum(|record| f64::from(record.store_read_units));
    let writes = sum(|record| f64::from(record.store_write_units));
    let operations = sum(|record| f64::from(record.store_reads.min(20) + record.store_writes));
    report.row(name("requests per ticket"), requests, "requests", Aim::None);
    report.row(name("read units per ticket"), reads, "units", Aim::None);
    report.row(name("write units per ticket"), writes, "units", Aim::None);
    let function_ms = sum(|record| record.duration_us as f64) / 1e3;
    report.row(
        name("function time per ticket"),
        function_ms,
        "ms",
        Aim::None,
    );
    let store = reads * READ_UNITS_PER_MILLION + writes * WRITE_UNITS_PER_MILLION;
    let seconds = requests * LAMBDA_BASE_S + operations * LAMBDA_STORE_S;
    let lambda =
        requests * LAMBDA_REQUESTS_PER_MILLION + seconds * LAMBDA_GB * LAMBDA_GB_SECOND_ARM * 1e6;
    report.row(name("store, per million tickets"), store, "$", Aim::None);
    let whole = name("store and Lambda, per million tickets");
    report.row(whole, store + lambda, "$", Aim::AtMost(5.0));
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
