//! The invariants: who is lost, who is not heard, which room is split, which moved without cause,
//! which sanction is lost, which drain does not end.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use edge::testing::MemoryStore;
use edge::testing::schedule::block_on;
use wire::{RoomKey, RoomName, ShardId};

use super::ground::ROOMS;
use super::orders::{Orders, Sanction};
use super::player::{Heard, Player};
use super::relay::{DRAIN_OVER, Relay};
use super::transition::Transition;
use crate::network::Weather;

/// Who stays is connected again this long after the last fault: a pause of the schedule (5 s), a
/// join that is not answered (6 s), an attempt on a relay that is gone (8 s), another pause.
const LOST_MAX: Duration = Duration::from_secs(25);
/// And heard, so long after he is.
const HEARD_MAX: Duration = Duration::from_secs(28);
/// What a player is told may come this much later than what he hears: by another way, that says it
/// again when it is lost.
const TOLD_MAX: Duration = Duration::from_secs(3);
/// Who was heard this recently is heard.
const RECENT: Duration = Duration::from_secs(2);
/// Two who are connected know of each other within this: a heartbeat, and a move.
const SPLIT_MAX: Duration = Duration::from_secs(4);
/// The same where one has not been connected for long: he goes on at the pace of his schedule.
const SPLIT_UNSTABLE_MAX: Duration = Duration::from_millis(9_500);
/// Who is connected for so long does not.
const STABLE: Duration = Duration::from_secs(12);
/// A sanction that is done is in force within this: a post that is not answered (2 s), a heartbeat
/// (2 s) and its way.
const SANCTION_MAX: Duration = Duration::from_secs(6);
/// A kick is on its way for no longer.
const KICK_MAX: Duration = Duration::from_secs(3);
/// No datagram is longer on its way.
const IN_FLIGHT: Duration = Duration::from_millis(250);
/// For so long after its shard was not to be relied on, a room may move.
const EXCUSE_MAX: Duration = Duration::from_secs(15);
/// By how much the edge's clock is set forth when it has forgotten every shard, milliseconds: the
/// time for which a shard is known.
const FORGOTTEN_MS: i64 = edge::directory::SHARD_TTL_MS as i64 - 20_000;
/// A drain is over when everybody was asked, and has stayed for others who move (20 s at most).
const DRAIN_MAX: Duration = Duration::from_secs(DRAIN_OVER.as_secs() + 23);
/// Before a fault by whose end the fail-over is measured, all has been well for so long.
const WELL: Duration = Duration::from_secs(8);

/// What the invariants look at.
pub(super) struct View<'a> {
    pub(super) now: Instant,
    pub(super) players: &'a [Player],
    pub(super) relays: &'a [Relay],
    pub(super) orders: &'a Orders,
    pub(super) items: &'a MemoryStore,
    pub(super) edge_ms: u64,
    /// Edge or store do not do their work.
    pub(super) is_troubled: bool,
}

/// A relay was lost while all else was well.
struct Failover {
    at: Instant,
    /// Whom it carried.
    waiting: Vec<usize>,
}

/// Longest times that were seen, in milliseconds, so that bounds can be judged.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Worst {
    /// From the loss of a relay until who was there is in his room again.
    pub failover_ms: u64,
    /// For which two who were connected did not know of each other.
    pub split_ms: u64,
    /// From the last fault until somebody was connected again.
    pub lost_ms: u64,
}

impl Worst {
    /// The longer of each.
    #[must_use]
    pub fn or(self, other: Self) -> Self {
        Self {
            failover_ms: self.failover_ms.max(other.failover_ms),
            split_ms: self.split_ms.max(other.split_ms),
            lost_ms: self.lost_ms.max(other.lost_ms),
        }
    }
}

pub(super) struct Watch {
    pub(super) worst: Worst,
    pub(super) heard: u64,
    /// What came of what happened, for whoever reads a violation.
    pub(super) notes: Vec<String>,
    /// Where each player is, as far as it was noted.
    places: BTreeMap<usize, (bool, Option<usize>)>,
    failover_max: Option<Duration>,
    /// The last fault, or the end of one.
    disturbed_at: Instant,
    /// When edge and relays could last not reach each other.
    cut_off_at: Instant,
    heard_at: BTreeMap<(usize, usize), Instant>,
    apart_since: BTreeMap<(usize, usize), Instant>,
    homes: BTreeMap<usize, (u64, ShardId)>,
    /// When each room moved last.
    moved_at: BTreeMap<usize, Instant>,
    /// How many heartbeats of each shard the edge had taken when it forgot all.
    forgotten: Vec<u64>,
    /// When a shard was last not to be relied on.
    excused_at: BTreeMap<usize, Instant>,
    draining_since: BTreeMap<usize, Instant>,
    /// Until when a drain may split a room: who comes is on the next shard before all have been
    /// asked to follow.
    drained_until: Instant,
    /// Since when a listener is told another name than that of who speaks.
    misnamed_since: BTreeMap<usize, Instant>,
    failover: Option<Failover>,
}

impl Watch {
    pub(super) fn new(now: Instant, failover_max: Option<Duration>) -> Self {
        Self {
            worst: Worst::default(),
            heard: 0,
            notes: Vec::new(),
            places: BTreeMap::new(),
            failover_max,
            disturbed_at: now,
            cut_off_at: now,
            heard_at: BTreeMap::new(),
            apart_since: BTreeMap::new(),
            homes: BTreeMap::new(),
            moved_at: BTreeMap::new(),
            forgotten: Vec::new(),
            excused_at: BTreeMap::new(),
            draining_since: BTreeMap::new(),
            drained_until: now,
            misnamed_since: BTreeMap::new(),
            failover: None,
        }
    }

    /// Something is about to happen.
    pub(super) fn handle(&mut self, view: &View<'_>, transition: Transition) {
        if !transition.disturbs() {
            return;
        }
        let now = view.now;
        if matches!(transition, Transition::StepEdge { ms } if ms > FORGOTTEN_MS) {
            let heard = |relay: &Relay| relay.run.as_ref().map_or(0, |run| run.accepted());
            self.forgotten = view.relays.iter().map(heard).collect();
        }
        let was_well = now.saturating_duration_since(self.disturbed_at) > WELL;
        self.disturbed_at = now;
        self.failover = None;
        let (Transition::Kill(lost) | Transition::Freeze(lost)) = transition else {
            return;
        };
        let others = view.relays.iter().enumerate().filter(|(n, _)| *n != lost);
        let is_ready = |n: usize| {
            let excused_at = self.excused_at.get(&n);
            excused_at.is_none_or(|at| now.saturating_duration_since(*at) > WELL)
        };
        let has_another = others
            .into_iter()
            .any(|(n, relay)| relay.takes_rooms() && is_ready(n));
        if was_well && has_another && !view.is_troubled {
            let carried = view.players.iter().filter(|player| {
                let since = player.state_since.max(player.calm_since);
                let is_settled = now.saturating_duration_since(since) > WELL;
                is_settled && player.is_connected() && is_on(view, player) == Some(lost)
            });
            self.failover = Some(Failover {
                at: now,
                waiting: carried.map(|player| player.n).collect(),
            });
        }
    }

    /// A process has come to its end in good order, and whoever was left there is cut off.
    pub(super) fn handle_end(&mut self, now: Instant) {
        (self.disturbed_at, self.failover) = (now, None);
    }

    /// A player has heard somebody.
    pub(super) fn handle_heard(
        &mut self,
        view: &View<'_>,
        listener: usize,
        heard: &Heard,
    ) -> Result<(), String> {
        let (now, speaker) = (view.now, heard.speaker);
        self.heard += 1;
        let Some(who) = view.players.get(speaker) else {
            return Err(format!(
                "player {listener} heard somebody who does not exist"
            ));
        };
        if listener == speaker || view.players[listener].room != who.room {
            return Err(format!("player {listener} heard himself or another room"));
        }
        self.check_name(view, listener, heard)?;
        if self.is_muted(view, speaker) {
            return Err(format!(
                "player {listener} heard player {speaker}, who is muted"
            ));
        }
        if self.is_out(view, speaker, IN_FLIGHT) {
            return Err(format!(
                "player {listener} heard player {speaker}, who is banned"
            ));
        }
        self.heard_at.insert((listener, speaker), now);
        Ok(())
    }

    /// Nobody is told for long that it is somebody else.
    fn check_name(&mut self, view: &View<'_>, to: usize, heard: &Heard) -> Result<(), String> {
        let (now, listener) = (view.now, &view.players[to]);
        let speaker = &view.players[heard.speaker].id;
        let Some(name) = heard.player.as_ref().filter(|name| *name != speaker) else {
            self.misnamed_since.remove(&to);
            return Ok(());
        };
        let since = *self.misnamed_since.entry(to).or_insert(now);
        let since = since.max(listener.calm_since).max(listener.state_since);
        let is_calm = listener.weather == Weather::Calm;
        if is_calm && now.saturating_duration_since(since) > TOLD_MAX {
            return Err(format!(
                "player {to} hears {speaker}, and is told that it is {name}"
            ));
        }
        Ok(())
    }

    /// Whether a sanction that was done then is in force.
    fn is_in_force(&self, now: Instant, done_at: Option<Instant>, more: Duration) -> bool {
        let holds = |at: Instant| at.max(self.cut_off_at) + SANCTION_MAX + more;
        done_at.is_some_and(|at| now > holds(at))
    }

    fn is_muted(&self, view: &View<'_>, player: usize) -> bool {
        let last = view
            .orders
            .last_of(player, &[Sanction::Mute, Sanction::Unmute]);
        last.is_some_and(|(kind, order)| {
            kind == Sanction::Mute && self.is_in_force(view.now, order.done_at, IN_FLIGHT)
        })
    }

    /// Whether a player may not be in his room for good.
    fn is_out(&self, view: &View<'_>, player: usize, more: Duration) -> bool {
        let last = view
            .orders
            .last_of(player, &[Sanction::Ban, Sanction::Revoke]);
        last.is_some_and(|(_, order)| self.is_in_force(view.now, order.done_at, more))
    }

    /// Looks at everything.
    pub(super) fn check(&mut self, view: &View<'_>) -> Result<(), String> {
        let now = view.now;
        let is_frozen = view.relays.iter().any(|relay| relay.is_frozen);
        if view.is_troubled || is_frozen {
            self.cut_off_at = now;
        }
        for (n, relay) in view.relays.iter().enumerate() {
            let heard = relay.run.as_ref().map_or(0, |run| run.accepted());
            let is_known = heard > self.forgotten.get(n).copied().unwrap_or(0);
            if heard == 0 {
                // Another run of it.
                self.forgotten.get_mut(n).map(std::mem::take);
            }
            if !relay.takes_rooms() || view.orders.drains(n) || !is_known {
                self.excused_at.insert(n, now);
            }
        }
        if view.is_troubled || !view.relays.iter().any(Relay::takes_rooms) {
            self.disturbed_at = now;
            self.failover = None;
        }
        for player in view.players {
            let place = (player.is_connected(), is_on(view, player));
            if self.places.insert(player.n, place) != Some(place) {
                let (n, (is_connected, shard)) = (player.n, place);
                let state = if is_connected {
                    "connected"
                } else {
                    "not connected"
                };
                self.notes
                    .push(format!("player {n} is {state}, on shard {shard:?}"));
            }
            self.check_connected(view, player)?;
            self.check_out(view, player)?;
        }
        self.check_drains(view)?;
        self.check_pairs(view)?;
        self.check_homes(view)?;
        self.check_failover(view)
    }

    fn check_connected(&mut self, view: &View<'_>, player: &Player) -> Result<(), String> {
        let n = player.n;
        if !player.stays || view.orders.put_out(n).is_some() {
            return Ok(());
        }
        if player.is_over() {
            let state = player.call.state();
            return Err(format!("player {n} is lost for good: {state:?}"));
        }
        let since = self.disturbed_at.max(player.calm_since);
        let waited = view.now.saturating_duration_since(since);
        let is_calm = player.weather == Weather::Calm;
        if is_calm && !player.is_connected() {
            self.worst.lost_ms = self.worst.lost_ms.max(waited.as_millis() as u64);
            if waited > LOST_MAX {
                let waited_ms = waited.as_millis();
                return Err(format!(
                    "player {n} is lost: not connected for {waited_ms} ms"
                ));
            }
        }
        Ok(())
    }

    /// Who was put out is out.
    fn check_out(&self, view: &View<'_>, player: &Player) -> Result<(), String> {
        let n = player.n;
        // Who is not reached believes what he knew last, for a while.
        let calm = view.now.saturating_duration_since(player.calm_since);
        let is_reached = player.weather == Weather::Calm && calm > TOLD_MAX;
        let believes = player.is_connected() && is_reached;
        if self.is_out(view, n, Duration::ZERO) {
            if believes {
                return Err(format!("player {n} is in his room, although he is banned"));
            }
            if let Some(relay) = is_on(view, player) {
                return Err(format!("shard {relay} has player {n}, who is banned"));
            }
        }
        let kicked = view.orders.last_of(n, &[Sanction::Kick]);
        // It is written down nowhere: a room that moves while it is on its way leaves it behind.
        let moved_at = self.moved_at.get(&player.room).copied();
        let has_moved = |since: Instant| moved_at.is_some_and(|at| at + KICK_MAX > since);
        if let Some((_, order)) = kicked
            && !has_moved(order.asked_at)
            && self.is_in_force(view.now, order.done_at, Duration::ZERO)
            && believes
            && player
                .admitted
                .last()
                .is_some_and(|(last, _)| *last < order.asked_at)
        {
            return Err(format!("player {n} is in his room, although he was kicked"));
        }
        Ok(())
    }

    fn check_pairs(&mut self, view: &View<'_>) -> Result<(), String> {
        let is_here = |player: &&Player| {
            let is_well = player.weather == Weather::Calm && player.asleep_until.is_none();
            player.stays && is_well && view.orders.put_out(player.n).is_none()
        };
        let here: Vec<&Player> = view.players.iter().filter(is_here).collect();
        self.apart_since.retain(|(one, other), _| {
            let has = |n: usize| here.iter().any(|player| player.n == n);
            has(*one) && has(*other)
        });
        for one in &here {
            for other in &here {
                if one.n != other.n && one.room == other.room {
                    self.check_together(view, one, other)?;
                    self.check_heard(view, one, other)?;
                }
            }
        }
        Ok(())
    }

    /// Two who are connected see each other.
    fn check_together(
        &mut self,
        view: &View<'_>,
        one: &Player,
        other: &Player,
    ) -> Result<(), String> {
        let (now, pair) = (view.now, (one.n, other.n));
        let are_connected = one.is_connected() && other.is_connected();
        if !are_connected || one.call.players().contains(&other.id) {
            self.apart_since.remove(&pair);
            return Ok(());
        }
        let apart_since = *self.apart_since.entry(pair).or_insert(now);
        let calm_since = one.calm_since.max(other.calm_since);
        let stands_since = one.state_since.max(other.state_since);
        let since = apart_since.max(calm_since).max(stands_since);
        let since = since.max(self.disturbed_at).max(self.drained_until);
        // Who comes to a shard that drains is asked in his turn.
        let drains = |n: usize| {
            view.relays[n]
                .run
                .as_ref()
                .is_some_and(|run| run.is_draining)
        };
        let is_drained = |player: &Player| is_on(view, player).is_some_and(drains);
        let since = match is_drained(one) || is_drained(other) {
            true => since.max(stands_since + DRAIN_OVER),
            false => since,
        };
        let is_stable = now.saturating_duration_since(stands_since) > STABLE;
        let most = if is_stable {
            SPLIT_MAX
        } else {
            SPLIT_UNSTABLE_MAX
        };
        let apart = now.saturating_duration_since(since);
        self.worst.split_ms = self.worst.split_ms.max(apart.as_millis() as u64);
        if apart > most {
            let on = [one, other].map(|player| is_on(view, player));
            let apart_ms = apart.as_millis();
            return Err(format!(
                "room {} is split: player {} does not see player {} for {apart_ms} ms; they are \
                 on {on:?}",
                one.room, one.n, other.n
            ));
        }
        Ok(())
    }

    /// Who talks is heard.
    fn check_heard(
        &self,
        view: &View<'_>,
        listener: &Player,
        speaker: &Player,
    ) -> Result<(), String> {
        let muted = view
            .orders
            .last_of(speaker.n, &[Sanction::Mute, Sanction::Unmute]);
        let unmuted_at = match muted {
            Some((Sanction::Unmute, order)) if order.done_at.is_some() => order.done_at,
            Some(_) => return Ok(()),
            None => None,
        };
        let Some(talks_since) = speaker.talks_since else {
            return Ok(());
        };
        let calm_since = listener.calm_since.max(speaker.calm_since).max(talks_since);
        let since = calm_since
            .max(self.disturbed_at)
            .max(unmuted_at.unwrap_or(talks_since));
        let heard_at = self.heard_at.get(&(listener.n, speaker.n)).copied();
        let is_recent = |at: Instant| view.now.saturating_duration_since(at) < RECENT;
        let waited = view.now.saturating_duration_since(since);
        if waited > HEARD_MAX && !heard_at.is_some_and(is_recent) {
            let waited_ms = waited.as_millis();
            return Err(format!(
                "player {} does not hear player {} for {waited_ms} ms",
                listener.n, speaker.n
            ));
        }
        Ok(())
    }

    /// No room leaves a shard that can be relied on.
    fn check_homes(&mut self, view: &View<'_>) -> Result<(), String> {
        for (room, name) in ROOMS.iter().enumerate() {
            let name: RoomName = name.parse().expect("a name of a room");
            let home = edge::directory::home(view.items, view.edge_ms, &name);
            let Ok(Some(home)) = block_on(home) else {
                continue;
            };
            let (epoch, shard) = (home.epoch, home.shard);
            let before = self.homes.insert(room, (epoch, shard.clone()));
            if before.as_ref().is_none_or(|(known, _)| *known != epoch) {
                self.notes
                    .push(format!("room {room} is on {shard}, epoch {epoch}"));
                self.moved_at.insert(room, view.now);
            }
            let Some((_, left)) = before.filter(|(known, left)| *known < epoch && *left != shard)
            else {
                continue;
            };
            let n = view.relays.iter().position(|relay| relay.id == left);
            let excused_at = n.and_then(|n| self.excused_at.get(&n));
            let age = excused_at.map(|at| view.now.saturating_duration_since(*at));
            if age.is_none_or(|age| age > EXCUSE_MAX) {
                return Err(format!(
                    "room {room} moved from {left} to {shard} without cause"
                ));
            }
        }
        Ok(())
    }

    /// A drain comes to its end where there is another shard.
    fn check_drains(&mut self, view: &View<'_>) -> Result<(), String> {
        for (n, relay) in view.relays.iter().enumerate() {
            let run = relay
                .run
                .as_ref()
                .filter(|run| run.is_draining && !relay.is_frozen);
            let Some(run) = run.filter(|run| run.core.sessions() > 0) else {
                self.draining_since.remove(&n);
                continue;
            };
            let began_at = *self.draining_since.entry(n).or_insert(view.now);
            self.drained_until = self.drained_until.max(began_at + DRAIN_OVER);
            let calm_since = view.players.iter().map(|player| player.calm_since);
            let calm_since = calm_since.max().unwrap_or(began_at);
            let is_calm = view
                .players
                .iter()
                .all(|player| player.weather == Weather::Calm);
            let since = began_at.max(self.disturbed_at).max(calm_since);
            if is_calm && view.now.saturating_duration_since(since) > DRAIN_MAX {
                let sessions = run.core.sessions();
                return Err(format!(
                    "shard {n} drains and still has {sessions} sessions"
                ));
            }
        }
        Ok(())
    }

    fn check_failover(&mut self, view: &View<'_>) -> Result<(), String> {
        let Some(Failover { at, waiting }) = &mut self.failover else {
            return Ok(());
        };
        let passed = view.now.saturating_duration_since(*at);
        let is_back = |player: &Player| {
            let is_gone = !player.stays || view.orders.put_out(player.n).is_some();
            let is_troubled = player.weather != Weather::Calm || player.calm_since > *at;
            let runs = |n: usize| view.relays[n].runs();
            is_gone || is_troubled || player.is_connected() && is_on(view, player).is_some_and(runs)
        };
        let before = waiting.len();
        waiting.retain(|n| !is_back(&view.players[*n]));
        if waiting.len() < before {
            let passed_ms = passed.as_millis() as u64;
            self.worst.failover_ms = self.worst.failover_ms.max(passed_ms);
        }
        match waiting.first() {
            None => self.failover = None,
            Some(n) if self.failover_max.is_some_and(|max| passed > max) => {
                let passed_ms = passed.as_millis();
                return Err(format!(
                    "player {n} is not back {passed_ms} ms after his relay was lost"
                ));
            }
            Some(_) => {}
        }
        Ok(())
    }
}

/// The shard that has the newest of a player's sessions that any has, whether it runs or not.
fn is_on(view: &View<'_>, player: &Player) -> Option<usize> {
    let room: RoomName = ROOMS[player.room].parse().expect("a name of a room");
    let room = RoomKey::of(&room);
    let rank = |session: sfu::SessionId| {
        let mut newest_first = player.admitted.iter().rev();
        newest_first.position(|(_, known)| known.0 == session.0)
    };
    let newest = |relay: &Relay| {
        let present = relay.present(view.now, room);
        present.filter_map(|present| rank(present.session)).min()
    };
    let all = view.relays.iter().enumerate();
    let has = all.filter_map(|(n, relay)| Some((newest(relay)?, n)));
    has.min().map(|(_, n)| n)
}
