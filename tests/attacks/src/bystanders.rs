//! Honest players in rooms of a relay, and what they notice while somebody attacks it.

use std::time::Duration;

use anyhow::Result;
use loadgen::peer::{Common, Role, Voice};
use loadgen::relay_process::{Figures, RelayProcess};
use loadgen::swarm::{Phase, Swarm, TalkPattern, pause};

use crate::Scale;

/// Time for what is under way to arrive.
const ARRIVAL: Duration = Duration::from_millis(500);

/// Rooms with one who talks and some who listen each.
pub struct Bystanders {
    swarm: Swarm,
    listeners: u64,
    cpu_before: f64,
}

/// What they noticed.
#[derive(Debug)]
pub struct Noticed {
    /// Voice packets that did not arrive, of those sent to each listener, 0 to 1.
    pub loss: f64,
    /// From a speaker's sending to a listener's decrypting, 99th percentile, milliseconds; what
    /// else the machine does is in it.
    pub p99_ms: f64,
    /// CPU time of the shard meanwhile, seconds.
    pub cpu_s: f64,
    /// The relay's figures at the end.
    pub figures: Figures,
}

impl Bystanders {
    /// Joins two rooms, `honest-0` and `honest-1`.
    ///
    /// # Errors
    /// When not all get in.
    pub fn join(relay: &RelayProcess, scale: Scale) -> Result<Self> {
        let common = Common::new(relay.entry(), Voice::default(), loadgen::now())?;
        let mut roles = Vec::new();
        for room in ["honest-0", "honest-1"] {
            let role = |speaks, probes| Role {
                room: room.parse().expect("a room name"),
                speaks,
                probes,
                hello: true,
                deafened: false,
                slots: 4,
            };
            roles.push(role(true, false));
            roles.push(role(false, true));
            roles.extend((1..scale.listeners).map(|_| role(false, false)));
        }
        let swarm = Swarm::start(&common, roles, TalkPattern::ENDLESS)?;
        swarm.wait_joined(|_| ())?;
        Ok(Self {
            swarm,
            listeners: scale.listeners.into(),
            cpu_before: relay.figures()?.cpu_s(),
        })
    }

    /// Begins to talk and to measure.
    pub fn talk(&self) {
        self.swarm.set_phase(Phase::Measure);
    }

    /// Messages that they were sent so far.
    pub fn messages(&self) -> u64 {
        self.swarm.counts().messages
    }

    /// Ends, and tells what was noticed.
    ///
    /// # Errors
    /// When a thread failed, or the relay does not answer.
    pub fn finish(self, relay: &RelayProcess) -> Result<Noticed> {
        let figures = relay.figures()?;
        let cpu_s = figures.cpu_s() - self.cpu_before;
        self.swarm.set_phase(Phase::Quiet);
        pause(ARRIVAL)?;
        let counts = self.swarm.counts();
        // Each speaker is heard by the listeners of his room.
        let owed = counts.sent * self.listeners;
        let latency = self.swarm.stop()?;
        Ok(Noticed {
            loss: 1.0 - counts.received as f64 / owed.max(1) as f64,
            p99_ms: latency.voice.value_at_quantile(0.99) as f64 / 1e6,
            cpu_s,
            figures,
        })
    }
}
