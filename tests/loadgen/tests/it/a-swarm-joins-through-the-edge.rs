//! The swarm joins as every real client does: tokens, offers and HTTP requests to the functions
//! themselves, which serve a real relay's heartbeats too. (tests/e2e runs them as components.)

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::time::Duration;

use edge::http::{Request, Response};
use edge::ports::{
    Clock, Entropy, IdentityLink, IdentityReply, RelayInquiry, RelayLink, RelayReply, Storage,
    Timer, Unreachable, VariableFault, Variables,
};
use edge::testing::schedule::{block_on, yield_now};
use edge::testing::{CountingEntropy, FixedVariables, MemoryStore};
use edge::token::SigningKey;
use loadgen::edge::Edge;
use loadgen::peer::{Common, Entry, Role, Voice};
use loadgen::swarm::{Phase, Swarm, TalkPattern, pause};
use loadgen::{now, unix_s};
use relay::{Config, LINES_MAX, Settings};
use tokio::runtime::Runtime;
use tokio::sync::mpsc;
use wire::ShardId;
use wire::keys::FleetSecret;

const SECRET: [u8; 32] = [5; 32];
const SECRET_TEXT: &str = "BQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQU=";
const SHARD: &str = "edge-joined";

/// The ports of both functions.
struct Host {
    store: MemoryStore,
    variables: FixedVariables,
    entropy: CountingEntropy,
}

impl Storage for Host {
    type Store = MemoryStore;

    fn store(&self) -> &MemoryStore {
        &self.store
    }
}

impl Clock for Host {
    fn now_ms(&self) -> u64 {
        unix_s() * 1000
    }
}

impl Timer for Host {
    async fn sleep(&self, _ms: u64) {
        yield_now().await;
    }
}

impl Entropy for Host {
    fn fill(&self, bytes: &mut [u8]) {
        self.entropy.fill(bytes);
    }
}

impl Variables for Host {
    async fn variable(&self, name: &str) -> Result<Option<String>, VariableFault> {
        self.variables.variable(name).await
    }
}

impl IdentityLink for Host {
    async fn ask(
        &self,
        _url: &str,
        _headers: &[(&'static str, String)],
    ) -> Result<IdentityReply, Unreachable> {
        Err(Unreachable)
    }
}

impl RelayLink for Host {
    async fn post(&self, _: &str, _: &ShardId, _: String) -> Result<u16, Unreachable> {
        Err(Unreachable)
    }
}

impl RelayInquiry for Host {
    async fn inquire(&self, _: &str, _: &ShardId, _: String) -> Result<RelayReply, Unreachable> {
        Err(Unreachable)
    }
}

/// Serves both functions on a free port of loopback until the process ends.
fn serve_functions() -> String {
    let keys = signing_key().key_set_json("dev");
    let variables = [
        ("fleet_secret", SECRET_TEXT),
        ("token_keys", keys.as_str()),
        ("region", "dev"),
        ("static_shards", r#"[{"shards": "*"}]"#),
    ];
    let host = Arc::new(Host {
        store: MemoryStore::default(),
        variables: FixedVariables::new(&variables).with_derived(),
        entropy: CountingEntropy::default(),
    });
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let host = Arc::clone(&host);
            std::thread::spawn(move || while answer(&stream, &host).is_some() {});
        }
    });
    url
}

/// Answers one request; none at the end of the connection.
fn answer(stream: &TcpStream, host: &Host) -> Option<()> {
    let mut reader = BufReader::new(stream);
    let mut line = String::new();
    reader.read_line(&mut line).ok().filter(|read| *read > 0)?;
    let mut words = line.split(' ');
    let mut request = Request {
        method: words.next()?.to_owned(),
        path: words.next()?.to_owned(),
        ..Request::default()
    };
    let mut length = 0;
    loop {
        line.clear();
        reader.read_line(&mut line).ok()?;
        let Some((name, value)) = line.trim().split_once(": ") else {
            break;
        };
        match name.to_ascii_lowercase().as_str() {
            "authorization" => request.authorization = Some(value.to_owned()),
            "content-type" => request.content_type = Some(value.to_owned()),
            "content-length" => length = value.parse().ok()?,
            _ => {}
        }
    }
    request.body = vec![0; length];
    reader.read_exact(&mut request.body).ok()?;
    let response = if request.path.starts_with("/v1/relays") {
        block_on(fleet::handle(host, request))
    } else {
        block_on(signalling::handle(host, request))
    };
    write_response(&mut &*stream, &response)
}

fn write_response(stream: &mut impl Write, response: &Response) -> Option<()> {
    let (status, length) = (response.status, response.body.len());
    let mut head = format!("HTTP/1.1 {status} -\r\ncontent-length: {length}\r\n");
    for (name, value) in &response.headers {
        head += &format!("{name}: {value}\r\n");
    }
    let bytes = [
        head.as_bytes(),
        b"connection: close\r\n\r\n",
        &response.body,
    ]
    .concat();
    stream.write_all(&bytes).ok()?;
    None
}

fn signing_key() -> SigningKey {
    SigningKey::new([1; 32])
}

fn start_relay(runtime: &Runtime, url: &str) -> relay::Running {
    let shard: ShardId = SHARD.parse().unwrap();
    let config = Config {
        keys: vec![FleetSecret::new(SECRET).shard_key(&shard, 0)],
        shard,
        region: "dev".parse().unwrap(),
        edge: url.parse().unwrap(),
        settings: Settings {
            listen: vec!["127.0.0.1:0".parse().unwrap()],
            health: "127.0.0.1:0".parse().unwrap(),
            control: "127.0.0.1:0".parse().unwrap(),
            max_participants: 100,
            full_cpu_percent: 100,
            drain_seconds: 0,
            ..Settings::default()
        },
    };
    let (lines, _) = mpsc::channel(LINES_MAX);
    runtime.block_on(async {
        let running = relay::start(config, lines).await.unwrap();
        running.ready().await;
        running
    })
}

#[test]
fn every_listener_of_every_room_hears_its_speaker() {
    let runtime = Runtime::new().unwrap();
    let url = serve_functions();
    let running = start_relay(&runtime, &url);
    let key_file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(key_file.path(), signing_key().to_base64()).unwrap();
    let edge = Edge::new(&url, key_file.path(), "dev").unwrap();
    let voice = Voice {
        packet_ms: 40,
        loss_permille: 100,
    };
    let common = Common::new(Entry::Edge(Box::new(edge)), voice, now()).unwrap();
    let listeners = 3;
    let role = |room: u64, speaks, probes| Role {
        room: format!("room-{room}").parse().unwrap(),
        speaks,
        probes,
        hello: true,
        deafened: false,
        slots: 4,
    };
    let roles = (0..2).flat_map(|room| {
        let others = (1..listeners).map(move |_| role(room, false, false));
        [role(room, true, false), role(room, false, true)]
            .into_iter()
            .chain(others)
    });
    let swarm = Swarm::start(&common, roles.collect(), TalkPattern::ENDLESS).unwrap();
    swarm.wait_joined(|_| ()).unwrap();
    assert_eq!((swarm.counts().connected, swarm.counts().welcomed), (8, 8));
    swarm.set_phase(Phase::Measure);
    while swarm.counts().sent < 30 {
        pause(Duration::from_millis(5)).unwrap();
    }
    swarm.set_phase(Phase::Quiet);
    let until = now() + Duration::from_secs(10);
    while swarm.counts().received < swarm.counts().sent * listeners && now() < until {
        pause(Duration::from_millis(5)).unwrap();
    }
    let counts = swarm.counts();
    assert_eq!(counts.received, counts.sent * listeners, "{counts:?}");
    assert!(
        !swarm.stop().unwrap().voice.is_empty(),
        "the probes decrypted"
    );
    runtime.block_on(running.stop()).unwrap();
}
