//! The control endpoint: `POST /v1/control`, `GET /healthz`, `GET /metrics`.

use std::convert::Infallible;
use std::sync::Arc;
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
use wire::control::{CONTROL_PATH, ControlCommand, ControlMessage, SHARD_HEADER};
use wire::limits::{MAX_BODY_BYTES, MAX_MESSAGE_BYTES};
use wire::problem::{MEDIA_TYPE, Problem, ProblemKind};

use crate::replay::Refusal;
use crate::state::Relay;
use crate::{clock, exposition, health, metrics};

/// Most connections at once; the edge, a scraper and a health check need a handful.
const CONNECTIONS_MAX: usize = 128;

/// Longest time for the head of a request, and for the idle time before the next.
const HEAD_MAX: Duration = Duration::from_secs(30);

/// Longest time for a body.
const BODY_MAX: Duration = Duration::from_secs(5);

/// Pause after a failure to accept, which means that descriptors are short.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

type Reply = Response<Full<Bytes>>;

/// Answers on `listener` until dropped.
pub(crate) async fn serve(listener: TcpListener, relay: Arc<Relay>) {
    let connections = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    loop {
        let permit = connections
            .clone()
            .acquire_owned()
            .await
            .expect("never closed");
        let stream = match listener.accept().await {
            Ok((stream, _)) => stream,
            Err(error) => {
                tracing::warn!(kind = %error.kind(), "a control connection was not accepted");
                tokio::time::sleep(ACCEPT_PAUSE).await;
                continue;
            }
        };
        let relay = relay.clone();
        tokio::spawn(async move {
            serve_connection(stream, relay).await;
            drop(permit);
        });
    }
}

async fn serve_connection(stream: TcpStream, relay: Arc<Relay>) {
    let service = service_fn(move |request| {
        let relay = relay.clone();
        async move { Ok::<_, Infallible>(answer(request, &relay).await) }
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

async fn answer(request: Request<Incoming>, relay: &Relay) -> Reply {
    let method = request.method().clone();
    match (request.uri().path(), &method) {
        (CONTROL_PATH, &Method::POST) => match control(request, relay).await {
            Ok(()) => reply(
                StatusCode::ACCEPTED,
                "application/json",
                Bytes::from_static(b"{}"),
            ),
            Err(problem) => refuse(&problem),
        },
        ("/healthz", &Method::GET | &Method::HEAD) => {
            let health = health::check(&relay.shards, clock::now());
            let status = match health.is_well() {
                true => StatusCode::OK,
                false => StatusCode::SERVICE_UNAVAILABLE,
            };
            reply(status, "application/json", health.to_json().into())
        }
        ("/metrics", &Method::GET | &Method::HEAD) => reply(
            StatusCode::OK,
            exposition::CONTENT_TYPE,
            metrics::render(relay).into(),
        ),
        (CONTROL_PATH, _) => wrong_method("POST"),
        ("/healthz" | "/metrics", _) => wrong_method("GET"),
        _ => refuse(&Problem::new(
            ProblemKind::UnknownRoute,
            "A relay answers at /v1/control, /healthz and /metrics.",
        )),
    }
}

/// Takes one message from the edge.
async fn control(request: Request<Incoming>, relay: &Relay) -> Result<(), Problem> {
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
    let message = std::str::from_utf8(&body)
        .ok()
        .and_then(|sealed| ControlMessage::open(sealed.trim(), &shard.keys, shard.boot).ok())
        .ok_or_else(|| invalid("Seal the message with the key and boot id of the shard."))?;
    let now_ms = clock::unix_ms();
    let mut guard = shard.replay.lock().expect("no panic while it is held");
    let checked = guard.check(message.at_ms, message.nonce, now_ms);
    drop(guard);
    checked.map_err(|refusal| match refusal {
        Refusal::Stale => invalid("Seal the message anew: its time differs too much from ours."),
        Refusal::Replayed => invalid("Seal the message anew: it was used before."),
        Refusal::Full => overloaded(),
    })?;
    let taken = match message.command {
        ControlCommand::End {
            session,
            player,
            reason,
        } => shard.handle.end(session, player, reason),
        ControlCommand::Push { to, message } => {
            if message.len() > MAX_MESSAGE_BYTES {
                let detail = format!("Push at most {MAX_MESSAGE_BYTES} bytes.");
                return Err(Problem::new(ProblemKind::BodyTooLarge, detail));
            }
            shard.handle.push(to, message.into_bytes().into())
        }
    };
    taken.map_err(|_| overloaded())
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
