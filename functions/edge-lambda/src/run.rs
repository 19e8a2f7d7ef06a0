//! The loop of a Lambda function: event, request, handler, reply, record.

use std::future::poll_fn;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::pin;
use std::time::{Duration, UNIX_EPOCH};

use edge::Refusal;
use edge::http::{Request, Response};
use lambda_http::aws_lambda_events::apigw::ApiGatewayV2httpResponse;
use lambda_http::{Context, Error, LambdaEvent, service_fn};
use tokio::time::Instant;
use wire::problem::ProblemKind;
use wire::record::{FunctionShare, InvocationKind, InvocationRecord, SHARE_HEADER};

use crate::event::{self, Event};
use crate::host::{Environment, LambdaHost, now, unix_ms};
use crate::permissions::Permissions;
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
        let permissions = Permissions::of(function).ok_or("the function has no permissions")?;
        let environment = Environment::load(&permissions, |name| std::env::var(name).ok()).await?;
        environment.warm().await;
        let (environment, handler) = (&environment, &handler);
        let service = service_fn(move |event| invoke(function, environment, handler, event));
        lambda_http::lambda_runtime::run(service).await
    })
}

async fn invoke<H>(
    function: &'static str,
    environment: &Environment,
    handler: &H,
    event: LambdaEvent<Event>,
) -> Result<ApiGatewayV2httpResponse, Error>
where
    H: AsyncFn(&LambdaHost<'_>, Request) -> Response,
{
    let (started, at_ms) = (now(), unix_ms());
    let deadline = deadline(started, at_ms, &event.context);
    let host = environment.host(deadline.checked_sub(STORE_MARGIN).unwrap_or(deadline));
    let host = host.await;
    let schedule = event.payload.schedule().map(str::to_owned);
    let (mut method, mut route, mut bytes_in) = (String::new(), "unknown", 0);
    let handling = async {
        match event.payload.into_request(&host).await {
            Ok(request) => {
                method.clone_from(&request.method);
                route = request.route().unwrap_or(route);
                bytes_in = request.body.len() as u64;
                handler(&host, request).await
            }
            Err(refusal) => Response::of_host(&refusal),
        }
    };
    let mut response = answer(deadline, handling).await;
    let share = take_share(&mut response, route);
    log::record(&record::line(&InvocationRecord {
        kind: InvocationKind::Invocation,
        at_ms,
        function: function.to_owned(),
        route: share.route,
        host: "lambda".to_owned(),
        method,
        status: response.status,
        outcome: share.outcome,
        duration_us: u64::try_from(started.elapsed().as_micros()).unwrap_or(u64::MAX),
        fuel: 0,
        peak_memory_bytes: record::peak_memory_bytes(),
        store_reads: share.store_reads,
        store_writes: share.store_writes,
        store_read_units: share.store_read_units,
        store_write_units: share.store_write_units,
        bytes_in,
        bytes_out: response.body.len() as u64,
        log_bytes: log::take_written_bytes(),
    }));
    match schedule {
        // An error is what makes EventBridge try again, and counts in Lambda's own metric.
        Some(path) if response.status >= 400 => {
            let (status, outcome) = (response.status, response.outcome);
            Err(format!("schedule {path}: {status} {outcome}").into())
        }
        _ => Ok(event::reply(response)),
    }
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
