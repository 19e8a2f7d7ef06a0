//! Rooms of callers, some of whom talk.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use tokio::time::sleep;
use wire::ShardId;

use crate::caller::{Caller, Line, Role};
use crate::now;

/// Time between two looks at everybody.
const LOOK: Duration = Duration::from_millis(50);
/// Callers who start at the same time.
const STARTS: usize = 20;
/// Longest wait for everybody to hear his room in the beginning.
const GATHER_LIMIT: Duration = Duration::from_secs(60);

/// How many there are.
#[derive(Debug, Clone)]
pub struct Shape {
    /// Callers in all.
    pub callers: u16,
    /// Of a room.
    pub room_size: u16,
    /// Of a room who talk without end.
    pub speakers: u16,
    /// Whether each packet is noted.
    pub notes: bool,
    /// Begins the names of rooms and players, so that two drills are not in each other's rooms.
    pub name: String,
}

/// Callers in their rooms.
pub struct Party {
    /// What they share.
    pub line: Line,
    shape: Shape,
    callers: Vec<Caller>,
}

impl Party {
    /// Starts everybody, and waits until each hears all others of his room who talk.
    ///
    /// # Errors
    /// When somebody does not get in, with why.
    pub async fn gather(line: Line, shape: Shape) -> Result<Self> {
        let mut party = Self {
            line,
            shape,
            callers: Vec::new(),
        };
        party.prepare().await?;
        for number in 0..party.shape.callers {
            let caller = Caller::start(&party.line, party.role(number)).await?;
            party.callers.push(caller);
            if usize::from(number + 1).is_multiple_of(STARTS) {
                party.await_connected(GATHER_LIMIT).await?;
            }
        }
        party.await_connected(GATHER_LIMIT).await?;
        if !party.await_whole(GATHER_LIMIT).await {
            bail!("not everybody hears his room: {}", party.complaints());
        }
        Ok(party)
    }

    /// Everybody.
    pub fn callers(&self) -> &[Caller] {
        &self.callers
    }

    /// Rooms that there are.
    pub fn rooms(&self) -> u16 {
        self.shape.callers.div_ceil(self.shape.room_size)
    }

    /// The name of a room.
    pub fn room(&self, room: u16) -> String {
        format!("{}-{room}", self.shape.name)
    }

    /// Who of a room talks.
    pub fn speakers(&self, room: u16) -> Vec<u16> {
        let first = room * self.shape.room_size;
        let last = (first + self.shape.speakers.min(self.shape.room_size)).min(self.shape.callers);
        (first..last).collect()
    }

    /// Whom a caller should hear.
    pub fn heard_by(&self, caller: &Caller) -> Vec<u16> {
        let number = caller.role.number;
        let mut speakers = self.speakers(number / self.shape.room_size);
        speakers.retain(|speaker| *speaker != number);
        speakers
    }

    fn role(&self, number: u16) -> Role {
        let room = number / self.shape.room_size;
        Role {
            number,
            player: format!("{}-p{number}", self.shape.name),
            room: self.room(room),
            speaks: self.speakers(room).contains(&number),
            notes: self.shape.notes,
        }
    }

    /// Sees to it that everybody has a token.
    ///
    /// # Errors
    /// When one cannot be made.
    pub async fn prepare(&self) -> Result<()> {
        for number in 0..self.shape.callers {
            let role = self.role(number);
            self.line.edge.prepare(&role.player, &role.room).await?;
        }
        Ok(())
    }

    /// Somebody who comes later into `room`, listens and belongs to nobody's count.
    ///
    /// # Errors
    /// When no socket can be had.
    pub async fn newcomer(&self, room: u16) -> Result<Caller> {
        let role = Role {
            number: u16::MAX - room,
            player: format!("{}-n{room}", self.shape.name),
            room: self.room(room),
            speaks: false,
            notes: true,
        };
        Caller::start(&self.line, role).await
    }

    /// Waits until everybody who was started is in.
    ///
    /// # Errors
    /// When somebody is not in time, with why.
    pub async fn await_connected(&self, limit: Duration) -> Result<()> {
        let until = now() + limit;
        while !self.callers.iter().all(|it| it.noticed().is_connected) {
            if now() > until {
                bail!("not everybody is in: {}", self.complaints());
            }
            sleep(LOOK).await;
        }
        Ok(())
    }

    /// Whether everybody hears all who talk in his room.
    pub fn is_whole(&self) -> bool {
        let time = self.line.time();
        let hears = |it: &Caller| it.hears(&self.heard_by(it), time);
        self.callers.iter().all(hears)
    }

    /// Waits until that is so; false when it is not in time.
    pub async fn await_whole(&self, limit: Duration) -> bool {
        let until = now() + limit;
        while !self.is_whole() {
            if now() > until {
                return false;
            }
            sleep(LOOK).await;
        }
        true
    }

    /// Forgets what everybody heard.
    pub fn forget(&self) {
        self.callers.iter().for_each(Caller::forget);
    }

    /// The shard with most callers.
    ///
    /// # Errors
    /// When nobody is anywhere.
    pub fn fullest(&self) -> Result<ShardId> {
        let mut counts = BTreeMap::<ShardId, usize>::new();
        for caller in &self.callers {
            if let Some(shard) = &caller.noticed().shard {
                *counts.entry(shard.clone()).or_default() += 1;
            }
        }
        let fullest = counts.into_iter().max_by_key(|(_, count)| *count);
        Ok(fullest.context("nobody is on a relay")?.0)
    }

    /// How many callers are on a shard.
    pub fn count_on(&self, shard: &ShardId) -> usize {
        let is_there = |it: &&Caller| it.noticed().shard.as_ref() == Some(shard);
        self.callers.iter().filter(is_there).count()
    }

    /// The shard of a room, if all of it are on one.
    pub fn shard_of(&self, room: u16) -> Option<ShardId> {
        let name = self.room(room);
        let there = self.callers.iter().filter(|it| it.role.room == name);
        let mut shards = there.map(|it| it.noticed().shard.clone());
        let first = shards.next()??;
        shards
            .all(|it| it.as_ref() == Some(&first))
            .then_some(first)
    }

    /// Connections that were lost since [`Party::forget`].
    pub fn losses(&self) -> u64 {
        self.callers.iter().map(|it| it.noticed().losses).sum()
    }

    /// Has everybody whose call is over or who does not hear his room begin anew; how many that
    /// were.
    ///
    /// # Errors
    /// When no socket can be had.
    pub async fn mend(&mut self) -> Result<usize> {
        let time = self.line.time();
        let mut broken = Vec::new();
        for (index, caller) in self.callers.iter().enumerate() {
            if !caller.hears(&self.heard_by(caller), time) {
                broken.push(index);
            }
        }
        for index in &broken {
            let role = self.callers[*index].role.clone();
            let fresh = Caller::start(&self.line, role).await?;
            std::mem::replace(&mut self.callers[*index], fresh)
                .leave()
                .await;
        }
        Ok(broken.len())
    }

    /// Why those are not in or do not hear who should.
    pub fn complaints(&self) -> String {
        let time = self.line.time();
        let broken = self.callers.iter();
        let broken = broken.filter(|it| !it.hears(&self.heard_by(it), time));
        let told = broken.map(|caller| {
            let noticed = caller.noticed();
            let shard = noticed.shard.as_ref().map_or("nowhere", ShardId::as_str);
            format!(
                "{} in {} at {shard} (connected {}, failures {:?}, ended {:?})",
                caller.role.player,
                caller.role.room,
                noticed.is_connected,
                noticed.failures,
                noticed.ended
            )
        });
        let told: Vec<_> = told.collect();
        let shown = told.len().min(5);
        format!("{} callers: {}", told.len(), told[..shown].join("; "))
    }

    /// Everybody leaves.
    pub async fn leave(self) {
        for caller in self.callers {
            caller.leave().await;
        }
    }
}
