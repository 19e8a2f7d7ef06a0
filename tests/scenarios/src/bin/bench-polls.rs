//! `cargo xtask bench polls`: thousands who wait for chat on one edge-host, how soon they have a
//! message, and what others notice of them.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use bench_report::{Aim, Report, quantile};
use clap::Parser;
use hyper::Method;
use scenarios::hosts::{self, Host};
use scenarios::http::Http;
use scenarios::requests::Bench;
use scenarios::target::Target;
use serde_json::{Value, json};
use tokio::task::JoinSet;
use tokio::time::{interval, sleep};

const POLLERS: usize = 5_000;
const QUICK_POLLERS: usize = 1_000;
/// Pollers of one channel.
const READERS: usize = 10;
/// Time between two that come, so that the client is not what is measured.
const RAMP: Duration = Duration::from_micros(1_500);
/// How long everything goes on.
const SECONDS: u64 = 30;
const QUICK_SECONDS: u64 = 10;
/// Messages, joins and heartbeats a second.
const POSTS_PER_S: u64 = 20;
const JOINS_PER_S: u64 = 20;
const BEATS_PER_S: u64 = 10;
/// Polls of one token that asks again at once, whatever it is told.
const GREEDY: usize = 140;

/// Measures waiting polls
#[derive(Parser)]
struct Flags {
    /// Fewer of them, for a shorter time
    #[arg(long)]
    quick: bool,
}

#[tokio::main]
async fn main() -> Result<()> {
    let Flags { quick } = Flags::parse();
    let (pollers, seconds) = match quick {
        true => (QUICK_POLLERS, QUICK_SECONDS),
        false => (POLLERS, SECONDS),
    };
    let mut report = Report::default();
    let host = hosts::edge_host().await?;
    let bench = Bench::prepare(&host.target, "polls").await?;
    bench.request("join", 0).await?;
    let others = Others::measure(&bench, seconds).await;
    others.tell(&mut report, "nobody waits");
    let before = resident_kib(&host)?;
    let waiting = Waiting::start(&host.target, pollers).await?;
    let kept = (resident_kib(&host)? - before) / pollers as f64;
    let writing = write(
        &host.target,
        pollers / READERS,
        seconds,
        waiting.news.clone(),
    );
    let (others, posts) = tokio::join!(Others::measure(&bench, seconds), writing);
    let posts = posts?;
    others.tell(&mut report, &format!("{pollers} wait"));
    waiting.tell(&mut report, posts, kept).await?;
    let greedy = Greedy::start(&host.target);
    let others = Others::measure(&bench, seconds).await;
    let asked = greedy.stop().await;
    others.tell(&mut report, &format!("{GREEDY} polls of one token"));
    let per_s = asked as f64 / seconds as f64;
    report.row("those polls", per_s, "1/s", Aim::None);
    report.finish("polls")
}

/// When each message was sent, by its text.
type News = Arc<Mutex<Vec<Instant>>>;

/// Those who wait: each asks again when he has a message, or when nothing came.
struct Waiting {
    news: News,
    pollers: JoinSet<Result<Poller>>,
    stop: Arc<AtomicBool>,
}

/// One of them.
struct Poller {
    http: Http,
    url: String,
    token: String,
    after: u64,
    /// From sending a message to having it, milliseconds.
    took_ms: Vec<f64>,
    refused: usize,
}

impl Waiting {
    /// Returns when all wait.
    async fn start(target: &Target, pollers: usize) -> Result<Self> {
        let (news, stop) = (News::default(), Arc::<AtomicBool>::default());
        let asked = Arc::<AtomicUsize>::default();
        let mut set = JoinSet::new();
        for n in 0..pollers {
            let mut poller = Poller {
                http: target.http.clone(),
                url: target.url(&messages(n / READERS)),
                token: target.secrets.chat_token(&format!("poller-{n}"), "bench"),
                after: 0,
                took_ms: Vec::new(),
                refused: 0,
            };
            let (news, stop, asked) = (news.clone(), stop.clone(), asked.clone());
            set.spawn(async move {
                asked.fetch_add(1, Ordering::Relaxed);
                while !stop.load(Ordering::Relaxed) {
                    poller.poll(&news).await?;
                }
                Ok(poller)
            });
            sleep(RAMP).await;
        }
        while asked.load(Ordering::Relaxed) < pollers {
            tokio::task::yield_now().await;
        }
        // The last ones have been read.
        sleep(Duration::from_secs(1)).await;
        let pollers = set;
        Ok(Self {
            news,
            pollers,
            stop,
        })
    }

    /// Waits until everybody has stopped, which is when his last request was answered.
    async fn tell(mut self, report: &mut Report, posts: usize, kib: f64) -> Result<()> {
        self.stop.store(true, Ordering::Relaxed);
        let (mut took_ms, mut refused) = (Vec::new(), 0);
        while let Some(poller) = self.pollers.join_next().await {
            let poller = poller??;
            took_ms.extend(poller.took_ms);
            refused += poller.refused;
        }
        let missed = (posts * READERS).saturating_sub(took_ms.len()) as f64;
        let p50 = quantile(&mut took_ms, 0.5);
        report.row(
            "POST to a waiting poll's answer, p50",
            p50,
            "ms",
            Aim::AtMost(10.0),
        );
        let p99 = quantile(&mut took_ms, 0.99);
        report.row("POST to a waiting poll's answer, p99", p99, "ms", Aim::None);
        report.row(
            "messages that somebody missed",
            missed,
            "",
            Aim::AtMost(0.0),
        );
        report.row(
            "polls that were refused",
            refused as f64,
            "",
            Aim::AtMost(0.0),
        );
        report.row("memory of a poll that waits", kib, "KiB", Aim::AtMost(64.0));
        Ok(())
    }
}

impl Poller {
    async fn poll(&mut self, news: &News) -> Result<()> {
        let url = format!("{}?after={}&wait=20", self.url, self.after);
        let started = now();
        let reply = self.http.get(&url, &self.token).await?;
        if reply.status == 503 {
            self.refused += 1;
            sleep(Duration::from_secs(1)).await;
            return Ok(());
        }
        ensure!(reply.status == 200, "{reply:?}");
        let page: Value = reply.json()?;
        let now = now();
        for message in page["messages"].as_array().context("messages")? {
            let number: usize = message["text"].as_str().context("a text")?.parse()?;
            let sent = news.lock().unwrap_or_else(PoisonError::into_inner)[number];
            self.took_ms.push((now - sent).as_secs_f64() * 1e3);
        }
        self.after = page["next"].as_u64().unwrap_or(self.after);
        if let Some(pause_ms) = page["poll_after_ms"].as_u64() {
            let due = Duration::from_millis(pause_ms).saturating_sub(started.elapsed());
            sleep(due).await;
        }
        Ok(())
    }
}

/// Posts into one channel after another, and says how many messages there were.
async fn write(target: &Target, channels: usize, seconds: u64, news: News) -> Result<usize> {
    let mut ticks = interval(Duration::from_millis(1000 / POSTS_PER_S));
    for n in 0..usize::try_from(seconds * POSTS_PER_S)? {
        ticks.tick().await;
        let token = target.secrets.chat_token(&format!("author-{n}"), "bench");
        let body = json!({ "key": "k", "text": n.to_string() });
        news.lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push(now());
        let path = messages(n % channels);
        target
            .expect(201, Method::POST, &path, &token, body)
            .await?;
    }
    // What came last is on its way.
    sleep(Duration::from_secs(1)).await;
    Ok(usize::try_from(seconds * POSTS_PER_S)?)
}

fn messages(channel: usize) -> String {
    format!("/v1/chat/channels/room~bench~c{channel}/messages")
}

/// One token that polls in a loop.
struct Greedy {
    asked: Arc<AtomicUsize>,
    polls: JoinSet<()>,
}

impl Greedy {
    fn start(target: &Target) -> Self {
        let token = target.secrets.chat_token("greedy", "bench");
        let url = format!("{}?after=0&wait=20", target.url(&messages(POLLERS)));
        let (asked, mut polls) = (Arc::<AtomicUsize>::default(), JoinSet::new());
        for _ in 0..GREEDY {
            let (http, url, token) = (target.http.clone(), url.clone(), token.clone());
            let asked = asked.clone();
            polls.spawn(async move {
                while http.get(&url, &token).await.is_ok() {
                    asked.fetch_add(1, Ordering::Relaxed);
                }
            });
        }
        Self { asked, polls }
    }

    /// Ends it, and says how many answers there were.
    async fn stop(mut self) -> usize {
        self.polls.shutdown().await;
        self.asked.load(Ordering::Relaxed)
    }
}

/// What those notice who do not wait.
struct Others {
    join_ms: Vec<f64>,
    joins_refused: usize,
    beats_refused: usize,
}

impl Others {
    /// Joins and heartbeats, at their pace whatever became of the last one.
    async fn measure(bench: &Bench<'_>, seconds: u64) -> Self {
        let joins = async {
            let mut ticks = interval(Duration::from_millis(1000 / JOINS_PER_S));
            let (mut took_ms, mut refused) = (Vec::new(), 0);
            for n in 0..seconds * JOINS_PER_S {
                ticks.tick().await;
                let started = now();
                let joined = bench.request("join", n as usize).await;
                took_ms.push(started.elapsed().as_secs_f64() * 1e3);
                refused += usize::from(joined.is_err());
            }
            (took_ms, refused)
        };
        let beats = async {
            let mut ticks = interval(Duration::from_millis(1000 / BEATS_PER_S));
            let mut refused = 0;
            for n in 0..seconds * BEATS_PER_S {
                ticks.tick().await;
                let beat = bench.request("heartbeat", n as usize).await;
                refused += usize::from(beat.is_err());
            }
            refused
        };
        let ((join_ms, joins_refused), beats_refused) = tokio::join!(joins, beats);
        Self {
            join_ms,
            joins_refused,
            beats_refused,
        }
    }

    fn tell(mut self, report: &mut Report, beside: &str) {
        let name = |what: &str| format!("{beside}: {what}");
        let p50 = quantile(&mut self.join_ms, 0.5);
        report.row(name("join, p50"), p50, "ms", Aim::None);
        let p99 = quantile(&mut self.join_ms, 0.99);
        report.row(name("join, p99"), p99, "ms", Aim::AtMost(20.0));
        let (joins, beats) = (self.joins_refused as f64, self.beats_refused as f64);
        report.row(name("joins refused"), joins, "", Aim::AtMost(0.0));
        report.row(name("heartbeats refused"), beats, "", Aim::AtMost(0.0));
    }
}

/// Memory of the host's process, KiB.
fn resident_kib(host: &Host) -> Result<f64> {
    let status = std::fs::read_to_string(format!("/proc/{}/status", host.process_id()))?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kib = line.and_then(|line| line.trim().strip_suffix(" kB"));
    Ok(kib.context("a process has memory")?.trim().parse()?)
}

#[expect(
    clippy::disallowed_methods,
    reason = "a shell reads clocks, in one place"
)]
fn now() -> Instant {
    Instant::now()
}
