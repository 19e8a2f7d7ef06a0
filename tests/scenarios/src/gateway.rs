//! Lambda's runtime interface and a gateway before it, in this process: as little as measuring
//! needs, so that what is measured is the function. Scenarios run behind cargo-lambda instead,
//! which we did not write.

use std::collections::HashMap;
use std::convert::Infallible;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use anyhow::{Context, Result, anyhow};
use http_body_util::{BodyExt, Full};
use hyper::body::{Bytes, Incoming};
use hyper::{Request, Response, StatusCode};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::sync::{Mutex as AsyncMutex, mpsc, oneshot};
use wire::routes::{ROUTES, Route};

use crate::hosts::functions;
use crate::http::serve;
use crate::tokens::unix_ms;

/// Time that an invocation is given.
const INVOCATION_MS: u64 = 10_000;
const RUNTIME: &str = "2018-06-01/runtime/invocation";

type Reply = Response<Full<Bytes>>;

/// A running gateway.
#[derive(Clone)]
pub struct Gateway {
    /// Where clients send requests, and where functions ask for them under `/.rt/NAME`.
    pub url: String,
    queues: Arc<HashMap<&'static str, Queue>>,
    waiting: Arc<Mutex<HashMap<String, oneshot::Sender<Outcome>>>>,
    next_id: Arc<AtomicU64>,
}

struct Queue {
    events: mpsc::UnboundedSender<(String, Value)>,
    // Whoever asks next has the next event.
    asked: AsyncMutex<mpsc::UnboundedReceiver<(String, Value)>>,
}

/// What a function made of an event: a value, or an error, after which Lambda tries an event of a
/// schedule again.
pub type Outcome = Result<Value, Value>;

impl Gateway {
    /// Starts one on a free port.
    ///
    /// # Errors
    /// When there is none.
    pub async fn start() -> Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let queue = |(_, name)| {
            let (events, asked) = mpsc::unbounded_channel();
            let asked = AsyncMutex::new(asked);
            (name, Queue { events, asked })
        };
        let gateway = Self {
            url: format!("http://{}", listener.local_addr()?),
            queues: Arc::new(functions().map(queue).into_iter().collect()),
            waiting: Arc::default(),
            next_id: Arc::default(),
        };
        let served = gateway.clone();
        tokio::spawn(serve(listener, move |request| {
            served.clone().answer(request)
        }));
        Ok(gateway)
    }

    async fn answer(self, request: Request<Incoming>) -> Result<Reply, Infallible> {
        let answered = match request.uri().path().strip_prefix("/.rt/") {
            Some(rest) => {
                let rest = rest.to_owned();
                self.runtime(&rest, request).await
            }
            None => self.invoke(request).await,
        };
        Ok(answered.unwrap_or_else(|error| reply(StatusCode::BAD_GATEWAY, format!("{error:#}"))))
    }

    /// Gives `function` an event as a schedule does, and waits for its end.
    ///
    /// # Errors
    /// When the function ends without an answer.
    pub async fn schedule(&self, function: &str, path: &str) -> Result<Outcome> {
        let queue = self.queues.get(function).context("a known function")?;
        let event = json!({ "schedule": path });
        self.run(queue, self.next_id(), event).await
    }

    /// Answers who waits for a function that has ended, as Lambda does.
    pub fn tell_of_crash(&self) {
        self.lock_waiting().clear();
    }

    fn next_id(&self) -> String {
        self.next_id.fetch_add(1, Ordering::Relaxed).to_string()
    }

    async fn run(&self, queue: &Queue, id: String, event: Value) -> Result<Outcome> {
        let (sender, outcome) = oneshot::channel();
        self.lock_waiting().insert(id.clone(), sender);
        queue.events.send((id, event))?;
        outcome.await.context("the function ended")
    }

    /// A client's request: an event for the function of its route.
    async fn invoke(&self, request: Request<Incoming>) -> Result<Reply> {
        let (head, body) = request.into_parts();
        let body = body.collect().await?.to_bytes();
        let queue = function_of(head.uri.path()).and_then(|name| self.queues.get(name));
        let queue = queue.context("no function has this path")?;
        let header = |name: &str| head.headers.get(name).and_then(|value| value.to_str().ok());
        let headers: serde_json::Map<String, Value> = ["authorization", "content-type"]
            .into_iter()
            .filter_map(|name| Some((name.to_owned(), header(name)?.into())))
            .collect();
        let id = self.next_id();
        let event = json!({
            "version": "2.0",
            "rawPath": head.uri.path(),
            "rawQueryString": head.uri.query().unwrap_or_default(),
            "headers": headers,
            "requestContext": {
                "requestId": id,
                "http": { "method": head.method.as_str(), "path": head.uri.path() },
            },
            "body": std::str::from_utf8(&body)?,
            "isBase64Encoded": false,
        });
        let answer = self.run(queue, id, event).await?;
        let answer = answer.map_err(|error| anyhow!("the function failed: {error}"))?;
        let status = answer["statusCode"].as_u64().unwrap_or(502);
        let mut reply = Response::builder().status(u16::try_from(status)?);
        for (name, value) in answer["headers"].as_object().into_iter().flatten() {
            reply = reply.header(name, value.as_str().unwrap_or_default());
        }
        let body = answer["body"].as_str().unwrap_or_default().to_owned();
        Ok(reply.body(Full::new(Bytes::from(body)))?)
    }

    /// A function's request: its next event, or what came of one.
    async fn runtime(&self, rest: &str, request: Request<Incoming>) -> Result<Reply> {
        let (name, rest) = rest.split_once('/').context("a function's name")?;
        let rest = rest
            .strip_prefix(RUNTIME)
            .context("the runtime interface")?;
        if rest == "/next" {
            let function = name.strip_suffix("-lambda").unwrap_or(name);
            let queue = self.queues.get(function).context("a known function")?;
            let asked = queue.asked.lock().await.recv().await;
            let (id, event) = asked.context("an event")?;
            return Ok(Response::builder()
                .header("lambda-runtime-aws-request-id", id)
                .header("lambda-runtime-deadline-ms", unix_ms() + INVOCATION_MS)
                .header(
                    "lambda-runtime-invoked-function-arn",
                    "arn:aws:lambda:::function",
                )
                .header("lambda-runtime-trace-id", "")
                .header("content-type", "application/json")
                .body(Full::new(Bytes::from(event.to_string())))?);
        }
        let (id, end) = rest[1..].split_once('/').context("an invocation's id")?;
        let body = request.into_body().collect().await?.to_bytes();
        if let Some(sender) = self.lock_waiting().remove(id) {
            let value = serde_json::from_slice(&body).unwrap_or_default();
            let outcome = if end == "error" {
                Err(value)
            } else {
                Ok(value)
            };
            // The client may be gone.
            let _ = sender.send(outcome);
        }
        Ok(reply(StatusCode::ACCEPTED, String::new()))
    }

    fn lock_waiting(&self) -> std::sync::MutexGuard<'_, HashMap<String, oneshot::Sender<Outcome>>> {
        self.waiting.lock().expect("no holder of this lock panics")
    }
}

/// The function that serves a path, by the routes.
pub fn function_of(path: &str) -> Option<&'static str> {
    let fits = |(wanted, got): (&str, &str)| wanted.starts_with('{') || wanted == got;
    let serves = |route: &&Route| {
        let (wanted, got) = (route.path.split('/'), path.split('/'));
        wanted.clone().count() == got.clone().count() && wanted.zip(got).all(fits)
    };
    let route = ROUTES.iter().find(serves)?;
    let found = functions()
        .into_iter()
        .find(|(function, _)| *function == route.function);
    found.map(|(_, name)| name)
}

fn reply(status: StatusCode, body: String) -> Reply {
    let mut reply = Response::new(Full::new(Bytes::from(body)));
    *reply.status_mut() = status;
    reply
}
