//! `cargo xtask bench counts`: what a call of each hot route uses of what is paid for, as far as it
//! can be counted: no time, so that the same code counts the same everywhere. The gate of
//! infra/finops compares it with its baseline.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use bench_report::{Aim, Counted, Counts, Report};
use scenarios::hosts::{self, root};
use scenarios::requests::{Bench, ROUTES};
use wire::record::InvocationRecord;

/// Calls of each route that are counted.
const REQUESTS: u64 = 40;
/// Whether it writes depends on when it comes.
const NOT_COUNTED: &str = "heartbeat";
/// A record comes within this.
const RECORD_LIMIT: Duration = Duration::from_secs(10);

#[tokio::main]
async fn main() -> Result<()> {
    let mut host = hosts::edge_host().await?;
    let mut records = host.records.take().context("edge-host tells records")?;
    let bench = Bench::prepare(&host.target, "counts").await?;
    let mut counts = Counts {
        routes: BTreeMap::new(),
    };
    let counted = ROUTES.map(|(route, _)| route).into_iter();
    for route in counted.filter(|route| *route != NOT_COUNTED) {
        bench.shard.beat(&host.target).await?;
        bench.request(route, 0).await?;
        while records.try_recv().is_ok() {}
        let mut counted = Counted::default();
        for n in 1.. {
            bench.request(route, n).await?;
            loop {
                let record = tokio::time::timeout(RECORD_LIMIT, records.recv()).await?;
                let record = record.context("the host ended")?;
                // A heartbeat of the relay may be between them.
                if record.route == route {
                    add(&mut counted, &record)?;
                    break;
                }
            }
            if counted.requests == REQUESTS {
                break;
            }
            ensure!(
                n < 20 * REQUESTS as usize,
                "{route}: hardly any call is a plain one"
            );
        }
        counts.routes.insert(route.to_owned(), counted);
    }
    print(&counts);
    let folder = root().join("target/bench");
    std::fs::create_dir_all(&folder)?;
    let text = serde_json::to_string_pretty(&counts)? + "\n";
    std::fs::write(folder.join("counts.json"), text)?;
    Ok(())
}

/// Adds a call. One that drove a pass of the matcher besides is another matter, and depends on when
/// it came.
fn add(counted: &mut Counted, record: &InvocationRecord) -> Result<()> {
    ensure!(record.status < 300, "a refusal is not counted: {record:?}");
    if record.outcome == "passed" {
        return Ok(());
    }
    let line = serde_json::to_vec(record)?.len() as u64;
    counted.requests += 1;
    counted.store_calls += u64::from(record.store_calls);
    counted.read_units += u64::from(record.store_read_units);
    counted.write_units += u64::from(record.store_write_units);
    counted.bytes_in += record.bytes_in;
    counted.bytes_out += record.bytes_out;
    counted.log_bytes += line + record.log_bytes;
    counted.fuel += record.fuel;
    Ok(())
}

fn print(counts: &Counts) {
    let mut report = Report::default();
    for (route, counted) in &counts.routes {
        let mean = |sum: u64| sum as f64 / counted.requests as f64;
        for (what, sum, unit) in [
            ("store calls", counted.store_calls, "calls"),
            ("read units", counted.read_units, "units"),
            ("write units", counted.write_units, "units"),
            ("reply", counted.bytes_out, "bytes"),
            ("log", counted.log_bytes, "bytes"),
            ("fuel", counted.fuel, "units"),
        ] {
            report.row(format!("{route}: {what}"), mean(sum), unit, Aim::None);
        }
    }
    report.print();
}
