//! Doors held open: connections that bring nothing took every place at the control endpoint, so
//! that no message of the edge arrived, and every place of ICE-TCP.

use std::net::SocketAddr;
use std::time::Duration;

use attacks::{first_check, relay_program};
use loadgen::relay_process::{RelayProcess, shard_key};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpSocket, TcpStream};
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, timeout};
use wire::channel::EndReason;
use wire::control::{CONTROL_PATH, ControlCommand, ControlMessage};
use wire::{PlayerKey, SessionId};

/// Connections at a time, and from how many addresses: each has less than its share, and all
/// together more than there are places.
const HELD: u32 = 1200;
const SOURCES: u32 = 20;
/// Places of a door.
const PLACES: u32 = 1024;
/// How long one stays away whose connection was ended.
const PAUSE: Duration = Duration::from_millis(500);
/// Between two bytes of a slow one.
const SLOW: Duration = Duration::from_millis(500);
/// Time until all of them are there.
const HELD_WITHIN: Duration = Duration::from_secs(20);
/// How many connect at once.
const WAVE: u32 = 50;
/// Messages of the edge, and players by TCP, that want to get in.
const WANTED: u8 = 5;
/// Time for one of them; the tests share their cores with others.
const IN_TIME: Duration = Duration::from_secs(10);

/// What a connection brings.
#[derive(Debug, Clone, Copy)]
enum Held {
    /// Nothing.
    Idle,
    /// A head without end, byte by byte.
    SlowHead,
    /// A head, and nothing of the body that it announces.
    NoBody,
    /// A request for what is not there, and no other after its answer.
    KeptAlive,
}

impl Held {
    fn start(self) -> &'static str {
        match self {
            Self::Idle => "",
            Self::SlowHead => "POST /v1/control HTTP/1.1\r\nx: ",
            Self::NoBody => {
                "POST /v1/control HTTP/1.1\r\nhost: relay\r\ncontent-length: 1000\r\n\r\n"
            }
            Self::KeptAlive => "GET / HTTP/1.1\r\nhost: relay\r\n\r\n",
        }
    }

    /// Holds one connection, and the next one when it was ended.
    async fn hold(self, source: u32, to: SocketAddr, held: mpsc::Sender<()>) {
        loop {
            // A relay that is busy with others may refuse it.
            if let Ok(stream) = connect_from(source, to).await {
                let _ = held.try_send(());
                self.stay(stream).await;
            }
            sleep(PAUSE).await;
        }
    }

    /// Until the relay ends it.
    async fn stay(self, stream: TcpStream) {
        let (mut read, mut write) = stream.into_split();
        if write.write_all(self.start().as_bytes()).await.is_err() {
            return;
        }
        let slowly = async {
            loop {
                sleep(SLOW).await;
                if matches!(self, Self::SlowHead) && write.write_all(b"x").await.is_err() {
                    return;
                }
            }
        };
        let mut told = Vec::new();
        tokio::select! {
            _ = read.read_to_end(&mut told) => {}
            () = slowly => {}
        }
    }
}

async fn connect_from(source: u32, to: SocketAddr) -> std::io::Result<TcpStream> {
    let socket = TcpSocket::new_v4()?;
    socket.bind(SocketAddr::from(([127, 0, 9, 1 + source as u8], 0)))?;
    socket.connect(to).await
}

/// Holds the door at `to` until what is returned is dropped.
async fn hold_door(how: Held, to: SocketAddr) -> JoinSet<()> {
    let (sender, mut held) = mpsc::channel(HELD as usize);
    let mut holders = JoinSet::new();
    let all = async {
        for n in 0..HELD {
            holders.spawn(how.hold(n % SOURCES, to, sender.clone()));
            // More at once would not fit into the queue of the relay's system.
            if n % WAVE == WAVE - 1 {
                for _ in 0..WAVE {
                    held.recv().await;
                }
            }
        }
    };
    // Where the relay does not even accept so many, there are as many as there can be.
    let _ = timeout(HELD_WITHIN, all).await;
    holders
}

/// The longest that one of those who are wanted took; none when one did not get in in time.
async fn longest<F: Future<Output = bool>>(mut wanted: impl FnMut(u8) -> F) -> Option<Duration> {
    let mut longest = Duration::ZERO;
    for n in 0..WANTED {
        let began = Instant::now();
        match timeout(IN_TIME, wanted(n)).await {
            Ok(true) => longest = longest.max(began.elapsed()),
            _ => return None,
        }
    }
    Some(longest)
}

/// Posts a message of the edge by a connection of its own; whether the relay took it.
async fn post(relay: &RelayProcess, nonce: u8) -> bool {
    let message = ControlMessage {
        at_ms: loadgen::unix_s() * 1000,
        nonce: SessionId([nonce; 8]),
        command: ControlCommand::End {
            session: SessionId([1; 8]),
            player: PlayerKey([2; 16]),
            reason: EndReason::Kicked,
        },
    };
    let body = message.seal(&shard_key().subkeys(), relay.heartbeat.boot);
    let length = body.len();
    let request = format!(
        "POST {CONTROL_PATH} HTTP/1.1\r\nhost: relay\r\ncontent-length: {length}\r\n\r\n{body}"
    );
    let told = exchange(relay.control, request.as_bytes(), 12).await;
    told.is_ok_and(|told| told == b"HTTP/1.1 202")
}

/// Comes by TCP (RFC 6544) as a player of whom the relay has not heard; whether it is answered.
async fn come(relay: &RelayProcess, check: &[u8]) -> bool {
    let mut frame = (check.len() as u16).to_be_bytes().to_vec();
    frame.extend(check);
    let told = exchange(relay.media_tcp, &frame, 4).await;
    // A frame of some length, and in it a response of success (RFC 8489).
    told.is_ok_and(|told| told[2..] == [1, 1])
}

async fn exchange(to: SocketAddr, sent: &[u8], bytes: usize) -> std::io::Result<Vec<u8>> {
    let mut stream = TcpStream::connect(to).await?;
    stream.write_all(sent).await?;
    let mut told = vec![0; bytes];
    stream.read_exact(&mut told).await?;
    Ok(told)
}

/// Connections that had to go, for others or since they were late.
fn ended(relay: &RelayProcess, family: &str) -> u32 {
    let figures = relay.figures().unwrap();
    let of = |outcome| figures.sum(family, outcome) as u32;
    of("\"busy\"") + of("\"busy-source\"") + of("\"late\"")
}

fn run(test: impl Future<Output = ()>) {
    let _alone = crate::alone();
    // Two ends of each connection are in two processes.
    udp::raise_descriptor_limit().unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(test);
}

#[test]
fn the_edge_gets_in_whatever_holds_the_control_endpoint() {
    run(async {
        let relay = RelayProcess::start(&relay_program().unwrap()).unwrap();
        let mut nonces = 1..;
        let ways = [Held::Idle, Held::SlowHead, Held::NoBody, Held::KeptAlive];
        let mut took = Vec::new();
        for how in ways {
            let holders = hold_door(how, relay.control).await;
            let longest = longest(|_| post(&relay, nonces.next().expect("few"))).await;
            drop(holders);
            println!("{HELD} connections, {how:?}: messages of the edge took {longest:?} at most");
            took.push(longest);
        }
        assert!(took.iter().all(Option::is_some), "{took:?}");
        let family = "relay_control_accepts_total";
        assert!(ended(&relay, family) >= HELD - PLACES, "it was full");
        let taken = relay.figures().unwrap().sum(family, "\"taken\"");
        assert!(taken > 0.0, "the edge's were taken");
    });
}

#[test]
fn players_get_in_by_tcp_whoever_holds_every_place() {
    run(async {
        let relay = RelayProcess::start(&relay_program().unwrap()).unwrap();
        let number = |n: u8| 1_000_000 + u32::from(n);
        let check = |n| first_check(&relay, number(n)).unwrap();
        let checks: Vec<Vec<u8>> = (0..WANTED).map(check).collect();
        let holders = hold_door(Held::Idle, relay.media_tcp).await;
        let longest = longest(|n| come(&relay, &checks[usize::from(n)])).await;
        drop(holders);
        println!("{HELD} connections, idle: players by TCP took {longest:?} at most");
        assert!(longest.is_some(), "a player did not get in");
        let ended = ended(&relay, "relay_tcp_accepts_total");
        assert!(ended >= HELD - PLACES, "it was full");
    });
}
