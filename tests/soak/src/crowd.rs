//! Callers who come, talk, write and go.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use anyhow::Result;
use bench_report::{Aim, Report};
use drill::caller::{Caller, Line, Role};
use drill::now;
use hyper::{Method, StatusCode};
use serde_json::json;

/// Callers of a room.
const ROOM_SIZE: u64 = 5;
/// So many callers after each other are of one generation: its rooms are new, and go where there is
/// room, so that every relay gets some again after a fault.
const GENERATION: u64 = 60;

/// Who is not in after this does not get in.
const JOIN_LIMIT: Duration = Duration::from_secs(20);

/// Callers, the one who has been here longest first.
pub(crate) struct Crowd {
    line: Line,
    name: String,
    size: usize,
    here: VecDeque<(Instant, Caller)>,
    /// Callers that there were.
    pub(crate) came: u64,
    /// Messages that the edge took.
    written: u64,
    /// Messages that it did not take.
    unwritten: u64,
    /// Calls that were lost, of those who have gone.
    lost: u64,
    /// Of those who have gone, how many tried for [`JOIN_LIMIT`] and never were in a call.
    never_in: u64,
}

impl Crowd {
    /// Of so many at once; `name` begins the names of players and rooms.
    pub(crate) fn new(line: Line, name: String, size: usize) -> Self {
        Self {
            line,
            name,
            size,
            here: VecDeque::new(),
            came: 0,
            written: 0,
            unwritten: 0,
            lost: 0,
            never_in: 0,
        }
    }

    /// One comes, and when it is full, one goes.
    ///
    /// # Errors
    /// When no socket can be had.
    pub(crate) async fn change(&mut self) -> Result<()> {
        let (generation, slot) = (self.came / GENERATION, self.came % GENERATION);
        let role = Role {
            // The next who has this number comes when this one has long gone.
            number: (self.came % 60_000) as u16,
            player: format!("{}-p{}", self.name, self.came),
            room: format!("{}-{generation}-{}", self.name, slot / ROOM_SIZE),
            speaks: self.came.is_multiple_of(2),
            notes: false,
        };
        self.came += 1;
        let caller = Caller::start(&self.line, role).await?;
        self.here.push_back((now(), caller));
        if self.here.len() > self.size
            && let Some((came_at, first)) = self.here.pop_front()
        {
            self.note(&first, came_at);
            // As a player does, or as one whose battery is empty.
            match self.came.is_multiple_of(4) {
                true => drop(first),
                false => first.leave().await,
            }
        }
        Ok(())
    }

    fn note(&mut self, caller: &Caller, came_at: Instant) {
        let noticed = caller.noticed();
        self.lost += noticed.losses;
        let had_time = now() > came_at + JOIN_LIMIT;
        self.never_in += u64::from(had_time && noticed.connected_at.is_none());
    }

    /// One of them begins or ends to talk.
    pub(crate) fn talk(&self, turn: u64) {
        if let Some(caller) = self.pick(turn) {
            caller.talk(turn.is_multiple_of(2));
        }
    }

    /// One of them writes to his room.
    pub(crate) async fn write(&mut self, turn: u64) {
        let Some(caller) = self.pick(turn) else {
            return;
        };
        let role = caller.role.clone();
        let path = format!("/v1/chat/channels/room~{}~main/messages", role.room);
        let body = json!({ "key": turn.to_string(), "text": format!("message {turn}") });
        let who = (role.player.as_str(), role.room.as_str());
        let edge = &self.line.edge;
        let reply = edge
            .send(Method::POST, &path, who, body.to_string().into())
            .await;
        match reply.is_ok_and(|it| it.status == StatusCode::CREATED) {
            true => self.written += 1,
            false => self.unwritten += 1,
        }
    }

    fn pick(&self, turn: u64) -> Option<&Caller> {
        let count = self.here.len() as u64;
        let index = turn.wrapping_mul(7).checked_rem(count)?;
        self.here.get(index as usize).map(|(_, caller)| caller)
    }

    /// Calls that were lost.
    pub(crate) fn lost(&self) -> u64 {
        self.lost
            + self
                .here
                .iter()
                .map(|(_, it)| it.noticed().losses)
                .sum::<u64>()
    }

    /// How many are not in a call.
    pub(crate) fn outside(&self) -> usize {
        let is_outside = |(_, it): &&(Instant, Caller)| !it.noticed().is_connected;
        self.here.iter().filter(is_outside).count()
    }

    /// Adds rows to a report.
    pub(crate) fn tell(&self, report: &mut Report) {
        let mut row = |what: &str, value: f64, aim: Aim| report.row(what, value, "", aim);
        row("callers who came", self.came as f64, Aim::None);
        row("never got in", self.never_in as f64, Aim::AtMost(0.0));
        row(
            "not in a call at the end",
            self.outside() as f64,
            Aim::AtMost(0.0),
        );
        row("calls lost, and made anew", self.lost() as f64, Aim::None);
        row("messages written", self.written as f64, Aim::AtLeast(1.0));
        row(
            "messages not taken",
            self.unwritten as f64,
            Aim::AtMost(0.0),
        );
    }

    /// Everybody leaves.
    pub(crate) async fn leave(mut self) {
        while let Some((_, caller)) = self.here.pop_front() {
            caller.leave().await;
        }
    }
}
