//! `cargo xtask bench join`: what a join costs the edge, and how long a player waits for voice.

use anyhow::{Context, Result};
use bench_report::{Aim, Report, quantile};
use e2e::client::{Offer, Options, Seen, join, post_join};
use e2e::now;
use e2e::service::Edge;
use hyper::StatusCode;

/// Joins of the edge's measurement, after as many for warming up as there are workers.
const JOINS: usize = 4000;
/// Requests in flight: enough to keep both cores of a small machine busy.
const WORKERS: usize = 4;
/// Whole connections, one after another.
const CONNECTIONS: usize = 200;
/// A join's function time, microseconds (p99).
const FUNCTION_AIM_US: f64 = 1000.0;
/// From sending the join to the first RTP packet, milliseconds.
const FIRST_RTP_AIM_MS: f64 = 30.0;

#[tokio::main]
async fn main() -> Result<()> {
    let mut report = Report::default();
    let mut edge = Edge::start().await?;
    let _relay = edge.start_relay("bench").await?;
    one_at_a_time(&mut edge, &mut report).await?;
    many_at_once(&edge, &mut report).await?;
    connections(&edge, &mut report).await?;
    report.finish("join")
}

/// Function time without other requests in the way.
async fn one_at_a_time(edge: &mut Edge, report: &mut Report) -> Result<()> {
    let sdp = Offer::new(&Options::new(1)).await?.sdp;
    let token = edge.secrets.token("p1", "lobby");
    let mut wall_us = Vec::with_capacity(JOINS);
    for n in 0..JOINS + WORKERS {
        let started = now();
        let reply = post_join(&edge.http, &edge.url(), "lobby", &token, &sdp).await?;
        assert_eq!(reply.status, StatusCode::CREATED);
        if n >= WORKERS {
            wall_us.push(started.elapsed().as_secs_f64() * 1e6);
        }
    }
    let mut records = Vec::new();
    while let Ok(record) = edge.records.try_recv() {
        if record.route == "join" {
            records.push(record);
        }
    }
    let last = records.last().context("a join leaves a record")?;
    let (fuel, memory) = (last.fuel as f64, last.peak_memory_bytes as f64 / 1024.0);
    let (reads, writes) = (f64::from(last.store_reads), f64::from(last.store_writes));
    let skip = records.len().saturating_sub(JOINS);
    let mut function: Vec<f64> = records[skip..]
        .iter()
        .map(|record| record.duration_us as f64)
        .collect();
    let p99 = Aim::AtMost(FUNCTION_AIM_US);
    report.row(
        "join: function time, p50",
        quantile(&mut function, 0.5),
        "us",
        Aim::None,
    );
    report.row(
        "join: function time, p99",
        quantile(&mut function, 0.99),
        "us",
        p99,
    );
    report.row(
        "join: request to reply, p50",
        quantile(&mut wall_us, 0.5),
        "us",
        Aim::None,
    );
    report.row(
        "join: request to reply, p99",
        quantile(&mut wall_us, 0.99),
        "us",
        Aim::None,
    );
    report.row("join: Wasm fuel", fuel, "units", Aim::None);
    report.row("join: peak linear memory", memory, "KiB", Aim::None);
    report.row("join: items read", reads, "items", Aim::None);
    report.row("join: items written", writes, "items", Aim::None);
    Ok(())
}

async fn many_at_once(edge: &Edge, report: &mut Report) -> Result<()> {
    let sdp = Offer::new(&Options::new(1)).await?.sdp;
    let token = edge.secrets.token("p1", "lobby");
    let started = now();
    let workers = (0..WORKERS).map(|_| {
        let (http, url) = (edge.http.clone(), edge.url());
        let (token, sdp) = (token.clone(), sdp.clone());
        tokio::spawn(async move {
            for _ in 0..JOINS / WORKERS {
                let reply = post_join(&http, &url, "lobby", &token, &sdp).await?;
                anyhow::ensure!(reply.status == StatusCode::CREATED, "{}", reply.status);
            }
            Ok(())
        })
    });
    for worker in workers.collect::<Vec<_>>() {
        worker.await??;
    }
    let per_s = JOINS as f64 / started.elapsed().as_secs_f64();
    report.row(
        "joins per second, load generator included",
        per_s,
        "1/s",
        Aim::None,
    );
    Ok(())
}

async fn connections(edge: &Edge, report: &mut Report) -> Result<()> {
    let talker = Options {
        talks: true,
        ..Options::new(1)
    };
    let token = edge.secrets.token("talker", "lobby");
    let mut speaker = join(&edge.http, &edge.url(), "lobby", &token, talker).await?;
    speaker.welcome().await?;
    let (mut connected, mut sent, mut heard) = (Vec::new(), Vec::new(), Vec::new());
    for n in 0..CONNECTIONS {
        let token = edge.secrets.token(&format!("p{n}"), "lobby");
        let options = Options {
            talks: true,
            ..Options::new(2)
        };
        let mut client = join(&edge.http, &edge.url(), "lobby", &token, options).await?;
        let (mut sent_at, mut heard_at, mut connected_at) = (None, None, None);
        let seen = |seen: &Seen| {
            Some(match seen {
                Seen::Connected => 0,
                Seen::SentVoice => 1,
                Seen::Voice { .. } => 2,
                _ => 3,
            })
        };
        while sent_at.is_none() || heard_at.is_none() {
            let (at, what) = client.wait_for("the first packets", seen).await?;
            let ms = at.duration_since(client.started_at).as_secs_f64() * 1e3;
            let first = match what {
                0 => &mut connected_at,
                1 => &mut sent_at,
                2 => &mut heard_at,
                _ => continue,
            };
            first.get_or_insert(ms);
        }
        connected.extend(connected_at);
        sent.extend(sent_at);
        heard.extend(heard_at);
    }
    let aim = Aim::AtMost(FIRST_RTP_AIM_MS);
    report.row(
        "join to DTLS done, p50",
        quantile(&mut connected, 0.5),
        "ms",
        Aim::None,
    );
    report.row(
        "join to first RTP packet sent, p50",
        quantile(&mut sent, 0.5),
        "ms",
        aim,
    );
    report.row(
        "join to first RTP packet sent, p99",
        quantile(&mut sent, 0.99),
        "ms",
        aim,
    );
    let row = "join to first RTP packet heard (20 ms packets), ";
    report.row(format!("{row}p50"), quantile(&mut heard, 0.5), "ms", aim);
    report.row(
        format!("{row}p99"),
        quantile(&mut heard, 0.99),
        "ms",
        Aim::None,
    );
    Ok(())
}
