//! Each thing that a client may do, as fast as one player can, beside rooms of others.
//!
//! Large (`ATTACK=large`), each has a relay and bystanders of its own, and those notice nothing.
//! Small, all run one after another on one relay, and the shard's CPU time decides: bystanders
//! share the machine with other tests there.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use anyhow::Result;
use attacks::{Attacker, Bystanders, Scale, relay_program};
use client::Voice;
use loadgen::peer::{Noticed, Peer};
use loadgen::relay_process::RelayProcess;
use udp::SendBatch;
use wire::channel::ClientMessage;
use wire::fleet::Transport;

/// Times that he does a cheap thing at one of his turns, which are 5 ms apart.
const TIMES: u32 = 20;
/// Times that he does one with a socket of its own.
const DEAR_TIMES: u32 = 4;
/// Share of the shard that one player may take, whatever he does.
const CPU_SHARE_MAX: f64 = 0.15;
/// Largest 99th percentile of bystanders' latency where the machine is idle, milliseconds.
const P99_MAX_MS: f64 = 20.0;

/// One turn of his.
struct Turn<'a> {
    peer: &'a mut Peer,
    batch: &'a mut SendBatch,
    now: Instant,
    relay: &'a RelayProcess,
    seq: &'a mut u64,
}

impl Turn<'_> {
    fn say(&mut self, times: u32, message: impl Fn(u32) -> ClientMessage) {
        let mut noticed = Noticed::default();
        self.peer
            .act(self.now, self.batch, &mut noticed, |connection, now| {
                for n in 0..times {
                    connection.handle_message(now, message(n));
                }
            });
    }

    fn talk(&mut self, times: u32, other_sources: bool) {
        let mut noticed = Noticed::default();
        let seq = &mut *self.seq;
        self.peer
            .act(self.now, self.batch, &mut noticed, |connection, now| {
                for _ in 0..times {
                    *seq += 1;
                    if other_sources {
                        connection.change_source(0x1000_0000 + *seq as u32);
                    }
                    let voice = Voice {
                        seq: *seq,
                        time: (*seq as u32).wrapping_mul(960),
                        level: -10,
                        payload: vec![0; 60],
                        payload_type: None,
                    };
                    connection.handle_voice(now, voice);
                }
            });
    }

    /// Sends what was sent before and begins with one of these bytes (RFC 7983), again.
    fn repeat(&mut self, first: std::ops::RangeInclusive<u8>) {
        let kept: Vec<Vec<u8>> = self
            .peer
            .kept()
            .filter(|data| data.first().is_some_and(|byte| first.contains(byte)))
            .take(TIMES as usize)
            .map(<[u8]>::to_vec)
            .collect();
        for data in kept.iter().cycle().take(TIMES as usize) {
            self.send(data);
        }
    }

    fn send(&mut self, data: &[u8]) {
        self.batch.push(self.peer.socket(), self.peer.relay(), data);
    }

    /// Opens connections to the relay and writes to each; they are closed when the turn is over.
    fn knock(&mut self, address: &str, text: &[u8]) -> Result<()> {
        for _ in 0..DEAR_TIMES {
            let mut stream = TcpStream::connect(address)?;
            stream.set_read_timeout(Some(Duration::from_millis(20)))?;
            // It may be closed by now, which is an answer too.
            if stream.write_all(text).is_ok() {
                let _ = stream.read(&mut [0; 64]);
            }
        }
        Ok(())
    }
}

type Act = fn(&mut Turn<'_>) -> Result<()>;

const ACTS: [(&str, Act); 12] = [
    ("talks", |turn| {
        turn.talk(TIMES, false);
        Ok(())
    }),
    ("talks from ever new sources", |turn| {
        turn.talk(TIMES, true);
        Ok(())
    }),
    ("mutes and unmutes", |turn| {
        turn.say(TIMES, |n| ClientMessage::State {
            muted: n % 2 == 0,
            deafened: n % 4 == 0,
        });
        Ok(())
    }),
    ("pings", |turn| {
        turn.say(TIMES, |id| ClientMessage::Ping { id });
        Ok(())
    }),
    ("says hello again", |turn| {
        let sealed = turn.peer.hello().unwrap_or_default().to_owned();
        turn.say(TIMES, |_| ClientMessage::Hello {
            sealed: sealed.clone(),
        });
        Ok(())
    }),
    ("says what nobody knows", |turn| {
        turn.say(TIMES, |_| ClientMessage::Unknown);
        Ok(())
    }),
    ("checks connectivity", |turn| {
        turn.repeat(0..=3);
        Ok(())
    }),
    ("repeats its handshake", |turn| {
        turn.repeat(20..=63);
        Ok(())
    }),
    ("repeats its voice", |turn| {
        turn.talk(1, false);
        turn.repeat(128..=191);
        Ok(())
    }),
    ("joins and leaves", |turn| {
        let mut noticed = Noticed::default();
        let (batch, now) = (&mut *turn.batch, turn.now);
        turn.peer.act(now, batch, &mut noticed, |connection, now| {
            if connection.welcome_at().is_some() {
                connection.leave(now);
            }
        });
        Ok(())
    }),
    ("connects over TCP", |turn| {
        let candidates = &turn.relay.heartbeat.candidates;
        let tcp = candidates
            .iter()
            .find(|candidate| candidate.transport == Transport::Tcp);
        let Some(tcp) = tcp else {
            return Ok(());
        };
        turn.knock(&tcp.address.to_string(), &[0, 4, 0, 1, 0, 0])
    }),
    ("knocks at the control endpoint", |turn| {
        let url = turn.relay.heartbeat.control_url.clone();
        let address = url.trim_start_matches("http://").trim_end_matches('/');
        let body = b"POST /v1/control HTTP/1.1\r\nhost: x\r\ncontent-length: 4\r\n\r\nxxxx";
        turn.knock(address, body)
    }),
];

/// Bystanders beside some acts; what they took of the shard, and what was noticed.
fn attacked(acts: &[(&str, Act)], scale: Scale, time: Duration) {
    let relay = RelayProcess::start(&relay_program().unwrap()).unwrap();
    let bystanders = Bystanders::join(&relay, scale).unwrap();
    bystanders.talk();
    let mut seq = 0;
    for (nth, (name, act)) in (0..).zip(acts) {
        // Among them, unless they would count his voice as theirs.
        let room = if name.contains("voice") || name.contains("talks") {
            "attacked"
        } else {
            "honest-0"
        };
        let mut attacker = Attacker::join_room(&relay, room, nth).unwrap();
        let before = relay.figures().unwrap();
        let done = attacker.keep_doing(time, |peer, batch, now| {
            act(&mut Turn {
                peer,
                batch,
                now,
                relay: &relay,
                seq: &mut seq,
            })
        });
        done.unwrap();
        let after = relay.figures().unwrap();
        let share = (after.cpu_s() - before.cpu_s()) / time.as_secs_f64();
        println!("one who {name}: {:.1} % of the shard", share * 100.0);
        assert!(
            share <= CPU_SHARE_MAX,
            "one who {name} takes {share:.2} of the shard"
        );
    }
    let noticed = bystanders.finish(&relay).unwrap();
    println!(
        "bystanders' p99 {:.1} ms, loss {:.3} %",
        noticed.p99_ms,
        noticed.loss * 100.0
    );
    assert!(noticed.loss <= scale.most_loss, "{noticed:?}");
    assert!(
        !scale.is_large || noticed.p99_ms <= P99_MAX_MS,
        "{noticed:?}"
    );
}

#[test]
fn whatever_one_client_does_at_full_speed_others_stay_near_quiet() {
    let _alone = crate::alone();
    let scale = Scale::wanted();
    if scale.is_large {
        for act in ACTS.chunks(1) {
            attacked(act, scale, scale.time);
        }
    } else {
        attacked(&ACTS, scale, Duration::from_secs(1));
    }
}
