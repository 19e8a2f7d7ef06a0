//! `cargo xtask bench edge`: what a request takes and costs on each host. The HTTP is plain and on
//! loopback, and each function has a core: TLS and the network are not in these figures.

#![expect(clippy::print_stdout, reason = "the table is what it is for")]

use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use bench_report::{Aim, Million, Report, prices, quantile};
use scenarios::gateway::Gateway;
use scenarios::hosts;
use scenarios::http::Http;
use scenarios::instance::{self, Instance};
use scenarios::moto::Moto;
use scenarios::programs;
use scenarios::proxy::{Fate, Proxy};
use scenarios::requests::{Bench, ROUTES};
use scenarios::shard::Shard;
use scenarios::target::Target;
use scenarios::tokens::Secrets;
use tempfile::TempDir;
use tokio::sync::mpsc;
use wire::record::InvocationRecord;

const WARM_REQUESTS: usize = 300;
const COLD_STARTS: usize = 15;
/// What a record says of memory, time and units comes within this.
const RECORD_LIMIT: Duration = Duration::from_secs(10);

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
    rows[0].cold_ms = cold_edge_host().await?;
    let lambda = Lambda::start().await?;
    rows.extend(lambda.measure().await?);
    print(&rows);
    for row in &rows {
        if let Some((cpu_us, (calls, _))) = row.cpu_us.zip(row.aws) {
            prices::keep(row.route, row.million(cpu_us, calls))?;
        }
    }
    report(&rows).write("edge")
}

/// One route on one host.
struct Row {
    host: &'static str,
    route: &'static str,
    /// As deployed on Lambda.
    memory_mb: u32,
    function_us: Vec<f64>,
    wall_us: Vec<f64>,
    /// Per request, of the process; only on Lambda.
    cpu_us: Option<f64>,
    /// Calls of AWS per request, and the time of the emulator for them.
    aws: Option<(f64, f64)>,
    /// From starting a process to its first reply, without the emulator's time.
    cold_ms: Vec<f64>,
    peak_memory_mb: f64,
    /// Means of what the records say.
    mean: Mean,
}

/// Means over records.
#[derive(Clone, Copy)]
struct Mean {
    reads: f64,
    writes: f64,
    read_units: f64,
    write_units: f64,
    log_bytes: f64,
    bytes_out: f64,
}

impl Mean {
    fn of(records: &[InvocationRecord]) -> Result<Self> {
        let mean = |value: fn(&InvocationRecord) -> u32| {
            let sum: f64 = records.iter().map(|record| f64::from(value(record))).sum();
            sum / records.len() as f64
        };
        let mut log_bytes = 0.0;
        for record in records {
            let line = serde_json::to_vec(record)?.len() as u64;
            log_bytes += (line + record.log_bytes + prices::LOG_EVENT_BYTES) as f64;
        }
        Ok(Self {
            reads: mean(|record| record.store_reads),
            writes: mean(|record| record.store_writes),
            read_units: mean(|record| record.store_read_units),
            write_units: mean(|record| record.store_write_units),
            log_bytes: log_bytes / records.len() as f64,
            bytes_out: records
                .iter()
                .map(|record| record.bytes_out as f64)
                .sum::<f64>()
                / records.len() as f64,
        })
    }
}

impl Row {
    /// Dollars for a million such requests. On Lambda (arm64) behind an HTTP API: the measured
    /// processor time, stretched as Lambda stretches it, and the assumed time of its calls of
    /// DynamoDB. On edge-host: the time of the function on a core that it shares with others.
    fn dollars_per_million(&self) -> f64 {
        let Some((cpu_us, (calls, _))) = self.cpu_us.zip(self.aws) else {
            let mean_us = self.function_us.iter().sum::<f64>() / self.function_us.len() as f64;
            return mean_us * prices::core_second();
        };
        prices::of_million(self.million(cpu_us, calls))
            .total()
            .dollars()
    }

    /// What a million of them use on Lambda.
    fn million(&self, cpu_us: f64, calls: f64) -> Million {
        let stretched = prices::WHOLE_CPU_MB as f64 / f64::from(self.memory_mb);
        // Billed by the millisecond.
        let busy_ms = (cpu_us * stretched + calls * prices::STORE_CALL_US as f64) / 1e3;
        let million = |mean: f64| (mean * 1e6).round() as u64;
        Million {
            gateway_requests: 1_000_000,
            requests: 1_000_000,
            mb_ms: million(busy_ms.ceil() * f64::from(self.memory_mb)),
            read_units: million(self.mean.read_units),
            write_units: million(self.mean.write_units),
            log_bytes: million(self.mean.log_bytes),
            egress_bytes: million(self.mean.bytes_out),
        }
    }
}

/// The functions of Lambda with nothing between us and them, and a proxy that takes the emulator's
/// time.
struct Lambda {
    gateway: Gateway,
    proxy: Proxy,
    _moto: Moto,
    target: Target,
}

impl Lambda {
    async fn start() -> Result<Self> {
        let secrets = Secrets::generate();
        let moto = hosts::emulator(&secrets).await?;
        let proxy = Proxy::start(moto.url()).await?;
        let gateway = Gateway::start().await?;
        let target = Target {
            base: gateway.url.clone(),
            http: Http::default(),
            secrets,
            sts: None,
            counts_rates: true,
        };
        Ok(Self {
            gateway,
            proxy,
            _moto: moto,
            target,
        })
    }

    async fn measure(&self) -> Result<Vec<Row>> {
        let (sender, records) = mpsc::unbounded_channel();
        let mut instances = Vec::new();
        for (_, function) in hosts::functions() {
            instances.push((function, self.spawn(function, Some(sender.clone()))?));
        }
        let processes = Some((&self.proxy, instances.as_slice()));
        let mut rows = measure("lambda", &self.target, records, processes).await?;
        drop(instances);
        for row in &mut rows {
            let route = ROUTES.iter().find(|(route, _)| *route == row.route);
            let (route, function) = route.context("a measured route")?;
            row.cold_ms = self.cold(function, route).await?;
        }
        Ok(rows)
    }

    fn spawn(
        &self,
        function: &str,
        records: Option<mpsc::UnboundedSender<InvocationRecord>>,
    ) -> Result<Instance> {
        let name = format!("{function}-lambda");
        let environment = hosts::environment(&self.proxy.url, &name, &self.gateway.url);
        instance::start(&programs::of_lambda(&name)?, &environment, records)
    }

    /// From starting a process to its first reply, milliseconds without the emulator's.
    async fn cold(&self, function: &str, route: &'static str) -> Result<Vec<f64>> {
        let mut took = Vec::new();
        for n in 0..COLD_STARTS {
            // What the request finds there is made by others.
            let instances: Vec<Instance> = hosts::functions()
                .iter()
                .map(|(_, name)| self.spawn(name, None))
                .collect::<Result<_>>()?;
            let bench = Bench::prepare(&self.target, &format!("cold{n}")).await?;
            drop(instances);
            let fleet = (function != "fleet").then(|| self.spawn("fleet", None));
            let _fleet = fleet.transpose()?;
            if function != "fleet" {
                bench.shard.beat(&self.target).await?;
            }
            self.proxy.decide(|_| Fate::Pass);
            let started = now();
            let _instance = self.spawn(function, None)?;
            bench.request(route, 100_000 + n).await?;
            let own = started.elapsed().saturating_sub(self.proxy.busy());
            took.push(own.as_secs_f64() * 1e3);
        }
        Ok(took)
    }
}

/// From starting edge-host to its first reply, milliseconds: it compiles every component.
async fn cold_edge_host() -> Result<Vec<f64>> {
    let mut took = Vec::new();
    for _ in 0..COLD_STARTS / 5 {
        let cache = TempDir::new()?;
        let started = now();
        let host = hosts::edge_host_with(cache.path()).await?;
        Shard::start(&host.target, "bench-0", "dev").await?;
        took.push(started.elapsed().as_secs_f64() * 1e3);
    }
    Ok(took)
}

async fn measure(
    host: &'static str,
    target: &Target,
    mut records: mpsc::UnboundedReceiver<InvocationRecord>,
    processes: Option<(&Proxy, &[(&'static str, Instance)])>,
) -> Result<Vec<Row>> {
    let bench = Bench::prepare(target, "warm").await?;
    let mut rows = Vec::new();
    for (route, function) in ROUTES {
        bench.shard.beat(target).await?;
        bench.request(route, 0).await?;
        let process = processes.and_then(|(_, instances)| {
            let found = instances.iter().find(|(name, _)| *name == function);
            found.map(|(_, instance)| instance.id())
        });
        if let Some((proxy, _)) = processes {
            proxy.decide(|_| Fate::Pass);
        }
        let cpu_before = process.map(cpu_s).transpose()?;
        let mut wall_us = Vec::new();
        for n in 1..=WARM_REQUESTS {
            let started = now();
            bench.request(route, n).await?;
            wall_us.push(started.elapsed().as_secs_f64() * 1e6);
        }
        let cpu_after = process.map(cpu_s).transpose()?;
        let requests = WARM_REQUESTS as f64;
        let cpu_us = cpu_before.zip(cpu_after);
        let aws = processes.map(|(proxy, _)| {
            let busy_us = proxy.busy().as_secs_f64() * 1e6;
            (proxy.seen().len() as f64 / requests, busy_us / requests)
        });
        let mut found = Vec::new();
        while found.len() < WARM_REQUESTS {
            let record = tokio::time::timeout(RECORD_LIMIT, records.recv()).await?;
            let record = record.context("the host ended")?;
            if record.route == route {
                found.push(record);
            }
        }
        let refused = found.iter().find(|record| record.status >= 300);
        ensure!(refused.is_none(), "a refusal is not measured: {refused:?}");
        let peak = found.iter().map(|record| record.peak_memory_bytes).max();
        rows.push(Row {
            host,
            route,
            memory_mb: hosts::memory_mb(function),
            function_us: found.iter().map(|one| one.duration_us as f64).collect(),
            wall_us,
            cpu_us: cpu_us.map(|(before, after)| (after - before) * 1e6 / requests),
            aws,
            cold_ms: Vec::new(),
            peak_memory_mb: peak.unwrap_or(0) as f64 / 1e6,
            mean: Mean::of(&found)?,
        });
    }
    Ok(rows)
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
        "{:<10}{:<15}{:>8}{:>8}{:>8}{:>8}{:>7}{:>7}{:>7}{:>8}{:>8}{:>11}{:>7}{:>7}",
        "host",
        "route",
        "fn p50",
        "p99 us",
        "all p50",
        "p99 us",
        "cpu us",
        "calls",
        "AWS us",
        "cold ms",
        "peak MB",
        "units r/w",
        "log B",
        "$/M"
    );
    let optional = |value: Option<f64>, digits: usize| {
        value.map_or("-".to_owned(), |value| format!("{value:.digits$}"))
    };
    for row in rows {
        let of = |values: &[f64], share| quantile(&mut values.to_vec(), share);
        let cold = (!row.cold_ms.is_empty()).then(|| of(&row.cold_ms, 0.5));
        println!(
            "{:<10}{:<15}{:>8.0}{:>8.0}{:>8.0}{:>8.0}{:>7}{:>7}{:>7}{:>8}{:>8.1}{:>11}{:>7.0}\
             {:>7}",
            row.host,
            row.route,
            of(&row.function_us, 0.5),
            of(&row.function_us, 0.99),
            of(&row.wall_us, 0.5),
            of(&row.wall_us, 0.99),
            optional(row.cpu_us, 0),
            optional(row.aws.map(|(calls, _)| calls), 1),
            optional(row.aws.map(|(_, us)| us), 0),
            optional(cold, 1),
            row.peak_memory_mb,
            format!("{:.1}/{:.1}", row.mean.read_units, row.mean.write_units),
            row.mean.log_bytes,
            match row.dollars_per_million() {
                little if little < 0.1 => format!("{little:.4}"),
                dollars => format!("{dollars:.2}"),
            },
        );
    }
    println!("aims, on Lambda:");
}

/// Every figure; those that have an aim are printed here.
fn report(rows: &[Row]) -> Report {
    let (mut all, mut judged) = (Report::default(), Report::default());
    for row in rows {
        let on_lambda = |aim| if row.host == "lambda" { aim } else { Aim::None };
        let at_most = |limit| on_lambda(Aim::AtMost(limit));
        let dollars_aim = match row.route {
            "join" => at_most(JOIN_AIM),
            _ => Aim::None,
        };
        let of = |values: &[f64], share| {
            let mut values = values.to_vec();
            (!values.is_empty()).then(|| quantile(&mut values, share))
        };
        let mean = &row.mean;
        for (what, value, unit, aim) in [
            ("function, p50", of(&row.function_us, 0.5), "us", Aim::None),
            ("function, p99", of(&row.function_us, 0.99), "us", Aim::None),
            ("whole, p50", of(&row.wall_us, 0.5), "us", Aim::None),
            ("whole, p99", of(&row.wall_us, 0.99), "us", Aim::None),
            ("CPU", row.cpu_us, "us", Aim::None),
            (
                "calls of AWS",
                row.aws.map(|(calls, _)| calls),
                "",
                Aim::None,
            ),
            ("emulator", row.aws.map(|(_, us)| us), "us", Aim::None),
            (
                "cold, p50",
                of(&row.cold_ms, 0.5),
                "ms",
                at_most(COLD_AIM_MS),
            ),
            ("cold, slowest", of(&row.cold_ms, 1.0), "ms", Aim::None),
            (
                "peak memory",
                Some(row.peak_memory_mb),
                "MB",
                at_most(MEMORY_AIM_MB),
            ),
            ("items read", Some(mean.reads), "", Aim::None),
            ("items written", Some(mean.writes), "", Aim::None),
            ("read units", Some(mean.read_units), "", Aim::None),
            ("write units", Some(mean.write_units), "", Aim::None),
            ("log", Some(mean.log_bytes), "bytes", Aim::None),
            (
                "a million",
                Some(row.dollars_per_million()),
                "USD",
                dollars_aim,
            ),
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
