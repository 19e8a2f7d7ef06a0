//! A player's stay in a room: attempts, reconnects and hand-overs, as `functions/web/sdk/room.js`.

mod moving;

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::time::Instant;

use quality::Settings;
use wire::channel::{ClientMessage, RelayMessage};
use wire::chat::{ChatChannel, ChatEvent};
use wire::join::JoinReply;
use wire::{PlayerId, ShardId};

use crate::adapter::Adapter;
use crate::cause::{Cause, Refusal, Verdict};
use crate::connection::{Connection, Event, Transmit};
use crate::options::Options;
use crate::roster::{Changed, View};
use crate::rtc::Voice;
use crate::schedule::{
    JOIN_MAX, Jitter, RETURN_WITHIN, attempt_after_loss, delay_before, ice_patience,
};
pub use moving::Heard;
use moving::Moving;

/// How a call is made.
#[derive(Clone)]
pub struct CallOptions {
    /// Of each of its connections; the patience is that of the schedule.
    pub connection: Options,
    /// Of the pauses between attempts.
    pub seed: u64,
}

/// Names the request for a reply of the edge.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct JoinId(u32);

/// Where a call stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum State {
    /// The first connection is not there yet.
    Connecting,
    /// Connected; it may be moving to another relay, which is not to be noticed.
    Connected,
    /// The connection was lost, for this cause, and another one is made.
    Reconnecting(Cause),
    /// It is over, for this cause.
    Ended(Cause),
}

/// What the application wants.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Command {
    /// Be silent for all, or hear nobody.
    State {
        /// Be silent for all.
        muted: bool,
        /// Hear nobody.
        deafened: bool,
    },
    /// A later hello of the edge, sealed: it changes who one is and what one may do. The relay
    /// answers with a new welcome, and ignores one that is not newer than the last.
    Hello {
        /// The text, unchanged.
        sealed: String,
    },
    /// Where one is, as a frame for the relay. It goes on a data channel of its own, which
    /// [`Options::positions`] asks for, and is lost rather than late.
    Position(Vec<u8>),
    /// The device is online again: do not wait until the pause is over.
    Online,
    /// Leave the room.
    Leave,
}

/// What happened in a call.
#[derive(Debug)]
pub enum CallEvent {
    /// Send this SDP offer to the edge (`POST /v1/rooms/{room}/sessions`), and bring its reply to
    /// [`Call::handle_reply`]. An older request has been given up.
    Join(JoinId, String),
    /// An attempt failed, and another one is made.
    Failed(Cause),
    /// The call stands elsewhere.
    State(State),
    /// Look at [`Call::view`] and [`Call::players`] again.
    Changed(Changed),
    /// Something happened in a chat channel.
    Chat(ChatChannel, Box<ChatEvent>),
    /// Somebody is heard.
    Heard(Heard),
    /// How well one is heard and hears has changed: see [`Call::quality`].
    Quality,
    /// The encoder should be set so from now on: [`Settings::copies`] go through a
    /// [`crate::Repeater`] where RED was negotiated.
    Settings(Settings),
}

/// How far an attempt is.
enum Attempt {
    /// Waits for its time.
    Pause(Instant),
    /// Waits for the edge, until then.
    Asked(JoinId, Box<Connection>, Instant),
    /// Waits for the relay's welcome.
    Opening(Box<Connection>),
}

/// A player's stay in a room. See the crate for how to drive it.
pub struct Call {
    options: CallOptions,
    jitter: Jitter,
    state: State,
    attempt: u32,
    joins: u32,
    joining: Option<Attempt>,
    /// The relay that the edge named last.
    named: Option<ShardId>,
    /// The relay of `current`.
    relay: Option<ShardId>,
    /// The relay that was lost last.
    lost: Option<ShardId>,
    current: Option<Box<Connection>>,
    moving: Option<Moving>,
    adapter: Adapter,
    /// What the relay said last of quality.
    quality: Option<RelayMessage>,
    /// Left ones, until the relay has heard it.
    leaving: Vec<Box<Connection>>,
    muted: bool,
    deafened: bool,
    transmits: VecDeque<Transmit>,
    events: VecDeque<CallEvent>,
}

impl Call {
    /// A call that begins with its first attempt at once.
    pub fn new(options: CallOptions, now: Instant) -> Self {
        let mut call = Self {
            jitter: Jitter::new(options.seed),
            options,
            state: State::Connecting,
            attempt: 0,
            joins: 0,
            joining: None,
            named: None,
            relay: None,
            lost: None,
            current: None,
            moving: None,
            adapter: Adapter::default(),
            quality: None,
            leaving: Vec::new(),
            muted: false,
            deafened: false,
            transmits: VecDeque::new(),
            events: VecDeque::new(),
        };
        call.begin(now, None);
        call
    }

    /// Where it stands.
    pub fn state(&self) -> &State {
        &self.state
    }

    /// The view of the relay that it is connected to.
    pub fn view(&self) -> Option<&View> {
        self.current.as_ref().map(|it| it.view())
    }

    /// How well one is heard and hears, as [`RelayMessage::Quality`]; none before the relay said
    /// it. After a move that of the relay before holds, until the next one speaks.
    pub fn quality(&self) -> Option<&RelayMessage> {
        self.quality.as_ref()
    }

    /// The players who are here, those included who are still on the relay that is being left.
    pub fn players(&self) -> std::collections::BTreeSet<PlayerId> {
        let mut players = self.view().map(View::players).unwrap_or_default();
        if let Some(moving) = &self.moving {
            players.extend(moving.left_behind());
        }
        players
    }

    /// The relay that was lost a moment ago: [`wire::join::JoinRequest::lost`] of the request that
    /// a [`CallEvent::Join`] asks for.
    pub fn lost(&self) -> Option<&ShardId> {
        self.lost.as_ref()
    }

    /// Whether two connections are there because the room moves.
    pub fn is_moving(&self) -> bool {
        self.moving.is_some()
    }

    /// Takes the edge's reply, or why there is none; one that is not waited for is ignored.
    pub fn handle_reply(&mut self, now: Instant, id: JoinId, reply: Result<JoinReply, Cause>) {
        let mut connection = match self.joining.take() {
            Some(Attempt::Asked(asked, connection, _)) if asked == id => connection,
            other => {
                self.joining = other;
                return;
            }
        };
        match reply {
            Ok(reply) => match connection.handle_reply(now, &reply) {
                Ok(()) => {
                    self.named = Some(reply.relay);
                    self.joining = Some(Attempt::Opening(connection));
                }
                Err(_) => self.fail(now, Cause::BadReply),
            },
            Err(cause) => self.fail(now, cause),
        }
        self.settle(now);
    }

    /// Takes a datagram, for whichever connection it is.
    pub fn handle_datagram(&mut self, now: Instant, from: SocketAddr, data: &[u8]) {
        let opening = match &mut self.joining {
            Some(Attempt::Opening(connection)) => Some(connection),
            _ => None,
        };
        let moving = self.moving.as_mut().map(|moving| &mut moving.from);
        let newest_first = opening.into_iter().chain(&mut self.current).chain(moving);
        for connection in newest_first.chain(&mut self.leaving) {
            if connection.accepts(now, from, data) {
                connection.handle_datagram(now, from, data);
                break;
            }
        }
        self.settle(now);
    }

    /// Lets time pass: due at [`Call::poll_timeout`], and harmless before.
    pub fn handle_timeout(&mut self, now: Instant) {
        match &mut self.joining {
            Some(Attempt::Pause(until)) if now >= *until => self.ask(now),
            Some(Attempt::Asked(_, _, until)) if now >= *until => {
                self.joining = None;
                self.fail(now, Cause::Network);
            }
            _ => {}
        }
        self.each(|connection| connection.handle_timeout(now));
        let settings = self.adapter.handle_timeout(now);
        self.events.extend(settings.map(CallEvent::Settings));
        let is_over = self
            .moving
            .as_mut()
            .is_some_and(|it| it.handle_timeout(now));
        if is_over {
            self.end_move(now);
        }
        self.settle(now);
    }

    /// Sends a voice packet to whoever can be reached: during a move on both relays.
    pub fn handle_voice(&mut self, now: Instant, voice: Voice) {
        if let Some(moving) = &mut self.moving {
            moving.from.handle_voice(now, voice.clone());
        }
        if let Some(current) = &mut self.current {
            current.handle_voice(now, voice);
        }
        self.settle(now);
    }

    /// Does what the application wants.
    pub fn handle_command(&mut self, now: Instant, command: Command) {
        match command {
            Command::State { muted, deafened } => {
                (self.muted, self.deafened) = (muted, deafened);
                self.say_state(now);
            }
            Command::Hello { sealed } => {
                if let Some(connection) = &mut self.current {
                    connection.handle_message(now, ClientMessage::Hello { sealed });
                }
            }
            Command::Position(frame) => {
                if let Some(connection) = &mut self.current {
                    // What is not sent now is old by the next one.
                    let _ = connection.handle_position(now, &frame);
                }
            }
            Command::Online => {
                if let Some(Attempt::Pause(until)) = &mut self.joining {
                    *until = now.min(*until);
                }
            }
            Command::Leave => self.finish(now, Cause::Left),
        }
        self.settle(now);
    }

    /// The next datagram to send.
    pub fn poll_transmit(&mut self) -> Option<Transmit> {
        self.transmits.pop_front()
    }

    /// What happened next.
    pub fn poll_event(&mut self) -> Option<CallEvent> {
        self.events.pop_front()
    }

    /// When [`Call::handle_timeout`] is due; none when the call is over and everybody knows.
    pub fn poll_timeout(&self) -> Option<Instant> {
        let joining = match &self.joining {
            Some(Attempt::Pause(at)) => Some(*at),
            Some(Attempt::Asked(_, _, until)) => Some(*until),
            Some(Attempt::Opening(connection)) => connection.poll_timeout(),
            None => None,
        };
        let moving = self.moving.as_ref().map(Moving::poll_timeout);
        let adapter = self.adapter.poll_timeout();
        let adapter = adapter.filter(|_| !matches!(self.state, State::Ended(_)));
        let connections = self.current.iter().chain(&self.leaving);
        let others = connections.filter_map(|it| it.poll_timeout());
        others.chain(joining).chain(moving).chain(adapter).min()
    }

    /// An attempt begins after its pause.
    fn begin(&mut self, now: Instant, retry_after: Option<std::time::Duration>) {
        let random = self.jitter.draw();
        let until = now + delay_before(self.attempt, random, retry_after);
        self.joining = Some(Attempt::Pause(until));
    }

    fn ask(&mut self, now: Instant) {
        let options = Options {
            patience: Some(ice_patience(self.attempt)),
            ..self.options.connection.clone()
        };
        match Connection::offer(options, now) {
            Ok((connection, offer)) => {
                self.joins += 1;
                let id = JoinId(self.joins);
                let until = now + JOIN_MAX;
                self.joining = Some(Attempt::Asked(id, Box::new(connection), until));
                self.events.push_back(CallEvent::Join(id, offer));
            }
            // An address that nobody can be reached at does not become another.
            Err(_) => self.finish(now, Cause::BadReply),
        }
    }

    /// An attempt failed.
    fn fail(&mut self, now: Instant, cause: Cause) {
        self.joining = None;
        if cause.verdict() == Verdict::Stop {
            return self.finish(now, cause);
        }
        let retry_after = match &cause {
            Cause::Refused(Refusal { retry_after, .. }) => *retry_after,
            _ => None,
        };
        if cause == Cause::RelayUnreachable {
            self.lost = self.named.take();
        }
        self.events.push_back(CallEvent::Failed(cause));
        self.attempt = self.attempt.saturating_add(1);
        self.begin(now, retry_after);
    }

    /// A connection is welcome: it is the current one, and one that there was is being left.
    fn adopt(&mut self, now: Instant, connection: Box<Connection>) {
        (self.relay, self.lost) = (self.named.take(), None);
        if let Some(from) = self.current.replace(connection) {
            self.end_move(now);
            self.moving = Some(Moving::new(from, now));
        }
        if self.muted || self.deafened {
            self.say_state(now);
        }
        self.set_state(State::Connected);
    }

    fn handle_current(&mut self, now: Instant, event: Event) {
        match event {
            Event::Connected | Event::Report(_) | Event::Reception(_) => {}
            Event::Voice(voice) => {
                let view = self.current.as_ref().map(|it| it.view());
                let player = view.and_then(|view| view.player_in(voice.slot.into()));
                let elsewhere = self.moving.as_ref().zip(player);
                // Each player is heard from exactly one relay.
                if !elsewhere.is_some_and(|(moving, player)| moving.plays(player)) {
                    let player = player.cloned();
                    let is_leaving = false;
                    self.events.push_back(CallEvent::Heard(Heard {
                        player,
                        is_leaving,
                        voice,
                    }));
                }
            }
            Event::Message(RelayMessage::Migrate, _) => self.move_away(now),
            Event::Message(message @ RelayMessage::Quality { .. }, _) => {
                let settings = self.adapter.handle_message(now, &message);
                self.quality = Some(message);
                self.events.push_back(CallEvent::Quality);
                self.events.extend(settings.map(CallEvent::Settings));
            }
            Event::Message(message, changed) => self.handle_message(now, message, changed),
            Event::Closed(cause) => self.handle_down(now, cause),
        }
    }

    fn handle_message(&mut self, now: Instant, message: RelayMessage, changed: Changed) {
        if let RelayMessage::Chat { channel, event } = message {
            return self.events.push_back(CallEvent::Chat(channel, event));
        }
        if changed.roster
            && let (Some(moving), Some(current)) = (&mut self.moving, &self.current)
        {
            moving.settle_later(current.view().players(), now);
        }
        if changed.any() {
            self.events.push_back(CallEvent::Changed(changed));
        }
    }

    fn handle_left_behind(&mut self, now: Instant, event: Event) {
        match event {
            Event::Voice(voice) => {
                let moving = self.moving.as_ref();
                let heard = moving.and_then(|moving| moving.heard(voice));
                self.events.extend(heard.map(CallEvent::Heard));
            }
            Event::Message(message, changed) => self.handle_message(now, message, changed),
            Event::Closed(_) => self.end_move(now),
            Event::Connected | Event::Report(_) | Event::Reception(_) => {}
        }
    }

    /// The current connection is over.
    fn handle_down(&mut self, now: Instant, cause: Cause) {
        let is_joining = self.joining.is_some();
        // While this side is joining again, it is itself who replaces the session.
        let is_own_doing = cause == Cause::Replaced && is_joining;
        if cause.verdict() == Verdict::Stop && !is_own_doing {
            return self.finish(now, cause);
        }
        let lost = self.current.take();
        self.lost = self.relay.take();
        if !is_joining {
            self.count_loss(now, lost.and_then(|it| it.welcome_at()));
        }
        self.end_move(now);
        self.set_state(State::Reconnecting(Cause::ConnectionLost));
        if self.joining.is_none() && self.attempt == 0 {
            // All of a relay lose it at once, and come back one after another.
            let until = now + RETURN_WITHIN.mul_f64(self.jitter.draw());
            self.joining = Some(Attempt::Pause(until));
        }
        self.reconnect(now);
    }

    /// The relay wants to be left for another one, and stays until that is done. One that says so
    /// again and again is left at the pace of the schedule.
    fn move_away(&mut self, now: Instant) {
        if self.joining.is_none() {
            self.count_loss(now, self.current.as_ref().and_then(|it| it.welcome_at()));
            self.reconnect(now);
        }
    }

    /// A connection that was welcome then is lost, or is to be left.
    fn count_loss(&mut self, now: Instant, welcome_at: Option<Instant>) {
        let lived = now.saturating_duration_since(welcome_at.unwrap_or(now));
        self.attempt = attempt_after_loss(self.attempt, lived);
    }

    fn reconnect(&mut self, now: Instant) {
        if self.joining.is_none() {
            self.begin(now, None);
        }
    }

    fn end_move(&mut self, now: Instant) {
        if let Some(moving) = self.moving.take() {
            self.leave(now, moving.from);
            self.events.push_back(CallEvent::Changed(Changed {
                roster: true,
                speaking: true,
                slots: false,
            }));
        }
    }

    fn leave(&mut self, now: Instant, mut connection: Box<Connection>) {
        connection.leave(now);
        self.leaving.push(connection);
    }

    fn say_state(&mut self, now: Instant) {
        let (muted, deafened) = (self.muted, self.deafened);
        let moving = self.moving.as_mut().map(|moving| &mut moving.from);
        for connection in self.current.iter_mut().chain(moving) {
            connection.handle_message(now, ClientMessage::State { muted, deafened });
        }
    }

    /// The one way out.
    fn finish(&mut self, now: Instant, cause: Cause) {
        if matches!(self.state, State::Ended(_)) {
            return;
        }
        // One that is on its way is known to the relay when it is welcome, and dropped before.
        self.joining = None;
        let moving = self.moving.take().map(|moving| moving.from);
        for connection in self.current.take().into_iter().chain(moving) {
            self.leave(now, connection);
        }
        self.set_state(State::Ended(cause));
    }

    fn set_state(&mut self, state: State) {
        if self.state != state {
            self.state = state.clone();
            self.events.push_back(CallEvent::State(state));
        }
    }

    /// Drains the connections until nothing more comes of it.
    fn settle(&mut self, now: Instant) {
        self.settle_opening(now);
        while let Some(event) = self.current.as_mut().and_then(|it| it.poll_event()) {
            self.handle_current(now, event);
        }
        while let Some(event) = self.moving.as_mut().and_then(|it| it.from.poll_event()) {
            self.handle_left_behind(now, event);
        }
        for connection in &mut self.leaving {
            while connection.poll_event().is_some() {}
        }
        let mut transmits = std::mem::take(&mut self.transmits);
        self.each(|connection| {
            transmits.extend(std::iter::from_fn(|| connection.poll_transmit()));
        });
        self.transmits = transmits;
        self.leaving.retain(|connection| !connection.is_closed());
    }

    /// A connection on its way counts from its welcome on; what comes before is nobody's business.
    fn settle_opening(&mut self, now: Instant) {
        let Some(Attempt::Opening(connection)) = &mut self.joining else {
            return;
        };
        while connection.welcome_at().is_none() {
            match connection.poll_event() {
                Some(Event::Closed(cause)) => return self.fail(now, cause),
                Some(_) => {}
                None => return,
            }
        }
        if let Some(Attempt::Opening(connection)) = self.joining.take() {
            self.adopt(now, connection);
        }
    }

    fn each(&mut self, mut act: impl FnMut(&mut Connection)) {
        if let Some(Attempt::Opening(connection)) = &mut self.joining {
            act(connection);
        }
        let moving = self.moving.as_mut().map(|moving| &mut moving.from);
        for connection in self
            .current
            .iter_mut()
            .chain(moving)
            .chain(&mut self.leaving)
        {
            act(connection);
        }
    }
}
