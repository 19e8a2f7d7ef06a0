//! The invariants that look at more than one packet.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use crate::client::{Client, Heard, OPUS};
use crate::model::{Member, Model};
use crate::transition::DRAIN_OVER;

/// Voice must come within this time of calm. An address that somebody had who is gone is free after
/// 5 s, and up to 3 s later comes the check that takes it.
const VOICE_BOUND: Duration = Duration::from_secs(9);
/// Sessions of one player on a shard: the relay's limit, said again.
const PLAYER_SESSIONS: usize = 4;
/// Messages and handshakes must, on a network that was always calm. See [`bound`].
/// A retry from a new address may come up to 3 s before the check that tells the relay of it.
const MESSAGE_BOUND: Duration = Duration::from_secs(13);
/// The relay's time for a hello, and that between two looks.
const HELLO_BOUND: Duration = Duration::from_millis(10_500);
/// Who was heard this recently is heard.
const RECENT: Duration = Duration::from_secs(1);
/// Numbers of one slot are never further apart than this: receivers guess the rest (RFC 3711).
const JUMP_MAX: i16 = 1 << 13;

/// What may be late.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Due {
    Welcome(usize),
    Roster(usize),
    Migrate(usize),
    /// Listener, speaker.
    Speaking(usize, usize),
    /// Listener, slot.
    Slot(usize, usize),
    /// Listener, speaker.
    Voice(usize, usize),
}

impl Due {
    /// Who waits for it.
    fn of(self) -> usize {
        match self {
            Self::Welcome(of) | Self::Roster(of) | Self::Migrate(of) => of,
            Self::Slot(of, _) | Self::Voice(of, _) | Self::Speaking(of, _) => of,
        }
    }
}

/// What has been seen so far.
#[derive(Default)]
pub(crate) struct Watch {
    since: BTreeMap<Due, Instant>,
    heard: BTreeSet<(usize, usize, u32)>,
    last_heard: BTreeMap<(usize, usize), Instant>,
    /// By listener and slot: the speaker of the last packet.
    in_slot: BTreeMap<(usize, usize), (usize, Instant)>,
    sent: BTreeMap<u32, Sent>,
}

/// What the relay sent in one slot: timestamps by extended sequence number.
#[derive(Default)]
struct Sent {
    last: u64,
    times: BTreeMap<u64, u32>,
}

impl Watch {
    /// Voice packets heard so far.
    pub(crate) fn heard(&self) -> usize {
        self.heard.len()
    }

    /// A client heard a packet.
    pub(crate) fn handle_heard(
        &mut self,
        now: Instant,
        listener: usize,
        heard: Heard,
    ) -> Result<(), String> {
        let Heard {
            slot,
            speaker,
            count,
        } = heard;
        if !self.heard.insert((listener, speaker, count)) {
            return Err(format!(
                "client {listener} heard packet {count} of client {speaker} twice"
            ));
        }
        self.last_heard.insert((listener, speaker), now);
        self.in_slot.insert((listener, slot), (speaker, now));
        Ok(())
    }

    /// The relay sent a datagram: header fields of voice are in the clear.
    pub(crate) fn handle_sent(&mut self, data: &[u8]) -> Result<(), String> {
        let [first, second, s0, s1, t0, t1, t2, t3, a, b, c, d, ..] = *data else {
            return Ok(());
        };
        if first >> 6 != 2 || second & 0x7f != OPUS {
            return Ok(());
        }
        let ssrc = u32::from_be_bytes([a, b, c, d]);
        let time = u32::from_be_bytes([t0, t1, t2, t3]);
        let number = u16::from_be_bytes([s0, s1]);
        let sent = self.sent.entry(ssrc).or_insert_with(|| Sent {
            last: u64::from(number) + (1 << 16),
            times: BTreeMap::new(),
        });
        let step = number.wrapping_sub(sent.last as u16) as i16;
        if step.unsigned_abs() > JUMP_MAX.unsigned_abs() {
            return Err(format!(
                "slot {ssrc:x}: the sequence number jumps by {step}"
            ));
        }
        let number = sent.last.wrapping_add_signed(i64::from(step));
        sent.last = sent.last.max(number);
        if sent.times.contains_key(&number) {
            return Err(format!(
                "slot {ssrc:x}: sequence number {number} is used twice"
            ));
        }
        let before = sent.times.range(..number).next_back();
        let after = sent.times.range(number..).next();
        let backwards = before.is_some_and(|(_, other)| time.wrapping_sub(*other) as i32 <= 0)
            || after.is_some_and(|(_, other)| other.wrapping_sub(time) as i32 <= 0);
        if backwards {
            return Err(format!(
                "slot {ssrc:x}: time {time} of number {number} goes backwards, \
                 {before:?} to {after:?}"
            ));
        }
        sent.times.insert(number, time);
        Ok(())
    }

    /// Looks at everything that should have happened by now.
    pub(crate) fn check(
        &mut self,
        now: Instant,
        model: &Model,
        clients: &[Client],
    ) -> Result<(), String> {
        for n in 0..clients.len() {
            if clients[n].down || model.members[n].ended_at.is_some() {
                continue;
            }
            self.check_welcome(now, model, clients, n)?;
            check_hello(now, model, n)?;
            self.check_roster(now, model, clients, n)?;
            self.check_migrate(now, model, clients, n)?;
            self.check_speaking(now, model, clients, n)?;
            self.check_slots(now, model, clients, n)?;
            self.check_voices(now, model, clients, n)?;
        }
        Ok(())
    }

    /// Whether client `n` has all that it should, as of the last check.
    pub(crate) fn has_all(&self, n: usize) -> bool {
        !self.since.keys().any(|due| due.of() == n)
    }

    /// Client `n` has another address: a retry that comes before the relay knows it is lost, so
    /// what the client waits for it waits for anew.
    pub(crate) fn restart(&mut self, n: usize) {
        self.since.retain(|due, _| due.of() != n);
    }

    /// Whether `pending` has gone on for longer than `bound`.
    fn is_late(&mut self, now: Instant, due: Due, pending: bool, bound: Duration) -> bool {
        if !pending {
            self.since.remove(&due);
            return false;
        }
        let since = *self.since.entry(due).or_insert(now);
        now.saturating_duration_since(since) > bound
    }

    fn check_welcome(
        &mut self,
        now: Instant,
        model: &Model,
        clients: &[Client],
        n: usize,
    ) -> Result<(), String> {
        let member = &model.members[n];
        let is_in =
            member.is_live && (member.plan.is_nameless() || clients[n].participant().is_some());
        // Who says no hello replaces nobody, and has so many sessions until the old ones time out.
        let is_his =
            |other: &&Member| other.plan.player == member.plan.player && other.ended_at.is_none();
        let has_place = model.members.iter().filter(is_his).count() <= PLAYER_SESSIONS;
        let pending = !is_in && has_place && member.calm_since.is_some() && !member.is_leaving;
        if self.is_late(now, Due::Welcome(n), pending, bound(model, n)) {
            return Err(format!(
                "client {n} is not welcome although nothing hinders (in its room: {})",
                member.is_live
            ));
        }
        Ok(())
    }

    fn check_roster(
        &mut self,
        now: Instant,
        model: &Model,
        clients: &[Client],
        n: usize,
    ) -> Result<(), String> {
        let (member, client) = (&model.members[n], &clients[n]);
        let mut known = BTreeMap::new();
        for entry in client.roster().values() {
            let name = entry.player.as_ref().map(|player| player.as_str());
            let player = name.and_then(|name| name.trim_start_matches('p').parse().ok());
            *known
                .entry((player, entry.muted, entry.deafened))
                .or_default() += 1;
        }
        let wanted = model.roster(member.plan.room);
        let is_told = client.participant().is_some() && member.calm_since.is_some();
        let pending = is_told && member.is_live && known != wanted;
        if self.is_late(now, Due::Roster(n), pending, bound(model, n)) {
            return Err(format!(
                "client {n} knows the roster {known:?}, but it is {wanted:?}"
            ));
        }
        Ok(())
    }

    /// While the shard drains, everybody who was there is asked to go.
    fn check_migrate(
        &mut self,
        now: Instant,
        model: &Model,
        clients: &[Client],
        n: usize,
    ) -> Result<(), String> {
        let member = &model.members[n];
        let is_told = clients[n].participant().is_some() && member.calm_since.is_some();
        let pending = is_told && member.to_be_asked_since.is_some() && !member.is_leaving;
        if self.is_late(now, Due::Migrate(n), pending, DRAIN_OVER + bound(model, n)) {
            return Err(format!("client {n} is not asked to migrate"));
        }
        Ok(())
    }

    /// Clients know who talks, of those whom they may hear; of others they know nothing stale.
    fn check_speaking(
        &mut self,
        now: Instant,
        model: &Model,
        clients: &[Client],
        n: usize,
    ) -> Result<(), String> {
        let (member, client) = (&model.members[n], &clients[n]);
        let is_told =
            member.is_live && client.participant().is_some() && member.calm_since.is_some();
        for (s, speaker) in clients.iter().enumerate() {
            let speaks = model.is_speaking(now, s);
            let knows = speaker
                .participant()
                .is_some_and(|number| client.speaking().contains(&number));
            let other = &model.members[s];
            let in_room = other.plan.room == member.plan.room && other.is_live;
            let audible = s == n || member.plan.may_hear(&other.plan) && is_introduced(model, s);
            let wrong = knows && !speaks || speaks && !knows && audible;
            let has_number = speaker.participant().is_some();
            let pending = is_told && in_room && has_number && wrong;
            if self.is_late(now, Due::Speaking(n, s), pending, bound(model, n)) {
                return Err(format!(
                    "client {n} was told that client {s} {}, but he {}",
                    if knows { "talks" } else { "is silent" },
                    if speaks { "talks" } else { "is silent" },
                ));
            }
        }
        Ok(())
    }

    /// Slot maps agree with what is received.
    fn check_slots(
        &mut self,
        now: Instant,
        model: &Model,
        clients: &[Client],
        n: usize,
    ) -> Result<(), String> {
        let client = &clients[n];
        for (slot, told) in client.slots().iter().enumerate() {
            let twice = client.slots()[slot + 1..].contains(told);
            if told.is_some() && twice {
                return Err(format!("client {n} is told of one speaker in two slots"));
            }
            let Some(&(speaker, at)) = self.in_slot.get(&(n, slot)) else {
                continue;
            };
            let is_recent = now.saturating_duration_since(at) < RECENT;
            let number = clients[speaker].participant();
            let pending = is_recent
                && client.participant().is_some()
                && model.members[n].calm_since.is_some()
                && number.is_some()
                && *told != number;
            if self.is_late(now, Due::Slot(n, slot), pending, bound(model, n)) {
                return Err(format!(
                    "client {n} hears client {speaker} ({number:?}) in slot {slot}, \
                     but was told {told:?}"
                ));
            }
        }
        Ok(())
    }

    /// Whoever talks is heard by everybody who may hear him, while there are slots for all.
    fn check_voices(
        &mut self,
        now: Instant,
        model: &Model,
        clients: &[Client],
        n: usize,
    ) -> Result<(), String> {
        let listener = &model.members[n];
        let audible = |s: usize| {
            let speaker = &model.members[s];
            speaker.plan.player != listener.plan.player
                && speaker.is_live
                && clients[s].talking
                && !clients[s].down
                && !speaker.muted.0
                && listener.plan.may_hear(&speaker.plan)
        };
        let speakers: Vec<usize> = (0..clients.len()).filter(|&s| audible(s)).collect();
        let listens = listener.is_live
            && clients[n].connected
            && listener.calm_since.is_some()
            && !listener.deafened.0
            && speakers.len() <= listener.plan.slots;
        for (s, speaker) in clients.iter().enumerate() {
            let is_recent = self
                .last_heard
                .get(&(n, s))
                .is_some_and(|at| now.saturating_duration_since(*at) < RECENT);
            let can_talk = speaker.connected && model.members[s].calm_since.is_some();
            let may_come = listens && can_talk && speakers.contains(&s);
            let is_ready = may_come && is_introduced(model, n) && is_introduced(model, s);
            if self.is_late(now, Due::Voice(n, s), is_ready && !is_recent, VOICE_BOUND) {
                return Err(format!(
                    "client {n} does not hear client {s} although nothing hinders"
                ));
            }
        }
        Ok(())
    }
}

/// Nobody stays who does not say who he is, as his ticket says he will.
fn check_hello(now: Instant, model: &Model, n: usize) -> Result<(), String> {
    let member = &model.members[n];
    let stayed = member
        .live_since
        .map(|at| now.saturating_duration_since(at));
    let is_late = stayed.is_some_and(|stayed| stayed > HELLO_BOUND);
    if member.is_live && !member.plan.whip && !member.is_introduced && is_late {
        return Err(format!("client {n} is in its room without a hello"));
    }
    Ok(())
}

/// Whether every channel of the session is in effect.
fn is_introduced(model: &Model, n: usize) -> bool {
    let member = &model.members[n];
    member.plan.is_nameless() || member.is_introduced
}

/// How late a message to client `n` may be. The timers of DTLS and SCTP double while nothing comes
/// through (RFC 9147 section 5.8.2, RFC 9260 section 6.3.3; str0m has no setting for either), so
/// afterwards they may sleep for as long as the trouble took.
fn bound(model: &Model, n: usize) -> Duration {
    MESSAGE_BOUND + model.trouble_time(n).unwrap_or_default()
}
