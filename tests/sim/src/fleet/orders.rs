//! What moderators and operators ask of the edge until it is done, and what must hold from then on.

use std::time::{Duration, Instant};

use edge::http::{Request, Response};
use edge::testing::calls;
use serde_json::{Value, json};
use wire::claims::Role;

use super::ground::ROOMS;
use super::player::authority;

/// Time between two tries.
const RETRY: Duration = Duration::from_secs(1);

/// What a moderator, or the game, does to a player.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sanction {
    /// Nobody hears him in his room.
    Mute,
    /// He is heard again.
    Unmute,
    /// He may not be in his room.
    Ban,
    /// He is put out of his room, and may come back.
    Kick,
    /// His token counts no more.
    Revoke,
}

/// What is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Act {
    /// A player and his room.
    Sanction(Sanction, usize, usize),
    /// Whether a shard is to drain.
    Drain(usize, bool),
}

/// Something that is asked for.
#[derive(Debug, Clone, Copy)]
pub(super) struct Order {
    pub(super) act: Act,
    pub(super) asked_at: Instant,
    /// When the edge said that it is done.
    pub(super) done_at: Option<Instant>,
    /// When it is asked for again.
    try_at: Option<Instant>,
}

/// Everything that was asked for, in order.
pub(super) struct Orders {
    pub(super) all: Vec<Order>,
    operator: String,
    moderator: String,
}

impl Orders {
    pub(super) fn new() -> Self {
        Self {
            all: Vec::new(),
            operator: authority(Some(Role::Operator)),
            moderator: authority(None),
        }
    }

    /// Asks for something, from now on until it is done. What contradicts it is asked for no more.
    pub(super) fn ask(&mut self, now: Instant, act: Act) {
        for order in &mut self.all {
            if let (Act::Drain(known, _), Act::Drain(shard, _)) = (order.act, act)
                && known == shard
                && order.done_at.is_none()
            {
                (order.try_at, order.done_at) = (None, Some(now));
            }
        }
        self.all.push(Order {
            act,
            asked_at: now,
            done_at: None,
            try_at: Some(now),
        });
    }

    pub(super) fn next_at(&self) -> Option<Instant> {
        self.all.iter().filter_map(|order| order.try_at).min()
    }

    /// What is to be sent now: the number of the order, and the request.
    pub(super) fn due(&mut self, now: Instant) -> Vec<(usize, Request)> {
        let mut due = Vec::new();
        for n in 0..self.all.len() {
            let order = &mut self.all[n];
            if order.try_at.is_some_and(|at| at <= now) {
                order.try_at = None;
                due.push((n, self.request(self.all[n].act)));
            }
        }
        due
    }

    pub(super) fn handle_reply(&mut self, now: Instant, n: usize, reply: Option<&Response>) {
        let order = &mut self.all[n];
        if order.done_at.is_some() {
            return;
        }
        match reply {
            Some(reply) if reply.status < 300 => order.done_at = Some(now),
            // A shard that is gone for long is not known, and there is nothing left to drain.
            Some(reply) if reply.status == 404 => order.done_at = Some(now),
            _ => order.try_at = Some(now + RETRY),
        }
    }

    /// Whether something is asked about a player that is not done yet.
    pub(super) fn are_pending_of(&self, player: usize) -> bool {
        let is_his = |order: &&Order| matches!(order.act, Act::Sanction(_, of, _) if of == player);
        self.all
            .iter()
            .filter(is_his)
            .any(|order| order.done_at.is_none())
    }

    /// The last order about a player of these kinds.
    pub(super) fn last_of(&self, player: usize, kinds: &[Sanction]) -> Option<(Sanction, Order)> {
        let of = |order: &Order| match order.act {
            Act::Sanction(kind, of, _) if of == player && kinds.contains(&kind) => {
                Some((kind, *order))
            }
            _ => None,
        };
        self.all.iter().rev().find_map(of)
    }

    /// Whether a player is asked to be out of his room, for whatever reason.
    pub(super) fn put_out(&self, player: usize) -> Option<(Sanction, Order)> {
        self.last_of(player, &[Sanction::Ban, Sanction::Kick, Sanction::Revoke])
    }

    /// Whether a shard was asked to drain last.
    pub(super) fn drains(&self, shard: usize) -> bool {
        let of = |order: &Order| match order.act {
            Act::Drain(of, drains) if of == shard => Some(drains),
            _ => None,
        };
        self.all.iter().rev().find_map(of).unwrap_or(false)
    }

    fn request(&self, act: Act) -> Request {
        let (who, method, path, body) = match act {
            Act::Sanction(kind, player, room) => {
                let (room, player) = (ROOMS[room], format!("p{player}"));
                // Longer than any step of a clock.
                let month = json!({ "seconds": 30 * 24 * 3600 });
                let (method, path, body) = match kind {
                    Sanction::Mute => ("PUT", format!("rooms/{room}/mutes/{player}"), month),
                    Sanction::Unmute => (
                        "DELETE",
                        format!("rooms/{room}/mutes/{player}"),
                        Value::Null,
                    ),
                    Sanction::Ban => ("PUT", format!("rooms/{room}/bans/{player}"), month),
                    Sanction::Kick => (
                        "DELETE",
                        format!("rooms/{room}/players/{player}"),
                        Value::Null,
                    ),
                    Sanction::Revoke => {
                        ("PUT", format!("players/{player}/revocation"), Value::Null)
                    }
                };
                let is_game = kind == Sanction::Revoke;
                let who = if is_game {
                    &self.operator
                } else {
                    &self.moderator
                };
                (who, method, path, body)
            }
            Act::Drain(shard, drains) => {
                let path = format!("relays/sim-{shard}/drain");
                (&self.operator, "PUT", path, json!({ "draining": drains }))
            }
        };
        calls::request(who.clone(), method, &format!("/v1/{path}"), &body)
    }
}
