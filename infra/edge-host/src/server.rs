//! Accepts connections, and answers each request with a component or a refusal.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use edge::rates::Rates;
use http::header::{ACCESS_CONTROL_ALLOW_ORIGIN, AUTHORIZATION, CONTENT_TYPE, HOST};
use http::uri::{Authority, PathAndQuery, Scheme};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Response, StatusCode, Uri};
use http_body_util::{BodyExt, Full, LengthLimitError, Limited};
use hyper::body::{Body, Incoming};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioTimer;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinSet;
use wasmtime::Engine;
use wire::ids::InvocationId;
use wire::problem::ProblemKind;
use wire::record::{InvocationKind, InvocationRecord, RECORD_FORM};
use wire::routes::Route;

use crate::clock;
use crate::config::{DevTokenRequest, Limits, TokenMint, milliseconds};
use crate::health;
use crate::invoke::{Function, Invocation};
use crate::lanes::{Lanes, route_asked};
use crate::record::{FunctionShare, Recorder};
use crate::refusal::Refusal;
use crate::route::{Match, Pattern, Routes};
use crate::sources::Sources;
use crate::stall::StallGuard;
use crate::waiters::Waiters;

const DEV_TOKEN_PATH: &str = "/dev/token";
/// Headers that only the host may set: a component trusts them.
const HOST_HEADER_PREFIX: &str = "spin-";

/// A loaded application.
pub(crate) struct App {
    pub(crate) engine: Engine,
    pub(crate) functions: Vec<Function>,
    pub(crate) routes: Routes<usize>,
    pub(crate) limits: Limits,
    pub(crate) lanes: Lanes,
    pub(crate) waiters: Arc<Waiters>,
    /// What tokens asked for lately.
    pub(crate) rates: Mutex<Rates>,
    pub(crate) recorder: Recorder,
    /// `lv-record` headers that were not understood.
    pub(crate) malformed_shares: AtomicU64,
    pub(crate) dev_token: Option<TokenMint>,
    /// What is in flight is finished, and nobody else is to be sent here.
    pub(crate) stopping: AtomicBool,
}

/// Serves until `stop` turns true, then lets what is in flight finish, up to the limit.
pub(crate) async fn serve(listener: TcpListener, app: Arc<App>, mut stop: watch::Receiver<bool>) {
    let open = Arc::new(Semaphore::new(app.limits.connections));
    let sources = Arc::new(Sources::new(app.limits.connections));
    let mut connections = JoinSet::new();
    loop {
        let permit = open.clone().acquire_owned();
        let accepted = async {
            let permit = permit.await.expect("the semaphore is never closed");
            listener.accept().await.map(|accepted| (accepted, permit))
        };
        tokio::select! {
            biased;
            () = stopping(&mut stop) => break,
            Some(_) = connections.join_next() => {}
            accepted = accepted => match accepted {
                Ok(((stream, peer), permit)) => {
                    // Closed at once: there is no reply that costs less.
                    let Some(place) = sources.enter(peer.ip()) else { continue };
                    let connection = connection(stream, peer, app.clone(), stop.clone());
                    connections.spawn(async move {
                        connection.await;
                        drop((permit, place));
                    });
                }
                Err(cause) => {
                    // Out of file descriptors, most likely: give connections time to end.
                    tracing::warn!(%cause, "accept failed");
                    tokio::time::sleep(milliseconds(10)).await;
                }
            },
        }
    }
    drop(listener);
    let drained = async { while connections.join_next().await.is_some() {} };
    if tokio::time::timeout(milliseconds(app.limits.drain_ms), drained)
        .await
        .is_err()
    {
        tracing::warn!(
            connections = connections.len(),
            "requests were cut off: the drain time is over"
        );
    }
    connections.shutdown().await;
}

/// Ends when the host is to stop, or is gone.
async fn stopping(stop: &mut watch::Receiver<bool>) {
    let _ = stop.wait_for(|is_stopping| *is_stopping).await;
}

async fn connection(
    stream: TcpStream,
    peer: SocketAddr,
    app: Arc<App>,
    mut stop: watch::Receiver<bool>,
) {
    // Only delays replies when it fails.
    let _ = stream.set_nodelay(true);
    let local = stream.local_addr().ok();
    let limits = app.limits;
    let service = service_fn(move |request| {
        let app = app.clone();
        async move { Ok::<_, Infallible>(app.answer(request, peer, local).await) }
    });
    let io = StallGuard::new(stream, milliseconds(limits.write_stall_ms));
    let serving = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(milliseconds(limits.header_read_ms))
        .max_headers(limits.headers)
        .max_buf_size(limits.header_bytes)
        .serve_connection(io, service);
    tokio::pin!(serving);
    let outcome = tokio::select! {
        outcome = serving.as_mut() => outcome,
        () = stopping(&mut stop) => {
            serving.as_mut().graceful_shutdown();
            serving.await
        }
    };
    if let Err(cause) = outcome {
        tracing::debug!(%cause, "connection ended");
    }
}

/// The variable that says in which region the functions are; records repeat it.
const REGION: &str = "region";

/// The parts of a record that do not come from the component.
pub(crate) struct Seen {
    function: String,
    region: String,
    build: String,
    route: String,
    method: Method,
    bytes_in: u64,
}

impl App {
    async fn answer(
        &self,
        request: Request<Incoming>,
        peer: SocketAddr,
        local: Option<SocketAddr>,
    ) -> Response<Full<Bytes>> {
        let path = request.uri().path().to_owned();
        // Asked every few seconds by whoever supervises: no record, and no function.
        let is_stopping = self.stopping.load(Ordering::Relaxed);
        if let Some(reply) = health::answer(request.method(), &path, is_stopping) {
            return reply.map(Full::new);
        }
        let mut seen = Seen {
            function: "edge-host".into(),
            region: String::new(),
            build: String::new(),
            route: "none".into(),
            method: request.method().clone(),
            bytes_in: 0,
        };
        let reply = if self.dev_token.is_some() && path == DEV_TOKEN_PATH {
            seen.route = DEV_TOKEN_PATH.into();
            self.answer_dev_token(request, &mut seen).await
        } else if let Some((pattern, index, found)) = self.routes.find(&path) {
            let function = &self.functions[*index];
            seen.function.clone_from(&function.grants.component);
            seen.build.clone_from(&function.build);
            if let Some(region) = function.grants.variables.get(REGION) {
                seen.region.clone_from(region);
            }
            pattern.text().clone_into(&mut seen.route);
            let route = route_asked(request.method(), &path, request.headers());
            if let Some(reply) = self.too_fast(&request, route) {
                let outcome = ProblemKind::TooFast.name();
                let refused = record(seen, &reply, outcome, None, FunctionShare::default());
                self.recorder.record(refused);
                return reply.map(Full::new);
            }
            match self
                .read(request, &mut seen, Some((pattern, &found)), peer, local)
                .await
            {
                Ok(request) => {
                    let lane = self.lanes.of(route);
                    return self.answer_function(function, lane, request, seen).await;
                }
                Err(refusal) => Err(refusal),
            }
        } else {
            Err(Refusal::UnknownRoute)
        };
        let (reply, outcome) = match reply {
            Ok(reply) => (reply, "ok"),
            Err(refusal) => (refusal.response(), refusal.name()),
        };
        self.recorder.record(record(
            seen,
            &reply,
            outcome,
            None,
            FunctionShare::default(),
        ));
        reply.map(Full::new)
    }

    /// The reply to a request whose token asks too often, before anything is done for it.
    fn too_fast(
        &self,
        request: &Request<Incoming>,
        route: Option<&Route>,
    ) -> Option<Response<Bytes>> {
        // Of a question nothing is counted.
        let route = route.filter(|route| route.method == request.method().as_str())?;
        let token = request.headers().get(AUTHORIZATION)?.to_str().ok();
        let mut rates = self.rates.lock().unwrap_or_else(PoisonError::into_inner);
        let fast = rates.take(route, token, clock::unix_ms()).err()?;
        drop(rates);
        let told = fast.reply();
        let mut reply = Response::new(Bytes::from(told.body));
        *reply.status_mut() = StatusCode::from_u16(told.status).expect("a status of ours");
        for (name, value) in told.headers {
            let value = HeaderValue::from_str(&value).expect("a header of ours");
            reply.headers_mut().insert(name, value);
        }
        Some(reply)
    }

    /// Reads the whole body within its limits and makes the request that the component sees.
    async fn read(
        &self,
        request: Request<Incoming>,
        seen: &mut Seen,
        route: Option<(&Pattern, &Match<'_>)>,
        peer: SocketAddr,
        local: Option<SocketAddr>,
    ) -> Result<Request<Bytes>, Refusal> {
        let (mut parts, body) = request.into_parts();
        let limit_bytes = self.limits.request_body_bytes;
        let too_large = Refusal::BodyTooLarge { limit_bytes };
        if body.size_hint().lower() > limit_bytes as u64 {
            return Err(too_large);
        }
        let body = if body.is_end_stream() {
            Bytes::new()
        } else {
            let reading = Limited::new(body, limit_bytes).collect();
            match tokio::time::timeout(milliseconds(self.limits.body_read_ms), reading).await {
                Ok(Ok(body)) => body.to_bytes(),
                Ok(Err(cause)) if cause.is::<LengthLimitError>() => return Err(too_large),
                Ok(Err(_)) => return Err(Refusal::BodyMalformed),
                Err(_) => {
                    return Err(Refusal::BodyTooSlow {
                        limit_ms: self.limits.body_read_ms,
                    });
                }
            }
        };
        seen.bytes_in = body.len() as u64;
        if let Some((pattern, found)) = route {
            parts.uri = full_uri(&parts.uri, &parts.headers, local).ok_or(Refusal::Invalid(
                "Send a host header that is a host name and port.",
            ))?;
            set_host_headers(&mut parts.headers, &parts.uri, pattern, found, peer);
        }
        Ok(Request::from_parts(parts, body))
    }

    async fn answer_dev_token(
        &self,
        request: Request<Incoming>,
        seen: &mut Seen,
    ) -> Result<Response<Bytes>, Refusal> {
        const ALLOW: &str = "POST, OPTIONS";
        let mint = self.dev_token.as_ref().expect("the caller looked");
        let mut reply = Response::new(Bytes::new());
        if request.method() == Method::OPTIONS {
            *reply.status_mut() = StatusCode::NO_CONTENT;
            let headers = reply.headers_mut();
            for (name, value) in [
                ("access-control-allow-origin", "*"),
                ("access-control-allow-methods", ALLOW),
                ("access-control-allow-headers", "content-type"),
                ("access-control-max-age", "86400"),
            ] {
                headers.insert(name, HeaderValue::from_static(value));
            }
            return Ok(reply);
        }
        if request.method() != Method::POST {
            return Err(Refusal::MethodNotAllowed { allow: ALLOW });
        }
        let any = SocketAddr::from(([0, 0, 0, 0], 0));
        let request = self.read(request, seen, None, any, None).await?;
        let asked: DevTokenRequest = wire::json::read(request.body()).map_err(|_| {
            Refusal::Invalid("Send JSON: {\"player\": \"..\", \"room\": \"..\", \"name\": \"..\"}.")
        })?;
        let token = mint.mint(asked).map_err(|cause| {
            tracing::warn!(cause, "no development token was made");
            Refusal::Invalid("Check player, room and name; the host's log says what is wrong.")
        })?;
        let headers = reply.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, HeaderValue::from_static("*"));
        *reply.body_mut() = serde_json::json!({ "token": token }).to_string().into();
        Ok(reply)
    }
}

/// The URI with scheme and authority, as a component expects it.
fn full_uri(uri: &Uri, headers: &HeaderMap, local: Option<SocketAddr>) -> Option<Uri> {
    let authority = match (uri.authority(), headers.get(HOST)) {
        (Some(authority), _) => authority.clone(),
        (None, Some(host)) => Authority::try_from(host.as_bytes()).ok()?,
        (None, None) => Authority::try_from(local?.to_string()).ok()?,
    };
    let path = uri
        .path_and_query()
        .cloned()
        .unwrap_or(PathAndQuery::from_static("/"));
    Uri::builder()
        .scheme(Scheme::HTTP)
        .authority(authority)
        .path_and_query(path)
        .build()
        .ok()
}

/// Replaces whatever the client sent under the host's names with what Spin tells a component.
fn set_host_headers(
    headers: &mut HeaderMap,
    uri: &Uri,
    pattern: &Pattern,
    found: &Match<'_>,
    peer: SocketAddr,
) {
    let forged: Vec<HeaderName> = headers
        .keys()
        .filter(|name| name.as_str().starts_with(HOST_HEADER_PREFIX))
        .cloned()
        .collect();
    for name in forged {
        headers.remove(name);
    }
    let mut set = |name: &'static str, value: &str| {
        if let Ok(value) = HeaderValue::try_from(value) {
            headers.insert(HeaderName::from_static(name), value);
        }
    };
    let route = pattern.text();
    set("spin-path-info", found.rest);
    set("spin-full-url", &uri.to_string());
    set("spin-matched-route", route);
    set("spin-base-path", "/");
    set(
        "spin-component-route",
        route.strip_suffix("/...").unwrap_or(route),
    );
    set("spin-raw-component-route", route);
    set("spin-client-addr", &peer.to_string());
    for (name, value) in &found.parameters {
        let name = HeaderName::try_from(format!("spin-path-match-{}", name.to_ascii_lowercase()));
        if let (Ok(name), Ok(value)) = (name, HeaderValue::try_from(*value)) {
            headers.insert(name, value);
        }
    }
}

pub(crate) fn record(
    seen: Seen,
    reply: &Response<Bytes>,
    outcome: &str,
    invocation: Option<&Invocation>,
    share: FunctionShare,
) -> InvocationRecord {
    let used = |of: fn(&Invocation) -> u64| invocation.map_or(0, of);
    InvocationRecord {
        kind: InvocationKind::Invocation,
        form: RECORD_FORM,
        id: Some(invocation_id()),
        function: seen.function,
        route: share.route.unwrap_or(seen.route),
        host: "edge-host".into(),
        region: seen.region,
        build: seen.build,
        method: method_name(&seen.method),
        status: reply.status().as_u16(),
        outcome: share.outcome.unwrap_or_else(|| outcome.to_owned()),
        // An instance is made for each request, and nobody bills by its time or memory.
        cold: false,
        duration_us: used(|it| it.duration_us),
        billed_ms: 0,
        memory_mb: 0,
        fuel: used(|it| it.fuel),
        peak_memory_bytes: used(|it| it.peak_memory_bytes),
        store_calls: share.store_calls,
        store_reads: share
            .store_reads
            .unwrap_or(invocation.map_or(0, |it| it.store_reads)),
        store_writes: share
            .store_writes
            .unwrap_or(invocation.map_or(0, |it| it.store_writes)),
        store_read_units: share.store_read_units,
        store_write_units: share.store_write_units,
        bytes_in: seen.bytes_in,
        bytes_out: reply.body().len() as u64,
        log_bytes: used(|it| it.log_bytes),
        at_ms: clock::unix_ms(),
    }
}

fn invocation_id() -> InvocationId {
    let mut id = InvocationId([0; 8]);
    getrandom::fill(&mut id.0).expect("Linux has randomness for every process");
    id
}

/// A method is free text: one that the host does not know does not get into a record.
fn method_name(method: &Method) -> String {
    const KNOWN: [Method; 7] = [
        Method::GET,
        Method::HEAD,
        Method::POST,
        Method::PUT,
        Method::DELETE,
        Method::PATCH,
        Method::OPTIONS,
    ];
    if KNOWN.contains(method) {
        method.to_string()
    } else {
        "other".to_owned()
    }
}
