//! Requests that wait for news without an instance, and lanes of instances.
#![expect(
    clippy::disallowed_methods,
    reason = "tests with real processes need deadlines"
)]

use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::support::{PATIENCE, Reply, Rig};
use edge_spin::sql::{OF_THE_TABLE, WRITES};
use http_body_util::Full;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpListener;
use tokio::sync::Semaphore;

/// A server that a component asks in the middle of a run, and that answers when it is let.
struct Gate {
    port: u16,
    /// One permit for each question that came.
    asked: Arc<Semaphore>,
    /// One permit for each question that is answered.
    open: Arc<Semaphore>,
}

impl Gate {
    async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let (asked, open) = (Arc::new(Semaphore::new(0)), Arc::new(Semaphore::new(0)));
        let (came, let_go) = (asked.clone(), open.clone());
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (came, let_go) = (came.clone(), let_go.clone());
                let service = service_fn(move |_: http::Request<hyper::body::Incoming>| {
                    let (came, let_go) = (came.clone(), let_go.clone());
                    async move {
                        came.add_permits(1);
                        let_go.acquire().await.unwrap().forget();
                        let body = Full::new(bytes::Bytes::from("go"));
                        Ok::<_, std::convert::Infallible>(http::Response::new(body))
                    }
                });
                let serving = http1::Builder::new().serve_connection(TokioIo::new(stream), service);
                tokio::spawn(serving);
            }
        });
        Self { port, asked, open }
    }

    /// Waits until a component has asked.
    async fn asked(&self) {
        let asked = tokio::time::timeout(PATIENCE, self.asked.acquire());
        asked.await.expect("it asks in time").unwrap().forget();
    }
}

/// Asks for the item `p`, `sort` as `player`, for at most `wait_ms`.
fn question(player: &str, sort: &str, wait_ms: u64, gate: &str) -> String {
    let until = format!(
        r#"{{"ms":{wait_ms},"who":"{player}","items":[{{"p":"p","f":"{sort}","t":"{sort}"}}]}}"#
    );
    format!("p\n{sort}\n{gate}\n{until}")
}

/// As [`Rig::with`], with the store's table.
async fn rig(change: impl FnOnce(&mut edge_host::Config)) -> Rig {
    let rig = Rig::with(change).await;
    let made = rig.post("/sqlite/run", OF_THE_TABLE[0]).await;
    assert_eq!(made.status, 200, "{}", made.body);
    rig
}

async fn put(rig: &Rig, items: &str) {
    let body = format!("{}\n{items}", WRITES[0]);
    rig.post("/sqlite/put", body).await.assert_ok("written");
}

async fn until_waiting(rig: &Rig, requests: usize) {
    let arrived = async {
        while rig.running.waiting() != requests {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(PATIENCE, arrived)
        .await
        .expect("requests wait in time");
}

fn assert_stripped(reply: &Reply) {
    assert!(!reply.headers.contains_key("lv-until"), "the host's alone");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_write_answers_those_who_wait_for_it_and_they_hold_no_instance() {
    // More wait than there are instances.
    let mut rig = rig(|config| config.limits.concurrent_requests = 2).await;
    rig.record().await;
    let asked = |number: usize| question(&format!("player-{number}"), "a", 20_000, "");
    let waiting = (0..20).map(|number| rig.post("/until", asked(number)));
    let (replies, written) = tokio::join!(join_all(waiting), async {
        until_waiting(&rig, 20).await;
        assert_eq!(rig.running.in_flight(), 0);
        put(&rig, "p,b,other").await;
        assert_eq!(rig.running.waiting(), 20, "it was not about them");
        put(&rig, "p,a,news").await;
        Instant::now()
    });
    assert!(written.elapsed() < PATIENCE);
    for reply in &replies {
        reply.assert_ok("news");
        assert_stripped(reply);
    }
    assert_eq!(rig.running.waiting(), 0);
    // One record of each request, of all its runs together.
    for _ in 0..22 {
        let record = rig.record().await;
        let reads = if record.store_writes == 0 { 2 } else { 0 };
        assert_eq!(record.store_reads, reads, "{record:?}");
    }
    assert!(rig.records.try_recv().is_err());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_transaction_writes_is_news_when_it_is_committed() {
    let rig = rig(|_| {}).await;
    let question = question("ann", "a", 20_000, "");
    let (reply, ()) = tokio::join!(rig.post("/until", question), async {
        until_waiting(&rig, 1).await;
        put(&rig, "p,x,1\np,a,news\np,y,2").await;
    });
    reply.assert_ok("news");
    let too_many: Vec<String> = (0..26).map(|number| format!("p,{number},1")).collect();
    let body = format!("{}\n{}", WRITES[0], too_many.join("\n"));
    let refused = rig.post("/sqlite/put", body).await;
    assert!(refused.body.contains("at most 25"), "{}", refused.body);
}

/// The component has read that there is nothing, and has not said so yet, when somebody writes.
#[tokio::test(flavor = "multi_thread")]
async fn a_write_between_a_read_and_the_wait_is_not_lost() {
    let gate = Gate::start().await;
    let port = gate.port.to_string();
    let rig = rig(|config| {
        config.variables.insert("upstream_port".into(), port);
    })
    .await;
    let url = format!("http://127.0.0.1:{}/", gate.port);
    let question = question("ann", "a", 20_000, &url);
    let started = Instant::now();
    let (reply, ()) = tokio::join!(rig.post("/until", question), async {
        gate.asked().await;
        put(&rig, "p,a,news").await;
        gate.open.add_permits(1);
    });
    reply.assert_ok("news");
    assert!(
        started.elapsed() < Duration::from_secs(15),
        "it was run again"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_that_waited_long_enough_is_answered_as_it_was() {
    let mut rig = rig(|config| config.limits.waiting_ms = 300).await;
    rig.record().await;
    for (asked_ms, waited_ms) in [(100, 100), (20_000, 300)] {
        let started = Instant::now();
        let reply = rig.post("/until", question("ann", "a", asked_ms, "")).await;
        reply.assert_ok("nothing yet");
        assert_stripped(&reply);
        let elapsed = started.elapsed();
        assert!(elapsed >= Duration::from_millis(waited_ms), "{elapsed:?}");
        assert!(elapsed < Duration::from_secs(15), "{elapsed:?}");
        // It was not run for that.
        assert_eq!(rig.record().await.store_reads, 1);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_goes_away_leaves_nothing() {
    let rig = rig(|_| {}).await;
    let body = question("ann", "a", 20_000, "");
    let mut streams = Vec::new();
    for _ in 0..3 {
        let mut stream = rig.connect().await;
        let head = format!(
            "POST /until HTTP/1.1\r\nhost: a\r\ncontent-length: {}\r\n\r\n{body}",
            body.len()
        );
        stream.write_all(head.as_bytes()).await.unwrap();
        streams.push(stream);
    }
    until_waiting(&rig, 3).await;
    drop(streams);
    until_waiting(&rig, 0).await;
    assert_eq!(rig.running.in_flight(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn who_may_not_wait_is_answered_at_once() {
    let rig = rig(|config| {
        config.limits.waiting_per_player = 2;
        config.limits.waiting_requests = 3;
    })
    .await;
    let ask = |player| rig.post("/until", question(player, "a", 20_000, ""));
    let (mut held, ()) = tokio::join!(join_all([ask("ann"), ask("ann"), ask("bob")]), async {
        until_waiting(&rig, 3).await;
        // One more of hers, one more of all; and what is no promise that the host understands.
        ask("ann").await.assert_ok("nothing yet");
        ask("cem").await.assert_ok("nothing yet");
        for odd in [
            "",
            "{}",
            r#"{"ms":-1,"who":"a","items":[]}"#,
            r#"{"ms":9,"who":"","items":[]}"#,
        ] {
            let reply = rig.post("/until", format!("p\na\n\n{odd}x")).await;
            reply.assert_ok("nothing yet");
            assert_stripped(&reply);
        }
        assert_eq!(rig.running.waiting(), 3);
        put(&rig, "p,a,news").await;
    });
    for reply in held.drain(..) {
        reply.assert_ok("news");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_host_that_stops_answers_those_who_wait() {
    let rig = rig(|_| {}).await;
    let body = question("ann", "a", 20_000, "");
    let request = http::Request::post(rig.url("/until")).body(Full::new(body.into()));
    let asking = tokio::spawn(rig.client.request(request.unwrap()));
    until_waiting(&rig, 1).await;
    let started = Instant::now();
    rig.running.stop().await;
    let reply = crate::support::whole(asking.await.unwrap().unwrap()).await;
    reply.assert_ok("nothing yet");
    assert!(started.elapsed() < Duration::from_secs(8), "no drain time");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_class_of_requests_that_is_full_keeps_nobody_from_the_others() {
    let rig = Rig::with_limits(|limits| {
        limits.concurrent_requests = 8;
        limits.shares = [1; edge_host::LANES];
        limits.queued_per_instance = 30;
        limits.queue_ms = 1_000;
        limits.request_ms = 3_000;
    })
    .await;
    let rig = &rig;
    // What is no route of the API has one instance, which is held longer than anybody waits.
    let (held, queued, refused, joins) = tokio::join!(
        rig.get("/sleep?3600000"),
        async {
            rig.until_in_flight(1).await;
            rig.get("/hello").await
        },
        async {
            rig.until_in_flight(1).await;
            join_all((0..20).map(|_| rig.get("/hello"))).await
        },
        async {
            rig.until_in_flight(1).await;
            // The fixture has none of them, and says so itself.
            join_all((0..50).map(|at| async move {
                match at % 2 {
                    0 => rig.post("/v1/rooms/lobby/sessions", "{}").await,
                    _ => rig.post("/v1/relays/a/heartbeat", "{}").await,
                }
            }))
            .await
        }
    );
    held.assert_problem(504, "deadline");
    queued.assert_problem(503, "overloaded");
    for reply in refused {
        reply.assert_problem(503, "overloaded");
        assert_eq!(reply.headers["retry-after"], "1");
    }
    for reply in joins {
        assert_eq!(reply.status, 404, "{}", reply.body);
        assert_eq!(reply.body, "the fixture has no such route");
    }
    rig.get("/hello").await.assert_ok("hello");
}

/// All of them at once.
async fn join_all<F: Future>(futures: impl IntoIterator<Item = F>) -> Vec<F::Output> {
    let mut futures: Vec<_> = futures
        .into_iter()
        .map(|it| (Some(Box::pin(it)), None))
        .collect();
    std::future::poll_fn(|context| {
        let mut is_done = true;
        for (future, output) in &mut futures {
            if let Some(running) = future {
                match running.as_mut().poll(context) {
                    std::task::Poll::Ready(done) => (*output, *future) = (Some(done), None),
                    std::task::Poll::Pending => is_done = false,
                }
            }
        }
        match is_done {
            true => std::task::Poll::Ready(()),
            false => std::task::Poll::Pending,
        }
    })
    .await;
    futures
        .into_iter()
        .filter_map(|(_, output)| output)
        .collect()
}
