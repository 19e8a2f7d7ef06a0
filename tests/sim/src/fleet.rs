//! The whole service on one virtual clock: shards with the relay's core and protocol, the functions
//! signalling, fleet and safety over a store that fails, networks, and players with the client's
//! own schedule. One seed makes one run, and repeats it.

mod air;
mod edge;
mod ledger;
mod orders;
mod player;
mod reach;
mod relay;
mod sabotage;
mod store;
mod transition;
mod watch;
mod world;

use std::fmt;
use std::time::{Duration, Instant};

pub use orders::Sanction;
pub use reach::Reach;
pub use sabotage::Sabotage;
pub use store::StoreWeather;
pub use transition::Transition;
pub use watch::Worst;

use world::World;

/// Where all shards are.
const REGION: &str = "eu-1";
/// Transitions of one run.
const TRANSITIONS: usize = 18;
/// Calm at the end, in which everything must come right: the longest bound and some.
const CALM: Duration = Duration::from_secs(37);
/// After the last player went, until a session that nobody ended is over.
const AFTERMATH: Duration = Duration::from_secs(25);

/// What a run without violation did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Report {
    /// Everything that happened.
    pub transitions: Vec<Transition>,
    /// Voice packets that players heard.
    pub heard: u64,
    /// The longest times that were seen.
    pub worst: Worst,
    /// Virtual time.
    pub elapsed: Duration,
}

/// An invariant that did not hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Violation {
    /// Repeats the run.
    pub seed: u64,
    /// Virtual time.
    pub at: Duration,
    /// What was wrong.
    pub what: String,
    /// What happened last.
    pub history: Vec<String>,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { seed, at, what, .. } = self;
        writeln!(f, "fleet seed {seed}, at {} ms: {what}", at.as_millis())?;
        for line in &self.history {
            writeln!(f, "    {line}")?;
        }
        write!(
            f,
            "  again: cargo xtask sim --fleet --from {seed} --seeds 1"
        )
    }
}

impl std::error::Error for Violation {}

/// What is played instead of what a seed chooses: shards, players in the first room, who all talk,
/// and what happens when, in milliseconds from the start.
#[derive(Debug, Clone, Copy)]
pub struct Script<'a> {
    /// How many shards.
    pub shards: usize,
    /// How many players; they join in the first two seconds.
    pub players: usize,
    /// What happens.
    pub happens: &'a [(u64, Transition)],
    /// When it is over.
    pub until_ms: u64,
}

#[expect(
    clippy::disallowed_methods,
    reason = "virtual time needs an instant to start from"
)]
fn some_instant() -> Instant {
    Instant::now()
}

/// Runs the service of `seed` within `reach`, with something broken on purpose or not.
///
/// # Errors
/// The first invariant that does not hold.
pub fn run(seed: u64, reach: &Reach, sabotage: Sabotage) -> Result<Report, Box<Violation>> {
    let mut transitions = Vec::new();
    let shards = 2 + (seed % 3) as usize;
    let mut world = World::new(seed, shards, reach, sabotage);
    let done = live(&mut world, reach, &mut transitions);
    report(seed, &world, transitions, done)
}

/// Plays a script; the seed decides what networks do, and everything else that is drawn.
///
/// # Errors
/// The first invariant that does not hold.
pub fn play(seed: u64, reach: &Reach, script: &Script<'_>) -> Result<Report, Box<Violation>> {
    let mut world = World::new(seed, script.shards, reach, Sabotage::None);
    let done = follow(&mut world, script);
    let transitions = script.happens.iter().map(|(_, transition)| *transition);
    report(seed, &world, transitions.collect(), done)
}

fn report(
    seed: u64,
    world: &World,
    transitions: Vec<Transition>,
    done: Result<(), String>,
) -> Result<Report, Box<Violation>> {
    match done {
        Ok(()) => Ok(Report {
            transitions,
            heard: world.watch.heard,
            worst: world.watch.worst,
            elapsed: world.elapsed(),
        }),
        Err(what) => Err(Box::new(Violation {
            seed,
            at: world.elapsed(),
            what,
            history: world.history.iter().cloned().collect(),
        })),
    }
}

fn live(world: &mut World, reach: &Reach, transitions: &mut Vec<Transition>) -> Result<(), String> {
    for shard in 0..world.relays.len() {
        world.apply(Transition::Start(shard))?;
        let pause = world.chance.between(0, 700);
        world.run(Duration::from_millis(pause))?;
    }
    world.run(Duration::from_millis(300))?;
    for _ in 0..world.chance.between(2, 4) {
        let known = world.known();
        if let Some(room) = transition::room_for_one(&mut world.chance, &known.players) {
            world.apply(Transition::Join(room))?;
            let n = world.players.len() - 1;
            world.apply(Transition::Talk(n))?;
        }
        let pause = world.chance.between(0, 500);
        world.run(Duration::from_millis(pause))?;
    }
    world.run(Duration::from_secs(3))?;
    for _ in 0..TRANSITIONS {
        let known = world.known();
        if let Some((now, then)) = transition::choose(&mut world.chance, &known, reach) {
            world.apply(now)?;
            transitions.push(now);
            if let Some((after_ms, then)) = then {
                world.plan(after_ms, then);
            }
        }
        // Often several things at once, sometimes one after a long time.
        let longest_ms = match world.chance.between(0, 9) {
            0..3 => 100,
            3..9 => 6_000,
            _ => 20_000,
        };
        let pause = world.chance.between(0, longest_ms);
        world.run(Duration::from_millis(pause))?;
    }
    world.calm_all(reach)?;
    world.run(CALM)?;
    close(world)
}

fn follow(world: &mut World, script: &Script<'_>) -> Result<(), String> {
    // Their heartbeats come one after the other.
    for shard in 0..script.shards {
        world.apply(Transition::Start(shard))?;
        world.run(Duration::from_millis(600))?;
    }
    for n in 0..script.players {
        world.apply(Transition::Join(0))?;
        world.apply(Transition::Talk(n))?;
        world.run(Duration::from_millis(1_500 / script.players as u64))?;
    }
    for &(at_ms, transition) in script.happens {
        let left = Duration::from_millis(at_ms).saturating_sub(world.elapsed());
        world.run(left)?;
        world.apply(transition)?;
    }
    let left = Duration::from_millis(script.until_ms).saturating_sub(world.elapsed());
    world.run(left)?;
    Ok(())
}

/// Lets everybody go, and looks at the books.
fn close(world: &mut World) -> Result<(), String> {
    for n in 0..world.players.len() {
        if world.players[n].stays {
            world.apply(Transition::Leave(n))?;
        }
    }
    world.run(AFTERMATH)?;
    world.check_books()
}
