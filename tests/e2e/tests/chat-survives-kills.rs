//! The history checker: many clients post to an edge host that is killed (SIGKILL) and started
//! again, over and over. Whatever was acknowledged is there once, in order; nothing is there twice.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use anyhow::{Result, ensure};
use e2e::http::Http;
use e2e::killable::KillableEdge;
use e2e::now;
use hyper::StatusCode;
use serde_json::json;
use wire::chat::{HistoryReply, Message, MessageReply};

const CHANNELS: [&str; 2] = ["room~lobby~main", "room~lobby~team"];
const CLIENTS: usize = 12;
const KILLS: usize = 5;
/// Between two kills: long enough for hundreds of posts.
const LIFE: Duration = Duration::from_millis(900);

/// An acknowledged post.
struct Ack {
    channel: usize,
    author: String,
    text: String,
    seq: u64,
}

/// Posts one message after another until told to stop; each until it is acknowledged.
async fn client(
    edge: std::sync::Arc<KillableEdge>,
    number: usize,
    stop: tokio::sync::watch::Receiver<bool>,
) -> Result<Vec<Ack>> {
    let author = format!("player-{number}");
    // As fast as he is answered: whom the host lets.
    let token = edge.secrets.server_token(&author, "lobby");
    let mut http = Http::default();
    let (mut acks, mut tails) = (Vec::new(), [None::<String>, None]);
    for n in 0.. {
        let channel = (number + n) % CHANNELS.len();
        let text = format!("{author} says {n} \u{1f44b}");
        let url = format!(
            "{}/v1/chat/channels/{}/messages",
            edge.url(),
            CHANNELS[channel]
        );
        loop {
            let body = json!({ "key": format!("k{n}"), "text": text, "tail": tails[channel] });
            match http.post(&url, &token, body.to_string()).await {
                Ok(reply) if reply.status == StatusCode::CREATED => {
                    let reply: MessageReply = reply.json()?;
                    ensure!(
                        reply.message.text.as_ref() == Some(&text),
                        "another text came back"
                    );
                    tails[channel] = reply.tail;
                    let seq = reply.message.seq;
                    acks.push(Ack {
                        channel,
                        author: author.clone(),
                        text,
                        seq,
                    });
                    break;
                }
                Ok(reply) => ensure!(
                    matches!(reply.status.as_u16(), 503 | 504),
                    "{} {}",
                    reply.status,
                    reply.problem()
                ),
                // Killed: connections of the pool are dead.
                Err(_) => http = Http::default(),
            }
            edge.wait_until_up().await?;
        }
        if *stop.borrow() {
            break;
        }
    }
    Ok(acks)
}

async fn whole_log(edge: &KillableEdge, channel: &str) -> Result<Vec<Message>> {
    let token = edge.secrets.chat_token("reader", "lobby");
    let mut log: Vec<Message> = Vec::new();
    loop {
        let after = log.last().map_or(0, |message| message.seq);
        let query = format!("after={after}&limit=100");
        let url = format!("{}/v1/chat/channels/{channel}/messages?{query}", edge.url());
        let page: HistoryReply = Http::default().get(&url, &token).await?.json()?;
        log.extend(page.messages);
        if !page.more {
            return Ok(log);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn whatever_was_acknowledged_is_there_once_after_any_number_of_kills() -> Result<()> {
    let edge = std::sync::Arc::new(KillableEdge::start().await?);
    let (stop, stopped) = tokio::sync::watch::channel(false);
    let clients: Vec<_> = (0..CLIENTS)
        .map(|number| tokio::spawn(client(edge.clone(), number, stopped.clone())))
        .collect();
    for _ in 0..KILLS {
        // What runs meanwhile is the test: posts, as many as the machine does.
        let until = now() + LIFE;
        tokio::time::sleep_until(until.into()).await;
        edge.kill_and_start().await?;
    }
    stop.send(true)?;
    let mut acks = Vec::new();
    for client in clients {
        acks.extend(client.await??);
    }
    let mut logs = Vec::new();
    for channel in CHANNELS {
        logs.push(whole_log(&edge, channel).await?);
    }
    check(&logs, &acks)?;
    ensure!(
        acks.len() > KILLS * CLIENTS,
        "too little happened: {} posts",
        acks.len()
    );
    Ok(())
}

fn check(logs: &[Vec<Message>], acks: &[Ack]) -> Result<()> {
    let mut texts = BTreeSet::new();
    for log in logs {
        for (message, seq) in log.iter().zip(1..) {
            ensure!(
                message.seq == seq,
                "number {} where {seq} should be",
                message.seq
            );
            let text = message.text.as_deref().unwrap_or_default();
            ensure!(texts.insert(text), "twice: {text}");
        }
    }
    let mut last: BTreeMap<(usize, &str), u64> = BTreeMap::new();
    for ack in acks {
        let kept = logs[ack.channel].get(ack.seq as usize - 1);
        let kept = kept.and_then(|message| message.text.as_ref());
        ensure!(
            kept == Some(&ack.text),
            "{} at {} is lost",
            ack.text,
            ack.seq
        );
        let before = last.insert((ack.channel, &ack.author), ack.seq);
        ensure!(
            before.is_none_or(|before| before < ack.seq),
            "{} is out of order",
            ack.text
        );
    }
    Ok(())
}
