//! What can happen to the service, and the choice of what happens next.

use super::orders::Sanction;
use super::reach::Reach;
use super::weather::StoreWeather;
use crate::chance::Chance;
use crate::network::Weather;

/// Most players of a room: as many as hear each other in their slots.
const ROOM_MAX: usize = 5;

/// One thing that happens. Numbers are those of players and shards; times are milliseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Transition {
    /// A player joins a room.
    Join(usize),
    /// A player leaves for good.
    Leave(usize),
    /// Starts to talk.
    Talk(usize),
    /// Stops talking.
    Hush(usize),
    /// A player gets another address.
    Roam(usize),
    /// The network between a player and the relays changes.
    Weather(usize, Weather),
    /// A player's machine sleeps.
    Sleep {
        /// Whose.
        player: usize,
        /// For how long.
        ms: u64,
    },
    /// A shard's process vanishes.
    Kill(usize),
    /// It is started again under the same name, as another boot.
    Start(usize),
    /// A shard's process stops, as on SIGSTOP.
    Freeze(usize),
    /// It goes on.
    Thaw(usize),
    /// An operator has a shard drain, or not any more.
    Drain(usize, bool),
    /// A shard's process is asked to end, as on SIGTERM.
    Terminate(usize),
    /// The store does otherwise.
    Store(StoreWeather),
    /// The edge is gone with what it was doing, or back.
    Edge(bool),
    /// The clock of a shard's machine is set.
    StepRelay {
        /// Whose.
        shard: usize,
        /// By how much, forth or back.
        ms: i64,
    },
    /// The edge's clock is set.
    StepEdge {
        /// By how much, forth or back.
        ms: i64,
    },
    /// Somebody is sanctioned.
    Sanction(Sanction, usize),
}

impl Transition {
    /// Whether it is a fault of the service, or the end of one.
    pub(super) fn disturbs(self) -> bool {
        match self {
            Self::Join(_) | Self::Leave(_) | Self::Talk(_) | Self::Hush(_) => false,
            Self::Roam(_) | Self::Weather(..) | Self::Sleep { .. } | Self::Sanction(..) => false,
            Self::Kill(_) | Self::Start(_) | Self::Freeze(_) | Self::Thaw(_) => true,
            Self::Drain(..) | Self::Terminate(_) | Self::Store(_) | Self::Edge(_) => true,
            Self::StepRelay { .. } | Self::StepEdge { .. } => true,
        }
    }
}

/// What the generator knows of a player.
#[derive(Debug, Clone, Copy)]
pub(super) struct KnownPlayer {
    /// He is in his room, or wants to be.
    pub(super) stays: bool,
    pub(super) room: usize,
    pub(super) talks: bool,
    pub(super) weather: Weather,
    pub(super) is_muted: bool,
    /// A moderator's request about him is on its way.
    pub(super) is_judged: bool,
}

/// What the generator knows of a shard.
#[derive(Debug, Clone, Copy)]
pub(super) struct KnownShard {
    pub(super) has_process: bool,
    pub(super) is_frozen: bool,
    pub(super) drains: bool,
    pub(super) ahead_ms: i64,
}

/// What the generator knows.
pub(super) struct Known {
    pub(super) players: Vec<KnownPlayer>,
    pub(super) shards: Vec<KnownShard>,
    pub(super) store: StoreWeather,
    pub(super) edge_is_up: bool,
}

impl Known {
    fn up(&self) -> Vec<usize> {
        let all = 0..self.players.len();
        all.filter(|&n| self.players[n].stays).collect()
    }

    fn shards(&self, are: impl Fn(&KnownShard) -> bool) -> Vec<usize> {
        let all = 0..self.shards.len();
        all.filter(|&n| are(&self.shards[n])).collect()
    }
}

/// What happens now, and what then, after so many milliseconds.
pub(super) type Choice = (Transition, Option<(u64, Transition)>);

/// Chooses what happens next, within reach.
pub(super) fn choose(chance: &mut Chance, known: &Known, reach: &Reach) -> Option<Choice> {
    match chance.percent(40) {
        true => of_players(chance, known).map(|transition| (transition, None)),
        false => of_service(chance, known, reach),
    }
}

/// A room for one more; none where all are full.
pub(super) fn room_for_one(chance: &mut Chance, players: &[KnownPlayer]) -> Option<usize> {
    let wanted = usize::from(chance.percent(30));
    let has_place = |room: &usize| {
        let inside = |player: &&KnownPlayer| player.stays && player.room == *room;
        players.iter().filter(inside).count() < ROOM_MAX
    };
    [wanted, 1 - wanted].into_iter().find(has_place)
}

fn of_players(chance: &mut Chance, known: &Known) -> Option<Transition> {
    let up = known.up();
    if known.players.len() < 8 && chance.percent(if up.len() < 3 { 60 } else { 10 }) {
        let room = room_for_one(chance, &known.players);
        return room.map(Transition::Join);
    }
    let n = chance.pick(&up)?;
    let player = &known.players[n];
    Some(match chance.between(0, 99) {
        0..30 if player.talks => Transition::Hush(n),
        0..40 => Transition::Talk(n),
        40..55 => Transition::Roam(n),
        55..70 if player.weather != Weather::Calm => Transition::Weather(n, Weather::Calm),
        55..65 => Transition::Weather(n, Weather::Storm),
        65..70 => Transition::Weather(n, Weather::Blackout),
        70..76 => Transition::Sleep {
            player: n,
            ms: chance.between(500, 15_000),
        },
        76..82 if up.len() > 2 => Transition::Leave(n),
        82..90 if player.is_judged => Transition::Talk(n),
        82..90 if player.is_muted => Transition::Sanction(Sanction::Unmute, n),
        82..90 => Transition::Sanction(Sanction::Mute, n),
        90..93 if up.len() > 2 => Transition::Sanction(Sanction::Ban, n),
        93..95 if up.len() > 2 => Transition::Sanction(Sanction::Kick, n),
        95..97 if up.len() > 2 => Transition::Sanction(Sanction::Revoke, n),
        _ => Transition::Talk(n),
    })
}

fn of_service(chance: &mut Chance, known: &Known, reach: &Reach) -> Option<Choice> {
    let running = known.shards(|shard| shard.has_process && !shard.is_frozen);
    let absent = known.shards(|shard| !shard.has_process);
    let drained = known.shards(|shard| shard.drains);
    let then = |chance: &mut Chance, most_ms, next| Some((chance.between(300, most_ms), next));
    let may_drain = running.len() > drained.len() + 1 || reach.undrains;
    let choice = match chance.between(0, 99) {
        0..18 => {
            let shard = chance.pick(&running)?;
            let start = chance.percent(60);
            let start = start.then(|| (chance.between(50, 20_000), Transition::Start(shard)));
            (Transition::Kill(shard), start)
        }
        18..26 => (Transition::Start(chance.pick(&absent)?), None),
        26..46 => {
            let shard = chance.pick(&running)?;
            let thaw = then(chance, reach.freeze_max_ms, Transition::Thaw(shard));
            (Transition::Freeze(shard), thaw)
        }
        46..56 if may_drain => (Transition::Drain(chance.pick(&running)?, true), None),
        56..62 if reach.undrains => (Transition::Drain(chance.pick(&drained)?, false), None),
        62..68 if may_drain => {
            let shard = chance.pick(&running)?;
            let start = (chance.between(15_000, 70_000), Transition::Start(shard));
            (Transition::Terminate(shard), Some(start))
        }
        68..84 if known.store == StoreWeather::Fine => {
            let weathers = [StoreWeather::Slow, StoreWeather::Lossy, StoreWeather::Down];
            let weather = chance.pick(&weathers)?;
            let most_ms = match weather {
                StoreWeather::Down => reach.outage_max_ms,
                _ => reach.trouble_max_ms,
            };
            let fine = then(chance, most_ms, Transition::Store(StoreWeather::Fine));
            (Transition::Store(weather), fine)
        }
        84..92 if known.edge_is_up => {
            let up = then(chance, reach.outage_max_ms, Transition::Edge(true));
            (Transition::Edge(false), up)
        }
        92..97 => {
            let shard = chance.pick(&running)?;
            let (ahead_ms, most_ms) = (known.shards[shard].ahead_ms, reach.relay_ahead_max_ms);
            let ms = step(chance, |step| (ahead_ms + step).abs() <= most_ms)?;
            (Transition::StepRelay { shard, ms }, None)
        }
        97..100 => {
            let within = -reach.edge_back_max_ms..=reach.edge_forth_max_ms;
            let ms = step(chance, |step| within.contains(&step))?;
            (Transition::StepEdge { ms }, None)
        }
        _ => return None,
    };
    Some(choice)
}

/// By how much a clock is set, of what may be.
fn step(chance: &mut Chance, may_be: impl Fn(i64) -> bool) -> Option<i64> {
    let steps = [
        -3_600_000, -30_000, -12_000, -3_000, 3_000, 12_000, 30_000, 3_600_000,
    ];
    let within: Vec<i64> = steps.into_iter().filter(|step| may_be(*step)).collect();
    chance.pick(&within)
}
