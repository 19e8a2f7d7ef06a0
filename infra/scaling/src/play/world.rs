//! Machines of a region, and the people on them.

use std::collections::BTreeMap;

use super::days::Fault;
use crate::act::Act;
use crate::outlook::Outlook;
use crate::seen::{Memory, Relay, Seen, State};

/// From a launch until its relay takes people.
const STARTS_S: u64 = 240;

struct Machine {
    zone: u32,
    ready_s: u64,
    people: u32,
    hung_s: Option<u64>,
    is_drained: bool,
}

pub(super) struct World {
    machines: BTreeMap<String, Machine>,
    zones: u32,
    each: u32,
    next: u32,
    no_launches: bool,
    launch_failed: bool,
    lost_zone: Option<u32>,
}

impl World {
    pub(super) fn new(count: u32, zones: u32, now_s: u64, each: u32) -> Self {
        let mut world = Self {
            machines: BTreeMap::new(),
            zones,
            each,
            next: 0,
            no_launches: false,
            launch_failed: false,
            lost_zone: None,
        };
        for _ in 0..count {
            world.launch(now_s - STARTS_S);
        }
        world
    }

    /// As an auto-scaling group does it: in the zone that has fewest.
    fn launch(&mut self, now_s: u64) {
        let zones = (0..self.zones).filter(|zone| Some(*zone) != self.lost_zone);
        let count = |zone: u32| self.machines.values().filter(|it| it.zone == zone).count();
        let zone = zones.min_by_key(|zone| count(*zone)).unwrap_or(0);
        self.next += 1;
        let machine = Machine {
            zone,
            ready_s: now_s + STARTS_S,
            people: 0,
            hung_s: None,
            is_drained: false,
        };
        self.machines.insert(format!("i-{:05}", self.next), machine);
    }

    pub(super) fn suffer(&mut self, now_s: u64, faults: &[Fault]) {
        self.no_launches = false;
        self.lost_zone = None;
        for fault in faults {
            match *fault {
                Fault::Hangs { at_s } if at_s == now_s => {
                    let well = self.machines.values_mut().find(|it| it.hung_s.is_none());
                    if let Some(machine) = well {
                        machine.hung_s = Some(now_s);
                    }
                }
                Fault::NoLaunches { from_s, until_s } if (from_s..until_s).contains(&now_s) => {
                    self.no_launches = true;
                }
                Fault::ZoneLost { from_s, until_s } if (from_s..until_s).contains(&now_s) => {
                    self.lost_zone = Some(0);
                    self.machines.retain(|_, machine| machine.zone != 0);
                }
                _ => {}
            }
        }
        self.launch_failed &= self.no_launches;
    }

    /// Has `wanted` people in calls, as far as there is room; how many found none.
    pub(super) fn carry(&mut self, now_s: u64, wanted: u32) -> u32 {
        // Who is on a drained relay moves.
        for machine in self.machines.values_mut() {
            if machine.is_drained && machine.hung_s.is_none() {
                machine.people = 0;
            }
        }
        let here: u32 = self.machines.values().map(|machine| machine.people).sum();
        if here > wanted {
            self.leave(here - wanted, here);
            return 0;
        }
        self.join(now_s, wanted - here)
    }

    /// So many leave, from everywhere alike.
    fn leave(&mut self, count: u32, here: u32) {
        let mut left = count;
        for machine in self.machines.values_mut() {
            let share = (u64::from(machine.people) * u64::from(count)).div_ceil(here.into()) as u32;
            let goes = share.min(left).min(machine.people);
            machine.people -= goes;
            left -= goes;
        }
    }

    /// So many come, and each goes where most is free; how many found nothing.
    fn join(&mut self, now_s: u64, count: u32) -> u32 {
        let each = self.each;
        let machines = self.machines.values_mut();
        let mut taking: Vec<&mut Machine> = machines.filter(|it| it.takes(now_s)).collect();
        let mut left = count;
        while left > 0 {
            taking.retain(|machine| machine.people < each);
            taking.sort_by_key(|machine| machine.people);
            let Some(fewest) = taking.first().map(|machine| machine.people) else {
                break;
            };
            // Up to the next fuller ones, all of them alike.
            let level = taking
                .iter()
                .find(|it| it.people > fewest)
                .map_or(each, |it| it.people);
            let alike = taking.iter().take_while(|it| it.people == fewest).count() as u32;
            let share = (level - fewest).min(left.div_ceil(alike)).max(1);
            for machine in taking.iter_mut().take(alike as usize) {
                let comes = share.min(left);
                machine.people += comes;
                left -= comes;
            }
        }
        left
    }

    pub(super) fn seen(&self, now_s: u64, outlook: &Outlook, memory: &Memory) -> Seen {
        let state = |machine: &Machine| match machine.hung_s {
            Some(since_s) => State::Silent { since_s },
            None if machine.ready_s > now_s => State::Starting {
                since_s: machine.ready_s - STARTS_S,
            },
            None => State::Serving,
        };
        let relay = |machine: &Machine| Relay {
            zone: machine.zone.to_string(),
            participants: machine.people,
            state: state(machine),
        };
        let of = |(id, machine): (&String, &Machine)| {
            debug_assert_eq!(machine.is_drained, memory.drains.contains_key(id), "{id}");
            (id.clone(), relay(machine))
        };
        Seen {
            now_s,
            zones: self.zones,
            relays: self.machines.iter().map(of).collect(),
            launches_fail: self.launch_failed,
            outlook: outlook.clone(),
        }
    }

    /// Does what was decided; how many machines were launched.
    pub(super) fn act(&mut self, now_s: u64, acts: &[Act]) -> u32 {
        let mut launched = 0;
        for act in acts {
            match act {
                Act::Return { id } => self.set_drained(id, false),
                Act::Drain { id, .. } => self.set_drained(id, true),
                Act::Grow { .. } if self.no_launches => self.launch_failed = true,
                Act::Grow { to, .. } => {
                    for _ in self.machines()..*to {
                        self.launch(now_s);
                        launched += 1;
                    }
                }
                Act::End { id, shrinks, .. } => {
                    self.machines.remove(id);
                    if !shrinks && !self.no_launches {
                        self.launch(now_s);
                        launched += 1;
                    }
                }
            }
        }
        launched
    }

    fn set_drained(&mut self, id: &str, is_drained: bool) {
        if let Some(machine) = self.machines.get_mut(id) {
            machine.is_drained = is_drained;
        }
    }

    pub(super) fn people_on(&self, id: &str) -> u32 {
        self.machines.get(id).map_or(0, |machine| machine.people)
    }

    pub(super) fn machines(&self) -> u32 {
        self.machines.len() as u32
    }

    /// Relays that take people.
    pub(super) fn taking(&self, now_s: u64) -> u32 {
        self.machines.values().filter(|it| it.takes(now_s)).count() as u32
    }
}

impl Machine {
    fn takes(&self, now_s: u64) -> bool {
        self.ready_s <= now_s && self.hung_s.is_none() && !self.is_drained
    }
}
