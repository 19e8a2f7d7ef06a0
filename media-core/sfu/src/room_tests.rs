//! A room against a reference model: what happens is drawn from a seed, and after each step the
//! room must have done what the model says. No connection, no cipher, no clock.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};

use bytes::BytesMut;
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use rtc_rtp::Header;

use super::*;
use crate::Crossing;
use crate::idents::{Permissions, PlayerKey, SessionId, TopicKey};
use crate::protocol::{
    Admission, BadMessage, BadTicket, Carried, ChannelGrant, DataChannel, Request, RosterEntry,
    Source,
};
use crate::push::{Audience, Author};
use crate::rtp::RTP_HEADER_BYTES;

const OPUS: u8 = 111;
const LEVEL_ID: u8 = 3;
const CHANNELS: u64 = 70;
const HANG_OVER: Duration = Duration::from_millis(400);
const INTERVAL: Duration = Duration::from_millis(50);
const STEPS: usize = 300;
const PARTY: TopicKey = TopicKey([9; 8]);

/// What a client is told, as a client keeps it.
#[derive(Debug, Clone)]
enum Told {
    Welcome(u32, Vec<Entry_>, Option<u32>),
    Roster(Vec<Entry_>, Vec<u32>, Option<u32>),
    Slots(Vec<(u8, Option<Carried>)>),
    Speaking(Vec<u32>, Vec<u32>),
}

/// Number, player, muted, deafened, may speak.
type Entry_ = (u32, Option<u64>, bool, bool, bool);

/// Keeps notices as they are: a message is the index of one.
#[derive(Default)]
struct Kept(RefCell<Vec<Told>>);

fn entries(of: &[RosterEntry<'_, u64>]) -> Vec<Entry_> {
    let entry =
        |e: &RosterEntry<'_, u64>| (e.id, e.profile.copied(), e.muted, e.deafened, e.speaker);
    of.iter().map(entry).collect()
}

impl Protocol for Kept {
    type Profile = u64;

    fn open(&self, _: &str) -> Result<Admission, BadTicket> {
        Err(BadTicket::Malformed)
    }

    fn data_channel(&self, _: &str) -> Option<DataChannel> {
        None
    }

    fn read(&self, _: SessionId, _: &[u8]) -> Result<Request<u64>, BadMessage> {
        Err(BadMessage)
    }

    fn write(&self, notice: &Notice<'_, u64>) -> Vec<u8> {
        let told = match notice {
            Notice::Welcome {
                participant,
                participants,
                count,
                ..
            } => Told::Welcome(*participant, entries(participants), *count),
            Notice::Roster {
                joined,
                left,
                changed,
                count,
            } => {
                let new = [entries(joined), entries(changed)].concat();
                Told::Roster(new, left.to_vec(), *count)
            }
            Notice::Slots { changes, .. } => {
                Told::Slots(changes.iter().map(|c| (c.slot, c.carries)).collect())
            }
            Notice::Speaking { started, stopped } => {
                Told::Speaking(started.to_vec(), stopped.to_vec())
            }
            Notice::Pong { .. } | Notice::Quality(_) | Notice::Migrate | Notice::Ended(_) => {
                panic!("a room says no such thing")
            }
        };
        let mut all = self.0.borrow_mut();
        all.push(told);
        (all.len() as u64 - 1).to_be_bytes().to_vec()
    }
}

/// A member as the model has him, and what his client knows.
struct Member {
    index: usize,
    player: u64,
    grants: BTreeMap<u64, Permissions>,
    introduced: bool,
    /// When his last hello was made, or his ticket.
    as_of_ms: u64,
    server_muted: bool,
    blocked: BTreeSet<u64>,
    crossing: Crossing,
    reads_party: bool,
    muted: bool,
    deafened: bool,
    number: u32,
    entered_at: Instant,
    slots: usize,
    /// His voice: source, number, count of packets, the last with sound.
    ssrc: u32,
    heard_ssrc: Option<u32>,
    seq: u64,
    count: u32,
    last_voice: Option<Instant>,
    /// When each packet of his was within his rate, silence included.
    said: Vec<Instant>,
    // What his client knows.
    roster: BTreeMap<u32, Entry_>,
    told_count: Option<u32>,
    speaking: BTreeSet<u32>,
    slot_map: BTreeMap<u8, (u32, Option<ChannelKey>)>,
}

impl Member {
    fn may_speak(&self) -> bool {
        self.grants.values().any(|grant| grant.speak)
    }

    fn may_hear(&self, speaker: &Self) -> bool {
        if self.blocked.contains(&speaker.player) || speaker.blocked.contains(&self.player) {
            return false;
        }
        let (a, b) = (self.crossing, speaker.crossing);
        if (a.one_platform || b.one_platform) && (a.platform != b.platform || a.platform[0] == 0) {
            return false;
        }
        let mut speaks = speaker.grants.iter().filter(|(_, grant)| grant.speak);
        speaks.any(|(channel, _)| self.grants.get(channel).is_some_and(|grant| grant.listen))
    }

    /// Whether the edge's history shows him what `author` wrote, who has blocked those of
    /// `blocked`: the rule of `chat/src/history.rs` in its own words.
    fn is_shown(&self, author: u64, from: Option<Crossing>, blocked: &BTreeSet<u64>) -> bool {
        let mine = self.crossing;
        let is_near = from.is_none_or(|from| {
            from.platform == mine.platform || (!mine.one_platform && !from.one_platform)
        });
        let is_hidden = self.blocked.contains(&author) || blocked.contains(&self.player);
        author == self.player || (is_near && !is_hidden)
    }

    fn gets(&self, speaker: &Self) -> bool {
        let wants = self.introduced && !self.deafened;
        wants && self.player != speaker.player && self.may_hear(speaker)
    }

    fn speaks(&self, now: Instant) -> bool {
        let is_recent = |at: Instant| now < at + HANG_OVER;
        self.may_speak() && !self.muted && self.last_voice.is_some_and(is_recent)
    }

    /// Whether one packet more would leave every span of time within his rate.
    fn may_say_more(&self, now: Instant) -> bool {
        let counted = self.said.iter().rev().zip(2..);
        let mut spans = counted.map(|(from, count)| (now.duration_since(*from), count));
        spans.all(|(span, count)| f64::from(count) <= 25.0 + 110.0 * span.as_secs_f64() + 1e-9)
    }

    fn handle(&mut self, told: Told) {
        match told {
            Told::Welcome(number, all, count) => {
                assert_eq!(number, self.number);
                self.told_count = count;
                // It comes again after a later hello: what was said before is void.
                self.roster = all.into_iter().map(|e| (e.0, e)).collect();
                self.speaking.clear();
                self.slot_map.clear();
            }
            Told::Roster(new, left, count) => {
                self.told_count = count.or(self.told_count);
                self.roster.extend(new.into_iter().map(|e| (e.0, e)));
                // Of himself everybody knows.
                let left = left.into_iter().filter(|id| *id != self.number);
                for id in left.collect::<Vec<_>>() {
                    self.roster.remove(&id);
                    self.speaking.remove(&id);
                    self.slot_map.retain(|_, (who, _)| *who != id);
                }
                // As clients do: who is muted is not talking.
                let roster = &self.roster;
                self.speaking
                    .retain(|id| roster.get(id).is_none_or(|entry| !entry.2));
            }
            Told::Slots(slots) => {
                for (slot, who) in slots {
                    match who {
                        Some(carried) => {
                            let Source::Participant(who) = carried.source;
                            self.slot_map.insert(slot, (who, carried.channel))
                        }
                        None => self.slot_map.remove(&slot),
                    };
                }
            }
            Told::Speaking(started, stopped) => {
                self.speaking.extend(started);
                self.speaking.retain(|id| !stopped.contains(id));
            }
        }
    }
}

struct World {
    now: Instant,
    room: Room<u64>,
    protocol: Kept,
    chance: ChaCha8Rng,
    members: BTreeMap<usize, Member>,
    next_link: usize,
    stats: Stats,
    spare: Vec<Vec<u8>>,
    /// Numbers that each stream has sent: link and SSRC.
    sent: BTreeMap<(usize, u32), BTreeSet<u16>>,
    /// Who said what, waiting to be forwarded: the listeners that must get it.
    owed: BTreeMap<(u64, u32), BTreeSet<usize>>,
    heard: BTreeSet<(usize, u64, u32)>,
    /// When a listener last heard a speaker.
    heard_at: BTreeMap<(usize, usize), Instant>,
    forwarded: u64,
    /// Messages to members.
    told: u64,
    participant_time: Duration,
    talk_time: Duration,
    began: Instant,
    /// What the edge ordered last of each player, and of each two, and when.
    mutes: BTreeMap<u64, (bool, u64)>,
    blocks: BTreeMap<(u64, u64), (bool, u64)>,
}

fn settings(max_shown: usize) -> Settings {
    Settings {
        speaker: SpeakerLimits::default(),
        states_per_s: 2,
        max_shown,
        roster_interval: INTERVAL,
        speaking: SpeakingConfig::default(),
    }
}

fn some_instant() -> Instant {
    #[expect(
        clippy::disallowed_methods,
        reason = "a test needs some instant to start from"
    )]
    Instant::now()
}

fn channel(n: u64) -> ChannelKey {
    ChannelKey(n.to_be_bytes())
}

fn player_key(player: u64) -> PlayerKey {
    PlayerKey(u128::from(player).to_be_bytes())
}

/// A packet in the clear, as a link opens it: it says who sent it and its count.
fn packet(member: &Member, marker: &[u8], level: u8, bytes: usize) -> Opened {
    let mut payload = marker.to_vec();
    payload.resize(bytes.max(marker.len()), 0x55);
    let mut raw = BytesMut::zeroed(RTP_HEADER_BYTES);
    raw.extend_from_slice(&payload);
    let end = raw.len();
    let mut header = Header {
        version: 2,
        payload_type: OPUS,
        sequence_number: member.seq as u16,
        timestamp: member.seq as u32 * 960,
        ssrc: member.ssrc,
        ..Default::default()
    };
    let level = bytes::Bytes::copy_from_slice(&[level]);
    header
        .set_extension(LEVEL_ID, level)
        .expect("an id in range");
    Opened::new(header, member.seq, raw, RTP_HEADER_BYTES..end).expect("a range of it")
}

impl World {
    fn new(seed: u64) -> Self {
        let now = some_instant();
        let ends = now + Duration::from_secs(3600);
        let max_shown = if seed.is_multiple_of(2) { 100 } else { 3 };
        Self {
            now,
            // Every other room is large with four.
            room: Room::new(now, RoomKey([1; 8]), settings(max_shown), ends),
            protocol: Kept::default(),
            chance: ChaCha8Rng::seed_from_u64(seed),
            members: BTreeMap::new(),
            next_link: 0,
            stats: Stats::default(),
            spare: Vec::new(),
            sent: BTreeMap::new(),
            owed: BTreeMap::new(),
            heard: BTreeSet::new(),
            heard_at: BTreeMap::new(),
            forwarded: 0,
            told: 0,
            participant_time: Duration::ZERO,
            talk_time: Duration::ZERO,
            began: now,
            mutes: BTreeMap::new(),
            blocks: BTreeMap::new(),
        }
    }

    /// Unix time, milliseconds.
    fn wall_ms(&self) -> u64 {
        1_000_000 + (self.now - self.began).as_millis() as u64
    }

    /// A moment up to half a minute ago, at which the edge did something that arrives now.
    fn some_ms(&mut self) -> u64 {
        let ago = if self.percent(50) { 10 } else { 30_000 };
        self.wall_ms() - self.below(ago)
    }

    fn mute(&mut self) {
        let (player, muted, at_ms) = (self.below(12), self.percent(60), self.some_ms());
        let until = muted.then_some(self.now + Duration::from_secs(3600));
        self.room.mute(self.now, player_key(player), until, at_ms);
        if self.mutes.get(&player).is_some_and(|(_, at)| *at > at_ms) {
            return;
        }
        self.mutes.insert(player, (muted, at_ms));
        for (link, member) in &mut self.members {
            if member.player == player && member.as_of_ms <= at_ms {
                member.server_muted = muted;
                if muted {
                    member.last_voice = None;
                    self.owed.retain(|(of, _), _| *of != *link as u64);
                }
            }
        }
    }

    fn block(&mut self) {
        let (player, other) = (self.below(12), self.below(12));
        let (blocked, at_ms) = (self.percent(60), self.some_ms());
        let keys = (player_key(player), player_key(other));
        self.room.block(self.now, keys, blocked, at_ms);
        let of = (player, other);
        if self.blocks.get(&of).is_some_and(|(_, at)| *at > at_ms) {
            return;
        }
        self.blocks.insert(of, (blocked, at_ms));
        let members = self.members.values_mut();
        for member in members.filter(|member| member.as_of_ms <= at_ms) {
            if member.player == player && blocked {
                member.blocked.insert(other);
            } else if member.player == player {
                member.blocked.remove(&other);
            }
        }
        self.recount_owed();
    }

    /// Whom `player` blocks, whose ticket or hello of `at_ms` says `blocked`.
    fn blocked(&self, player: u64, mut blocked: BTreeSet<u64>, at_ms: u64) -> BTreeSet<u64> {
        for ((by, other), (holds, at)) in &self.blocks {
            if *by == player && *at >= at_ms {
                blocked.remove(other);
                blocked.extend(holds.then_some(*other));
            }
        }
        blocked
    }

    fn below(&mut self, n: u64) -> u64 {
        self.chance.next_u64() % n
    }

    fn percent(&mut self, percent: u64) -> bool {
        self.below(100) < percent
    }

    fn permissions(&mut self) -> Permissions {
        Permissions {
            speak: self.percent(85),
            listen: self.percent(85),
        }
    }

    /// Mostly one of a few, so that people meet; sometimes one beyond the 64th.
    fn any_channel(&mut self) -> u64 {
        let few = self.percent(80);
        self.below(if few { 2 } else { CHANNELS })
    }

    fn any_member(&mut self) -> Option<usize> {
        let links: Vec<usize> = self.members.keys().copied().collect();
        let n = self.below(links.len().max(1) as u64) as usize;
        links.get(n).copied()
    }

    fn step(&mut self) {
        let link = self.any_member();
        match (self.below(100), link) {
            (0..12, _) | (_, None) => self.enter(),
            (12..20, Some(link)) => self.introduce(link),
            (20..26, Some(link)) => self.set_state(link),
            (26..30, Some(link)) => self.leave(link),
            (30, Some(_)) => self.mute(),
            (31, Some(_)) => self.block(),
            (32..35, Some(link)) => {
                let ssrc = self.chance.next_u32();
                let seq = self.below(1 << 15);
                let member = self.members.get_mut(&link).expect("a member");
                (member.ssrc, member.seq) = (ssrc, seq);
            }
            (35, Some(link)) => (0..40).for_each(|_| self.talk(link)),
            (36..80, Some(link)) => self.talk(link),
            _ => {
                let ms = if self.percent(20) { 900 } else { 30 };
                let ms = self.below(ms);
                self.pass(Duration::from_millis(ms));
            }
        }
        self.settle();
        if self.percent(70) {
            self.forward();
        }
    }

    fn enter(&mut self) {
        let (link, player) = (self.next_link, self.below(12));
        self.next_link += 1;
        let (first, permissions) = (self.any_channel(), self.permissions());
        let slots = self.below(4) as usize + 1;
        let (server_muted, issued_at_ms) = (self.percent(5), self.some_ms());
        let entry = Entry {
            player: player_key(player),
            channel: channel(first),
            permissions,
            server_muted,
            issued_at_ms,
            payload_types: PayloadTypes {
                opus: OPUS,
                red: None,
            },
            level_id: Some(LEVEL_ID),
            slot_ssrcs: (0..slots as u32).collect(),
            first_seq: self.below(1 << 15),
        };
        self.room.take_link();
        let index = self.room.enter(self.now, link, &entry);
        let (ssrc, seq) = (self.chance.next_u32(), self.below(1 << 15));
        self.members.insert(
            link,
            Member {
                index,
                player,
                grants: BTreeMap::from([(first, permissions)]),
                introduced: false,
                as_of_ms: issued_at_ms,
                server_muted: match self.mutes.get(&player) {
                    Some((muted, at_ms)) if *at_ms >= issued_at_ms => *muted,
                    _ => server_muted,
                },
                blocked: self.blocked(player, BTreeSet::new(), issued_at_ms),
                crossing: Crossing::default(),
                reads_party: false,
                muted: false,
                deafened: false,
                number: self.next_link as u32,
                entered_at: self.now,
                slots,
                ssrc,
                heard_ssrc: None,
                seq,
                count: 0,
                last_voice: None,
                said: Vec::new(),
                roster: BTreeMap::new(),
                told_count: None,
                speaking: BTreeSet::new(),
                slot_map: BTreeMap::new(),
            },
        );
    }

    fn introduce(&mut self, link: usize) {
        let mut grants = BTreeMap::new();
        for _ in 0..=self.below(3) {
            let (channel, permissions) = (self.any_channel(), self.permissions());
            grants.entry(channel).or_insert(permissions);
        }
        let hello: Vec<ChannelGrant> = grants
            .iter()
            .map(|(n, permissions)| ChannelGrant {
                channel: channel(*n),
                permissions: *permissions,
            })
            .collect();
        let number = self.some_ms();
        let blocked: BTreeSet<u64> = (0..self.below(3)).map(|_| self.below(12)).collect();
        let player = self.members[&link].player;
        let wanted = self.blocked(player, blocked.clone(), number);
        let crossing = Crossing {
            platform: [self.below(3) as u8; 8],
            one_platform: self.percent(10),
        };
        let reads_party = self.percent(60);
        let member = self.members.get_mut(&link).expect("a member");
        let hello = Hello {
            issued_at_ms: number,
            profile: member.player,
            channels: hello,
            topics: reads_party.then_some(PARTY).into_iter().collect(),
            muted_until_ms: None,
            until_ms: None,
            blocked: blocked.into_iter().map(player_key).collect(),
            crossing,
        };
        let (now, protocol) = (self.now, &self.protocol);
        let done = self
            .room
            .introduce(now, protocol, member.index, hello, &mut self.stats);
        let is_old = member.introduced && number <= member.as_of_ms;
        assert_eq!(done.is_err(), is_old, "a hello counts once");
        if done.is_ok() {
            (member.introduced, member.as_of_ms) = (true, number);
            member.blocked = wanted;
            member.crossing = crossing;
            member.reads_party = reads_party;
            member.grants = grants;
            let player = member.player;
            let other = |(of, m): (&usize, &Member)| *of != link && m.player == player;
            let replaced: Vec<usize> = self
                .members
                .iter()
                .filter(|(of, m)| other((of, m)))
                .map(|(of, _)| *of)
                .collect();
            for of in replaced {
                self.gone(of);
            }
            self.recount_owed();
        }
    }

    fn set_state(&mut self, link: usize) {
        let (muted, deafened) = (self.percent(40), self.percent(30));
        let member = self.members.get_mut(&link).expect("a member");
        (member.muted, member.deafened) = (muted, deafened);
        if muted {
            member.last_voice = None;
            self.owed.retain(|(of, _), _| *of != link as u64);
        }
        let index = member.index;
        self.room.set_state(self.now, index, muted, deafened);
        self.recount_owed();
    }

    fn leave(&mut self, link: usize) {
        let index = self.members[&link].index;
        self.room.leave(self.now, index);
        self.gone(link);
    }

    fn gone(&mut self, link: usize) {
        self.members.remove(&link);
        self.room.give_link_back();
        self.owed.retain(|(of, _), _| *of != link as u64);
        for owed in self.owed.values_mut() {
            owed.remove(&link);
        }
    }

    /// Grants changed while voice waits: who gets it is decided when it leaves.
    fn recount_owed(&mut self) {
        let members = &self.members;
        for ((speaker, _), owed) in &mut self.owed {
            let speaker = &members[&(*speaker as usize)];
            owed.retain(|listener| members[listener].gets(speaker));
        }
    }

    fn talk(&mut self, link: usize) {
        let is_sound = self.percent(85);
        let now = self.now;
        let member = self.members.get_mut(&link).expect("a member");
        member.seq += 1;
        member.count += 1;
        let marker = [
            (link as u64).to_be_bytes().to_vec(),
            member.count.to_be_bytes().to_vec(),
        ]
        .concat();
        let level = if is_sound { 20 } else { 127 };
        let opened = packet(member, &marker, level, 40);
        let (index, count) = (member.index, member.count);
        // A new source begins in silence.
        if member.heard_ssrc != Some(member.ssrc) {
            (member.heard_ssrc, member.last_voice) = (Some(member.ssrc), None);
        }
        let taken = self.room.handle_voice(now, index, &opened, &mut self.spare);
        let member = self.members.get_mut(&link).expect("a member");
        if taken == Err(DropReason::Rate) {
            assert!(!member.may_say_more(now), "{link} kept to his rate");
        }
        if taken.is_ok() || taken == Err(DropReason::Silence) {
            assert!(member.may_say_more(now), "{link} said too much");
            member.said.push(now);
        }
        if taken.is_err() {
            return;
        }
        assert!(member.may_speak() && !member.muted, "a muted one is heard");
        assert!(!member.server_muted, "one who was silenced is heard");
        if is_sound {
            member.last_voice = Some(now);
        }
        self.talk_time += PACKET_TIME;
        let member = &self.members[&link];
        let listeners = self.members.iter().filter(|(_, one)| one.gets(member));
        let listeners = listeners.map(|(of, _)| *of).collect();
        self.owed.insert((link as u64, count), listeners);
    }

    fn pass(&mut self, time: Duration) {
        let until = self.now + time;
        // Voice leaves at once, before time passes.
        self.forward();
        while self.room.poll_timeout() <= until {
            let at = self.room.poll_timeout().max(self.now);
            self.count_time(at);
            assert!(!self.room.handle_timeout(at, &self.protocol));
            self.settle();
        }
        self.count_time(until);
    }

    fn count_time(&mut self, now: Instant) {
        self.participant_time += (now - self.now) * self.members.len() as u32;
        self.now = now;
    }

    fn settle(&mut self) {
        while let Some(output) = self.room.poll_output() {
            match output {
                Output::Tell { link, message } => {
                    self.told += 1;
                    let n = u64::from_be_bytes(message[..].try_into().expect("an index"));
                    let told = self.protocol.0.borrow()[n as usize].clone();
                    let member = self.members.get_mut(&link).expect("told and gone");
                    assert!(member.introduced, "told before the welcome");
                    member.handle(told);
                }
                Output::Replaced { link } => {
                    assert!(!self.members.contains_key(&link), "the model knew");
                }
            }
        }
    }

    fn forward(&mut self) {
        while let Some(listener) = self.room.next_listener(self.now) {
            let (link, mut got) = (listener.link, Vec::new());
            let (now, stats) = (self.now, &mut self.stats);
            self.room.forward(now, listener, stats, |packet| {
                got.push(packet.to_vec());
                Ok(packet.len())
            });
            for packet in got {
                self.heard(link, &packet);
            }
            self.take_slots(link);
        }
        self.room.finish_forwarding(&mut self.spare);
        for ((speaker, count), owed) in std::mem::take(&mut self.owed) {
            for listener in owed {
                self.check_missed(listener, speaker as usize, count);
            }
        }
    }

    fn take_slots(&mut self, link: usize) {
        let member = self.members.get_mut(&link).expect("a member");
        if let Some(message) = self.room.take_slots(&self.protocol, member.index) {
            let n = u64::from_be_bytes(message[..].try_into().expect("an index"));
            member.handle(self.protocol.0.borrow()[n as usize].clone());
        }
    }

    /// A slot names a channel in which its listener hears its speaker, if there is one.
    fn check_slots(&mut self) {
        for link in self.members.keys().copied().collect::<Vec<_>>() {
            self.take_slots(link);
        }
        for listener in self.members.values().filter(|m| m.introduced) {
            for (number, through) in listener.slot_map.values() {
                let mut members = self.members.values();
                let speaker = members.find(|m| m.number == *number);
                let speaker = speaker.expect("a slot is freed when its speaker leaves");
                let is_through = |n: &u64| {
                    let speaks = speaker.grants.get(n).is_some_and(|grant| grant.speak);
                    let listens = listener.grants.get(n).is_some_and(|grant| grant.listen);
                    (speaks && listens).then(|| channel(*n))
                };
                let possible: Vec<_> = listener.grants.keys().filter_map(is_through).collect();
                match through {
                    Some(through) => assert!(possible.contains(through), "{number}"),
                    None => assert_eq!(possible, [], "{number} is heard through none"),
                }
            }
        }
    }

    fn heard(&mut self, link: usize, packet: &[u8]) {
        let number = u16::from_be_bytes([packet[2], packet[3]]);
        let ssrc = u32::from_be_bytes(packet[8..12].try_into().expect("four bytes"));
        let sent = self.sent.entry((link, ssrc)).or_default();
        assert!(sent.insert(number), "number {number} of slot {ssrc} twice");
        let payload = &packet[RTP_HEADER_BYTES..];
        let speaker = u64::from_be_bytes(payload[..8].try_into().expect("eight bytes"));
        let count = u32::from_be_bytes(payload[8..12].try_into().expect("four bytes"));
        if let Some(owed) = self.owed.get_mut(&(speaker, count)) {
            owed.remove(&link);
        }
        let (listener, said) = (&self.members[&link], &self.members[&(speaker as usize)]);
        assert!(
            listener.gets(said),
            "{link} heard {speaker}, whom he must not"
        );
        assert!(!said.muted, "{link} heard {speaker}, who is muted");
        let is_new = self.heard.insert((link, speaker, count));
        assert!(is_new, "{link} heard packet {count} of {speaker} twice");
        self.heard_at.insert((link, speaker as usize), self.now);
        self.forwarded += 1;
    }

    /// A packet did not come: only where others have the slots, those included who fell silent a
    /// moment ago.
    fn check_missed(&self, listener: usize, speaker: usize, count: u32) {
        let one = &self.members[&listener];
        let is_recent = |at: &Instant| self.now < *at + HANG_OVER;
        let others = self.members.iter().filter(|(link, other)| {
            let last = self.heard_at.get(&(listener, **link));
            let holds = last.is_some_and(is_recent);
            **link != speaker && (holds || one.gets(other) && other.speaks(self.now))
        });
        assert!(
            others.count() >= one.slots,
            "{listener} missed packet {count} of {speaker}, though all fit: {:?}",
            self.room.members[one.index].slots
        );
    }

    /// A push reaches those to whom the edge's history answers it, of those who may read the
    /// channel and have introduced themselves.
    fn check_readers(&mut self) {
        // Also one who is not in the room.
        let player = self.below(16);
        let from = self.percent(80).then(|| Crossing {
            platform: [self.below(2) as u8 + 1; 8],
            one_platform: self.percent(20),
        });
        let said: BTreeSet<u64> = (0..self.below(4)).map(|_| self.below(12)).collect();
        let blocked_at_ms = self.some_ms();
        let author = Author {
            player: player_key(player),
            crossing: from,
            blocked: said.iter().copied().map(player_key).collect(),
            blocked_at_ms,
        };
        let members = self.members.values();
        let here = members.clone().find(|m| m.player == player && m.introduced);
        let blocked = match here {
            Some(author) => author.blocked.clone(),
            None => self.blocked(player, said, blocked_at_ms),
        };
        let (n, other) = (self.any_channel(), self.below(12));
        let room = self.room.key;
        type Belongs<'a> = &'a dyn Fn(&Member) -> bool;
        let audiences: [(Audience, Belongs<'_>); 4] = [
            (Audience::Room(room, PARTY), &|m| m.reads_party),
            (Audience::Topic(PARTY), &|m| m.reads_party),
            (Audience::Channel(room, channel(n)), &|m| {
                m.grants.contains_key(&n)
            }),
            (Audience::Player(room, player_key(other)), &|m| {
                m.player == other
            }),
        ];
        for (audience, belongs) in audiences {
            let members = self.members.iter().filter(|(_, m)| m.introduced);
            let wanted = members.filter(|(_, m)| belongs(m) && m.is_shown(player, from, &blocked));
            let wanted: BTreeSet<usize> = wanted.map(|(link, _)| *link).collect();
            let told: Vec<_> = self.room.addressees(audience, Some(&author)).collect();
            let readers = told.iter().filter(|one| one.may_read).map(|one| one.link);
            assert_eq!(wanted, readers.collect(), "{audience:?} of {author:?}");
            let belong = |m: &&Member| m.introduced && belongs(m);
            let belong = self.members.values().filter(belong).count();
            assert_eq!(
                told.len(),
                belong,
                "the others are told that it is not for them"
            );
            let all = self.room.addressees(audience, None);
            let all = all.filter(|one| one.may_read).count();
            assert_eq!(all, belong, "nobody is kept from what nobody wrote");
        }
    }

    /// Whoever asks who is here learns of everybody, by number and page by page, as it is now.
    fn check_present(&self) {
        let now = self.now;
        let mut wanted: Vec<(Entry_, bool, bool, usize, Duration)> = Vec::new();
        for (link, m) in &self.members {
            let player = m.introduced.then_some(m.player);
            let entry = (m.number, player, m.muted, m.deafened, m.may_speak());
            let talks = m.speaks(now) && !m.server_muted;
            wanted.push((entry, m.server_muted, talks, *link, now - m.entered_at));
        }
        wanted.sort_unstable_by_key(|(entry, ..)| entry.0);
        let most = self.members.len() % 4 + 1;
        let mut seen = Vec::new();
        loop {
            let after = seen
                .last()
                .map_or(0, |(entry, ..): &(Entry_, _, _, _, _)| entry.0);
            let before = seen.len();
            for one in self.room.present(now, after, most) {
                let entry = entries(std::slice::from_ref(&one.entry))[0];
                seen.push((
                    entry,
                    one.entry.server_muted,
                    one.talks,
                    one.link,
                    one.stayed,
                ));
            }
            let page = seen.len() - before;
            assert_eq!(page, most.min(wanted.len() - before), "a full page");
            if page == 0 {
                break;
            }
        }
        assert_eq!(seen, wanted);
    }

    /// Whether the roster of `member` names `other`.
    fn shows(&self, member: &Member, other: &Member) -> bool {
        let max_shown = self.room.settings.max_shown;
        let in_channel = |n: &u64| {
            self.members
                .values()
                .filter(|m| m.grants.contains_key(n))
                .count()
        };
        let mut shared = member
            .grants
            .keys()
            .filter(|n| other.grants.contains_key(n));
        let is_shown = self.room.members[other.index].is_shown;
        let is_small = self.members.len() <= max_shown;
        assert!(!is_small || is_shown, "all are shown in a small room");
        member.number == other.number || is_shown || shared.any(|n| in_channel(n) <= max_shown)
    }

    /// After a while of silence everybody knows everything.
    fn check_known(&mut self) {
        // A spurt may end in the meantime, of which they are told after an interval more; and what
        // somebody set often is told half a second later.
        for _ in 0..=self.members.len() + 12 {
            self.pass(INTERVAL);
            if self.room.flush_at.is_none() {
                break;
            }
        }
        assert!(self.room.flush_at.is_none(), "everything was said");
        self.check_slots();
        let now = self.now;
        let entry = |m: &Member| {
            let player = m.introduced.then_some(m.player);
            (m.number, player, m.muted, m.deafened, m.may_speak())
        };
        let roster: BTreeMap<u32, Entry_> = self
            .members
            .values()
            .map(|m| (m.number, entry(m)))
            .collect();
        for member in self.members.values().filter(|m| m.introduced) {
            let all = roster.len();
            let shows = |other: &&Member| self.shows(member, other);
            let wanted = self.members.values().filter(shows);
            let wanted: BTreeMap<u32, Entry_> = wanted.map(|m| (m.number, entry(m))).collect();
            assert_eq!(member.roster, wanted, "what {} knows", member.number);
            let count = member.told_count.map_or(all, |count| count as usize);
            assert_eq!(count, all, "how many {} knows of", member.number);
            let talks = |other: &&Member| {
                let is_self = other.number == member.number;
                let may_know = is_self || member.may_hear(other);
                other.speaks(now) && may_know && self.shows(member, other)
            };
            let speaking: BTreeSet<u32> = self
                .members
                .values()
                .filter(talks)
                .map(|m| m.number)
                .collect();
            assert_eq!(member.speaking, speaking, "whom {} hears", member.number);
        }
    }

    fn check_usage(&mut self) {
        let used = self
            .room
            .take_usage(self.now, self.now + Duration::from_secs(3600));
        assert_eq!(used.participant_time, self.participant_time);
        assert_eq!(used.talk_time, self.talk_time);
        assert_eq!(used.packets_out, self.forwarded);
    }
}

fn run(seed: u64) -> u64 {
    let mut world = World::new(seed);
    for step in 0..STEPS {
        world.step();
        if step % 7 == 0 {
            world.check_present();
        }
        if step % 3 == 0 {
            world.check_readers();
        }
        if step % 50 == 49 {
            world.check_known();
        }
    }
    world.forward();
    world.check_usage();
    let links: Vec<usize> = world.members.keys().copied().collect();
    for link in links {
        world.leave(link);
    }
    world.pass(Duration::from_secs(1));
    assert_eq!((world.room.len(), world.room.links()), (0, 0));
    assert_eq!(world.room.channels.len(), 0, "channels of nobody");
    assert!(world.room.talkers.is_empty() && !world.room.has_voice());
    assert!(world.room.roster.is_told(), "the last flush told nobody");
    world.forwarded
}

#[test]
fn a_room_does_what_the_model_says() {
    let seeds = std::env::var("ROOM_SEEDS")
        .ok()
        .and_then(|n| n.parse().ok());
    let mut forwarded = 0;
    for seed in 0..seeds.unwrap_or(2_000) {
        let run = std::panic::catch_unwind(|| run(seed));
        match run {
            Ok(heard) => forwarded += heard,
            Err(cause) => {
                eprintln!("seed {seed} broke an invariant");
                std::panic::resume_unwind(cause);
            }
        }
    }
    assert!(forwarded > 10_000, "{forwarded} packets prove nothing");
}

#[test]
fn a_large_room_shows_who_talked_last_and_counts_the_rest() {
    let mut world = World::new(8);
    for link in 0..250 {
        world.enter();
        // No player twice, or he would replace himself.
        let member = world.members.get_mut(&link).expect("entered");
        member.player = link as u64;
        world.room.members[member.index].player = player_key(link as u64);
        world.introduce(link);
    }
    world.settle();
    world.check_known();
    for link in [249, 150, 200, 3] {
        for _ in 0..5 {
            world.talk(link);
            world.forward();
        }
        let speaker = &world.members[&link];
        let (number, speaks) = (speaker.number, speaker.speaks(world.now));
        world.check_known();
        let knows = world.members[&10].roster.contains_key(&number);
        assert!(knows || !speaks, "who talks is shown");
        let told = world.members[&10].told_count;
        assert!(!world.members[&10].introduced || told == Some(250));
    }
    for link in 0..200 {
        world.leave(link);
    }
    world.check_known();
    assert_eq!(world.members[&210].roster.len(), 50, "small again");
}

#[test]
fn seventy_duos_hear_each_other() {
    let mut world = World::new(0);
    for duo in 0..70 {
        for one in 0..2 {
            let (all, link) = (
                Permissions {
                    speak: true,
                    listen: true,
                },
                world.next_link,
            );
            world.enter();
            let member = world.members.get_mut(&link).expect("entered");
            member.player = 100 + duo * 2 + one;
            member.grants = BTreeMap::from([(duo, all)]);
            let grants = vec![ChannelGrant {
                channel: channel(duo),
                permissions: all,
            }];
            let index = member.index;
            world.room.members[index].player = player_key(member.player);
            let hello = Hello {
                issued_at_ms: 1,
                profile: member.player,
                channels: grants,
                topics: Vec::new(),
                muted_until_ms: None,
                until_ms: None,
                blocked: Vec::new(),
                crossing: Crossing::default(),
            };
            let (now, stats) = (world.now, &mut world.stats);
            world
                .room
                .introduce(now, &world.protocol, index, hello, stats)
                .expect("the first hello");
            world.members.get_mut(&link).expect("entered").introduced = true;
        }
    }
    world.settle();
    for link in 0..140 {
        world.talk(link);
        world.forward();
    }
    // Each is heard by his partner, whatever the chance of silence took.
    assert!(world.forwarded > 100, "{}", world.forwarded);
    world.check_known();
}

/// Messages of the room since the last time, by link.
fn told(room: &mut Room<u64>) -> BTreeMap<usize, usize> {
    let mut told = BTreeMap::new();
    while let Some(output) = room.poll_output() {
        if let Output::Tell { link, .. } = output {
            *told.entry(link).or_default() += 1;
        }
    }
    told
}

/// All members are listed by pages, in order.
fn assert_pages(world: &World, members: usize) {
    let page = |after| world.room.present(world.now, after, 1000);
    let mut listed = 0;
    while let Some(last) = page(listed).map(|one| one.entry.id).last() {
        assert_eq!(last, listed + 1000, "a full page, in order");
        listed = last;
    }
    assert_eq!(listed as usize, members);
}

#[test]
fn five_thousand_are_told_of_each_other_within_their_outboxes_and_a_share_of_a_core() {
    const MEMBERS: usize = 5000;
    let mut world = World::new(0);
    let all = Permissions {
        speak: true,
        listen: true,
    };
    let mut most = 0;
    for link in 0..MEMBERS {
        world.enter();
        let index = world.members[&link].index;
        let member = &mut world.room.members[index];
        member.player = player_key(link as u64);
        (member.muted_until, member.deafened) = (None, link >= 20);
        let hello = Hello {
            issued_at_ms: 1,
            profile: link as u64,
            channels: vec![ChannelGrant {
                channel: channel(0),
                permissions: all,
            }],
            topics: Vec::new(),
            muted_until_ms: None,
            until_ms: None,
            blocked: Vec::new(),
            crossing: Crossing::default(),
        };
        let (now, stats) = (world.now, &mut world.stats);
        let room = &mut world.room;
        let done = room.introduce(now, &world.protocol, index, hello, stats);
        done.expect("the first hello");
        // Five hundred come in a second.
        world.now += Duration::from_millis(2);
        if world.room.poll_timeout() <= world.now {
            world.room.handle_timeout(world.now, &world.protocol);
        }
        most = told(&mut world.room)
            .into_values()
            .max()
            .max(Some(most))
            .unwrap_or(0);
    }
    assert!(most <= 16, "{most} messages for one member at once");
    assert_pages(&world, MEMBERS);

    let (mut messages, began) = (0, world.now);
    while world.now < began + Duration::from_secs(30) {
        for link in 0..20 {
            // Half of them at any time, and always others.
            let ms = (world.now - began).as_millis() as usize + link * 100;
            if ms % 2000 < 1000 {
                let member = world.members.get_mut(&link).expect("a member");
                (member.seq, member.count) = (member.seq + 1, member.count + 1);
                let opened = packet(member, &[0; 12], 20, 40);
                let index = member.index;
                let (now, spare) = (world.now, &mut world.spare);
                let taken = world.room.handle_voice(now, index, &opened, spare);
                taken.expect("a speaker");
            }
        }
        while world.room.next_listener(world.now).is_some() {}
        world.room.finish_forwarding(&mut world.spare);
        world.now += Duration::from_millis(20);
        if world.room.poll_timeout() <= world.now {
            world.room.handle_timeout(world.now, &world.protocol);
        }
        messages += told(&mut world.room).into_values().sum::<usize>();
    }
    let per_s = messages / 30;
    // News come faster than they are told, so this is the bound, roster and speaking together; the
    // first telling comes after no other.
    let first = 2 * MEMBERS / 30;
    assert!(
        (1_000..=1_667 + first).contains(&per_s),
        "{per_s} messages a second"
    );
}

/// A room of so many, no two of them sessions of one player.
fn world_of(members: usize) -> World {
    let mut world = World::new(8);
    for link in 0..members {
        world.enter();
        // No player twice, or he would replace himself.
        let member = world.members.get_mut(&link).expect("entered");
        member.player = link as u64;
        world.room.members[member.index].player = player_key(link as u64);
        world.introduce(link);
    }
    world.settle();
    world
}

/// A room in which everybody mutes himself and not, or deafens, 20 times a second for 20 seconds,
/// and then is quiet; messages that each was told in a second meanwhile.
fn told_while_all_toggle(members: usize) -> f64 {
    let mut world = world_of(members);
    world.check_known();
    let (before, mut later) = (world.told, 0);
    for _ in 0..20 * 20 {
        for link in 0..members {
            let (mutes, deafens) = (world.percent(50), world.percent(50));
            let member = world.members.get_mut(&link).expect("a member");
            (member.muted, member.deafened) = (mutes, deafens);
            let (now, index) = (world.now, member.index);
            later += usize::from(!world.room.set_state(now, index, mutes, deafens));
            let held = &world.room.members[index];
            assert_eq!((held.muted, held.deafened), (mutes, deafens), "at once");
        }
        world.pass(Duration::from_millis(50));
    }
    assert!(later > members * 200, "{later} told later of {members}");
    let told = (world.told - before) as f64;
    world.check_known();
    told / 20.0 / members as f64
}

#[test]
fn whoever_changes_his_mind_all_the_time_is_told_of_at_a_rate_and_truly_in_the_end() {
    for members in [2, 20, 90, 400] {
        let told = told_while_all_toggle(members);
        // A telling of a full room takes seven messages for each.
        let most = (1.0 / (members as f64 * 600e-6)).min(20.0 * 7.0) * 1.1 + 1.0;
        println!("{members} who toggle: each was told {told:.1} times a second of {most:.1}");
        assert!(told <= most, "{told} in a second in a room of {members}");
        assert!(told > 0.2, "nobody was told");
    }
}

#[test]
fn whoever_mutes_himself_between_words_is_told_of_as_often_as_one_who_talks() {
    let mut world = world_of(12);
    let mut members = world.members.iter();
    let speaks = members.find(|(_, m)| m.introduced && m.may_speak() && !m.server_muted);
    let link = *speaks.expect("one who may speak").0;
    let number = world.members[&link].number;
    let (mut starts, mut was_talking) = (0_u32, false);
    for step in 0..20 * 50 {
        let mutes = step % 10 < 5;
        let member = world.members.get_mut(&link).expect("a member");
        member.muted = mutes;
        let (now, index, deafened) = (world.now, member.index, member.deafened);
        world.room.set_state(now, index, mutes, deafened);
        if !mutes {
            world.talk(link);
            world.forward();
        }
        world.pass(Duration::from_millis(20));
        let talks = world.members[&link].speaking.contains(&number);
        starts += u32::from(talks && !was_talking);
        was_talking = talks;
    }
    // Three a second, where the hang-over of 400 ms lets no talker begin more often, and five.
    assert!(starts <= 5 + 20 * 3, "{starts} beginnings in 20 s");
    assert!(starts > 20, "{starts}: nobody is told that he talks");
    world.check_known();
}
