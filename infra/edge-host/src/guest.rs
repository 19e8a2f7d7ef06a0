//! What one instance has while it serves its one request.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Instant;

use wasmtime::ResourceLimiter;
use wasmtime::component::{HasData, ResourceTable};
use wasmtime_wasi::{WasiCtx, WasiCtxBuilder, WasiCtxView, WasiView};
use wasmtime_wasi_http::{WasiHttpCtx, WasiHttpCtxView, WasiHttpView};

use crate::bindings::variables;
use crate::database::Databases;
use crate::guest_log::{GuestLog, Stream};
use crate::outbound::{GuestOutbound, Outbound};
use crate::partitions::Partitions;
use crate::variables::is_name;
use crate::waiters::Waiters;

/// What all instances of one component share.
pub(crate) struct Grants {
    pub(crate) component: String,
    pub(crate) variables: BTreeMap<String, String>,
    pub(crate) environment: Vec<(String, String)>,
    /// Names of `databases` that the component may open.
    pub(crate) database_names: Vec<String>,
    pub(crate) databases: Arc<Databases>,
    /// Those who want to know what it writes.
    pub(crate) waiters: Arc<Waiters>,
    /// What of their table it may touch.
    pub(crate) partitions: Partitions,
    pub(crate) outbound: Outbound,
    pub(crate) memory_bytes: usize,
    pub(crate) log_bytes: usize,
    pub(crate) sqlite_busy_ms: u64,
}

/// The store's data.
pub(crate) struct Guest {
    table: ResourceTable,
    wasi: WasiCtx,
    http: WasiHttpCtx,
    outbound: GuestOutbound,
    pub(crate) memory: MemoryMeter,
    pub(crate) spin: SpinState,
    pub(crate) log: GuestLog,
}

/// What the Spin interfaces work on.
pub(crate) struct SpinState {
    pub(crate) grants: Arc<Grants>,
    pub(crate) deadline: Instant,
    /// Reading statements so far.
    pub(crate) reads: u32,
    /// Other statements so far, transactions' begin and end among them.
    pub(crate) writes: u32,
}

/// Names [`SpinView`] for the bindings, which need it for any lifetime.
pub(crate) struct Spin;

/// What the Spin interfaces see of a guest.
pub(crate) struct SpinView<'g> {
    pub(crate) state: &'g mut SpinState,
    pub(crate) table: &'g mut ResourceTable,
}

impl HasData for Spin {
    type Data<'g> = SpinView<'g>;
}

impl Guest {
    pub(crate) fn new(grants: &Arc<Grants>, deadline: Instant) -> Self {
        let log = GuestLog::new(grants.component.clone(), grants.log_bytes);
        let wasi = WasiCtxBuilder::new()
            .envs(&grants.environment)
            .stdout(log.stream(Stream::Stdout))
            .stderr(log.stream(Stream::Stderr))
            .build();
        Self {
            table: ResourceTable::new(),
            wasi,
            http: WasiHttpCtx::new(),
            outbound: grants.outbound.guest(deadline),
            memory: MemoryMeter {
                limit_bytes: grants.memory_bytes,
                peak_bytes: 0,
            },
            spin: SpinState {
                grants: grants.clone(),
                deadline,
                reads: 0,
                writes: 0,
            },
            log,
        }
    }

    pub(crate) fn spin(&mut self) -> SpinView<'_> {
        SpinView {
            state: &mut self.spin,
            table: &mut self.table,
        }
    }
}

impl WasiView for Guest {
    fn ctx(&mut self) -> WasiCtxView<'_> {
        WasiCtxView {
            ctx: &mut self.wasi,
            table: &mut self.table,
        }
    }
}

impl WasiHttpView for Guest {
    fn http(&mut self) -> WasiHttpCtxView<'_> {
        WasiHttpCtxView {
            hooks: &mut self.outbound,
            table: &mut self.table,
            ctx: &mut self.http,
        }
    }
}

/// Bounds the instance's memory and remembers the most it had.
pub(crate) struct MemoryMeter {
    limit_bytes: usize,
    pub(crate) peak_bytes: usize,
}

impl ResourceLimiter for MemoryMeter {
    fn memory_growing(
        &mut self,
        _current: usize,
        desired: usize,
        _maximum: Option<usize>,
    ) -> wasmtime::Result<bool> {
        let is_allowed = desired <= self.limit_bytes;
        if is_allowed {
            self.peak_bytes = self.peak_bytes.max(desired);
        }
        Ok(is_allowed)
    }

    fn table_growing(
        &mut self,
        _current: usize,
        _desired: usize,
        _maximum: Option<usize>,
    ) -> wasmtime::Result<bool> {
        // The pool's slots bound tables.
        Ok(true)
    }
}

impl variables::Host for SpinView<'_> {}

impl<T: Send> variables::HostWithStore<T> for Spin {
    async fn get(
        accessor: &wasmtime::component::Accessor<T, Self>,
        name: String,
    ) -> wasmtime::Result<Result<String, variables::Error>> {
        Ok(accessor.with(
            |mut access| match access.get().state.grants.variables.get(&name) {
                Some(value) => Ok(value.clone()),
                None if is_name(&name) => Err(variables::Error::Undefined(name)),
                None => Err(variables::Error::InvalidName(name)),
            },
        ))
    }
}
