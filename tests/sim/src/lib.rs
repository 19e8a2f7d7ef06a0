//! A deterministic world on a virtual clock: the relay's core with the relay's own protocol, real
//! str0m clients behind bad networks, and a reference model that says who may hear whom.
//!
//! One seed makes one run: what happens, when, what each link does to each datagram, and the jitter
//! of DTLS. What it does not reach is other randomness inside the crypto library and str0m (keys,
//! certificates, transaction ids), so two runs of a seed may differ in bytes that nobody looks at.

mod chance;
pub mod client;
mod dtls;
mod egress;
pub mod fleet;
mod hostile;
mod model;
mod network;
mod observed;
pub mod queues;
pub mod speech;
mod strangers;
mod tickets;
mod told;
mod transition;
mod used;
mod watch;
mod world;

use std::fmt;
use std::time::Duration;

pub use hostile::Hostile;
pub use model::{Grant, Plan};
pub use network::Weather;
pub use observed::Sabotage;
pub use transition::{Name, Transition};

use world::World;

/// Transitions of one run.
const TRANSITIONS: usize = 45;
/// Calm at the end, in which everything must come right.
const CALM: Duration = Duration::from_secs(30);
/// After the last client went, the longest timer (the minute of a usage record) and some.
const AFTERMATH: Duration = Duration::from_secs(80);

/// What a run without violation did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Report {
    /// Everything that happened.
    pub transitions: Vec<Transition>,
    /// Sessions whose handshake finished.
    pub connected: u64,
    /// Voice packets that clients heard.
    pub heard: usize,
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
        writeln!(f, "seed {seed}, at {} ms: {what}", at.as_millis())?;
        for line in &self.history {
            writeln!(f, "    {line}")?;
        }
        write!(f, "  again: cargo xtask sim --from {seed} --seeds 1")
    }
}

impl std::error::Error for Violation {}

/// Runs the world of `seed`, with something broken on purpose or not.
///
/// # Errors
/// The first invariant that does not hold.
pub fn run(seed: u64, sabotage: Sabotage) -> Result<Report, Box<Violation>> {
    let mut world = World::new(seed, sabotage);
    let mut transitions = Vec::with_capacity(TRANSITIONS);
    match live(&mut world, &mut transitions) {
        Ok(()) => Ok(Report {
            transitions,
            connected: world.sfu.stats().connected,
            heard: world.watch.heard(),
            elapsed: world.elapsed(),
        }),
        Err(what) => Err(Box::new(Violation {
            seed,
            at: world.elapsed(),
            what,
            history: world.history.into(),
        })),
    }
}

fn live(world: &mut World, transitions: &mut Vec<Transition>) -> Result<(), String> {
    for _ in 0..TRANSITIONS {
        let known = world.known();
        let hostile = world.hostile;
        let toggle = hostile.toggles.then_some(&known);
        let toggle = toggle.and_then(|known| transition::toggle(&mut world.chance, known));
        let transition =
            toggle.unwrap_or_else(|| transition::choose(&mut world.chance, &known, hostile));
        world.apply(&transition)?;
        transitions.push(transition);
        // Often at once, sometimes after a while.
        let longest = if world.chance.percent(30) { 20 } else { 1400 };
        let pause = Duration::from_millis(world.chance.between(0, longest));
        world.run(pause)?;
    }
    world.apply(&Transition::Undrain)?;
    world.calm_all();
    world.run(CALM)?;
    world.close()?;
    world.run(AFTERMATH)?;
    world.check_empty()
}
