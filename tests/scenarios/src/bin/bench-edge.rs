//! `cargo xtask bench edge`: what a request takes and costs on each host.

#![expect(clippy::print_stdout, reason = "the table is what it is for")]

use std::path::PathBuf;
use std::process::Stdio;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use bench_report::{Aim, Report, prices, quantile};
use hyper::Method;
use scenarios::gateway::Gateway;
use scenarios::hosts;
use scenarios::http::Http;
use scenarios::moto::Moto;
use scenarios::shard::Shard;
use scenarios::target::Target;
use scenarios::tokens::Secrets;
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};
use tokio::sync::mpsc;
use wire::record::InvocationRecord;

const OFFER: &str = include_str!("../../../../functions/signalling/tests/offers/chromium.sdp");

const WARM_REQUESTS: usize = 300;
const COLD_STARTS: usize = 15;
/// What a record says of memory, time and units comes within this.
const RECORD_LIMIT: Duration = Duration::from_secs(10);

/// Memory of the functions as deployed, GB: the least that Lambda has.
const MEMORY_GB: f64 = 0.125;
/// Memory at which Lambda gives a whole processor, GB. With less it gives that much less of one.
const WHOLE_CPU_GB: f64 = 1.769;
/// Most calls by which a measured route reads.
const MOST_READ_CALLS: u32 = 4;
/// Assumed time of one call of DynamoDB within a region, seconds.
const STORE_CALL_S: f64 = 0.005;
/// Dollars for a million joins.
const JOIN_AIM: f64 = 2.5;
const COLD_AIM_MS: f64 = 60.0;
const MEMORY_AIM_MB: f64 = 64.0;

#[tokio::main]
async fn main() -> Result<()> {
    let mut rows = Vec::new();
    let mut edge_host = hosts::edge_host().await?;
    let records = edge_host
        .records
        .take()
        .context("edge-host tells records")?;
    rows.extend(measure("edge-host", &edge_host.target, records, None).await?);
    drop(edge_host);
    let lambda = Lambda::start().await?;
    rows.extend(lambda.measure().await?);
    print(&rows);
    report(&rows).write("edge")
}

/// One route on one host.
struct Row {
    host: &'static str,
    route: &'static str,
    function_p50_us: f64,
    function_p99_us: f64,
    wall_p50_us: f64,
    cpu_us: Option<f64>,
    cold_p50_ms: Option<f64>,
    cold_max_ms: Option<f64>,
    peak_memory_mb: f64,
    reads: u32,
    writes: u32,
    read_units: u32,
    write_units: u32,
    log_bytes: f64,
    dollars_per_million: Option<f64>,
}

/// The functions of Lambda with nothing between us and them.
struct Lambda {
    gateway: Gateway,
    moto: Moto,
    target: Target,
}

impl Lambda {
    async fn start() -> Result<Self> {
        let secrets = Secrets::generate();
        let moto = hosts::emulator(&secrets).await?;
        let gateway = Gateway::start().await?;
        let target = Target {
            base: gateway.url.clone(),
            http: Http::default(),
            secrets,
        };
        Ok(Self {
            gateway,
            moto,
            target,
        })
    }

    async fn measure(&self) -> Result<Vec<Row>> {
        let (sender, records) = mpsc::unbounded_channel();
        let mut children = Vec::new();
        for (_, function) in hosts::functions() {
            children.push((function, self.spawn(function, sender.clone())?));
        }
        let mut rows = measure("lambda", &self.target, records, Some(&children)).await?;
        for (_, child) in &mut children {
            child.kill().await?;
        }
        for row in &mut rows {
            let (_, function) = ROUTES
                .iter()
                .find(|(route, _)| *route == row.route)
                .context("a measured route")?;
            let mut cold = self.cold(function, row.route).await?;
            cold.sort_by(f64::total_cmp);
            row.cold_p50_ms = Some(cold[cold.len() / 2]);
            row.cold_max_ms = cold.last().copied();
        }
        Ok(rows)
    }

    fn spawn(
        &self,
        function: &str,
        records: mpsc::UnboundedSender<InvocationRecord>,
    ) -> Result<Child> {
        let name = format!("{function}-lambda");
        let runtime = format!("{}/.rt/{name}", self.gateway.url);
        let mut child = Command::new(program(&name)?)
            .env_clear()
            .envs(hosts::environment(&self.moto, &name, &runtime))
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .with_context(|| format!("{name} does not start"))?;
        let stdout = child.stdout.take().context("standard output is piped")?;
        tokio::spawn(hosts::read_records(BufReader::new(stdout).lines(), records));
        Ok(child)
    }

    /// From starting a process to its first reply, milliseconds.
    async fn cold(&self, function: &str, route: &str) -> Result<Vec<f64>> {
        let mut took = Vec::new();
        // Beats, so that joins find a relay.
        let shard = self.shard().await?;
        for n in 0..COLD_STARTS {
            let mut fleet = self.spawn("fleet", mpsc::unbounded_channel().0)?;
            if function != "fleet" {
                shard.beat(&self.target).await?;
            }
            let started = now();
            let (sender, _records) = mpsc::unbounded_channel();
            let mut child = self.spawn(function, sender)?;
            request(&self.target, route, &shard, 100_000 + n).await?;
            took.push(started.elapsed().as_secs_f64() * 1e3);
            // Until its end is waited for, it may be given an event that it never answers.
            child.kill().await?;
            fleet.kill().await?;
        }
        Ok(took)
    }

    async fn shard(&self) -> Result<Shard> {
        let mut fleet = self.spawn("fleet", mpsc::unbounded_channel().0)?;
        let shard = Shard::start(&self.target, "bench-0", "dev").await;
        fleet.kill().await?;
        shard
    }
}

/// The release build of `cargo xtask lambda`.
fn program(name: &str) -> Result<PathBuf> {
    let own = std::env::current_exe()?;
    let built = format!("x86_64-unknown-linux-gnu/lambda/{name}");
    let found = own.ancestors().map(|folder| folder.join(&built));
    let found = found.into_iter().find(|path| path.is_file());
    found.with_context(|| format!("{name} is not built; `cargo xtask lambda` does it"))
}

/// What is measured, and whose it is.
const ROUTES: [(&str, &str); 7] = [
    ("heartbeat", "fleet"),
    ("join", "signalling"),
    ("leave", "signalling"),
    ("chat-post", "chat"),
    ("chat-history", "chat"),
    ("chat-unread", "chat"),
    ("match-queue-up", "matchmaking"),
];

/// One request of a route; `n` tells it from the others.
async fn request(target: &Target, route: &str, shard: &Shard, n: usize) -> Result<()> {
    let secrets = &target.secrets;
    let messages = "/v1/chat/channels/room~bench~main/messages";
    // An author of his own every few messages, or the limits would bind.
    let chatter = secrets.chat_token(&format!("p{}", n / 4), "bench");
    let player = secrets.token("p", "bench");
    let none = Value::Null;
    match route {
        "heartbeat" => return shard.beat(target).await.map(drop),
        "join" => {
            let body = json!({ "offer": OFFER });
            let path = "/v1/rooms/bench/sessions";
            target.expect(201, Method::POST, path, &player, body).await
        }
        "leave" => {
            let path = format!("/v1/rooms/bench/sessions/bench-0~{n:016x}");
            target
                .expect(204, Method::DELETE, &path, &player, none)
                .await
        }
        "chat-post" => {
            let body = json!({ "key": format!("k{n}"), "text": "see you at the gate" });
            target
                .expect(201, Method::POST, messages, &chatter, body)
                .await
        }
        "chat-history" => {
            let path = format!("{messages}?limit=20");
            target.expect(200, Method::GET, &path, &chatter, none).await
        }
        "chat-unread" => {
            let path = "/v1/chat/unread?in=room~bench~main";
            target.expect(200, Method::GET, path, &chatter, none).await
        }
        _ => {
            let player = format!("q{n}");
            let token = secrets.token(&player, "bench");
            let body = json!({ "key": "k", "players": [{ "player": player, "details": {} }] });
            let path = "/v1/match/queues/duel/tickets";
            target.expect(201, Method::POST, path, &token, body).await
        }
    }
    .map(drop)
}

async fn measure(
    host: &'static str,
    target: &Target,
    mut records: mpsc::UnboundedReceiver<InvocationRecord>,
    children: Option<&[(&'static str, Child)]>,
) -> Result<Vec<Row>> {
    let shard = Shard::start(target, "bench-0", "dev").await?;
    let mut rows = Vec::new();
    for (route, function) in ROUTES {
        shard.beat(target).await?;
        request(target, route, &shard, 0).await?;
        let pid = children.and_then(|children| {
            let found = children.iter().find(|(name, _)| *name == function);
            found.and_then(|(_, child)| child.id())
        });
        let cpu_before = pid.map(cpu_s).transpose()?;
        let mut wall_us = Vec::new();
        for n in 1..=WARM_REQUESTS {
            let started = now();
            request(target, route, &shard, n).await?;
            wall_us.push(started.elapsed().as_secs_f64() * 1e6);
        }
        let cpu_us = match (cpu_before, pid) {
            (Some(before), Some(pid)) => Some((cpu_s(pid)? - before) * 1e6 / WARM_REQUESTS as f64),
            _ => None,
        };
        let mut found = Vec::new();
        while found.len() < WARM_REQUESTS {
            let record = tokio::time::timeout(RECORD_LIMIT, records.recv()).await?;
            let record = record.context("the host ended")?;
            if record.route == route {
                found.push(record);
            }
        }
        rows.push(row(host, route, &found, &mut wall_us, cpu_us)?);
    }
    Ok(rows)
}

fn row(
    host: &'static str,
    route: &'static str,
    records: &[InvocationRecord],
    wall_us: &mut [f64],
    cpu_us: Option<f64>,
) -> Result<Row> {
    ensure!(
        records.iter().all(|record| record.status < 300),
        "{route}: a refusal is not measured"
    );
    let last = records.last().context("records")?;
    let mut function_us: Vec<f64> = records
        .iter()
        .map(|record| record.duration_us as f64)
        .collect();
    let peak = records.iter().map(|record| record.peak_memory_bytes).max();
    // As the record itself is written, with what CloudWatch adds to an event.
    let log_bytes = serde_json::to_vec(last)?.len() as f64 + last.log_bytes as f64 + 230.0;
    let dollars = cpu_us.map(|cpu_us| dollars(cpu_us / 1e6, last, log_bytes));
    Ok(Row {
        host,
        route,
        function_p50_us: quantile(&mut function_us, 0.5),
        function_p99_us: quantile(&mut function_us, 0.99),
        wall_p50_us: quantile(wall_us, 0.5),
        cpu_us,
        cold_p50_ms: None,
        cold_max_ms: None,
        peak_memory_mb: peak.unwrap_or(0) as f64 / 1e6,
        reads: last.store_reads,
        writes: last.store_writes,
        read_units: last.store_read_units,
        write_units: last.store_write_units,
        log_bytes,
        dollars_per_million: dollars,
    })
}

/// Dollars for a million such requests on Lambda (arm64) behind an HTTP API: the measured
/// processor time, stretched as Lambda stretches it, and the assumed time of the store.
fn dollars(cpu_s: f64, record: &InvocationRecord, log_bytes: f64) -> f64 {
    // A query is one call whatever it finds, and no route measured here makes more than so many.
    let store_calls = f64::from(record.store_reads.min(MOST_READ_CALLS) + record.store_writes);
    let busy_s = cpu_s * WHOLE_CPU_GB / MEMORY_GB + store_calls * STORE_CALL_S;
    // Billed by the millisecond.
    let billed_s = (busy_s * 1e3).ceil() / 1e3;
    billed_s * MEMORY_GB * prices::LAMBDA_ARM_GB_S * 1e6
        + prices::LAMBDA_MILLION_REQUESTS
        + prices::GATEWAY_MILLION_REQUESTS
        + f64::from(record.store_read_units) * prices::MILLION_READ_UNITS
        + f64::from(record.store_write_units) * prices::MILLION_WRITE_UNITS
        + log_bytes * 1e6 / 1e9 * prices::LOG_GB
}

/// Processor time of a process's first thread so far, seconds: a function has no other that works.
fn cpu_s(pid: u32) -> Result<f64> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/schedstat"))?;
    let ns: f64 = stat.split(' ').next().context("a time")?.parse()?;
    Ok(ns / 1e9)
}

#[expect(
    clippy::disallowed_methods,
    reason = "a shell reads clocks, in one place"
)]
fn now() -> Instant {
    Instant::now()
}

fn print(rows: &[Row]) {
    println!(
        "{:<11}{:<16}{:>9}{:>9}{:>9}{:>8}{:>9}{:>8}{:>7}{:>9}{:>9}",
        "host",
        "route",
        "p50 us",
        "p99 us",
        "cpu us",
        "cold ms",
        "peak MB",
        "r/w",
        "units",
        "log B",
        "$/M"
    );
    let optional = |value: Option<f64>, digits: usize| {
        value.map_or("-".to_owned(), |value| format!("{value:.digits$}"))
    };
    for row in rows {
        println!(
            "{:<11}{:<16}{:>9.0}{:>9.0}{:>9}{:>8}{:>9.1}{:>8}{:>7}{:>9.0}{:>9}",
            row.host,
            row.route,
            row.function_p50_us,
            row.function_p99_us,
            optional(row.cpu_us, 0),
            optional(row.cold_p50_ms, 1),
            row.peak_memory_mb,
            format!("{}/{}", row.reads, row.writes),
            format!("{}/{}", row.read_units, row.write_units),
            row.log_bytes,
            optional(row.dollars_per_million, 2),
        );
    }
    println!("aims, on Lambda:");
}

/// Every figure; those that have an aim are printed here.
fn report(rows: &[Row]) -> Report {
    let (mut all, mut judged) = (Report::default(), Report::default());
    for row in rows {
        let on_lambda = |aim| if row.host == "lambda" { aim } else { Aim::None };
        let dollars_aim = match row.route {
            "join" => Aim::AtMost(JOIN_AIM),
            _ => Aim::None,
        };
        for (what, value, unit, aim) in [
            ("function, p50", Some(row.function_p50_us), "us", Aim::None),
            ("function, p99", Some(row.function_p99_us), "us", Aim::None),
            (
                "request to reply, p50",
                Some(row.wall_p50_us),
                "us",
                Aim::None,
            ),
            ("CPU", row.cpu_us, "us", Aim::None),
            (
                "cold start, p50",
                row.cold_p50_ms,
                "ms",
                Aim::AtMost(COLD_AIM_MS),
            ),
            ("cold start, slowest", row.cold_max_ms, "ms", Aim::None),
            (
                "peak memory",
                Some(row.peak_memory_mb),
                "MB",
                on_lambda(Aim::AtMost(MEMORY_AIM_MB)),
            ),
            ("items read", Some(row.reads.into()), "", Aim::None),
            ("items written", Some(row.writes.into()), "", Aim::None),
            ("read units", Some(row.read_units.into()), "", Aim::None),
            ("write units", Some(row.write_units.into()), "", Aim::None),
            ("log", Some(row.log_bytes), "bytes", Aim::None),
            ("a million", row.dollars_per_million, "USD", dollars_aim),
        ] {
            let Some(value) = value else { continue };
            let name = format!("{} {}: {what}", row.host, row.route);
            if aim.is_met(value).is_some() {
                judged.row(name.clone(), value, unit, aim);
            }
            all.row(name, value, unit, aim);
        }
    }
    judged.print();
    all
}
