//! The control endpoint, `POST /v1/control`, and the health endpoint, `GET /healthz`, `/readyz` and
//! `/metrics`: two listeners, since one is for the edge and the other for nobody outside.

use std::convert::Infallible;
use std::pin::pin;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use http::{Method, Request, Response, StatusCode, header};
use http_body_util::{BodyExt, Full, LengthLimitError, Limited};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore};
use tokio::task::JoinSet;
use tokio::time::timeout;
use wire::control::{
    CONTROL_PATH, ControlCommand, ControlMessage, NotTaken, SHARD_HEADER, page_of, seal_players,
};
use wire::limits::{MAX_BODY_BYTES, MAX_MESSAGE_BYTES};
use wire::moderation::RoomPlayer;
use wire::problem::{MEDIA_TYPE, Problem, ProblemKind};

use crate::command::{Wish, wish};
use crate::doors::Place;
use crate::outcome::Outcome;
use crate::replay::Refusal;
use crate::state::Relay;
use crate::{clock, exposition, health, metrics};

/// Most connections of the edge that are kept for its next message: functions keep theirs, and
/// there may be hundreds of them. Others end after their message.
const KEPT_CONNECTIONS_MAX: usize = 1024;

/// Most health connections at once; a scraper and a few checks need a handful.
const HEALTH_CONNECTIONS_MAX: usize = 64;

/// How long whoever is known may take between two requests, the head of the second included.
const IDLE_MAX: Duration = Duration::from_secs(30);

/// Pause after a failure to accept, which means that descriptors are short.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

type Reply = Response<Full<Bytes>>;

/// Answers the edge on `listener`, over networks of others, until dropped: sealed messages and
/// nothing else. Whoever has not sent one is a stranger at the door.
pub(crate) async fn serve_edge(listener: TcpListener, relay: Arc<Relay>) {
    let kept = Arc::new(Semaphore::new(KEPT_CONNECTIONS_MAX));
    let mut tasks = JoinSet::new();
    let stats = &relay.control;
    loop {
        tokio::select! {
            // A task that panicked is no reason to take no others.
            Some(_) = tasks.join_next() => {}
            accepted = listener.accept() => match accepted {
                Ok((stream, from)) => {
                    let lost = stats.door.enter(from.ip(), |place| {
                        let visit = Visit::new(relay.clone(), place, kept.clone());
                        tasks.spawn(visit.serve(stream))
                    });
                    lost.into_iter().for_each(|outcome| stats.note(outcome));
                }
                Err(error) => wait_after(&error).await,
            },
        }
    }
}

/// Answers this machine and its operators on `listener` until dropped: it asks for no proof, and
/// changes nothing.
pub(crate) async fn serve_operators(listener: TcpListener, relay: Arc<Relay>) {
    let connections = Arc::new(Semaphore::new(HEALTH_CONNECTIONS_MAX));
    loop {
        let permit = connections.clone().acquire_owned().await;
        let permit = permit.expect("never closed");
        let stream = match listener.accept().await {
            Ok((stream, _)) => stream,
            Err(error) => {
                wait_after(&error).await;
                continue;
            }
        };
        let relay = relay.clone();
        tokio::spawn(async move {
            let service = service_fn(move |request| {
                let relay = relay.clone();
                async move { Ok::<_, Infallible>(answer_operator(&request, &relay)) }
            });
            // Errors here are the client's: a broken connection, a head that is not HTTP.
            let _ = http().serve_connection(TokioIo::new(stream), service).await;
            drop(permit);
        });
    }
}

async fn wait_after(error: &std::io::Error) {
    tracing::warn!(kind = %error.kind(), "a control connection was not accepted");
    tokio::time::sleep(ACCEPT_PAUSE).await;
}

fn http() -> http1::Builder {
    let mut builder = http1::Builder::new();
    builder
        .timer(TokioTimer::new())
        .header_read_timeout(IDLE_MAX)
        .max_buf_size(MAX_BODY_BYTES);
    builder
}

/// One connection at the control endpoint.
struct Visit {
    relay: Arc<Relay>,
    kept: Arc<Semaphore>,
    standing: Mutex<Standing>,
    /// The head of the first request is here.
    head: Notify,
}

/// How a connection stands.
enum Standing {
    /// No message of it was the edge's.
    Stranger(#[expect(dead_code, reason = "given back when dropped")] Place),
    /// One was.
    Kept(#[expect(dead_code, reason = "given back when dropped")] OwnedSemaphorePermit),
    /// One was, but too many are kept: it ends after the reply.
    Known,
}

impl Visit {
    fn new(relay: Arc<Relay>, place: Place, kept: Arc<Semaphore>) -> Arc<Self> {
        Arc::new(Self {
            relay,
            kept,
            standing: Mutex::new(Standing::Stranger(place)),
            head: Notify::new(),
        })
    }

    /// Until it ends, or is a stranger's whose first request is late.
    async fn serve(self: Arc<Self>, stream: TcpStream) {
        let visit = self.clone();
        let service = service_fn(move |request| {
            let visit = visit.clone();
            async move {
                visit.head.notify_one();
                Ok::<_, Infallible>(visit.answer(request).await)
            }
        });
        let connection = http().serve_connection(TokioIo::new(stream), service);
        let (mut is_late, mut has_asked) = (false, false);
        {
            let mut connection = pin!(connection);
            tokio::select! {
                // Errors here are the client's: a broken connection, a head that is not HTTP.
                _ = &mut connection => {}
                asked = timeout(self.patience(), self.head.notified()) => {
                    (is_late, has_asked) = (asked.is_err(), asked.is_ok());
                    if has_asked {
                        let _ = connection.await;
                    }
                }
            }
        }
        self.relay.control.note(match self.is_stranger() {
            false => Outcome::Taken,
            true if is_late => Outcome::Late,
            true if has_asked => Outcome::Unproved,
            true => Outcome::Closed,
        });
    }

    /// Time for a stranger's head, and again for a body.
    fn patience(&self) -> Duration {
        self.relay.control.door.patience()
    }

    /// A message of it was the edge's: it is no stranger's any more.
    fn note_proof(&self) {
        let mut standing = self.standing.lock().expect("no panic while it is held");
        if !matches!(*standing, Standing::Kept(_)) {
            let permit = self.kept.clone().try_acquire_owned();
            *standing = permit.map_or(Standing::Known, Standing::Kept);
        }
    }

    fn is_stranger(&self) -> bool {
        let standing = self.standing.lock().expect("no panic while it is held");
        matches!(*standing, Standing::Stranger(_))
    }

    fn is_kept(&self) -> bool {
        let standing = self.standing.lock().expect("no panic while it is held");
        matches!(*standing, Standing::Kept(_))
    }

    async fn answer(&self, request: Request<Incoming>) -> Reply {
        let is_guess = |problem: &Problem| problem.status == ProblemKind::SignatureInvalid.status();
        let (mut reply, may_stay) = match (request.uri().path(), request.method()) {
            (CONTROL_PATH, &Method::POST) => match self.control(request).await {
                Ok(None) => {
                    let body = Bytes::from_static(b"{}");
                    (reply(StatusCode::ACCEPTED, "application/json", body), true)
                }
                Ok(Some(answer)) => (reply(StatusCode::OK, "text/plain", answer.into()), true),
                Err(problem) => (refuse(&problem), !is_guess(&problem)),
            },
            (CONTROL_PATH, _) => (wrong_method("POST"), true),
            _ => {
                let detail =
                    "This is the control endpoint: it takes sealed messages at /v1/control.";
                (
                    refuse(&Problem::new(ProblemKind::UnknownRoute, detail)),
                    true,
                )
            }
        };
        if !may_stay || !self.is_kept() {
            // Whoever guesses pays a connection for each guess.
            let close = header::HeaderValue::from_static("close");
            reply.headers_mut().insert(header::CONNECTION, close);
        }
        reply
    }

    /// Takes one message from the edge; returns the sealed answer to a question.
    async fn control(&self, request: Request<Incoming>) -> Result<Option<String>, Problem> {
        let shards = &self.relay.shards;
        let shard = match request.headers().get(SHARD_HEADER) {
            Some(name) => shards.iter().find(|shard| name == shard.handle.id.as_str()),
            None => shards.first().filter(|_| shards.len() == 1),
        };
        let shard = shard.ok_or_else(|| {
            let detail = format!("Name a shard of this relay in the header {SHARD_HEADER}.");
            Problem::new(ProblemKind::UnknownRelay, detail)
        })?;
        let body = read_body(request.into_body(), self.patience()).await?;
        let invalid = |detail: &'static str| Problem::new(ProblemKind::SignatureInvalid, detail);
        let sealed = std::str::from_utf8(&body).map(str::trim);
        let opened = sealed
            .map_err(|_| NotTaken::Seal)
            .and_then(|sealed| ControlMessage::open(sealed, &shard.keys, shard.boot));
        let message = opened.map_err(|not_taken| match not_taken {
            NotTaken::Seal => invalid("Seal the message with the key and boot id of the shard."),
            NotTaken::Unknown => Problem::new(
                ProblemKind::CommandUnknown,
                "This relay is of another release: let the store tell it with the next ticket.",
            ),
        })?;
        let nonce = message.nonce;
        let now_ms = shard.handle.time.unix_ms(clock::now());
        let checked = {
            let mut guard = shard.replay.lock().expect("no panic while it is held");
            guard.check(message.at_ms, nonce, now_ms)
        };
        checked.map_err(|refusal| match refusal {
            Refusal::Stale => {
                invalid("Seal the message anew: its time differs too much from ours.")
            }
            Refusal::Replayed => invalid("Seal the message anew: it was used before."),
            Refusal::Full => overloaded(),
        })?;
        self.note_proof();
        if let ControlCommand::Push { message, .. } = &message.command
            && message.len() > MAX_MESSAGE_BYTES
        {
            let detail = format!("Push at most {MAX_MESSAGE_BYTES} bytes.");
            return Err(Problem::new(ProblemKind::BodyTooLarge, detail));
        }
        match wish(message, &shard.region) {
            Wish::Do(command) => match shard.handle.command(command) {
                Ok(()) => Ok(None),
                Err(_) => Err(overloaded()),
            },
            Wish::Tell(question) => {
                let answer = shard.handle.ask(question).await.map_err(|_| overloaded())?;
                let page = page_of(answer.into_iter().map(RoomPlayer::from));
                Ok(Some(seal_players(&page, &shard.keys, shard.boot, nonce)))
            }
        }
    }
}

fn answer_operator(request: &Request<Incoming>, relay: &Relay) -> Reply {
    match (request.uri().path(), request.method()) {
        ("/healthz", &Method::GET | &Method::HEAD) => {
            health(&health::live(&relay.shards, clock::now()))
        }
        ("/readyz", &Method::GET | &Method::HEAD) => {
            health(&health::ready(&relay.shards, clock::now()))
        }
        ("/metrics", &Method::GET | &Method::HEAD) => reply(
            StatusCode::OK,
            exposition::CONTENT_TYPE,
            metrics::render(relay).into(),
        ),
        ("/healthz" | "/readyz" | "/metrics", _) => wrong_method("GET"),
        _ => refuse(&Problem::new(
            ProblemKind::UnknownRoute,
            "This is the health endpoint: it answers at /healthz, /readyz and /metrics.",
        )),
    }
}

fn health(health: &health::Health) -> Reply {
    let status = match health.is_well() {
        true => StatusCode::OK,
        false => StatusCode::SERVICE_UNAVAILABLE,
    };
    reply(status, "application/json", health.to_json().into())
}

async fn read_body(body: Incoming, within: Duration) -> Result<Bytes, Problem> {
    let limited = Limited::new(body, MAX_BODY_BYTES);
    match timeout(within, limited.collect()).await {
        Ok(Ok(body)) => Ok(body.to_bytes()),
        Ok(Err(error)) if error.is::<LengthLimitError>() => {
            let detail = format!("Send at most {MAX_BODY_BYTES} bytes.");
            Err(Problem::new(ProblemKind::BodyTooLarge, detail))
        }
        Ok(Err(_)) | Err(_) => Err(Problem::new(
            ProblemKind::BodyInvalid,
            "Send the whole body without a pause.",
        )),
    }
}

fn overloaded() -> Problem {
    Problem::new(ProblemKind::Overloaded, "Send the message again later.")
}

fn wrong_method(allowed: &'static str) -> Reply {
    let detail = format!("Use {allowed}.");
    let mut reply = refuse(&Problem::new(ProblemKind::MethodNotAllowed, detail));
    reply
        .headers_mut()
        .insert(header::ALLOW, header::HeaderValue::from_static(allowed));
    reply
}

fn refuse(problem: &Problem) -> Reply {
    let status = StatusCode::from_u16(problem.status).expect("problems have HTTP statuses");
    reply(status, MEDIA_TYPE, problem.to_json().into())
}

fn reply(status: StatusCode, content_type: &'static str, body: Bytes) -> Reply {
    Response::builder()
        .status(status)
        .header(header::CONTENT_TYPE, content_type)
        .header(header::CACHE_CONTROL, "no-store")
        .body(Full::new(body))
        .expect("constant headers are valid")
}
