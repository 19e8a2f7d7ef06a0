//! `cargo xtask bench chat`: what a message costs, how many a host takes, and how soon it is read.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use bench_report::prices::{self, Item};
use bench_report::{Aim, Report, quantile};
use clap::Parser;
use e2e::client::{Client, Options, Seen, join};
use e2e::http::Http;
use e2e::killable::unlimited_policy;
use e2e::now;
use e2e::service::Edge;
use hyper::StatusCode;
use serde_json::json;
use wire::channel::RelayMessage;
use wire::chat::{ChatEvent, MessageReply};

/// Posts of the load measurement.
const POSTS: usize = 10_000;
/// Requests in flight: enough to keep both cores of a small machine busy.
const WORKERS: usize = 4;
/// Players of each worker, each in a channel of his own: nobody may post without end.
const PLAYERS: usize = 8;
/// Posts one at a time.
const SINGLE: usize = 1_000;
/// Readers of the room of the latency measurement.
const READERS: usize = 1_000;
const QUICK_READERS: usize = 100;
/// Messages whose way to the readers is timed.
const TIMED: usize = 50;

/// Measures chat
#[derive(Parser)]
struct Flags {
    /// Fewer readers
    #[arg(long)]
    quick: bool,
}

#[tokio::main]
async fn main() -> Result<()> {
    let Flags { quick } = Flags::parse();
    let mut report = Report::default();
    let mut edge = Edge::start_with(|config| {
        config
            .variables
            .insert("policy".to_owned(), unlimited_policy());
    })
    .await?;
    one_at_a_time(&mut edge, &mut report).await?;
    let per_s = many_at_once(&mut edge, &mut report).await?;
    dollars(per_s, &mut report);
    readers(
        &edge,
        if quick { QUICK_READERS } else { READERS },
        &mut report,
    )
    .await?;
    report.finish("chat")
}

/// A player who posts into one channel and remembers its tail.
struct Poster {
    http: Http,
    url: String,
    token: String,
    tail: Option<String>,
    posted: usize,
}

impl Poster {
    fn new(edge: &Edge, player: &str, channel: &str) -> Self {
        Self {
            http: edge.http.clone(),
            url: format!("{}/v1/chat/channels/{channel}/messages", edge.url()),
            token: edge.secrets.chat_token(player, "lobby"),
            tail: None,
            posted: 0,
        }
    }

    /// Posts and returns how long it took, in milliseconds.
    async fn post(&mut self) -> Result<f64> {
        self.posted += 1;
        let key = format!("k{}", self.posted);
        let text = "they are coming from the left, watch the bridge";
        let body = json!({ "key": key, "text": text, "tail": self.tail }).to_string();
        let started = now();
        let reply = self.http.post(&self.url, &self.token, body).await?;
        let took = started.elapsed().as_secs_f64() * 1e3;
        ensure!(
            reply.status == StatusCode::CREATED,
            "{} {}",
            reply.status,
            reply.problem()
        );
        self.tail = reply.json::<MessageReply>()?.tail;
        Ok(took)
    }
}

fn records(edge: &mut Edge) -> Vec<edge_host::InvocationRecord> {
    let mut records = Vec::new();
    while let Ok(record) = edge.records.try_recv() {
        if record.route == "chat-post" {
            records.push(record);
        }
    }
    records
}

async fn one_at_a_time(edge: &mut Edge, report: &mut Report) -> Result<()> {
    let mut poster = Poster::new(edge, "single", "room~lobby~single");
    let mut wall = Vec::new();
    for _ in 0..SINGLE {
        wall.push(poster.post().await?);
    }
    let records = records(edge);
    let mut function: Vec<f64> = records.iter().map(|r| r.duration_us as f64).collect();
    let last = records.last().context("a post leaves a record")?;
    report.row(
        "post: function time, p50",
        quantile(&mut function, 0.5),
        "us",
        Aim::None,
    );
    report.row(
        "post: function time, p99",
        quantile(&mut function, 0.99),
        "us",
        Aim::None,
    );
    report.row(
        "post: request to reply, p50",
        quantile(&mut wall, 0.5),
        "ms",
        Aim::None,
    );
    report.row(
        "post: request to reply, p99",
        quantile(&mut wall, 0.99),
        "ms",
        Aim::None,
    );
    report.row("post: Wasm fuel", last.fuel as f64, "units", Aim::None);
    let memory = last.peak_memory_bytes as f64 / 1024.0;
    report.row("post: peak linear memory", memory, "KiB", Aim::None);
    let mean = |of: fn(&edge_host::InvocationRecord) -> u32| {
        records
            .iter()
            .map(|record| f64::from(of(record)))
            .sum::<f64>()
            / records.len() as f64
    };
    let (reads, writes) = (mean(|r| r.store_reads), mean(|r| r.store_writes));
    report.row("post: items read, mean", reads, "items", Aim::AtMost(1.05));
    report.row(
        "post: items written, mean",
        writes,
        "items",
        Aim::AtMost(2.05),
    );
    let used = prices::on_lambda(&records).scaled(1_000_000, records.len() as u128);
    let cost = prices::of_million(used.into());
    let store = cost.store.dollars();
    report.row("AWS: store, per million messages", store, "$", Aim::None);
    report.row(
        "AWS: store and Lambda, per million",
        store + cost.compute.dollars(),
        "$",
        Aim::AtMost(2.0),
    );
    Ok(())
}

/// Players of several channels at once; posts per second.
async fn many_at_once(edge: &mut Edge, report: &mut Report) -> Result<f64> {
    let started = now();
    let workers: Vec<_> = (0..WORKERS)
        .map(|n| {
            let poster = |m| {
                let channel = format!("room~lobby~team-{n}-{m}");
                Poster::new(edge, &format!("p{n}-{m}"), &channel)
            };
            let mut posters: Vec<Poster> = (0..PLAYERS).map(poster).collect();
            tokio::spawn(async move {
                let mut took = Vec::new();
                for turn in 0..POSTS / WORKERS {
                    took.push(posters[turn % PLAYERS].post().await?);
                }
                Ok::<_, anyhow::Error>(took)
            })
        })
        .collect();
    let mut took = Vec::new();
    for worker in workers {
        took.extend(worker.await??);
    }
    let per_s = POSTS as f64 / started.elapsed().as_secs_f64();
    let name = "posts per second, load generator included";
    report.row(name, per_s, "1/s", Aim::AtLeast(2_000.0));
    report.row(
        "under that load: p50",
        quantile(&mut took, 0.5),
        "ms",
        Aim::None,
    );
    report.row(
        "under that load: p99",
        quantile(&mut took, 0.99),
        "ms",
        Aim::AtMost(10.0),
    );
    let _ = records(edge);
    Ok(per_s)
}

fn dollars(per_s: f64, report: &mut Report) {
    let per_million = 1e6 / per_s / 3600.0 * (Item::SmallMachine.usd() + Item::Address.usd());
    report.row(
        "one machine at that rate, per million",
        per_million,
        "$",
        Aim::AtMost(2.0),
    );
}

/// From the POST to the message on the data channel, over all readers of a room.
async fn readers(edge: &Edge, readers: usize, report: &mut Report) -> Result<()> {
    let _relay = edge.start_relay("bench").await?;
    let mut clients = Vec::new();
    for n in 0..readers {
        let token = edge.secrets.chat_token(&format!("reader-{n}"), "lobby");
        let options = Options {
            slots: 1,
            ..Options::new(1)
        };
        let mut client = join(&edge.http, &edge.url(), "lobby", &token, options).await?;
        client.welcome().await?;
        clients.push(client);
    }
    // The roster of so many takes a moment to be told to everybody.
    tokio::time::sleep(Duration::from_secs(2)).await;
    let mut poster = Poster::new(edge, "reader-0", "room~lobby~main");
    let (mut last, mut all) = (Vec::new(), Vec::new());
    for _ in 0..TIMED {
        let started = now();
        poster.post().await?;
        let mut latest: f64 = 0.0;
        for client in &mut clients {
            let at = posted(client).await?;
            let ms = at.saturating_duration_since(started).as_secs_f64() * 1e3;
            latest = latest.max(ms);
            all.push(ms);
        }
        last.push(latest);
    }
    let name = |what: &str| format!("POST to data channel, {readers} readers: {what}");
    report.row(name("p50"), quantile(&mut all, 0.5), "ms", Aim::None);
    report.row(
        name("p99"),
        quantile(&mut all, 0.99),
        "ms",
        Aim::AtMost(50.0),
    );
    report.row(
        name("last reader, p50"),
        quantile(&mut last, 0.5),
        "ms",
        Aim::None,
    );
    Ok(())
}

async fn posted(client: &mut Client) -> Result<std::time::Instant> {
    let is_post = |seen: &Seen| {
        let Seen::Message(RelayMessage::Chat { event, .. }) = seen else {
            return None;
        };
        matches!(**event, ChatEvent::Posted { .. }).then_some(())
    };
    Ok(client.wait_for("the message", is_post).await?.0)
}
