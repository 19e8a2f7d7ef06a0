//! `cargo xtask up`: the whole service on one machine.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use clap::Args;
use serde_json::Value;

use crate::child::{self, STOP_GRACE, Supervised};
use crate::clock::{now, pause};
use crate::dev::{self, Secrets};
use crate::progress::Progress;
use crate::workspace::Workspace;
use crate::{components, install, ports, process, token};

/// The edge host compiles new components before it listens.
const EDGE_READY_LIMIT: Duration = Duration::from_secs(60);

/// The relay is ready with its first accepted heartbeat.
const RELAY_READY_LIMIT: Duration = Duration::from_secs(15);

const POLL: Duration = Duration::from_millis(100);

/// Where to listen.
#[derive(Debug, Args)]
pub(crate) struct Flags {
    /// Address of the page and the API [default: 127.0.0.1:7400]
    #[arg(long, value_name = "IP:PORT")]
    pub(crate) listen: Option<SocketAddr>,

    /// UDP port of the relay
    #[arg(long, value_name = "PORT", default_value_t = 7410)]
    pub(crate) media_port: u16,

    /// The relay's control endpoint
    #[arg(long, value_name = "IP:PORT", default_value = "127.0.0.1:7411")]
    pub(crate) control: SocketAddr,

    /// The relay's health and metrics
    #[arg(long, value_name = "IP:PORT", default_value = "127.0.0.1:7412")]
    health: SocketAddr,

    /// Reachable from other machines on this network
    #[arg(long)]
    pub(crate) lan: bool,

    /// Pages on other machines get a token as well, for
    /// whoever they say they are
    #[arg(long, verbatim_doc_comment)]
    pub(crate) dev_tokens_for_anybody: bool,
}

/// Where things listen.
#[derive(Debug, PartialEq)]
struct Addresses {
    listen: SocketAddr,
    control: SocketAddr,
    health: SocketAddr,
    /// One UDP address per IP that the relay advertises.
    media: Vec<SocketAddr>,
    /// Whether the page gets tokens for the asking.
    hands_out: bool,
}

/// Builds, starts, waits for Ctrl-C or a child's end, and stops.
pub(crate) fn run(workspace: &Workspace, flags: &Flags) -> Result<()> {
    let started = now();
    let own = ports::lan_address();
    let lan = match &own {
        _ if !flags.lan => None,
        Ok(address) => Some(*address),
        Err(_) => bail!("this machine has no route to a network; leave out --lan"),
    };
    let addresses = Addresses::from(flags, lan, own.ok(), ports::has_ipv6());
    addresses.check()?;
    let mut progress = build(workspace)?;
    let secrets = dev::secrets(&workspace.dev())?;
    let interrupts = count_interrupts()?;
    let interrupted = || interrupts.load(Ordering::Relaxed) > 0;

    let (edge_address, mut edge, mut relay) = progress.step("start", "starting", || {
        let mut edge = start_edge(workspace, &addresses, &secrets)?;
        let ready = edge.wait_ready("listening", EDGE_READY_LIMIT, interrupted)?;
        let edge_address = listening_address(&ready)?;
        let mut relay = start_relay(workspace, &addresses, &secrets, edge_address)?;
        relay.wait_ready("ready", RELAY_READY_LIMIT, interrupted)?;
        anyhow::Ok((edge_address, edge, relay))
    })?;

    announce(edge_address, lan, addresses.hands_out, started.elapsed());
    let ended = wait(&mut relay, &mut edge, interrupted);
    println!("stopping");
    // The relay first: its last heartbeat goes to the edge host.
    for child in [&mut relay, &mut edge] {
        let grace = if interrupts.load(Ordering::Relaxed) > 1 {
            Duration::ZERO
        } else {
            STOP_GRACE
        };
        if !child.stop(grace)? {
            println!("{} did not stop by itself and was killed", child.name);
        }
    }
    ended
}

/// The binaries that run.
const BINARIES: [&str; 2] = ["edge-host", "relay"];

/// Builds what runs; the progress that is returned has its last step to come.
fn build(workspace: &Workspace) -> Result<Progress> {
    let is_missing = |name: &&str| !workspace.binary(name).is_file();
    let is_cold = BINARIES.iter().any(is_missing);
    let no_component = !workspace.served_components().is_dir();
    let mut progress = Progress::new(
        "up",
        &[
            ("tools", no_component),
            ("downloads", is_cold),
            ("components", no_component),
            ("binaries", is_cold),
            ("start", no_component),
        ],
    );
    progress.step("tools", "tools", || {
        install::wasm_target(workspace)?;
        install::cmake(workspace)
    })?;
    progress.step("downloads", "downloads", || workspace.fetch())?;
    progress.step("components", "components", || components::build(workspace))?;
    progress.step("binaries", "edge host and relay", || {
        process::run(&mut workspace.build_binaries(&BINARIES))
    })?;
    Ok(progress)
}

fn start_edge(
    workspace: &Workspace,
    addresses: &Addresses,
    secrets: &Secrets,
) -> Result<Supervised> {
    let mut command = child::launched(&workspace.binary("edge-host"))?;
    command
        .arg("--spin-toml")
        .arg(workspace.root.join("functions/spin.toml"))
        .args(["--listen", &addresses.listen.to_string()])
        .arg("--state-dir")
        .arg(workspace.dev().join("edge-state"))
        .env("SPIN_VARIABLE_FLEET_SECRET", &secrets.fleet_secret)
        .env("SPIN_VARIABLE_STATIC_SHARDS", dev::static_shards())
        .env(
            "SPIN_VARIABLE_TOKEN_KEYS",
            token::verification_keys(&secrets.signing_key_file)?,
        );
    if addresses.hands_out {
        let key = &secrets.signing_key_file;
        command.arg("--dev-signing-key").arg(key);
        if !addresses.listen.ip().is_loopback() {
            command.arg("--dev-tokens-for-anybody");
        }
    }
    Supervised::spawn(
        "edge-host",
        command,
        &workspace.dev().join("edge-host.jsonl"),
    )
}

fn start_relay(
    workspace: &Workspace,
    addresses: &Addresses,
    secrets: &Secrets,
    edge: SocketAddr,
) -> Result<Supervised> {
    let mut command: Command = child::launched(&workspace.binary("relay"))?;
    command
        .args(["--shard", dev::SHARD, "--region", dev::REGION])
        .args(["--edge", &format!("http://{}", reachable(edge))])
        .args(["--control", &addresses.control.to_string()])
        .args(["--health", &addresses.health.to_string()])
        .arg("--key-file")
        .arg(&secrets.shard_key_file);
    command
        .arg("--usage-journal")
        .arg(workspace.dev().join("relay-usage"));
    for media in &addresses.media {
        command.args(["--listen", &media.to_string()]);
        command.args(["--listen-tcp", &media.to_string()]);
        command.args(["--advertise", &media.ip().to_string()]);
    }
    Supervised::spawn("relay", command, &workspace.dev().join("relay.jsonl"))
}

impl Addresses {
    fn from(flags: &Flags, lan: Option<IpAddr>, own: Option<IpAddr>, has_ipv6: bool) -> Self {
        let anywhere = match lan {
            Some(_) => Ipv4Addr::UNSPECIFIED,
            None => Ipv4Addr::LOCALHOST,
        };
        let listen = flags.listen.unwrap_or((anywhere, 7400).into());
        let port = flags.media_port;
        // Bound to the very addresses that it advertises: a socket bound to 0.0.0.0 would let the
        // kernel choose the source of its replies, and ICE accepts none but the address it asked.
        // Not loopback if there is anything else: Firefox and aiortc have no candidate there.
        let media = match own {
            Some(own) => vec![SocketAddr::new(own, port)],
            None => {
                let mut loopback = vec![SocketAddr::new(Ipv4Addr::LOCALHOST.into(), port)];
                if has_ipv6 {
                    loopback.push(SocketAddr::new(Ipv6Addr::LOCALHOST.into(), port));
                }
                loopback
            }
        };
        Self {
            listen,
            control: flags.control,
            health: flags.health,
            media,
            hands_out: listen.ip().is_loopback() || flags.dev_tokens_for_anybody,
        }
    }

    fn check(&self) -> Result<()> {
        ports::check_tcp("--listen", self.listen)?;
        ports::check_tcp("--control", self.control)?;
        ports::check_tcp("--health", self.health)?;
        self.media.iter().try_for_each(|media| {
            ports::check_udp("--media-port", *media)?;
            ports::check_tcp("--media-port", *media)
        })
    }
}

fn listening_address(ready: &Value) -> Result<SocketAddr> {
    let text = ready["address"].as_str().unwrap_or_default();
    text.parse()
        .with_context(|| format!("edge-host listens on `{text}`, which is no address"))
}

/// The address under which this machine reaches a listener.
fn reachable(mut address: SocketAddr) -> SocketAddr {
    if address.ip().is_unspecified() {
        address.set_ip(match address {
            SocketAddr::V4(_) => Ipv4Addr::LOCALHOST.into(),
            SocketAddr::V6(_) => Ipv6Addr::LOCALHOST.into(),
        });
    }
    address
}

fn announce(edge: SocketAddr, lan: Option<IpAddr>, hands_out: bool, took: Duration) {
    println!("\nready after {:.1} s", took.as_secs_f32());
    println!("  page   http://{}/", reachable(edge));
    if let Some(lan) = lan {
        println!(
            "  on other machines  http://{}/",
            SocketAddr::new(lan, edge.port())
        );
        println!("  (browsers give a microphone to https and localhost only: there, forward the");
        println!("   port with ssh -L, or listen without speaking)");
    }
    println!("  token  cargo xtask token --player P --room R");
    if !hands_out {
        println!("  (the page asks for it: other machines can reach it. On a network of friends,");
        println!("   --dev-tokens-for-anybody has the page get its own)");
    }
    println!("  logs   target/dev/edge-host.jsonl, target/dev/relay.jsonl");
    println!("Ctrl-C stops.");
}

/// Returns at an interrupt; an error when a child ends by itself.
fn wait(
    relay: &mut Supervised,
    edge: &mut Supervised,
    interrupted: impl Fn() -> bool,
) -> Result<()> {
    while !interrupted() {
        for child in [&mut *relay, &mut *edge] {
            if let Some(status) = child.exited()? {
                bail!("{} ended ({status}){}", child.name, child.last_lines());
            }
        }
        pause(POLL);
    }
    Ok(())
}

/// Counts SIGINT, SIGTERM and SIGHUP. The second one stops without grace.
fn count_interrupts() -> Result<Arc<AtomicUsize>> {
    let count = Arc::new(AtomicUsize::new(0));
    let handler = Arc::clone(&count);
    ctrlc::set_handler(move || {
        handler.fetch_add(1, Ordering::Relaxed);
    })
    .context("signals cannot be handled")?;
    Ok(count)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::Command;
    use crate::cli::tests::{command, refusal};

    fn flags(line: &str) -> Flags {
        let Ok(Command::Up(flags)) = command(line) else {
            panic!("{line}");
        };
        flags
    }

    fn addresses(line: &str, lan: Option<&str>, has_ipv6: bool) -> Addresses {
        let lan = lan.map(|ip| ip.parse().unwrap());
        Addresses::from(&flags(line), lan, lan, has_ipv6)
    }

    fn sockets(list: &[&str]) -> Vec<SocketAddr> {
        list.iter()
            .map(|address| address.parse().unwrap())
            .collect()
    }

    #[test]
    fn without_a_network_everything_is_on_loopback() {
        let got = addresses("up", None, true);
        assert_eq!(got.listen, "127.0.0.1:7400".parse().unwrap());
        assert_eq!(got.control, "127.0.0.1:7411".parse().unwrap());
        assert_eq!(got.media, sockets(&["127.0.0.1:7410", "[::1]:7410"]));
        let got = addresses("up", None, false);
        assert_eq!(got.media, sockets(&["127.0.0.1:7410"]));
    }

    #[test]
    fn without_flags_only_the_media_port_has_the_machines_own_address() {
        let own = Some("192.0.2.7".parse().unwrap());
        let got = Addresses::from(&flags("up"), None, own, true);
        assert_eq!(got.listen, "127.0.0.1:7400".parse().unwrap());
        assert_eq!(got.media, sockets(&["192.0.2.7:7410"]));
    }

    #[test]
    fn lan_opens_the_page_and_the_media_but_not_the_control_endpoint() {
        let got = addresses("up --lan --media-port 9", Some("192.0.2.7"), true);
        assert_eq!(got.listen, "0.0.0.0:7400".parse().unwrap());
        assert_eq!(got.control, "127.0.0.1:7411".parse().unwrap());
        assert!(!got.hands_out, "whoever reaches it would be anybody");
        let line = "up --lan --dev-tokens-for-anybody";
        assert!(addresses(line, Some("192.0.2.7"), true).hands_out);
        assert!(addresses("up", None, true).hands_out);
        assert!(!addresses("up --listen 192.0.2.7:1", None, true).hands_out);
        assert_eq!(got.media, sockets(&["192.0.2.7:9"]));
        let chosen = addresses("up --lan --listen 127.0.0.1:1", Some("192.0.2.7"), true);
        assert_eq!(chosen.listen, "127.0.0.1:1".parse().unwrap());
    }

    #[test]
    fn what_is_not_an_address_names_the_flag() {
        for line in [
            "up --listen 7400",
            "up --control host:1",
            "up --media-port 70000",
        ] {
            let flag = line.split(' ').nth(1).unwrap();
            let error = refusal(line);
            assert!(error.contains(flag), "{error}");
        }
    }

    #[test]
    fn a_listener_on_every_address_is_reached_on_loopback() {
        assert_eq!(
            reachable("0.0.0.0:1".parse().unwrap()),
            "127.0.0.1:1".parse().unwrap()
        );
        assert_eq!(
            reachable("[::]:1".parse().unwrap()),
            "[::1]:1".parse().unwrap()
        );
        assert_eq!(
            reachable("192.0.2.7:1".parse().unwrap()),
            "192.0.2.7:1".parse().unwrap()
        );
    }
}
