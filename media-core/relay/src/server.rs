//! The control endpoint, `POST /v1/control`, and the health endpoint, `GET /healthz`, `/readyz` and
//! `/metrics`: two listeners, since one is for the edge and the other for nobody outside.

use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use bytes::Bytes;
use http::{Method, Request, Response, StatusCode, header};
use http_body_util::{BodyExt, Full, LengthLimitError, Limited};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::time::timeout;
use wire::control::{
    CONTROL_PATH, ControlCommand, ControlMessage, NotTaken, SHARD_HEADER, page_of, seal_players,
};
use wire::limits::{MAX_BODY_BYTES, MAX_MESSAGE_BYTES};
use wire::moderation::RoomPlayer;
use wire::problem::{MEDIA_TYPE, Problem, ProblemKind};

use crate::command::{Wish, wish};
use crate::replay::Refusal;
use crate::shares::Shares;
use crate::state::Relay;
use crate::{clock, exposition, health, metrics};

/// Most control connections at once: functions keep theirs, and there may be hundreds of them.
const CONTROL_CONNECTIONS_MAX: usize = 1024;

/// Most of one source: an IPv4 address, or the first 64 bits of an IPv6 address. Functions may
/// share one address.
const CONNECTIONS_PER_SOURCE_MAX: u32 = 256;

/// Most health connections at once; a scraper and a few checks need a handful.
const HEALTH_CONNECTIONS_MAX: usize = 64;

/// Longest time for the head of a request, and for the idle time before the next.
const HEAD_MAX: Duration = Duration::from_secs(30);

/// Longest time for a body.
const BODY_MAX: Duration = Duration::from_secs(5);

/// Pause after a failure to accept, which means that descriptors are short.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

type Reply = Response<Full<Bytes>>;

/// Which of the two endpoints.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Endpoint {
    /// For the edge, over networks of others: sealed messages and nothing else, and a share of the
    /// connections for each source.
    Control,
    /// For this machine and its operators: it asks for no proof, and changes nothing.
    Health,
}

impl Endpoint {
    /// Most connections of one source.
    fn share(self) -> u32 {
        match self {
            Self::Control => CONNECTIONS_PER_SOURCE_MAX,
            // A scraper and a few checks, from one machine.
            Self::Health => u32::MAX,
        }
    }

    fn connections_max(self) -> usize {
        match self {
            Self::Control => CONTROL_CONNECTIONS_MAX,
            Self::Health => HEALTH_CONNECTIONS_MAX,
        }
    }
}

/// Answers on `listener` until dropped.
pub(crate) async fn serve(endpoint: Endpoint, listener: TcpListener, relay: Arc<Relay>) {
    let connections = Arc::new(Semaphore::new(endpoint.connections_max()));
    let shares = Shares::new(endpoint.share());
    loop {
        let permit = connections
            .clone()
            .acquire_owned()
            .await
            .expect("never closed");
        let (stream, from) = match listener.accept().await {
            Ok(accepted) => accepted,
            Err(error) => {
                tracing::warn!(kind = %error.kind(), "a control connection was not accepted");
                tokio::time::sleep(ACCEPT_PAUSE).await;
                continue;
            }
        };
        let Some(share) = shares.take(from.ip()) else {
            relay.control_refused.fetch_add(1, Ordering::Relaxed);
            continue;
        };
        let relay = relay.clone();
        tokio::spawn(async move {
            serve_connection(endpoint, stream, relay).await;
            drop((permit, share));
        });
    }
}

async fn serve_connection(endpoint: Endpoint, stream: TcpStream, relay: Arc<Relay>) {
    let service = service_fn(move |request| {
        let relay = relay.clone();
        async move { Ok::<_, Infallible>(answer(endpoint, request, &relay).await) }
    });
    let mut builder = http1::Builder::new();
    builder
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_MAX)
        .max_buf_size(MAX_BODY_BYTES);
    // Errors here are the client's: a broken connection, a head that is not HTTP.
    let _ = builder
        .serve_connection(TokioIo::new(stream), service)
        .await;
}

async fn answer(endpoint: Endpoint, request: Request<Incoming>, relay: &Relay) -> Reply {
    match endpoint {
        Endpoint::Control => answer_edge(request, relay).await,
        Endpoint::Health => answer_operator(&request, relay),
    }
}

async fn answer_edge(request: Request<Incoming>, relay: &Relay) -> Reply {
    match (request.uri().path(), request.method()) {
        (CONTROL_PATH, &Method::POST) => match control(request, relay).await {
            Ok(None) => reply(
                StatusCode::ACCEPTED,
                "application/json",
                Bytes::from_static(b"{}"),
            ),
            Ok(Some(answer)) => reply(StatusCode::OK, "text/plain", answer.into()),
            Err(problem) => {
                let mut reply = refuse(&problem);
                if problem.status == ProblemKind::SignatureInvalid.status() {
                    // Whoever guesses pays a connection for each guess.
                    let close = header::HeaderValue::from_static("close");
                    reply.headers_mut().insert(header::CONNECTION, close);
                }
                reply
            }
        },
        (CONTROL_PATH, _) => wrong_method("POST"),
        _ => refuse(&Problem::new(
            ProblemKind::UnknownRoute,
            "This is the control endpoint: it takes sealed messages at /v1/control.",
        )),
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

/// Takes one message from the edge; returns the sealed answer to a question.
async fn control(request: Request<Incoming>, relay: &Relay) -> Result<Option<String>, Problem> {
    let shard = match request.headers().get(SHARD_HEADER) {
        Some(name) => relay
            .shards
            .iter()
            .find(|shard| name == shard.handle.id.as_str()),
        None => relay.shards.first().filter(|_| relay.shards.len() == 1),
    };
    let shard = shard.ok_or_else(|| {
        let detail = format!("Name a shard of this relay in the header {SHARD_HEADER}.");
        Problem::new(ProblemKind::UnknownRelay, detail)
    })?;
    let body = read_body(request.into_body()).await?;
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
    let now_ms = clock::unix_ms();
    let checked = {
        let mut guard = shard.replay.lock().expect("no panic while it is held");
        guard.check(message.at_ms, nonce, now_ms)
    };
    checked.map_err(|refusal| match refusal {
        Refusal::Stale => invalid("Seal the message anew: its time differs too much from ours."),
        Refusal::Replayed => invalid("Seal the message anew: it was used before."),
        Refusal::Full => overloaded(),
    })?;
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

async fn read_body(body: Incoming) -> Result<Bytes, Problem> {
    let limited = Limited::new(body, MAX_BODY_BYTES);
    match timeout(BODY_MAX, limited.collect()).await {
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
