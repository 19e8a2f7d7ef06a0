//! What an operator and two players go through with programs that were installed under a folder:
//! `installed ROOT`. As root each program runs as nobody, in that folder as its whole system.
//!
//! Programs are started as their systemd units say. Prints what was seen, and last how much of it
//! passed.

#![expect(
    clippy::print_stdout,
    reason = "a command-line tool talks on standard output"
)]

use std::net::{SocketAddr, TcpListener};
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, chown};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, ExitStatus};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use clap::Parser;
use player::{Client, Options, Seen, join, now};
use process::Process;
use scenarios::http::Http;
use scenarios::sts::{INSTANCE, Sts};
use scenarios::tokens::Secrets;
use serde_json::{Value, json};
use tokio::time::timeout;
use wire::channel::{ClientMessage, RelayMessage};

/// `nobody`, as whom containers run too.
const USER: u32 = 65534;
const REGION: &str = "eu";
const ROOM: &str = "lobby";
/// The longest silence that players may hear while a relay leaves.
const GAP_MAX: Duration = Duration::from_millis(100);
/// A program that compiles components first, on a busy machine.
const START_MAX: Duration = Duration::from_secs(90);
/// A drain over [`DRAIN_SECONDS`], and the end.
const DRAIN_MAX: Duration = Duration::from_secs(30);
const DRAIN_SECONDS: u32 = 2;
/// How long voice is listened to before and after a move.
const LISTEN: Duration = Duration::from_secs(1);
const RELAYS: [&str; 2] = ["packaged-a", "packaged-b"];

/// Tries installed packages
#[derive(Parser)]
struct Flags {
    /// The folder in which both packages were installed
    root: PathBuf,
}

#[tokio::main]
async fn main() -> ExitCode {
    let Flags { root } = Flags::parse();
    let mut passed = 0;
    let result = go_through(&root, &mut passed).await;
    let failed = u8::from(result.is_err());
    if let Err(error) = result {
        println!("FAILED: {error:#}");
    }
    println!("{passed} passed, {failed} failed");
    ExitCode::from(failed)
}

async fn go_through(root: &Path, passed: &mut u32) -> Result<()> {
    let mut seen = |what: &str| {
        *passed += 1;
        println!("ok: {what}");
    };
    let host = Host::new(root)?;
    let secrets = Secrets::generate();
    let sts = Sts::start().await?;
    let settings = EdgeSettings::new(&sts)?;
    let edge = host.start_edge(&secrets, &settings).await?;
    seen("the installed edge serves, as its unit starts it, with secrets from files");
    let mut relays = Vec::new();
    for name in RELAYS {
        let token = edge.enrolment_token(name, &secrets).await?;
        relays.push(host.start_relay(name, &edge, Proof::Token(token)).await?);
    }
    seen("two installed relays enrolled by token and are ready");
    enrols_as_an_instance(&host, &edge, &sts).await?;
    seen("an installed relay enrolled by the identity of its instance");
    host.check("lifeverse-edge", &edge.url).await?;
    let health = format!("http://{}", text(&relays[0].line, "health"));
    host.check("lifeverse-relay", &health).await?;
    seen("both say of themselves that they are ready");

    let (mut ann, mut bob) = two_who_talk(&edge, &secrets).await?;
    seen("two native clients hear each other");

    let home = ann.client.joined.relay.as_str().to_owned();
    let leaving = relays.iter().position(|relay| relay.process.name() == home);
    let leaving = relays.remove(leaving.with_context(|| format!("{home} is none of ours"))?);
    moves_both(&leaving, &mut ann, &mut bob).await?;
    seen("a relay that got SIGTERM moved both without a gap that is heard, and ended well");

    let killed = relays.pop().context("there were two")?;
    ensure!(
        ann.client.joined.relay.as_str() == killed.process.name(),
        "they are on the other relay"
    );
    killed.process.kill();
    let (name, was) = (
        killed.process.name().to_owned(),
        killed.line["shards"].clone(),
    );
    killed.ended().await?;
    let back = host.start_relay(&name, &edge, Proof::Known).await?;
    let is = &back.line["shards"];
    ensure!(*is == was, "it came back as {is}, not as {was}");
    seen("a relay that was killed is back under its name, without a token");
    let _talking = two_who_talk(&edge, &secrets).await?;
    seen("players talk on it again");

    edge.say(&secrets, "kept").await?;
    host.as_the_page_says(BACKUP)?;
    edge.say(&secrets, "late").await?;
    edge.end().await?;
    seen("the edge ended well");
    host.as_the_page_says(RESTORE)?;
    let edge = host.start_edge(&secrets, &settings).await?;
    let said = edge.said(&secrets).await?;
    ensure!(said == ["kept"], "restored, and {said:?} is there");
    let _talking = two_who_talk(&edge, &secrets).await?;
    seen("a backup that was taken while the edge served is restored, and relays and players go on");
    edge.end().await
}

/// A relay is let in as the instance that it says it is on, and ends.
async fn enrols_as_an_instance(host: &Host, edge: &Edge, sts: &Sts) -> Result<()> {
    let relay = host
        .start_relay("packaged-c", edge, Proof::Aws(sts))
        .await?;
    let shards = &relay.line["shards"];
    ensure!(
        shards.to_string().contains(INSTANCE),
        "a relay of the instance {INSTANCE} is called {shards}"
    );
    relay.process.stop()?;
    let ended = relay.ended().await?;
    ensure!(
        ended.success(),
        "the relay without players ended with {ended}"
    );
    Ok(())
}

/// Two players who hear each other.
async fn two_who_talk(edge: &Edge, secrets: &Secrets) -> Result<(Member, Member)> {
    let mut ann = Member::join(edge, secrets, 1).await?;
    let mut bob = Member::join(edge, secrets, 2).await?;
    ann.client.hears(bob.mark).await?;
    bob.client.hears(ann.mark).await?;
    Ok((ann, bob))
}

/// A relay that is told to end moves its players first, and they hear no gap.
async fn moves_both(leaving: &Program, ann: &mut Member, bob: &mut Member) -> Result<()> {
    tokio::time::sleep(LISTEN).await;
    leaving.process.stop()?;
    let (a, b) = (ann.mark, bob.mark);
    let (of_ann, of_bob) = tokio::try_join!(ann.migrate(b), bob.migrate(a))?;
    let gap = of_ann.max(of_bob);
    let ended = leaving.ended().await?;
    ensure!(ended.success(), "the drained relay ended with {ended}");
    println!("longest gap while the relay left: {} ms", gap.as_millis());
    ensure!(
        gap <= GAP_MAX,
        "a player heard nothing for {} ms; {} ms are allowed",
        gap.as_millis(),
        GAP_MAX.as_millis()
    );
    Ok(())
}

/// What the page says of backups, and which lines of it are for the restore.
const PAGE: &str = include_str!("../../../../infra/deploy/README.md");
const BACKUP: &[&str] = &["db=", "sqlite3 "];
const RESTORE: &[&str] = &["db=", "rm ", "install "];
const CHANNEL: &str = "/v1/chat/channels/room~lobby~main/messages";

/// What an edge is told besides its secrets.
struct EdgeSettings {
    /// Chosen before: proofs name the edge, and relays come back to where it was.
    listen: SocketAddr,
    variables: Vec<(&'static str, String)>,
}

impl EdgeSettings {
    fn new(sts: &Sts) -> Result<Self> {
        // Free a moment ago, and nobody else here asks for one by number.
        let listen = TcpListener::bind("127.0.0.1:0")?.local_addr()?;
        let url = format!("http://{listen}");
        let variables = sts.settings(&url, ["edge_url", "enrolment_aws", "sts_hosts"]);
        Ok(Self { listen, variables })
    }

    fn args(&self) -> String {
        let mut args = format!("--listen {} --variable region={REGION}", self.listen);
        for (name, value) in &self.variables {
            args.push_str(&format!(" --variable {name}={value}"));
        }
        args
    }
}

/// By what the edge lets a relay in.
enum Proof<'a> {
    Token(String),
    Aws(&'a Sts),
    /// It has enrolled before.
    Known,
}

/// The folder that programs were installed in.
struct Host {
    root: PathBuf,
    /// Programs see nothing but the folder, and are nobody.
    is_confined: bool,
}

/// A running program and the line with which it said that it is ready.
struct Program {
    line: Value,
    process: Process,
}

struct Edge {
    program: Program,
    url: String,
    http: Http,
}

impl Host {
    fn new(root: &Path) -> Result<Self> {
        let root = root
            .canonicalize()
            .with_context(|| root.display().to_string())?;
        let is_confined = std::fs::metadata("/proc/self")?.uid() == 0;
        println!(
            "programs run {}",
            match is_confined {
                true => "as nobody, with the folder as their root",
                false => "as this user, outside of the folder: only root may change roots",
            }
        );
        Ok(Self { root, is_confined })
    }

    /// A folder of a program below the root: as it sees it, empty or as it was left.
    fn folder(&self, path: &str) -> Result<String> {
        let folder = self.root.join(path);
        std::fs::create_dir_all(&folder)?;
        std::fs::set_permissions(&folder, std::fs::Permissions::from_mode(0o700))?;
        if self.is_confined {
            chown(&folder, Some(USER), Some(USER))?;
        }
        Ok(self.seen(&format!("/{path}")))
    }

    fn secret(&self, folder: &str, name: &str, text: &str) -> Result<()> {
        let file = self.root.join(folder.trim_start_matches('/')).join(name);
        let file = if self.is_confined {
            file
        } else {
            Path::new(folder).join(name)
        };
        std::fs::write(&file, text).with_context(|| file.display().to_string())?;
        if self.is_confined {
            chown(&file, Some(USER), Some(USER))?;
        }
        Ok(std::fs::set_permissions(
            &file,
            std::fs::Permissions::from_mode(0o400),
        )?)
    }

    /// A path of the installed system as programs see it.
    fn seen(&self, path: &str) -> String {
        match self.is_confined {
            true => path.to_owned(),
            false => format!("{}{path}", self.root.display()),
        }
    }

    fn command(&self, program: &str, args: &[String]) -> Command {
        let path = self.seen(&format!("/usr/bin/{program}"));
        let mut command = match self.is_confined {
            false => process::command(path),
            true => {
                let mut chroot = process::command("chroot");
                chroot.arg(format!("--userspec={USER}:{USER}"));
                chroot.arg(&self.root).arg(path);
                chroot
            }
        };
        command.args(args);
        command
    }

    /// The health check that an installed program has.
    async fn check(&self, program: &str, base: &str) -> Result<()> {
        let args = ["check".to_owned(), format!("{base}/readyz")];
        let check = Process::start(program, self.command(program, &args))?;
        let checked = check.until(|it| it.ended(START_MAX)).await?;
        ensure!(checked.success(), "`{program} {}` failed", args.join(" "));
        Ok(())
    }

    /// The arguments of a unit's `ExecStart=`, with what systemd would put in.
    fn arguments(&self, unit: &str, variables: &[(&str, &str)]) -> Result<Vec<String>> {
        let file = self
            .root
            .join(format!("usr/lib/systemd/system/{unit}.service"));
        let text = std::fs::read_to_string(&file).with_context(|| file.display().to_string())?;
        let text = text.replace("\\\n", " ");
        let start = text
            .lines()
            .find_map(|line| line.strip_prefix("ExecStart="));
        let start = start.context("the unit has an ExecStart")?;
        let mut words = Vec::new();
        for word in start.split_whitespace().skip(1) {
            let mut word = word.to_owned();
            for (name, value) in variables {
                word = word.replace(&format!("${{{name}}}"), value);
                word = word.replace(&format!("${name}"), value);
            }
            ensure!(!word.contains('$'), "{unit}: {word} is not put in");
            words.extend(
                word.split_whitespace()
                    .map(|word| match word.strip_prefix("/usr/") {
                        Some(_) => self.seen(word),
                        None => word.to_owned(),
                    }),
            );
        }
        Ok(words)
    }

    /// Runs lines of the page's section on backups, those that begin so, with this folder's paths.
    fn as_the_page_says(&self, beginnings: &[&str]) -> Result<()> {
        let (_, section) = PAGE
            .split_once("## Backup and restore")
            .context("the page has a section on backups")?;
        let section = section.split("\n## ").next().unwrap_or_default();
        let is_wanted = |line: &&str| beginnings.iter().any(|it| line.starts_with(it));
        let lines: Vec<&str> = section.lines().filter(is_wanted).collect();
        ensure!(
            lines.len() >= beginnings.len(),
            "the page lacks lines: {lines:?}"
        );
        let root = self.root.display().to_string();
        let script = lines
            .join("\n")
            .replace("/var/lib/private/", &format!("{root}/var/lib/"))
            .replace("/var/backups/", &format!("{root}/var/backups/"))
            .replace("edge-2026-11-30.db", "edge-$(date +%F).db");
        std::fs::create_dir_all(self.root.join("var/backups"))?;
        let mut sh = std::process::Command::new("sh");
        let ran = sh.args(["-euc", &script]).output()?;
        ensure!(
            ran.status.success(),
            "the page's lines failed: {}",
            String::from_utf8_lossy(&ran.stderr)
        );
        Ok(())
    }

    async fn start_edge(&self, secrets: &Secrets, settings: &EdgeSettings) -> Result<Edge> {
        let credentials = self.folder("run/credentials/edge")?;
        self.secret(&credentials, "fleet-secret", &secrets.fleet_base64())?;
        self.secret(&credentials, "token-keys", &secrets.key_set())?;
        let args = self.arguments(
            "lifeverse-edge",
            &[
                ("STATE_DIRECTORY", &self.folder("var/lib/lifeverse-edge")?),
                ("CACHE_DIRECTORY", &self.folder("var/cache/lifeverse-edge")?),
                ("CREDENTIALS_DIRECTORY", &credentials),
                ("EDGE_ARGS", &settings.args()),
            ],
        )?;
        let command = self.command("lifeverse-edge", &args);
        let program = Program::start("lifeverse-edge", command, "listening").await?;
        Ok(Edge {
            url: format!("http://{}", text(&program.line, "address")),
            http: Http::default(),
            program,
        })
    }

    async fn start_relay(&self, name: &str, edge: &Edge, proof: Proof<'_>) -> Result<Program> {
        let credentials = self.folder(&format!("run/credentials/{name}"))?;
        let token = match &proof {
            Proof::Token(token) => token,
            // What systemd hands over when there is no file.
            Proof::Aws(_) | Proof::Known => "\n",
        };
        let file = self
            .root
            .join(format!("run/credentials/{name}/enrolment-token"));
        let _ = std::fs::remove_file(file);
        self.secret(&credentials, "enrolment-token", token)?;
        let mut more = format!(
            "--enrol {} --listen 127.0.0.1:0 --control 127.0.0.1:0 --health 127.0.0.1:0 \
             --drain-seconds {DRAIN_SECONDS}",
            edge.url
        );
        if matches!(proof, Proof::Aws(_)) {
            more.push_str(" --enrol-aws --max-participants 100");
        }
        let state = self.folder(&format!("var/lib/{name}"))?;
        let args = self.arguments(
            "lifeverse-relay",
            &[("STATE_DIRECTORY", &state), ("RELAY_ARGS", &more)],
        )?;
        let mut command = self.command("lifeverse-relay", &args);
        command.env("CREDENTIALS_DIRECTORY", &credentials);
        if let Proof::Aws(sts) = proof {
            command
                .env("AWS_EC2_METADATA_SERVICE_ENDPOINT", &sts.metadata)
                .env("AWS_ENDPOINT_URL_STS", format!("http://{}", sts.host));
        }
        let program = Program::start(name, command, "ready").await?;
        let kept = self.root.join(format!("var/lib/{name}/enrolment.json"));
        let mode = std::fs::metadata(&kept)?.permissions().mode() & 0o777;
        ensure!(mode == 0o600, "the relay's keys have mode {mode:o}");
        Ok(program)
    }
}

impl Edge {
    async fn say(&self, secrets: &Secrets, text: &str) -> Result<()> {
        let url = format!("{}{CHANNEL}", self.url);
        let body = json!({ "key": text, "text": text }).to_string();
        let token = secrets.chat_token("p1", ROOM);
        let reply = self.http.post(&url, &token, body).await?;
        ensure!(
            reply.status.is_success(),
            "`{text}` was not said: {reply:?}"
        );
        Ok(())
    }

    /// The texts of the channel.
    async fn said(&self, secrets: &Secrets) -> Result<Vec<String>> {
        let url = format!("{}{CHANNEL}", self.url);
        let reply = self.http.get(&url, &secrets.chat_token("p1", ROOM)).await?;
        let reply: Value = serde_json::from_slice(&reply.body)?;
        let messages = reply["messages"].as_array().context("there is a history")?;
        Ok(messages
            .iter()
            .map(|message| text(message, "text").to_owned())
            .collect())
    }

    async fn end(self) -> Result<()> {
        self.program.process.stop()?;
        let ended = self.program.ended().await?;
        ensure!(ended.success(), "the edge ended with {ended}");
        Ok(())
    }

    async fn enrolment_token(&self, relay: &str, secrets: &Secrets) -> Result<String> {
        let url = format!("{}/v1/relays/enrolment-tokens", self.url);
        let body = json!({
            "region": REGION, "capacity": 1000, "expires_in_s": 60, "relay": relay,
        });
        let reply = self
            .http
            .post(&url, &secrets.operator_token(), body.to_string())
            .await?;
        let reply: Value = serde_json::from_slice(&reply.body)?;
        match reply["token"].as_str() {
            Some(token) => Ok(token.to_owned()),
            None => bail!("no enrolment token: {reply}"),
        }
    }
}

impl Program {
    async fn start(name: &str, command: Command, event: &'static str) -> Result<Self> {
        let process = Process::start(name, command)?;
        let line = process.until(|it| it.ready(event, START_MAX)).await?;
        Ok(Self { line, process })
    }

    async fn ended(&self) -> Result<ExitStatus> {
        self.process.until(|it| it.ended(DRAIN_MAX)).await
    }
}

/// A player: while moving, on two relays at once, as the SDK does it.
struct Member {
    mark: u8,
    client: Client,
    http: Http,
    edge: String,
    token: String,
}

impl Member {
    async fn join(edge: &Edge, secrets: &Secrets, mark: u8) -> Result<Self> {
        let token = secrets.token(&format!("p{mark}"), ROOM);
        let (http, edge) = (edge.http.clone(), edge.url.clone());
        let client = join(&http, &edge, ROOM, &token, talker(mark)).await?;
        Ok(Self {
            mark,
            client,
            http,
            edge,
            token,
        })
    }

    /// Waits until the relay asks to go elsewhere, and goes: the old connection ends when the other
    /// is heard on the new one. Returns the longest time without a packet of the other's.
    async fn migrate(&mut self, other: u8) -> Result<Duration> {
        let from = now();
        let mut heard = Vec::new();
        let asked = |seen: &Seen| matches!(seen, Seen::Message(RelayMessage::Migrate));
        until(&mut self.client, other, &mut heard, asked).await?;
        let options = talker(self.mark);
        let mut next = join(&self.http, &self.edge, ROOM, &self.token, options).await?;
        let of_other = |seen: &Seen| matches!(seen, Seen::Voice { mark, .. } if *mark == other);
        until(&mut next, other, &mut heard, of_other).await?;
        // Who is not heard on the old relay any more is here.
        tokio::time::sleep(LISTEN).await;
        let mut old = std::mem::replace(&mut self.client, next);
        old.say(ClientMessage::Leave);
        tokio::time::sleep(LISTEN).await;
        let to = now();
        for client in [&mut old, &mut self.client] {
            heard.extend(
                client
                    .drain()
                    .into_iter()
                    .filter_map(|(at, seen)| of_other(&seen).then_some(at)),
            );
        }
        Ok(longest_gap(heard, from, to))
    }
}

fn talker(mark: u8) -> Options {
    Options {
        talks: true,
        ..Options::new(mark)
    }
}

/// Waits for what is wanted, and keeps when the other was heard until then.
async fn until(
    client: &mut Client,
    other: u8,
    heard: &mut Vec<Instant>,
    wanted: impl Fn(&Seen) -> bool,
) -> Result<()> {
    let waiting = async {
        while let Some((at, seen)) = client.seen.recv().await {
            if matches!(seen, Seen::Voice { mark, .. } if mark == other) {
                heard.push(at);
            }
            if wanted(&seen) {
                return Ok(());
            }
        }
        bail!("the connection ended before the move")
    };
    timeout(DRAIN_MAX, waiting)
        .await
        .context("nobody was asked to move, or to no avail")?
}

/// The longest time in which nothing was heard.
fn longest_gap(mut heard: Vec<Instant>, from: Instant, to: Instant) -> Duration {
    heard.retain(|at| *at > from && *at < to);
    heard.extend([from, to]);
    heard.sort_unstable();
    let gaps = heard.windows(2).map(|pair| pair[1] - pair[0]);
    gaps.max().unwrap_or_default()
}

fn text<'a>(value: &'a Value, key: &str) -> &'a str {
    value[key].as_str().unwrap_or_default()
}
