//! One connection to one relay: offer, answer, hello, heartbeat, end. It is used once; the next one
//! is another.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use str0m::channel::{ChannelConfig, ChannelId};
use str0m::crypto::dtls::ProtocolVersion;
use str0m::net::Receive;
use str0m::{Event as RtcEvent, IceConnectionState, Input, Output};
use wire::channel::{ClientMessage, POSITIONS_LABEL, RelayMessage};
use wire::join::JoinReply;
use wire::limits::MAX_SLOTS;

use crate::cause::Cause;
use crate::heartbeat::{Beat, Heartbeat};
use crate::options::Options;
use crate::roster::{Changed, View};
use crate::rtc::{
    BadSetup, Contact, Media, Reception, SlotReport, Voice, VoiceReceived, reception,
};

/// From the edge's answer to the relay's welcome: ICE, DTLS, SCTP and the hello.
pub const WELCOME_MAX: Duration = Duration::from_secs(8);
/// How long an orderly leave waits for the relay's word before the connection is cut.
pub const LEAVE_MAX: Duration = Duration::from_millis(300);
/// The longest message taken, bytes: what browsers deliver in one piece.
const MESSAGE_BYTES_MAX: usize = 256 * 1024;
/// Messages that wait for the data channel to open; the application may not send more before.
const WAITING_MAX: usize = 64;
/// After an error of str0m it is asked again after this.
const RETRY: Duration = Duration::from_millis(20);
/// The shortest time from one timeout to the next.
const STEP_MIN: Duration = Duration::from_micros(100);

/// A datagram to send.
#[derive(Debug)]
pub struct Transmit {
    /// To whom.
    pub destination: SocketAddr,
    /// The datagram.
    pub data: Vec<u8>,
}

/// What happened on a connection.
#[derive(Debug)]
pub enum Event {
    /// The handshake is done: voice flows from now on.
    Connected,
    /// The relay said something; [`Connection::view`] has it already.
    Message(RelayMessage, Changed),
    /// Somebody is heard.
    Voice(VoiceReceived),
    /// The relay said what it has sent in a slot, each few seconds while it sends.
    Report(SlotReport),
    /// The relay said how it receives the own voice, if [`Options::reception_every`] asks for it.
    Reception(Reception),
    /// It is over; nothing comes after this.
    Closed(Cause),
}

/// A connection to a relay. See the crate for how to drive it.
pub struct Connection {
    options: Options,
    media: Media,
    view: View,
    hello: Option<String>,
    channel: Option<ChannelId>,
    positions: Option<ChannelId>,
    waiting: VecDeque<ClientMessage>,
    heartbeat: Option<Heartbeat>,
    welcome_at: Option<Instant>,
    is_connected: bool,
    is_closed: bool,
    ice_deadline: Option<Instant>,
    welcome_deadline: Option<Instant>,
    leave_deadline: Option<Instant>,
    media_at: Instant,
    transmits: VecDeque<Transmit>,
    events: VecDeque<Event>,
}

impl Connection {
    /// A connection that waits for [`Connection::handle_contact`].
    pub fn new(options: Options, now: Instant) -> Self {
        Self {
            media: Media::new(&options, now),
            view: View::new(options.slots),
            options,
            hello: None,
            channel: None,
            positions: None,
            waiting: VecDeque::new(),
            heartbeat: None,
            welcome_at: None,
            is_connected: false,
            is_closed: false,
            ice_deadline: None,
            welcome_deadline: None,
            leave_deadline: None,
            media_at: now,
            transmits: VecDeque::new(),
            events: VecDeque::new(),
        }
    }

    /// A connection that waits for [`Connection::handle_reply`], and its SDP offer, which goes to
    /// the edge in a [`wire::join::JoinRequest`].
    ///
    /// # Errors
    /// A sentence, when the address is none to be reached at.
    pub fn offer(options: Options, now: Instant) -> Result<(Self, String), &'static str> {
        let mut connection = Self::new(options, now);
        let offer = connection.media.offer(&connection.options)?;
        Ok((connection, offer))
    }

    /// The SHA-256 of the own certificate, to which a ticket is bound.
    pub fn fingerprint(&mut self) -> Vec<u8> {
        self.media.fingerprint()
    }

    /// The version of DTLS that was agreed on; none before the handshake is done.
    pub fn dtls_version(&mut self) -> Option<ProtocolVersion> {
        self.media.rtc.direct_api().dtls_protocol_version()
    }

    /// This relay's view of the room.
    pub fn view(&self) -> &View {
        &self.view
    }

    /// Whether the handshake is done and the connection is not over.
    pub fn is_connected(&self) -> bool {
        self.is_connected && !self.is_closed
    }

    /// Whether it is over.
    pub fn is_closed(&self) -> bool {
        self.is_closed
    }

    /// When the relay said welcome.
    pub fn welcome_at(&self) -> Option<Instant> {
        self.welcome_at
    }

    /// Whether it has been left and waits for the relay's word.
    pub fn is_leaving(&self) -> bool {
        self.leave_deadline.is_some()
    }

    /// Last round-trip time of a ping.
    pub fn round_trip(&self) -> Option<Duration> {
        self.heartbeat.as_ref()?.round_trip()
    }

    /// Takes the edge's reply to the offer, and starts to connect.
    ///
    /// # Errors
    /// A sentence, when its answer is none that one can connect with; the connection is of no use.
    pub fn handle_reply(&mut self, now: Instant, reply: &JoinReply) -> Result<(), BadSetup> {
        self.media.accept(&reply.answer)?;
        self.start(now, Some(reply.hello.clone()));
        Ok(())
    }

    /// Takes what an answer would say, where tickets are made without the edge.
    ///
    /// # Errors
    /// A sentence, when one cannot connect with it; the connection is of no use.
    pub fn handle_contact(&mut self, now: Instant, contact: Contact) -> Result<(), BadSetup> {
        let hello = contact.hello.clone();
        self.view = View::new(contact.slot_ssrcs.len().min(MAX_SLOTS) as u8);
        self.media.connect(&self.options, contact)?;
        self.start(now, hello);
        Ok(())
    }

    fn start(&mut self, now: Instant, hello: Option<String>) {
        self.hello = hello;
        let watched = self.options.patience;
        self.ice_deadline = watched.map(|patience| now + patience);
        self.welcome_deadline = watched.map(|_| now + WELCOME_MAX);
        self.media_at = now;
    }

    /// Whether a datagram is for this connection, of several over one socket.
    pub fn accepts(&self, now: Instant, from: SocketAddr, data: &[u8]) -> bool {
        let received = Receive::new(self.options.protocol, from, self.options.local, data);
        let input = received.map(|received| Input::Receive(now, received));
        !self.is_closed && input.is_ok_and(|input| self.media.rtc.accepts(&input))
    }

    /// Takes a datagram. One that is nobody's is ignored.
    pub fn handle_datagram(&mut self, now: Instant, from: SocketAddr, data: &[u8]) {
        if self.is_closed {
            return;
        }
        let received = Receive::new(self.options.protocol, from, self.options.local, data);
        if let Ok(received) = received {
            // A datagram that str0m does not like is its own loss.
            let _ = self.media.rtc.handle_input(Input::Receive(now, received));
            self.drain(now);
        }
    }

    /// Lets time pass: due at [`Connection::poll_timeout`], and harmless before.
    pub fn handle_timeout(&mut self, now: Instant) {
        if self.is_closed {
            return;
        }
        self.advance(now);
        let due = |deadline: Option<Instant>| deadline.is_some_and(|at| now >= at);
        if due(self.leave_deadline) {
            return self.close(Cause::Left);
        }
        if due(self.ice_deadline) || due(self.welcome_deadline) {
            return self.close(Cause::RelayUnreachable);
        }
        match self
            .heartbeat
            .as_mut()
            .map(|heart| heart.handle_timeout(now))
        {
            Some(Beat::Ping(id)) => self.handle_message(now, ClientMessage::Ping { id }),
            Some(Beat::Dead) => self.close(Cause::ConnectionLost),
            Some(Beat::Nothing) | None => {}
        }
    }

    /// Sends a message, once the data channel is open. More than 64 before that are not kept.
    pub fn handle_message(&mut self, now: Instant, message: ClientMessage) {
        if self.is_closed {
        } else if self.channel.is_none() {
            if self.waiting.len() < WAITING_MAX {
                self.waiting.push_back(message);
            }
        } else {
            self.write(&message);
            self.advance(now);
        }
    }

    /// Sends bytes on the data channel, whatever they are, if it is open.
    pub fn handle_bytes(&mut self, now: Instant, message: &[u8]) {
        self.write_bytes(message);
        self.advance(now);
    }

    /// Opens another data channel, which is for nothing that a relay knows: what a client may do
    /// that means no good.
    pub fn open_channel(&mut self, now: Instant, label: &str) {
        let config = ChannelConfig {
            label: label.to_owned(),
            ..ChannelConfig::default()
        };
        self.media.rtc.direct_api().create_data_channel(config);
        self.advance(now);
    }

    /// Sends a byte on a stream of SCTP that nobody has announced, likewise.
    pub fn use_stream(&mut self, now: Instant, stream: u16) {
        let config = ChannelConfig {
            negotiated: Some(stream),
            ..ChannelConfig::default()
        };
        let id = self.media.rtc.direct_api().create_data_channel(config);
        self.advance(now);
        if let Some(mut channel) = self.media.rtc.channel(id) {
            let _ = channel.write(true, &[0]);
        }
        self.advance(now);
    }

    /// Sends a frame on the data channel for positions, if [`Options::positions`] asked for one and
    /// it is open. Whether it was sent.
    pub fn handle_position(&mut self, now: Instant, frame: &[u8]) -> bool {
        let channel = self.positions.filter(|_| !self.is_closed);
        let Some(mut channel) = channel.and_then(|id| self.media.rtc.channel(id)) else {
            return false;
        };
        let sent = channel.write(true, frame).unwrap_or(false);
        self.advance(now);
        sent
    }

    /// Sends a voice packet, if the handshake is done. Whether it was sent.
    pub fn handle_voice(&mut self, now: Instant, voice: Voice) -> bool {
        let sent = self.is_connected() && self.media.send(now, voice);
        if sent {
            self.advance(now);
        }
        sent
    }

    /// Sends voice from another source from now on, as after a change of device.
    pub fn change_source(&mut self, source: u32) {
        self.media.change_source(source);
    }

    /// Says goodbye; the connection is over when the relay has heard it, or soon after.
    pub fn leave(&mut self, now: Instant) {
        if self.is_closed || self.leave_deadline.is_some() {
            return;
        }
        if self.channel.is_none() {
            return self.close(Cause::Left);
        }
        self.leave_deadline = Some(now + LEAVE_MAX);
        self.handle_message(now, ClientMessage::Leave);
    }

    /// Ends it at once and without a word.
    pub fn close(&mut self, cause: Cause) {
        if !self.is_closed {
            self.is_closed = true;
            self.events.push_back(Event::Closed(cause));
        }
    }

    /// The next datagram to send.
    pub fn poll_transmit(&mut self) -> Option<Transmit> {
        self.transmits.pop_front()
    }

    /// What happened next.
    pub fn poll_event(&mut self) -> Option<Event> {
        self.events.pop_front()
    }

    /// When [`Connection::handle_timeout`] is due; none when the connection is over.
    pub fn poll_timeout(&self) -> Option<Instant> {
        if self.is_closed {
            return None;
        }
        let heartbeat = self.heartbeat.as_ref().map(Heartbeat::timeout_at);
        let deadlines = [
            self.ice_deadline,
            self.welcome_deadline,
            self.leave_deadline,
        ];
        let others = deadlines.into_iter().chain([heartbeat]).flatten();
        others.chain([self.media_at]).min()
    }

    /// str0m wants the time before it is polled, and to be polled between two inputs.
    fn advance(&mut self, now: Instant) {
        let _ = self.media.rtc.handle_input(Input::Timeout(now));
        self.drain(now);
    }

    fn drain(&mut self, now: Instant) {
        while !self.is_closed {
            match self.media.rtc.poll_output() {
                Ok(Output::Timeout(at)) => {
                    self.media_at = at.max(now + STEP_MIN);
                    break;
                }
                Ok(Output::Transmit(transmit)) => self.transmits.push_back(Transmit {
                    destination: transmit.destination,
                    data: transmit.contents.into(),
                }),
                Ok(Output::Event(event)) => self.handle_event(now, event),
                Err(_) => {
                    self.media_at = now + RETRY;
                    break;
                }
            }
        }
        if !self.media.rtc.is_alive() {
            self.lose();
        }
    }

    fn handle_event(&mut self, now: Instant, event: RtcEvent) {
        match event {
            RtcEvent::Connected => {
                self.is_connected = true;
                self.events.push_back(Event::Connected);
            }
            RtcEvent::IceConnectionStateChange(state) => match state {
                IceConnectionState::Connected | IceConnectionState::Completed => {
                    self.ice_deadline = None;
                }
                IceConnectionState::Disconnected => self.lose(),
                _ => {}
            },
            RtcEvent::RtpPacket(packet) => {
                let voice = self.media.received(packet).map(Event::Voice);
                self.events.extend(voice);
            }
            RtcEvent::ChannelOpen(id, label) if label == POSITIONS_LABEL => {
                self.positions = Some(id);
            }
            RtcEvent::SenderFeedback(feedback) => {
                let report = self.media.reported(&feedback).map(Event::Report);
                self.events.extend(report);
            }
            RtcEvent::MediaEgressStats(stats) => {
                self.events.extend(reception(&stats).map(Event::Reception));
            }
            RtcEvent::ChannelOpen(id, _) => {
                self.channel = Some(id);
                let sealed = self.hello.take();
                let hello = sealed.map(|sealed| ClientMessage::Hello { sealed });
                let waiting = std::mem::take(&mut self.waiting);
                for message in hello.into_iter().chain(waiting) {
                    self.write(&message);
                }
            }
            RtcEvent::ChannelData(data) if Some(data.id) == self.channel => {
                self.read(now, &data.data);
            }
            RtcEvent::ChannelClose(id) if Some(id) == self.positions => self.positions = None,
            RtcEvent::ChannelClose(_) | RtcEvent::Closed => self.lose(),
            _ => {}
        }
    }

    /// The connection broke, or the relay closed it.
    fn lose(&mut self) {
        self.close(match (self.leave_deadline, self.welcome_at) {
            (Some(_), _) => Cause::Left,
            (None, Some(_)) => Cause::ConnectionLost,
            (None, None) => Cause::RelayUnreachable,
        });
    }

    fn read(&mut self, now: Instant, data: &[u8]) {
        if let Some(heartbeat) = &mut self.heartbeat {
            heartbeat.handle_received(now);
        }
        if data.len() > MESSAGE_BYTES_MAX {
            return;
        }
        // What is no message is ignored, as an unknown one is.
        let Ok(message) = RelayMessage::read(data) else {
            return;
        };
        let changed = self.view.apply(&message);
        let ended = match &message {
            RelayMessage::Ended { .. } if self.leave_deadline.is_some() => Some(Cause::Left),
            RelayMessage::Ended { reason } => {
                Some(Cause::of_end(*reason, self.welcome_at.is_some()))
            }
            _ => None,
        };
        match &message {
            RelayMessage::Welcome { .. } if self.welcome_at.is_none() => {
                self.welcome_at = Some(now);
                (self.ice_deadline, self.welcome_deadline) = (None, None);
                let watched = self.options.patience;
                self.heartbeat = watched.map(|_| Heartbeat::new(now));
            }
            RelayMessage::Pong { id } => {
                if let Some(heartbeat) = &mut self.heartbeat {
                    heartbeat.handle_pong(*id, now);
                }
            }
            _ => {}
        }
        self.events.push_back(Event::Message(message, changed));
        if let Some(cause) = ended {
            self.close(cause);
        }
    }

    fn write(&mut self, message: &ClientMessage) {
        let text = serde_json::to_vec(message).expect("a message has string keys only");
        self.write_bytes(&text);
    }

    fn write_bytes(&mut self, message: &[u8]) {
        let channel = self.channel.and_then(|id| self.media.rtc.channel(id));
        if let Some(mut channel) = channel {
            // A full buffer is a network that has been bad for long: the heartbeat decides.
            let _ = channel.write(false, message);
        }
    }
}
