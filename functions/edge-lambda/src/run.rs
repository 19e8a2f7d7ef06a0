//! The loop of a Lambda function: event, request, handler, reply, record.

use std::cell::RefCell;
use std::future::poll_fn;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, UNIX_EPOCH};

use edge::Refusal;
use edge::http::{Request, Response};
use edge::rates::Rates;
use lambda_http::aws_lambda_events::apigw::ApiGatewayV2httpResponse;
use lambda_http::lambda_runtime::Config;
use lambda_http::{Context, Error, LambdaEvent, service_fn};
use tokio::time::Instant;
use wire::ids::InvocationId;
use wire::problem::ProblemKind;
use wire::record::{FunctionShare, InvocationKind, InvocationRecord, RECORD_FORM, SHARE_HEADER};
use wire::routes::Route;

use crate::event::{self, Event};
use crate::host::{Environment, LambdaHost, now, unix_ms};
use crate::permissions::FunctionPermissions;
use crate::{log, record};

/// Before Lambda ends an invocation, this is left to say that the time is over.
pub(crate) const REPLY_MARGIN: Duration = Duration::from_millis(250);
/// A request gets no longer than on the other hosts, however long Lambda would wait.
pub(crate) const REQUEST_LIMIT: Duration = Duration::from_secs(5);
/// The store gives up this much before the request does, so that the function itself says what is
/// wrong, and its record what it read.
const STORE_MARGIN: Duration = Duration::from_millis(50);

/// Serves a function's events with `handler` until Lambda ends the process: what an adapter's
/// `main` calls. `function` is its name in `functions/permissions.json`.
///
/// # Errors
/// When the environment lacks something or the runtime interface is gone; Lambda then starts
/// another process.
pub fn run<H>(function: &'static str, handler: H) -> Result<(), Error>
where
    H: AsyncFn(&LambdaHost<'_>, Request) -> Response,
{
    // One invocation at a time: one thread does it, and starts faster than several.
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    std::panic::set_hook(Box::new(log::panicked));
    runtime.block_on(async {
        let began = now();
        let permissions =
            FunctionPermissions::of(function).ok_or("the function has no permissions")?;
        let environment = Environment::load(&permissions, |name| std::env::var(name).ok()).await?;
        environment.warm().await;
        let process = Process {
            function,
            region: std::env::var("AWS_REGION").unwrap_or_default(),
            rates: RefCell::default(),
            init_us: AtomicU64::new(micros(began.elapsed())),
        };
        let (process, environment, handler) = (&process, &environment, &handler);
        let service = service_fn(move |event| invoke(process, environment, handler, event));
        lambda_http::lambda_runtime::run(service).await
    })
}

/// What is the same in all records of a process.
struct Process {
    function: &'static str,
    region: String,
    /// What tokens asked of it lately.
    rates: RefCell<Rates>,
    /// Time that its start took, microseconds; 0 once an invocation has been billed for it.
    init_us: AtomicU64,
}

/// What a record says of one invocation.
struct Seen<'a> {
    id: Option<InvocationId>,
    at_ms: u64,
    method: String,
    duration_us: u64,
    bytes_in: u64,
    response: &'a Response,
    share: FunctionShare,
    settings: &'a Config,
}

impl Process {
    /// The reply to a request whose token asks too often, before anything is done for it.
    fn too_fast(&self, route: Option<&Route>, request: &Request, at_ms: u64) -> Option<Response> {
        let token = request.authorization.as_deref();
        let taken = self.rates.borrow_mut().take(route?, token, at_ms);
        taken.err().map(|fast| fast.reply())
    }

    fn record(&self, seen: Seen<'_>) {
        let init_us = self.init_us.swap(0, Ordering::Relaxed);
        let Seen {
            share,
            settings,
            response,
            duration_us,
            ..
        } = seen;
        log::record(&record::line(&InvocationRecord {
            kind: InvocationKind::Invocation,
            form: RECORD_FORM,
            id: seen.id,
            at_ms: seen.at_ms,
            function: self.function.to_owned(),
            route: share.route,
            host: "lambda".to_owned(),
            region: self.region.clone(),
            build: settings.version.clone(),
            method: seen.method,
            status: response.status,
            outcome: share.outcome,
            cold: init_us > 0,
            duration_us,
            billed_ms: billed_ms(init_us, duration_us),
            memory_mb: u32::try_from(settings.memory).unwrap_or(0),
            fuel: 0,
            peak_memory_bytes: record::peak_memory_bytes(),
            store_calls: share.store_calls,
            store_reads: share.store_reads,
            store_writes: share.store_writes,
            store_read_units: share.store_read_units,
            store_write_units: share.store_write_units,
            bytes_in: seen.bytes_in,
            bytes_out: response.body.len() as u64,
            log_bytes: log::take_written_bytes(),
        }));
    }
}

async fn invoke<H>(
    process: &Process,
    environment: &Environment,
    handler: &H,
    event: LambdaEvent<Event>,
) -> Result<ApiGatewayV2httpResponse, Error>
where
    H: AsyncFn(&LambdaHost<'_>, Request) -> Response,
{
    let (started, at_ms) = (now(), unix_ms());
    let deadline = deadline(started, at_ms, &event.context);
    let (id, settings) = (
        invocation_id(&event.context.request_id),
        event.context.env_config.clone(),
    );
    let host = environment.host(deadline.checked_sub(STORE_MARGIN).unwrap_or(deadline));
    let host = host.await;
    let schedule = event.payload.schedule().map(str::to_owned);
    let (mut method, mut route, mut bytes_in) = (String::new(), "unknown", 0);
    let handling = async {
        match event.payload.into_request(&host).await {
            Ok(request) => {
                method.clone_from(&request.method);
                let found = request.route();
                route = found.map_or(route, |route| route.name);
                bytes_in = request.body.len() as u64;
                match process.too_fast(found, &request, at_ms) {
                    Some(reply) => reply,
                    None => handler(&host, request).await,
                }
            }
            Err(refusal) => Response::of_host(&refusal),
        }
    };
    let mut response = answer(deadline, handling).await;
    let share = take_share(&mut response, route);
    process.record(Seen {
        id,
        at_ms,
        method,
        duration_us: micros(started.elapsed()),
        bytes_in,
        response: &response,
        share,
        settings: &settings,
    });
    match schedule {
        // An error is what makes EventBridge try again, and counts in Lambda's own metric.
        Some(path) if response.status >= 400 => {
            let (status, outcome) = (response.status, response.outcome);
            Err(format!("schedule {path}: {status} {outcome}").into())
        }
        _ => Ok(event::reply(response)),
    }
}

/// The first half of a request id, which is a UUID; none of another text.
fn invocation_id(request_id: &str) -> Option<InvocationId> {
    let digits: String = request_id.chars().filter(|c| *c != '-').take(16).collect();
    digits.parse().ok()
}

/// Nothing where it is the duration rounded up, as a reader knows.
fn billed_ms(init_us: u64, duration_us: u64) -> u64 {
    match init_us {
        0 => 0,
        init_us => init_us.saturating_add(duration_us).div_ceil(1000),
    }
}

fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}

fn deadline(started: Instant, at_ms: u64, context: &Context) -> Instant {
    let ends = context.deadline().duration_since(UNIX_EPOCH);
    let ends_ms = ends.map_or(0, |since| {
        u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
    });
    // An end that is over before the beginning is none: cargo-lambda tells how long, not when.
    let left = match ends_ms.saturating_sub(at_ms) {
        0 => REQUEST_LIMIT,
        left_ms => Duration::from_millis(left_ms).saturating_sub(REPLY_MARGIN),
    };
    started + left.min(REQUEST_LIMIT)
}

/// The handler's reply; a refusal when it takes too long or panics, which ends neither the process
/// nor what the client may expect of a reply.
async fn answer(deadline: Instant, handling: impl Future<Output = Response>) -> Response {
    let mut handling = pin!(handling);
    let caught = poll_fn(|context| {
        let poll = || handling.as_mut().poll(context).map(Some);
        // The handler is not polled again after a panic, so nobody sees what it left half done.
        catch_unwind(AssertUnwindSafe(poll)).unwrap_or(std::task::Poll::Ready(None))
    });
    let (kind, detail) = match tokio::time::timeout_at(deadline, caught).await {
        Ok(Some(response)) => return response,
        Ok(None) => (
            ProblemKind::Internal,
            "Try again; if it stays, tell the operator when it happened.",
        ),
        Err(_) => (
            ProblemKind::Deadline,
            "Send a smaller request, or try again later.",
        ),
    };
    Response::of_host(&Refusal::new(kind, detail))
}

/// Takes the function's share of the record off the reply. A request of `route` that was cut off
/// has none.
fn take_share(response: &mut Response, route: &str) -> FunctionShare {
    let at = response
        .headers
        .iter()
        .position(|(name, _)| *name == SHARE_HEADER);
    let share = at.and_then(|at| serde_json::from_str(&response.headers.remove(at).1).ok());
    share.unwrap_or_else(|| FunctionShare {
        route: route.to_owned(),
        outcome: response.outcome.to_owned(),
        store_calls: 0,
        store_reads: 0,
        store_writes: 0,
        store_read_units: 0,
        store_write_units: 0,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run<T>(future: impl Future<Output = T>) -> T {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .start_paused(true)
            .build();
        runtime.unwrap().block_on(future)
    }

    #[test]
    fn a_handler_that_takes_too_long_is_a_problem_in_time() {
        run(async {
            let deadline = now() + Duration::from_millis(100);
            let response = answer(deadline, std::future::pending()).await;
            assert_eq!((response.status, response.outcome), (504, "deadline"));
            assert_eq!(now(), deadline);
        });
    }

    #[test]
    fn a_handler_that_panics_is_a_problem() {
        run(async {
            let deadline = now() + Duration::from_millis(100);
            let response = answer(deadline, async { panic!("an invariant") }).await;
            assert_eq!((response.status, response.outcome), (500, "internal"));
            assert_eq!(response.header("access-control-allow-origin"), Some("*"));
            let fine = answer(deadline, async { Response::empty(204) }).await;
            assert_eq!(fine.status, 204);
        });
    }

    #[test]
    fn the_deadline_is_lambdas_less_a_margin_and_never_past_our_own() {
        run(async {
            let started = now();
            let of = |left_ms: u64| {
                let mut context = Context::default();
                context.deadline = 1_000_000 + left_ms;
                deadline(started, 1_000_000, &context) - started
            };
            assert_eq!(of(3_000), Duration::from_millis(2_750));
            assert_eq!(of(900_000), REQUEST_LIMIT);
            assert_eq!(of(100), Duration::ZERO);
            assert_eq!(of(0), REQUEST_LIMIT, "the emulator does not say");
        });
    }

    #[test]
    fn an_invocation_is_named_by_the_half_of_its_request_id() {
        let id = invocation_id("8476a536-e9f4-11e8-9739-2dfe598c3fcd");
        assert_eq!(id.unwrap().to_string(), "8476a536e9f411e8");
        assert_eq!(invocation_id("none"), None);
    }

    #[test]
    fn a_cold_start_is_billed_with_what_it_took() {
        assert_eq!(billed_ms(40_100, 9_000), 50);
        assert_eq!(billed_ms(0, 9_000), 0, "it is what the duration says");
    }

    #[test]
    fn the_share_is_for_the_record_and_not_for_the_client() {
        let share = r#"{"route":"join","outcome":"ok","store_reads":2,"store_writes":0}"#;
        let mut response = Response::empty(201).with(SHARE_HEADER, share);
        let taken = take_share(&mut response, "unknown");
        assert_eq!((taken.route.as_str(), taken.store_reads), ("join", 2));
        assert_eq!(response.header(SHARE_HEADER), None);
        let refusal = Refusal::new(ProblemKind::Deadline, "x");
        let taken = take_share(&mut Response::of_host(&refusal), "join");
        assert_eq!(
            (taken.route.as_str(), taken.outcome.as_str()),
            ("join", "deadline")
        );
    }
}
