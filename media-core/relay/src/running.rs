//! Starting a relay, watching it, and stopping it in good order.

use std::future::Future;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::mpsc::sync_channel;
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

use tokio::net::{TcpListener, TcpSocket};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use tokio::time::timeout;
use udp::{Options, Poller, Socket};
use wire::fleet::Transport;
use wire::keys::ShardKey;
use wire::{BootId, ShardId};

use crate::accepted::Accepted;
use crate::acceptor;
use crate::config::{Config, StartError, candidates, check_families, listen_addresses};
use crate::handle::{ORDERS_MAX, ShardHandle};
use crate::heartbeat::{EdgeClient, Identity, Pulse, edge_client};
use crate::protocol::SealedProtocol;
use crate::shard::{Certificate, Parts, ShardLoop};
use crate::state::{Relay, Shard};
use crate::usage::courier::Signer;
use crate::usage::writer::Limits;
use crate::usage::{self, Books, Keeper, Outlet};
use crate::{clock, drain, server};

/// Output lines that may wait: the usage records of this many rooms.
pub const LINES_MAX: usize = 16 * 1024;

/// Media connections that may wait to be accepted.
const BACKLOG: u32 = 1024;

/// Longest wait for the last heartbeats.
const FAREWELL_MAX: Duration = Duration::from_millis(700);

/// Longest wait for the shards' threads after they were told to stop.
const THREADS_MAX: Duration = Duration::from_millis(1_000);

/// Longest wait for the edge to take the last usage; what it does not take is in the journal.
const LAST_USAGE_MAX: Duration = Duration::from_millis(300);

/// A running relay. End it with [`Running::stop`]; dropping it ends it without a word to the fleet
/// or to participants, as if the process had been killed.
#[derive(Debug)]
pub struct Running {
    relay: Arc<Relay>,
    media: Vec<SocketAddr>,
    media_tcp: Vec<SocketAddr>,
    control: SocketAddr,
    health: SocketAddr,
    threads: Vec<JoinHandle<()>>,
    exits: mpsc::UnboundedReceiver<Exit>,
    tasks: JoinSet<()>,
    pulses: JoinSet<()>,
    /// Brings usage to the edge; none where it is printed.
    courier: Option<JoinSet<()>>,
    stopping: watch::Sender<bool>,
}

/// How a shard's thread ended.
#[derive(Debug)]
struct Exit {
    shard: ShardId,
    /// `None` when it was told to.
    fault: Option<String>,
}

/// Says at the end of a shard's thread how it ended, a panic included.
struct ExitGuard {
    exit: Option<Exit>,
    sender: mpsc::UnboundedSender<Exit>,
}

impl Drop for ExitGuard {
    fn drop(&mut self) {
        if let Some(mut exit) = self.exit.take() {
            if std::thread::panicking() {
                exit.fault = Some("panicked".to_owned());
            }
            let _ = self.sender.send(exit);
        }
    }
}

/// A shard before its thread starts.
struct Prepared {
    shard_loop: ShardLoop,
    shard: Shard,
    pulse: Pulse,
    media: Vec<SocketAddr>,
}

/// What all shards of a relay are made with.
struct Maker<'a> {
    config: &'a Config,
    media_tcp: Vec<SocketAddr>,
    control_url: String,
    client: EdgeClient,
    certificate: Certificate,
    outlet: Outlet,
    usage: Arc<usage::Stats>,
}

/// Starts a relay. Usage records go to its journal; where it has none to `lines`, each one JSON
/// line without its newline.
///
/// # Errors
/// A sentence that names the flag to change: a port is taken, no address is advertised.
pub fn start(config: Config, lines: mpsc::Sender<String>) -> Starting {
    Box::pin(start_here(config, lines))
}

/// What [`start`] returns. An `async fn` is compiled by whoever awaits it, and the whole daemon
/// with it; this one is compiled once, here.
pub type Starting = Pin<Box<dyn Future<Output = Result<Running, StartError>> + Send>>;

async fn start_here(config: Config, lines: mpsc::Sender<String>) -> Result<Running, StartError> {
    let (control_door, control) = bind("--control", config.settings.control).await?;
    let (health_door, health) = bind("--health", config.settings.health).await?;
    let (doors, media_tcp) = listen_tcp(&config.settings.listen_tcp)?;
    let usage = Arc::new(usage::Stats::default());
    let (keeper, outlet) = usage::outlet(config.usage_journal.as_deref(), lines, &usage)?;
    let maker = Maker {
        config: &config,
        media_tcp: media_tcp.clone(),
        control_url: config
            .settings
            .control_url
            .clone()
            .unwrap_or_else(|| format!("http://{control}")),
        client: edge_client(&config.edge)?,
        certificate: Certificate::generate()?,
        outlet,
        usage: usage.clone(),
    };
    let ids = config.shard_ids()?.into_iter();
    let prepared: Vec<Prepared> = ids
        .zip(&config.keys)
        .zip(0..)
        .map(|((id, key), number)| maker.prepare(number, id, key))
        .collect::<Result<_, _>>()?;
    let courier = keeper.map(|keeper| maker.keep(keeper, &prepared));
    let courier = courier.transpose()?;
    // The journal is over when the shards' threads are.
    drop(maker);
    let (exit_sender, exits) = mpsc::unbounded_channel();
    let (stopping, stopped) = watch::channel(false);
    let (mut shards, mut media, mut threads) = (Vec::new(), Vec::new(), Vec::new());
    let mut pulses = JoinSet::new();
    for shard in prepared {
        media.extend(shard.media);
        let shard_loop = shard.shard_loop;
        let id = &shard.shard.handle.id;
        threads.push(spawn_thread(id, &exit_sender, move || shard_loop.run())?);
        pulses.spawn(shard.pulse.run(stopped.clone()));
        shards.push(shard.shard);
    }
    let relay = Arc::new(Relay {
        shards,
        accepted: Accepted::new(config.settings.doors()),
        control: Accepted::new(config.settings.doors()),
        usage,
    });
    let mut tasks = JoinSet::new();
    for door in doors {
        tasks.spawn(acceptor::accept(door, relay.clone()));
    }
    tasks.spawn(server::serve_edge(control_door, relay.clone()));
    tasks.spawn(server::serve_operators(health_door, relay.clone()));
    Ok(Running {
        relay,
        media,
        media_tcp,
        control,
        health,
        threads,
        exits,
        tasks,
        pulses,
        courier,
        stopping,
    })
}

/// Opens one of the two endpoints; returns it and the address that it is bound to.
async fn bind(flag: &str, wanted: SocketAddr) -> Result<(TcpListener, SocketAddr), StartError> {
    let fault = |error| bind_error(flag, wanted, &error);
    let listener = TcpListener::bind(wanted).await.map_err(fault)?;
    let bound = listener.local_addr().map_err(fault)?;
    Ok((listener, bound))
}

/// Opens the TCP listeners for media; returns them and the addresses that they are bound to.
fn listen_tcp(wanted: &[SocketAddr]) -> Result<(Vec<TcpListener>, Vec<SocketAddr>), StartError> {
    check_families("--listen-tcp", wanted)?;
    let (mut listeners, mut bound) = (Vec::new(), Vec::new());
    for &address in wanted {
        let fault = |error| bind_error("--listen-tcp", address, &error);
        let listener = listener(address).map_err(fault)?;
        bound.push(listener.local_addr().map_err(fault)?);
        listeners.push(listener);
    }
    Ok((listeners, bound))
}

fn listener(address: SocketAddr) -> std::io::Result<TcpListener> {
    let socket = match address {
        SocketAddr::V4(_) => TcpSocket::new_v4()?,
        SocketAddr::V6(_) => TcpSocket::new_v6()?,
    };
    if address.is_ipv6() {
        udp::ipv6_only(&socket)?;
    }
    // A relay that starts again finds connections of its last run in TIME_WAIT.
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    socket.listen(BACKLOG)
}

impl Maker<'_> {
    /// Has the usage of all shards written down and brought to the edge.
    fn keep(&self, keeper: Keeper, prepared: &[Prepared]) -> Result<JoinSet<()>, StartError> {
        let shards = || prepared.iter().map(|prepared| &prepared.shard);
        let signer = |shard: &Shard| Signer {
            shard: shard.handle.id.clone(),
            boot: shard.boot,
            keys: shard.keys.clone(),
        };
        let head = |shard: &Shard| usage::head(&shard.handle.id, shard.boot, &shard.region);
        let of = (shards().map(signer).collect(), shards().map(head).collect());
        let edge = (self.config.edge.clone(), self.client.clone());
        let mut courier = JoinSet::new();
        courier.spawn(keeper.start(of, Limits::of(&self.config.settings), edge)?);
        Ok(courier)
    }

    fn prepare(&self, number: u16, id: ShardId, key: &ShardKey) -> Result<Prepared, StartError> {
        let settings = &self.config.settings;
        let sockets = self.sockets(number)?;
        let media: Vec<SocketAddr> = sockets.iter().map(Socket::local_address).collect();
        let candidates = candidates(&media, &self.media_tcp, &settings.advertise)?;
        let local = |transport: Transport| {
            let of_it = candidates.iter().filter(|c| c.transport == transport);
            of_it.map(|candidate| candidate.address).collect()
        };
        let boot = BootId(random()?);
        let keys = key.subkeys();
        let poller = Poller::new().map_err(|error| fault("epoll", &error))?;
        let (orders, received) = sync_channel(ORDERS_MAX);
        let handle = Arc::new(ShardHandle::new(id, orders, poller.waker(), clock::now()));
        let shard_loop = ShardLoop::new(Parts {
            sockets,
            poller,
            orders: received,
            handle: handle.clone(),
            protocol: SealedProtocol::new(keys.clone(), boot, &self.config.region),
            certificate: self.certificate.clone(),
            local: local(Transport::Udp),
            local_tcp: local(Transport::Tcp),
            limits: settings.limits(),
            max_room: settings.max_room,
            speaker: settings.speaker(),
            push: settings.push(),
            states_per_s: settings.session_states,
            work: settings.work(),
            places: settings.places(),
            paths: settings.paths(),
            hello: Duration::from_secs(settings.hello_seconds.into()),
            drain: Duration::from_secs(settings.drain_seconds.into()),
            seed: u64::from_le_bytes(random()?),
            usage_interval: self.outlet.interval(Limits::of(settings).batch),
            books: self.books(number, &handle.id, boot),
        })
        .map_err(|error| fault("epoll", &error))?;
        let identity = Identity {
            region: self.config.region.clone(),
            boot,
            keys: keys.clone(),
            candidates,
            fingerprint: self.certificate.fingerprint.clone(),
            control_url: self.control_url.clone(),
            capacity: settings.max_participants,
        };
        let pulse = Pulse {
            shard: handle.clone(),
            identity,
            edge: self.config.edge.clone(),
            client: self.client.clone(),
        };
        let shard = Shard {
            handle,
            keys,
            boot,
            region: self.config.region.clone(),
            replay: Mutex::default(),
        };
        Ok(Prepared {
            shard_loop,
            shard,
            pulse,
            media,
        })
    }

    fn books(&self, number: u16, shard: &ShardId, boot: BootId) -> Books {
        Books {
            number: number.into(),
            head: usage::head(shard, boot, &self.config.region),
            outlet: self.outlet.clone(),
            stats: self.usage.clone(),
            cpu: usage::CpuShares::default(),
            rest: usage::Rest::default(),
        }
    }

    /// Those of shard `number`, for media by UDP.
    fn sockets(&self, number: u16) -> Result<Vec<Socket>, StartError> {
        let options = Options {
            arrivals: true,
            ..Options::default()
        };
        listen_addresses(&self.config.settings.listen, number)?
            .into_iter()
            .map(|address| {
                Socket::bind(address, &options)
                    .map_err(|error| bind_error("--listen", address, &error))
            })
            .collect()
    }
}

impl Running {
    /// Where media arrives: every socket of every shard, in their order.
    pub fn media(&self) -> &[SocketAddr] {
        &self.media
    }

    /// Where media arrives over TCP, for all shards.
    pub fn media_tcp(&self) -> &[SocketAddr] {
        &self.media_tcp
    }

    /// Where the control endpoint listens.
    pub fn control(&self) -> SocketAddr {
        self.control
    }

    /// Where the health endpoint listens.
    pub fn health(&self) -> SocketAddr {
        self.health
    }

    /// Asks all participants to go elsewhere and waits until they have, for `limit` at most. The
    /// shards drain from then on, whatever the fleet wishes.
    pub fn drain(&self, limit: Duration) -> impl Future<Output = ()> + Send + use<> {
        let relay = self.relay.clone();
        async move {
            if timeout(limit, drain::drain(relay.clone())).await.is_err() {
                let left = drain::sessions(&relay);
                tracing::warn!(left, "the drain took too long; ending all the same");
            }
        }
    }

    /// Waits until every shard's first heartbeat was accepted, and returns the ready line.
    pub fn ready(&self) -> impl Future<Output = String> + Send + use<> {
        let relay = self.relay.clone();
        let (media, media_tcp) = (self.media.clone(), self.media_tcp.clone());
        let (control, health) = (self.control, self.health);
        async move {
            for shard in &relay.shards {
                shard.handle.ready().await;
            }
            let shards: Vec<_> = relay.shards.iter().map(|shard| &shard.handle.id).collect();
            serde_json::json!({
                "event": "ready",
                "shards": shards,
                "media": media,
                "media_tcp": media_tcp,
                "control": control,
                "health": health,
            })
            .to_string()
        }
    }

    /// Waits until something ends that should not: a shard's thread, a task. Cancel-safe.
    pub async fn failure(&mut self) -> StartError {
        tokio::select! {
            exit = self.exits.recv() => match exit {
                Some(Exit { shard, fault }) => {
                    let fault = fault.unwrap_or_else(|| "ended unasked".to_owned());
                    StartError(format!("shard {shard} {fault}"))
                }
                None => StartError("no shard is left".to_owned()),
            },
            _ = self.tasks.join_next() => StartError("an endpoint ended".to_owned()),
            _ = self.pulses.join_next() => StartError("the heartbeats of a shard ended".to_owned()),
        }
    }

    /// Stops in good order, within two seconds: tells the fleet first, so that participants who
    /// join again are sent elsewhere, then ends their sessions and the threads.
    ///
    /// # Errors
    /// When a shard's thread did not end in time, or not well.
    pub async fn stop(mut self) -> Result<(), StartError> {
        self.stopping.send_replace(true);
        let _ = timeout(FAREWELL_MAX, async {
            while self.pulses.join_next().await.is_some() {}
        })
        .await;
        for shard in &self.relay.shards {
            // A shard that takes no orders any more shows below as one that does not end.
            let _ = shard.handle.stop();
        }
        let mut left = self.threads.len();
        let ends = async {
            while left > 0 {
                let Some(exit) = self.exits.recv().await else {
                    break;
                };
                left -= 1;
                if let Some(fault) = exit.fault {
                    return Err(StartError(format!("shard {} {fault}", exit.shard)));
                }
            }
            Ok(())
        };
        match timeout(THREADS_MAX, ends).await {
            Ok(result) => result?,
            Err(_) => return Err(StartError("a shard did not stop in time".to_owned())),
        }
        for thread in std::mem::take(&mut self.threads) {
            let _ = thread.join();
        }
        if let Some(courier) = &mut self.courier {
            let _ = timeout(LAST_USAGE_MAX, courier.join_next()).await;
        }
        Ok(())
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        for shard in &self.relay.shards {
            shard.handle.abandon();
        }
    }
}

/// Runs `body` on its own thread and says at its end how it ended.
fn spawn_thread(
    id: &ShardId,
    sender: &mpsc::UnboundedSender<Exit>,
    body: impl FnOnce() -> std::io::Result<()> + Send + 'static,
) -> Result<JoinHandle<()>, StartError> {
    let exit = Exit {
        shard: id.clone(),
        fault: None,
    };
    let mut guard = ExitGuard {
        exit: Some(exit),
        sender: sender.clone(),
    };
    std::thread::Builder::new()
        .name(id.to_string())
        .spawn(move || {
            if let Err(error) = body() {
                let exit = guard.exit.as_mut().expect("taken only when dropped");
                exit.fault = Some(format!("failed: {error}"));
            }
        })
        .map_err(|error| fault("a thread", &error))
}

/// Random bytes, fit for keys.
pub(crate) fn random<const N: usize>() -> Result<[u8; N], StartError> {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes)
        .map_err(|error| StartError(format!("no randomness from the system: {error}")))?;
    Ok(bytes)
}

fn fault(what: &str, error: &std::io::Error) -> StartError {
    StartError(format!("{what} cannot be set up: {error}"))
}

fn bind_error(flag: &str, address: SocketAddr, error: &std::io::Error) -> StartError {
    StartError(match error.kind() {
        std::io::ErrorKind::AddrInUse => {
            format!("{address} is taken; choose another address or port with {flag}")
        }
        _ => format!("{flag} {address} cannot be used: {error}"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_end_of_a_thread_is_never_silent() {
        let (sender, mut exits) = mpsc::unbounded_channel();
        let mut end = async |body: fn() -> std::io::Result<()>| {
            let thread = spawn_thread(&"dev-0".parse().unwrap(), &sender, body).unwrap();
            let exit = exits.recv().await.unwrap();
            let _ = thread.join();
            exit.fault
        };
        assert_eq!(end(|| Ok(())).await, None);
        assert_eq!(
            end(|| panic!("on purpose")).await.as_deref(),
            Some("panicked")
        );
        let broken = end(|| Err(std::io::ErrorKind::BrokenPipe.into())).await;
        assert_eq!(broken.as_deref(), Some("failed: broken pipe"));
    }
}
