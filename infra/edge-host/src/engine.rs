//! The wasmtime engine: pooled instances, fuel, epochs, and compiled code kept on disk.

use std::hash::{Hash, Hasher};
use std::io::Write;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::thread::JoinHandle;
use std::time::Duration;

use anyhow::Context;
use sha2::{Digest, Sha256};
use wasmtime::component::{Component, Linker};
use wasmtime::{Config, Engine, InstanceAllocationStrategy, PoolingAllocationConfig};
use wasmtime_wasi::cli::{WasiCli, WasiCliView as _};
use wasmtime_wasi::p2::bindings::{cli, random};
use wasmtime_wasi::random::{WasiRandom, WasiRandomView as _};

use crate::bindings::{sqlite, variables};
use crate::config::Limits;
use crate::guest::{Guest, Spin};

/// A guest that computes gives way to other requests this often.
const EPOCH_TICK_MS: u64 = 10;
/// Core modules in one component: the function itself and the adapters that the tools add.
const CORE_INSTANCES_PER_COMPONENT: u32 = 16;
/// Tables of all core modules of one component.
const TABLES_PER_COMPONENT: u32 = 8;
/// Elements of one table.
const TABLE_ELEMENTS: usize = 20_000;
/// Native stacks that one instance may have at the same time; each suspended task has one.
const STACKS_PER_INSTANCE: u32 = 4;
/// Bookkeeping of one instance, in the host's memory.
const INSTANCE_BYTES: usize = 1 << 20;
/// Memory that is cleared instead of given back to the kernel when an instance ends.
const KEEP_RESIDENT_BYTES: usize = 256 << 10;
/// The same for tables and for stacks.
const KEEP_RESIDENT_SMALL_BYTES: usize = 16 << 10;
const DIGEST_BYTES: usize = 32;
/// This system as wasmtime writes it. Named explicitly, it means any processor of the architecture.
const SYSTEM: &str = match (cfg!(target_os = "linux"), cfg!(target_env = "musl")) {
    (true, true) => "unknown-linux-musl",
    (true, false) => "unknown-linux-gnu",
    // Packages are made on Linux; elsewhere the name says so in the error.
    (false, _) => "unknown-unknown",
};

/// Makes an engine whose pool has room for the instances of all lanes. Code is compiled
/// for this very processor, or `portable` for all of its architecture.
pub(crate) fn engine(limits: &Limits, portable: bool) -> anyhow::Result<Engine> {
    let instances = limits.instances().iter().sum::<u32>();
    let mut pool = PoolingAllocationConfig::new();
    pool.total_component_instances(instances)
        .max_component_instance_size(INSTANCE_BYTES)
        .max_core_instances_per_component(CORE_INSTANCES_PER_COMPONENT)
        .max_core_instance_size(INSTANCE_BYTES)
        .max_memories_per_component(1)
        .max_tables_per_component(TABLES_PER_COMPONENT)
        .max_tables_per_module(TABLES_PER_COMPONENT)
        .total_core_instances(instances * CORE_INSTANCES_PER_COMPONENT)
        .total_memories(instances)
        .total_tables(instances * TABLES_PER_COMPONENT)
        .total_stacks(instances * STACKS_PER_INSTANCE)
        .table_elements(TABLE_ELEMENTS)
        .max_memory_size(limits.instance_memory_bytes)
        .max_unused_warm_slots(instances)
        .linear_memory_keep_resident(KEEP_RESIDENT_BYTES)
        .table_keep_resident(KEEP_RESIDENT_SMALL_BYTES)
        .async_stack_keep_resident(KEEP_RESIDENT_SMALL_BYTES)
        .pagemap_scan(wasmtime::Enabled::Auto);
    let mut config = Config::new();
    if portable {
        config.target(&format!("{}-{SYSTEM}", std::env::consts::ARCH))?;
    }
    config
        .allocation_strategy(InstanceAllocationStrategy::Pooling(pool))
        .wasm_component_model_async(true)
        .consume_fuel(true)
        .epoch_interruption(true);
    Ok(Engine::new(&config)?)
}

/// Links what a function may have: of WASI 0.2 and 0.3 the command line, clocks, randomness and
/// streams, http, and the two Spin interfaces. Files and sockets are not there at all, so a
/// component that asks for them is refused when it is loaded.
pub(crate) fn linker(engine: &Engine) -> anyhow::Result<Linker<Guest>> {
    let mut linker = Linker::new(engine);
    link_wasi_0_2(&mut linker)?;
    wasmtime_wasi::p3::cli::add_to_linker(&mut linker)?;
    wasmtime_wasi::p3::clocks::add_to_linker(&mut linker)?;
    wasmtime_wasi::p3::random::add_to_linker(&mut linker)?;
    wasmtime_wasi_http::p3::add_to_linker(&mut linker)?;
    sqlite::add_to_linker::<Guest, Spin>(&mut linker, Guest::spin)?;
    variables::add_to_linker::<Guest, Spin>(&mut linker, Guest::spin)?;
    Ok(linker)
}

/// The interfaces of wasi:http's proxy world, and those that Rust's standard library imports
/// besides.
fn link_wasi_0_2(linker: &mut Linker<Guest>) -> wasmtime::Result<()> {
    wasmtime_wasi::p2::add_to_linker_proxy_interfaces_async(linker)?;
    random::insecure::add_to_linker::<Guest, WasiRandom>(linker, Guest::random)?;
    random::insecure_seed::add_to_linker::<Guest, WasiRandom>(linker, Guest::random)?;
    cli::exit::add_to_linker::<Guest, WasiCli>(linker, Guest::cli)?;
    cli::environment::add_to_linker::<Guest, WasiCli>(linker, Guest::cli)?;
    cli::terminal_input::add_to_linker::<Guest, WasiCli>(linker, Guest::cli)?;
    cli::terminal_output::add_to_linker::<Guest, WasiCli>(linker, Guest::cli)?;
    cli::terminal_stdin::add_to_linker::<Guest, WasiCli>(linker, Guest::cli)?;
    cli::terminal_stdout::add_to_linker::<Guest, WasiCli>(linker, Guest::cli)?;
    cli::terminal_stderr::add_to_linker::<Guest, WasiCli>(linker, Guest::cli)
}

/// Where a component's code came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CodeSource {
    /// Compiled now, and written to the cache.
    Compiled,
    /// Read from the cache.
    Cached,
}

/// Hex digits by which a record names what ran.
const BUILD_DIGITS: usize = 8;

/// A component, where its code came from, and the beginning of its bytes' SHA-256.
pub(crate) type Loaded = (Component, CodeSource, String);

/// Loads a component: from the cache when the same bytes were compiled for the same engine before,
/// otherwise compiled.
pub(crate) fn load(engine: &Engine, source: &Path, cache: &Path) -> anyhow::Result<Loaded> {
    let wasm = std::fs::read(source).with_context(|| {
        format!(
            "{}: cannot be read; build the component with `cargo xtask wasm`",
            source.display()
        )
    })?;
    let mut build = hex(&Sha256::digest(&wasm));
    build.truncate(BUILD_DIGITS);
    let file = cache.join(format!("{}.cwasm", cache_key(engine, &wasm)));
    if let Some(component) = read_cached(engine, &file) {
        return Ok((component, CodeSource::Cached, build));
    }
    let code = engine
        .precompile_component(&wasm)
        .map_err(anyhow::Error::from)
        .with_context(|| format!("{}: not a component that can be compiled", source.display()))?;
    if let Err(cause) = write_cached(&file, &code) {
        tracing::warn!(file = %file.display(), %cause, "compiled code was not cached");
    }
    Ok((deserialize(engine, &code)?, CodeSource::Compiled, build))
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Names the bytes, wasmtime's version and every setting that changes the code.
fn cache_key(engine: &Engine, wasm: &[u8]) -> String {
    struct Sha(Sha256);
    impl Hasher for Sha {
        fn write(&mut self, bytes: &[u8]) {
            self.0.update(bytes);
        }
        fn finish(&self) -> u64 {
            0
        }
    }
    let mut sha = Sha(Sha256::new());
    engine.precompile_compatibility_hash().hash(&mut sha);
    sha.0.update(Sha256::digest(wasm));
    hex(&sha.0.finalize())
}

/// A cache file is the SHA-256 of the code, then the code.
fn read_cached(engine: &Engine, file: &Path) -> Option<Component> {
    let content = std::fs::read(file).ok()?;
    let (digest, code) = content.split_at_checked(DIGEST_BYTES)?;
    if Sha256::digest(code)[..] != *digest {
        tracing::warn!(file = %file.display(), "cached code is damaged; compiling again");
        return None;
    }
    match deserialize(engine, code) {
        Ok(component) => Some(component),
        Err(cause) => {
            tracing::warn!(file = %file.display(), %cause, "cached code does not fit; compiling");
            None
        }
    }
}

fn write_cached(file: &Path, code: &[u8]) -> std::io::Result<()> {
    let folder = file.parent().unwrap_or(Path::new("."));
    std::fs::create_dir_all(folder)?;
    // Written beside and renamed, so that no other host ever reads half a file.
    static WRITES: AtomicU64 = AtomicU64::new(0);
    let write = WRITES.fetch_add(1, Ordering::Relaxed);
    let partial = file.with_extension(format!("{}-{write}.partial", std::process::id()));
    let mut output = std::fs::File::create(&partial)?;
    output.write_all(&Sha256::digest(code))?;
    output.write_all(code)?;
    output.sync_all()?;
    std::fs::rename(&partial, file)
}

#[expect(
    unsafe_code,
    reason = "wasmtime offers no safe way to load compiled code"
)]
fn deserialize(engine: &Engine, code: &[u8]) -> anyhow::Result<Component> {
    // SAFETY: the bytes are what `precompile_component` returned: either just now, or they come
    // from the cache folder, which only this host writes, under a name that holds the digest of the
    // source and the settings, and their own digest was checked after the one read that they come
    // from.
    let component = unsafe { Component::deserialize(engine, code) }?;
    Ok(component)
}

/// Advances the engine's epoch until dropped.
pub(crate) struct EpochTicker {
    stop: Option<Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl EpochTicker {
    pub(crate) fn start(engine: &Engine) -> std::io::Result<Self> {
        let engine = engine.clone();
        let (stop, stopped) = channel();
        let thread = std::thread::Builder::new()
            .name("epoch".into())
            .spawn(move || {
                let tick = Duration::from_millis(EPOCH_TICK_MS);
                while stopped.recv_timeout(tick) == Err(RecvTimeoutError::Timeout) {
                    engine.increment_epoch();
                }
            })?;
        Ok(Self {
            stop: Some(stop),
            thread: Some(thread),
        })
    }
}

impl Drop for EpochTicker {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            // A panic of the thread was already printed.
            let _ = thread.join();
        }
    }
}
