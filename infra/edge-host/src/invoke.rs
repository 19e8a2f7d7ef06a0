//! One request in one fresh instance.

use std::pin::Pin;
use std::sync::Arc;
use std::time::Instant;

use anyhow::anyhow;
use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt, Full, LengthLimitError, Limited};
use wasmtime::{Engine, PoolConcurrencyLimitError, Store, Trap, UpdateDeadline};
use wasmtime_wasi_http::WasiHttpView;
use wasmtime_wasi_http::p3;
use wasmtime_wasi_http::p3::bindings::ServicePre;

use crate::clock;
use crate::config::{Limits, milliseconds};
use crate::guest::{Grants, Guest};
use crate::refusal::Refusal;

/// Fuel after which the count is written back, a few milliseconds of computing.
const FUEL_PER_YIELD: u64 = 10_000_000;

/// How sending the request's body to the guest ended.
type BodySent = Pin<Box<dyn Future<Output = Result<(), wasmtime_wasi_http::Error>> + Send>>;

/// A component, ready to be instantiated.
pub(crate) struct Function {
    pub(crate) pre: ServicePre<Guest>,
    pub(crate) grants: Arc<Grants>,
    /// What its records say of the code.
    pub(crate) build: String,
}

/// What came of a request and what it used.
pub(crate) struct Invocation {
    pub(crate) result: Result<Response<Bytes>, Failure>,
    pub(crate) duration_us: u64,
    pub(crate) fuel: u64,
    pub(crate) peak_memory_bytes: u64,
    pub(crate) store_reads: u32,
    pub(crate) store_writes: u32,
    pub(crate) log_bytes: u64,
}

impl Invocation {
    /// Adds what an earlier run of the same request used.
    pub(crate) fn add(&mut self, before: &Self) {
        self.duration_us += before.duration_us;
        self.fuel += before.fuel;
        self.peak_memory_bytes = self.peak_memory_bytes.max(before.peak_memory_bytes);
        self.store_reads += before.store_reads;
        self.store_writes += before.store_writes;
        self.log_bytes += before.log_bytes;
    }
}

/// Why a component gave no reply. The name is the record's outcome.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Failure {
    /// No room in the instance pool.
    Overloaded,
    /// The wall time is over.
    Deadline,
    /// The fuel is used up.
    Fuel,
    /// The component trapped.
    Trap,
    /// The component answered with an error instead of a reply.
    Error,
    /// The reply is over the limit.
    ReplyTooLarge,
}

impl Failure {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Overloaded => "overloaded",
            Self::Deadline => "deadline",
            Self::Fuel => "fuel",
            Self::Trap => "trap",
            Self::Error => "error",
            Self::ReplyTooLarge => "reply-too-large",
        }
    }

    pub(crate) fn refusal(self) -> Refusal {
        match self {
            Self::Overloaded => Refusal::Overloaded,
            Self::Deadline | Self::Fuel => Refusal::Deadline,
            Self::Trap | Self::Error | Self::ReplyTooLarge => Refusal::Internal,
        }
    }

    /// From wasmtime's error. What the error says goes to the log only.
    fn of(error: &anyhow::Error) -> Self {
        if let Some(failure) = error.downcast_ref::<StoppedWith>() {
            return failure.0;
        }
        if error.downcast_ref::<PoolConcurrencyLimitError>().is_some() {
            return Self::Overloaded;
        }
        match error.downcast_ref::<Trap>() {
            Some(Trap::OutOfFuel) => Self::Fuel,
            Some(Trap::Interrupt) => Self::Deadline,
            _ => Self::Trap,
        }
    }
}

/// Carries a [`Failure`] that is not a trap through an error.
#[derive(Debug)]
struct StoppedWith(Failure);

impl std::fmt::Display for StoppedWith {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.0.name())
    }
}

impl std::error::Error for StoppedWith {}

impl Function {
    /// Serves one request. The instance is gone when this returns, whatever the guest was still
    /// doing.
    pub(crate) async fn invoke(
        &self,
        engine: &Engine,
        limits: &Limits,
        request: Request<Bytes>,
    ) -> Invocation {
        let started = clock::now();
        let deadline = started + milliseconds(limits.request_ms);
        let mut store = Store::new(engine, Guest::new(&self.grants, deadline));
        let call = self.call(&mut store, limits, deadline, request);
        let result = match tokio::time::timeout_at(deadline.into(), call).await {
            Ok(Ok(reply)) => Ok(reply),
            Ok(Err(error)) => {
                let failure = Failure::of(&error);
                let component = &self.grants.component;
                tracing::error!(
                    component,
                    outcome = failure.name(),
                    "request failed: {error:?}"
                );
                Err(failure)
            }
            Err(_) => {
                tracing::error!(
                    component = self.grants.component,
                    "request passed its deadline"
                );
                Err(Failure::Deadline)
            }
        };
        let fuel_left = store
            .get_fuel()
            .expect("the engine is configured with fuel");
        let guest = store.data();
        Invocation {
            result,
            duration_us: u64::try_from(started.elapsed().as_micros()).unwrap_or(u64::MAX),
            fuel: limits.request_fuel.saturating_sub(fuel_left),
            peak_memory_bytes: guest.memory.peak_bytes as u64,
            store_reads: guest.spin.reads,
            store_writes: guest.spin.writes,
            log_bytes: guest.log.finish(),
        }
    }

    async fn call(
        &self,
        store: &mut Store<Guest>,
        limits: &Limits,
        deadline: Instant,
        request: Request<Bytes>,
    ) -> anyhow::Result<Response<Bytes>> {
        store.limiter(|guest| &mut guest.memory);
        store.set_fuel(limits.request_fuel)?;
        // Compiled code counts fuel in a register; this writes it back, for the record of a request
        // that is cut off.
        store.fuel_async_yield_interval(Some(FUEL_PER_YIELD))?;
        store.set_epoch_deadline(1);
        store.epoch_deadline_callback(move |_| {
            // Giving way lets other requests run, and lets the timeout around this call fire.
            Ok(match clock::now() < deadline {
                true => UpdateDeadline::YieldCustom(1, Box::pin(tokio::task::yield_now())),
                false => UpdateDeadline::Interrupt,
            })
        });
        let service = self.pre.instantiate_async(&mut *store).await?;
        let reply_bytes = limits.reply_body_bytes;
        store
            .run_concurrent(async |accessor| {
                let (request, sent) = accessor.with(|mut access| {
                    let hooks = access.data_mut().http().hooks;
                    let (request, sent) = p3::Request::from_http(hooks, request.map(Full::new));
                    (request, Box::pin(sent) as BodySent)
                });
                let reply = match service.handle(accessor, request).await? {
                    Ok(reply) => reply,
                    Err(code) => {
                        return Err(anyhow!("{code:?}").context(StoppedWith(Failure::Error)));
                    }
                };
                let reply = accessor.with(|access| reply.into_http(access, sent))?;
                let (parts, body) = reply.into_parts();
                // Read to the end here: a slow client then holds bytes, not an instance.
                let body = Limited::new(body, reply_bytes).collect().await;
                let body = body.map_err(|cause| reply_fault(&*cause, reply_bytes))?;
                Ok(Response::from_parts(parts, body.to_bytes()))
            })
            .await?
    }
}

fn reply_fault(
    cause: &(dyn std::error::Error + Send + Sync + 'static),
    limit_bytes: usize,
) -> anyhow::Error {
    match cause.is::<LengthLimitError>() {
        true => anyhow!("the reply is over {limit_bytes} bytes")
            .context(StoppedWith(Failure::ReplyTooLarge)),
        false => anyhow!("the reply broke off: {cause}").context(StoppedWith(Failure::Error)),
    }
}
