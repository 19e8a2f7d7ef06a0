//! A player: a call of the native client behind a NAT, what he says, and what he hears.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use ::client::{
    Call, CallEvent, CallOptions, Cause, Command, JoinId, Options, Refusal, State, Voice,
};
use edge::http::{Request, Response};
use edge::testing::calls;
use edge::testing::host::{self, signing_key};
use serde_json::{Value, json};
use str0m::config::{CryptoProvider, DtlsCert};
use wire::claims::{Claims, Grant, Permission};
use wire::join::JoinReply;
use wire::{PlayerId, SessionId};

use super::air::UNIX_MS;
use super::ground::ROOMS;
use crate::chance::Chance;
use crate::network::{Link, Weather};

/// Time between two voice packets: longer than a client's, so that a run costs less, and shorter
/// than the pause by which a relay takes a speaker for silent.
const PACKET_TIME: Duration = Duration::from_millis(200);
const PACKET_TICKS: u32 = 9600;
/// Who can be heard at once: all the others of a room.
const SLOTS: u8 = 4;
const VOICE_BYTES: usize = 40;

/// A datagram between a player, by the address that the relay sees, and a relay.
#[derive(Clone)]
pub(super) struct Packet {
    pub(super) relay: SocketAddr,
    pub(super) player: SocketAddr,
    pub(super) data: Vec<u8>,
}

impl AsRef<[u8]> for Packet {
    fn as_ref(&self) -> &[u8] {
        &self.data
    }
}

/// Somebody was heard.
#[derive(Debug, Clone)]
pub(super) struct Heard {
    /// Who sent it, as the packet says.
    pub(super) speaker: usize,
    /// Who it is, as the relay says.
    pub(super) player: Option<PlayerId>,
}

pub(super) struct Player {
    pub(super) n: usize,
    pub(super) id: PlayerId,
    pub(super) room: usize,
    pub(super) call: Call,
    /// As relays see it.
    pub(super) address: SocketAddr,
    pub(super) up: Link<Packet>,
    pub(super) down: Link<Packet>,
    pub(super) weather: Weather,
    /// Since when his network is as good as it gets, with the address that he has.
    pub(super) calm_since: Instant,
    /// Since when his call stands where it does.
    pub(super) state_since: Instant,
    pub(super) talks_since: Option<Instant>,
    /// He wants to be in the room.
    pub(super) stays: bool,
    /// The sessions that the edge has granted, and when they were asked for.
    pub(super) admitted: Vec<(Instant, SessionId)>,
    pub(super) heard: Vec<Heard>,
    /// What he asks of the edge.
    pub(super) asks: Vec<(JoinId, Value)>,
    /// His machine sleeps until then.
    pub(super) asleep_until: Option<Instant>,
    /// The room that his token is for.
    pub(super) joins: usize,
    authorization: String,
    local: SocketAddr,
    seq: u64,
    time: u32,
    count: u32,
    voice_at: Instant,
    acted: bool,
}

impl Player {
    pub(super) fn new(
        now: Instant,
        n: usize,
        (room, joins): (usize, usize),
        (crypto, certificate): (&Arc<CryptoProvider>, DtlsCert),
        chance: &mut Chance,
    ) -> Self {
        let local = SocketAddr::from(([10, 1, 0, n as u8 + 1], 5000));
        let mut connection = Options::new(Arc::clone(crypto), certificate, local);
        connection.slots = SLOTS;
        let options = CallOptions {
            connection,
            seed: chance.any(),
        };
        let id: PlayerId = format!("p{n}").parse().expect("a name of a player");
        Self {
            n,
            authorization: calls::bearer(&claims(&id, joins), &signing_key()),
            id,
            room,
            call: Call::new(options, now),
            address: local,
            up: Link::new(Weather::Calm, chance),
            down: Link::new(Weather::Calm, chance),
            weather: Weather::Calm,
            calm_since: now,
            state_since: now,
            talks_since: None,
            stays: true,
            admitted: Vec::new(),
            heard: Vec::new(),
            asks: Vec::new(),
            asleep_until: None,
            joins,
            local,
            seq: chance.between(0, 1 << 15),
            time: chance.any() as u32,
            count: 0,
            voice_at: now,
            acted: true,
        }
    }

    /// Whether his call says that it is connected.
    pub(super) fn is_connected(&self) -> bool {
        *self.call.state() == State::Connected
    }

    /// Whether his call is over, whoever ended it.
    pub(super) fn is_over(&self) -> bool {
        matches!(self.call.state(), State::Ended(_))
    }

    pub(super) fn talk(&mut self, now: Instant, talks: bool) {
        if talks && self.talks_since.is_none() {
            // RTP time goes on while nothing is said.
            let silent = now.saturating_duration_since(self.voice_at).as_millis() as u32;
            self.time = self.time.wrapping_add(silent.wrapping_mul(48));
            (self.voice_at, self.talks_since) = (now, Some(now));
        } else if !talks {
            self.talks_since = None;
        }
    }

    pub(super) fn leave(&mut self, now: Instant) {
        self.stays = false;
        self.call.handle_command(now, Command::Leave);
        self.acted = true;
    }

    /// His machine sleeps for a while, and hears nothing meanwhile.
    pub(super) fn sleep(&mut self, until: Instant) {
        self.asleep_until = Some(until);
        self.calm_since = until;
    }

    pub(super) fn change_weather(&mut self, now: Instant, weather: Weather, chance: &mut Chance) {
        self.up.change(weather, chance);
        self.down.change(weather, chance);
        self.weather = weather;
        self.calm_since = now;
    }

    pub(super) fn next_at(&self, now: Instant) -> Option<Instant> {
        let arrives = self.down.next_at();
        if let Some(until) = self.asleep_until {
            return arrives.into_iter().chain([until]).min();
        }
        let says = self.talks_since.filter(|_| self.is_connected());
        let own = [
            self.acted.then_some(now),
            says.map(|_| self.voice_at),
            self.call.poll_timeout(),
            arrives,
        ];
        own.into_iter().flatten().min()
    }

    /// Lets time pass, and takes what has arrived.
    pub(super) fn advance(&mut self, now: Instant) {
        let arrived = self.down.arrived(now);
        if self.asleep_until.is_some_and(|until| now < until) {
            return;
        }
        self.asleep_until = None;
        for packet in arrived {
            // What was sent to an address that the NAT has given up is lost.
            if packet.player == self.address {
                self.call.handle_datagram(now, packet.relay, &packet.data);
            }
        }
        if self.talks_since.is_some() && self.is_connected() && now >= self.voice_at {
            self.say(now);
        }
        if self.call.poll_timeout().is_some_and(|at| at <= now) {
            self.call.handle_timeout(now);
        }
        self.settle(now);
    }

    fn say(&mut self, now: Instant) {
        let missed = now.saturating_duration_since(self.voice_at).as_millis() as u64;
        let packets = 1 + missed / PACKET_TIME.as_millis() as u64;
        self.voice_at += PACKET_TIME * packets as u32;
        self.time = self
            .time
            .wrapping_add(PACKET_TICKS.wrapping_mul(packets as u32));
        (self.seq, self.count) = (self.seq + 1, self.count + 1);
        let mut payload = (self.n as u16).to_be_bytes().to_vec();
        payload.resize(VOICE_BYTES, 0x55);
        let voice = Voice {
            seq: self.seq,
            time: self.time,
            level: -20,
            payload,
            payload_type: None,
        };
        self.call.handle_voice(now, voice);
    }

    /// Takes what the call wants to send, ask and tell.
    fn settle(&mut self, now: Instant) {
        self.acted = false;
        while let Some(transmit) = self.call.poll_transmit() {
            let packet = Packet {
                relay: transmit.destination,
                player: self.address,
                data: transmit.data,
            };
            self.up.send(now, packet);
        }
        while let Some(event) = self.call.poll_event() {
            match event {
                CallEvent::Join(id, offer) => {
                    let lost = self.call.lost();
                    self.asks
                        .push((id, json!({ "offer": offer, "lost": lost })));
                }
                CallEvent::State(_) => self.state_since = now,
                CallEvent::Heard(heard) => {
                    let speaker = heard.voice.payload.first_chunk();
                    self.heard.extend(speaker.map(|speaker| Heard {
                        speaker: u16::from_be_bytes(*speaker).into(),
                        player: heard.player,
                    }));
                }
                CallEvent::Failed(_) | CallEvent::Changed(_) | CallEvent::Chat(..) => {}
                CallEvent::Quality | CallEvent::Settings(_) => {}
            }
        }
    }

    /// A join of a room.
    pub(super) fn request(&self, body: &Value, room: &str) -> Request {
        let path = format!("/v1/rooms/{room}/sessions");
        calls::request(self.authorization.clone(), "POST", &path, body)
    }

    /// The edge's reply to a join that was asked for then; none where there was none.
    pub(super) fn handle_reply(
        &mut self,
        now: Instant,
        (id, asked_at): (JoinId, Instant),
        reply: Option<&Response>,
    ) {
        let reply = match reply {
            None => Err(Cause::Network),
            Some(reply) if reply.status < 300 => {
                let reply: JoinReply = calls::read(reply);
                self.admitted.push((asked_at, reply.session.session));
                Ok(reply)
            }
            Some(reply) => Err(Cause::Refused(refusal(reply))),
        };
        self.call.handle_reply(now, id, reply);
        self.acted = true;
    }

    /// Gets another address from the network, as a telephone does that leaves the house.
    pub(super) fn roam(&mut self, now: Instant, times: u8) {
        let [a, b, c, _] = [10, 2, times, 0];
        self.address = SocketAddr::from(([a, b, c, self.n as u8 + 1], self.local.port()));
        self.calm_since = now;
    }
}

fn refusal(reply: &Response) -> Refusal {
    let retry_after = reply.header("retry-after");
    Refusal {
        status: reply.status,
        problem: calls::problem(reply),
        retry_after: retry_after
            .and_then(|seconds| seconds.parse().ok())
            .map(Duration::from_secs),
    }
}

/// What a player's token says.
fn claims(player: &PlayerId, room: usize) -> Claims {
    Claims {
        iat: Some(UNIX_MS / 1000 - 60),
        grants: vec![Grant {
            room: ROOMS[room].into(),
            channels: vec!["*".into()],
            permissions: vec![Permission::Speak, Permission::Listen],
        }],
        ..host::claims(player.as_str(), None)
    }
}

/// The header of who has a role, and moderates every room.
pub(super) fn authority(role: Option<wire::claims::Role>) -> String {
    let grants = ROOMS.map(|room| Grant {
        room: room.into(),
        channels: vec!["*".into()],
        permissions: vec![Permission::Moderate],
    });
    let claims = Claims {
        iat: Some(UNIX_MS / 1000 - 60),
        grants: grants.into(),
        ..host::claims("authority", role)
    };
    calls::bearer(&claims, &signing_key())
}
