//! Requests and replies without an HTTP library, so that functions are tested on the host and an
//! adapter only translates: routing, preflight (CORS), refusals and the invocation share.

use std::borrow::Cow;
use std::str::FromStr;

use serde::Serialize;
use serde::de::DeserializeOwned;
use wire::PlayerId;
use wire::ids::BadId;
use wire::limits::MAX_BODY_BYTES;
use wire::problem::{MEDIA_TYPE, ProblemKind};
use wire::record::{FunctionShare, SHARE_HEADER};
use wire::routes::{Asks, Auth, JSON, ROUTES, Route, RouteSet};
use wire::until::{MAX_WAIT_S, MAX_WATCHES, Until, Watch};

use crate::ports::{Clock, Storage, Variables};
use crate::store::Store;
use crate::{Caller, Metered, Refusal, revocation};

/// Seconds that a browser may remember a preflight.
const PREFLIGHT_MAX_AGE_S: &str = "86400";

/// A request. Adapters fill in what is here and read at most one byte of the body beyond
/// [`MAX_BODY_BYTES`], so that an overlong one is seen as such.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Request {
    /// Method, upper case.
    pub method: String,
    /// Path without the query, percent-encoded as it came.
    pub path: String,
    /// What follows the `?`.
    pub query: Option<String>,
    /// The `authorization` header.
    pub authorization: Option<String>,
    /// The `content-type` header.
    pub content_type: Option<String>,
    /// The body.
    pub body: Vec<u8>,
}

/// A reply.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Response {
    /// Status code.
    pub status: u16,
    /// Headers; names are lower case.
    pub headers: Vec<(&'static str, Cow<'static, str>)>,
    /// Body.
    pub body: Vec<u8>,
    /// For the invocation record: `ok`, a problem's name, or a word of the route.
    pub outcome: &'static str,
    /// Where it says "nothing yet": until when it stays true. A host that can sends it no sooner,
    /// and runs the request again when that is worth it; the others send it as it is.
    pub until: Option<Until>,
}

impl Request {
    /// The value of `name` in the query, decoded.
    pub fn query_value(&self, name: &str) -> Option<String> {
        let query = self.query.as_deref()?;
        let mut pairs = query
            .split('&')
            .map(|pair| pair.split_once('=').unwrap_or((pair, "")));
        pairs
            .find(|(key, _)| *key == name)
            .map(|(_, value)| percent_decode(value))
    }

    /// How long the client would have the request wait for news, milliseconds: `?wait=` in seconds,
    /// at most [`MAX_WAIT_S`].
    ///
    /// # Errors
    /// `cursor-invalid` when it is no number.
    pub fn wait_ms(&self) -> Result<u64, Refusal> {
        let Some(text) = self.query_value("wait") else {
            return Ok(0);
        };
        let is_plain = text.bytes().all(|byte| byte.is_ascii_digit());
        let seconds: Option<u64> = text.parse().ok().filter(|_| is_plain);
        let seconds = seconds.ok_or_else(|| {
            let detail = "Ask to wait for a whole number of seconds.";
            Refusal::new(ProblemKind::CursorInvalid, detail)
        })?;
        Ok(seconds.min(MAX_WAIT_S) * 1000)
    }

    /// Whether the content type is `wanted`, whatever its parameters.
    pub fn has_content_type(&self, wanted: &str) -> bool {
        self.content_type.as_deref().is_some_and(|value| {
            value
                .split(';')
                .next()
                .unwrap_or_default()
                .trim()
                .eq_ignore_ascii_case(wanted)
        })
    }

    /// The route that takes it, of whatever function.
    pub fn route(&self) -> Option<&'static Route> {
        route_of(&self.method, &self.path)
    }
}

/// The route of whatever function that takes `method` (upper case) at `path` (without the query).
pub fn route_of(method: &str, path: &str) -> Option<&'static Route> {
    let takes = |route: &&Route| route.method == method && parameters(route.path, path).is_some();
    ROUTES.iter().find(takes)
}

impl Response {
    /// An empty reply.
    pub fn empty(status: u16) -> Self {
        Self {
            status,
            headers: Vec::new(),
            body: Vec::new(),
            outcome: "ok",
            until: None,
        }
    }

    /// A reply with `body` of `media_type`.
    pub fn new(status: u16, media_type: &'static str, body: Vec<u8>) -> Self {
        Self {
            body,
            ..Self::empty(status).with("content-type", media_type)
        }
    }

    /// A JSON reply.
    pub fn json<T: Serialize>(status: u16, body: &T) -> Self {
        let body = serde_json::to_vec(body).expect("our messages have string keys only");
        Self::new(status, JSON, body)
    }

    /// Adds a header.
    #[must_use]
    pub fn with(mut self, name: &'static str, value: impl Into<Cow<'static, str>>) -> Self {
        self.headers.push((name, value.into()));
        self
    }

    /// The same, true for `wait_ms` milliseconds while nothing is written of what is watched.
    #[must_use]
    pub fn until(self, wait_ms: u64, player: &PlayerId, watches: Vec<Watch>) -> Self {
        debug_assert!(watches.len() <= MAX_WATCHES);
        Self {
            until: Some(Until {
                wait_ms,
                player: player.clone(),
                watches,
            }),
            ..self
        }
    }

    /// With what a page of any origin needs to read it.
    fn for_browsers(self) -> Self {
        const EXPOSED: &str = "location, retry-after, ratelimit, ratelimit-policy";
        self.with("access-control-allow-origin", "*")
            .with("access-control-expose-headers", EXPOSED)
            // No browser takes what somebody wrote for a page or a script.
            .with("x-content-type-options", "nosniff")
    }

    /// The first header called `name` (lower case).
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers
            .iter()
            .find(|(key, _)| *key == name)
            .map(|(_, value)| value.as_ref())
    }

    /// Reply of a host that answers in place of a function.
    pub fn of_host(refusal: &Refusal) -> Self {
        Self::refused(refusal, "").for_browsers()
    }

    /// Reply to a refusal; `scheme` is what a 401 asks for.
    fn refused(refusal: &Refusal, scheme: &'static str) -> Self {
        let kind = refusal.kind;
        let mut response = Self::new(kind.status(), MEDIA_TYPE, refusal.problem().to_json());
        response.outcome = kind.name();
        if let Some(seconds) = refusal.retry_after_s {
            response = response.with("retry-after", seconds.to_string());
        }
        match kind.status() {
            401 => response.with("www-authenticate", scheme),
            _ => response,
        }
    }
}

/// A request that one of the function's routes takes.
#[derive(Debug)]
pub struct Call<'a> {
    /// The route.
    pub route: &'static Route,
    /// The path's parameters, in order, decoded and unchecked.
    pub parameters: Vec<String>,
    /// The request.
    pub request: &'a Request,
    caller: Option<Caller>,
}

impl Call<'_> {
    /// Who asks.
    ///
    /// # Errors
    /// `internal` where the route wants no token: nobody is known there.
    pub fn caller(&self) -> Result<&Caller, Refusal> {
        self.caller.as_ref().ok_or_else(|| {
            let detail = "The service asks for a caller where its route wants no token.";
            Refusal::new(ProblemKind::Internal, detail)
        })
    }

    /// The path's parameter number `at`.
    ///
    /// # Errors
    /// `name-invalid`.
    pub fn parameter<T: FromStr<Err = BadId>>(&self, at: usize) -> Result<T, Refusal> {
        Ok(self.parameters[at].parse()?)
    }

    /// The JSON body.
    ///
    /// # Errors
    /// `body-invalid`.
    pub fn body<T: DeserializeOwned>(&self) -> Result<T, Refusal> {
        // serde_json's message may repeat what was sent, so only the place is told.
        wire::json::read(&self.request.body).map_err(|fault| {
            let (line, column) = (fault.line(), fault.column());
            let detail =
                format!("The body is not what the route takes: line {line}, column {column}.");
            Refusal::new(ProblemKind::BodyInvalid, detail)
        })
    }
}

/// Serves `request` as a function of the routes `R`: finds the route, answers preflights and what
/// no route takes, finds out who asks by what the route wants proved, lets `handler` do the rest,
/// and completes its reply. The handler gets the store by way of a meter.
pub async fn serve<R: RouteSet, H: Storage + Clock + Variables>(
    host: &H,
    request: &Request,
    handler: impl AsyncFnOnce(R, &Call<'_>, &Metered<'_, H::Store>) -> Result<Response, Refusal>,
) -> Response {
    let meter = Metered::new(host.store());
    let (name, response) = match find::<R>(request) {
        Found::Route(route, mut call) => {
            let scheme = match call.route.auth {
                Auth::Shard => "Shard",
                Auth::Proof => "Proof",
                _ => "Bearer",
            };
            let response = match admit(host, &meter, &mut call).await {
                Ok(()) => handler(route, &call, &meter).await,
                Err(refusal) => Err(refusal),
            };
            let response = response.unwrap_or_else(|refusal| {
                debug_assert!(
                    call.route.documents(refusal.kind),
                    "{} does not document {}",
                    call.route.name,
                    refusal.kind.name()
                );
                Response::refused(&refusal, scheme)
            });
            (call.route.name, response)
        }
        Found::Preflight(routes) => ("preflight", preflight(&routes)),
        Found::OtherMethod(routes) => ("unknown", method_not_allowed(&routes)),
        Found::Nothing => ("unknown", Response::refused(&unknown_route(), "")),
    };
    let share = FunctionShare {
        route: name.to_owned(),
        outcome: response.outcome.to_owned(),
        store_calls: meter.calls(),
        store_reads: meter.reads(),
        store_writes: meter.writes(),
        store_read_units: meter.read_units(),
        store_write_units: meter.write_units(),
    };
    let share = serde_json::to_string(&share).expect("a share has string keys only");
    response.for_browsers().with(SHARE_HEADER, share)
}

/// What is asked of every call before its handler sees it.
async fn admit<H: Clock + Variables, S: Store>(
    host: &H,
    store: &S,
    call: &mut Call<'_>,
) -> Result<(), Refusal> {
    let request = call.request;
    if request.body.len() > MAX_BODY_BYTES {
        let detail = format!("Send a body of at most {MAX_BODY_BYTES} bytes.");
        return Err(Refusal::new(ProblemKind::BodyTooLarge, detail));
    }
    let authorization = request.authorization.as_deref();
    call.caller = Caller::admit(host, call.route, authorization).await?;
    match &call.caller {
        Some(caller) if call.route.asks_revocation() == Asks::Router => {
            revocation::check(store, caller.now_ms, &caller.claims).await
        }
        _ => Ok(()),
    }
}

enum Found<'a, R> {
    Route(R, Call<'a>),
    Preflight(Vec<&'static Route>),
    OtherMethod(Vec<&'static Route>),
    Nothing,
}

fn find<R: RouteSet>(request: &Request) -> Found<'_, R> {
    let of_path = |of: &R| Some((*of, parameters(of.route().path, &request.path)?));
    let routes: Vec<(R, Vec<&str>)> = R::ALL.iter().filter_map(of_path).collect();
    if routes.is_empty() {
        return Found::Nothing;
    }
    let at_path = routes.iter().map(|(of, _)| of.route()).collect();
    match routes
        .into_iter()
        .find(|(of, _)| of.route().method == request.method)
    {
        Some((of, parameters)) => {
            let call = Call {
                route: of.route(),
                parameters: parameters.into_iter().map(percent_decode).collect(),
                request,
                caller: None,
            };
            Found::Route(of, call)
        }
        None if request.method == "OPTIONS" => Found::Preflight(at_path),
        None => Found::OtherMethod(at_path),
    }
}

/// What stands for the braced segments of `pattern` in a path that fits it, as it is sent.
fn parameters<'p>(pattern: &str, path: &'p str) -> Option<Vec<&'p str>> {
    let mut values = Vec::new();
    let mut actual = path.split('/');
    for wanted in pattern.split('/') {
        let segment = actual.next()?;
        if wanted.starts_with('{') && !segment.is_empty() {
            values.push(segment);
        } else if wanted != segment {
            return None;
        }
    }
    actual.next().is_none().then_some(values)
}

/// Decodes `%41`. What is not well formed stays as it is: names are checked afterwards, and `%` is
/// in none of their alphabets.
fn percent_decode(text: &str) -> String {
    let bytes = text.as_bytes();
    let mut out = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while at < bytes.len() {
        let hex = bytes.get(at + 1..at + 3).filter(|_| bytes[at] == b'%');
        match hex.and_then(|hex| data_encoding::HEXLOWER_PERMISSIVE.decode(hex).ok()) {
            Some(byte) => {
                out.extend(byte);
                at += 3;
            }
            None => {
                out.push(bytes[at]);
                at += 1;
            }
        }
    }
    String::from_utf8_lossy(&out).into_owned()
}

fn allowed(routes: &[&'static Route]) -> String {
    let methods: Vec<&str> = routes.iter().map(|route| route.method).collect();
    format!("{}, OPTIONS", methods.join(", "))
}

fn preflight(routes: &[&'static Route]) -> Response {
    let methods = allowed(routes);
    let response = Response::empty(204)
        .with("allow", methods.clone())
        .with("access-control-allow-methods", methods)
        .with(
            "access-control-allow-headers",
            "authorization, content-type",
        )
        .with("access-control-max-age", PREFLIGHT_MAX_AGE_S);
    // RFC 9725, section 4.7, for the route that takes more than JSON.
    match routes
        .iter()
        .find_map(|route| route.body.filter(|body| *body != JSON))
    {
        Some(body) => response.with("accept-post", body),
        None => response,
    }
}

fn method_not_allowed(routes: &[&'static Route]) -> Response {
    let methods = allowed(routes);
    let detail = format!("Use one of {methods}.");
    let refusal = Refusal::new(ProblemKind::MethodNotAllowed, detail);
    Response::refused(&refusal, "").with("allow", methods)
}

fn unknown_route() -> Refusal {
    Refusal::new(
        ProblemKind::UnknownRoute,
        "Check the path; the interface is described in openapi.json.",
    )
}

#[cfg(test)]
#[path = "http_tests.rs"]
mod tests;
