//! Tables of who gets a slot, and a hundred talkers of whom three lie.

use std::collections::BTreeMap;

use super::super::loudness::Loudness;
use super::super::numbers::Place;
use super::super::slot::Talker;
use super::*;

const HANG_OVER: Duration = Duration::from_millis(400);
const PACKET: Duration = Duration::from_millis(20);

fn base() -> Instant {
    #[expect(
        clippy::disallowed_methods,
        reason = "a test needs some instant to start from"
    )]
    Instant::now()
}

fn send(slot: &mut Slot, now: Instant, speaker: u32, number: u64) {
    let member = speaker as usize;
    let talker = Talker {
        member,
        number: speaker,
    };
    let place = Place {
        source: 0,
        number,
        time: number as u32 * 960,
        marker: false,
    };
    slot.fit(now, talker, &place, HANG_OVER).expect("in order");
}

/// A slot: its speaker, for how many milliseconds he has had it, and how long ago his last packet
/// was.
type Row = Option<(u32, u64, u64)>;

fn slots(now: Instant, rows: &[Row]) -> Vec<Slot> {
    let slot = |row: &Row| {
        let mut slot = Slot::new(1, 0);
        if let Some((speaker, held, idle)) = *row {
            send(&mut slot, now - Duration::from_millis(held), speaker, 0);
            send(&mut slot, now - Duration::from_millis(idle), speaker, 1);
        }
        slot
    };
    rows.iter().map(slot).collect()
}

#[test]
fn who_gets_which_slot() {
    let now = base() + Duration::from_secs(100);
    let claims: Vec<Claim> = [(1, -3000), (2, -4000), (3, -4000), (9, -3300), (8, -5000)]
        .map(|(speaker, strength)| Claim { speaker, strength })
        .to_vec();
    let talking = |speaker, held| Some((speaker, held, 10));
    let rows: [(&str, &[Row], u32, Choice); 9] = [
        ("none", &[], 9, Choice::None),
        ("own", &[None, talking(9, 5000)], 9, Choice::Own(1)),
        ("free", &[talking(1, 5000), None], 9, Choice::Free(1)),
        (
            "longest silent",
            &[Some((1, 5000, 500)), Some((2, 5000, 900)), talking(3, 900)],
            9,
            Choice::Free(1),
        ),
        (
            "weaker",
            &[talking(1, 5000), talking(2, 5000)],
            9,
            Choice::Instead(1),
        ),
        (
            "the longer of two alike",
            &[talking(2, 900), talking(3, 901)],
            9,
            Choice::Instead(1),
        ),
        ("within the margin", &[talking(1, 5000)], 9, Choice::None),
        ("too new", &[talking(2, 499)], 9, Choice::None),
        ("weaker than all", &[talking(2, 5000)], 8, Choice::None),
    ];
    for (name, row, speaker, choice) in rows {
        let slots = slots(now, row);
        assert_eq!(
            choose(now, &slots, speaker, &claims, HANG_OVER),
            choice,
            "{name}"
        );
    }
}

/// One listener among a hundred who talk in turns; some claim to shout without end.
struct Crowd {
    now: Instant,
    slots: Vec<Slot>,
    talkers: BTreeMap<u32, (Loudness, u64)>,
    changes: usize,
}

impl Crowd {
    fn new(slots: usize) -> Self {
        Self {
            now: base(),
            slots: (0..slots).map(|n| Slot::new(n as u32, 0)).collect(),
            talkers: BTreeMap::new(),
            changes: 0,
        }
    }

    /// Each of `speakers` sends a packet of his level; returns who is heard.
    fn packets(&mut self, speakers: &[(u32, i8)]) -> Vec<u32> {
        self.now += PACKET;
        for &(speaker, level) in speakers {
            let (loudness, number) = self.talkers.entry(speaker).or_default();
            loudness.note_packet(self.now, Some(level), 80);
            *number += 1;
        }
        let claims: Vec<Claim> = speakers
            .iter()
            .map(|(speaker, _)| Claim {
                speaker: *speaker,
                strength: self.talkers[speaker].0.claim(self.now),
            })
            .collect();
        let mut heard = Vec::new();
        for &(speaker, _) in speakers {
            let n = match choose(self.now, &self.slots, speaker, &claims, HANG_OVER) {
                Choice::Own(n) => n,
                Choice::Free(n) | Choice::Instead(n) => {
                    self.changes += 1;
                    n
                }
                Choice::None => continue,
            };
            let number = self.talkers[&speaker].1;
            send(&mut self.slots[n], self.now, speaker, number);
            heard.push(speaker);
        }
        heard
    }
}

#[test]
fn three_liars_do_not_silence_the_rest() {
    const LIARS: [(u32, i8); 3] = [(1, 0), (2, 0), (3, 0)];
    let mut crowd = Crowd::new(3);
    for _ in 0..500 {
        crowd.packets(&LIARS);
    }
    // Honest players talk one after the other, four seconds each, the quietest at -38 dBov.
    for (turn, honest) in (10..50).enumerate() {
        let level = -22 - (turn % 5) as i8 * 4;
        let mut speakers = LIARS.to_vec();
        speakers.push((honest, level));
        let (mut first, mut missed) = (None, 0);
        for packet in 0..200 {
            if crowd.packets(&speakers).contains(&honest) {
                first.get_or_insert(packet);
            } else if first.is_some() {
                missed += 1;
            }
        }
        let first = first.expect("he is heard");
        assert!(PACKET * first <= Duration::from_secs(1), "turn {turn}");
        assert!(missed <= 60, "turn {turn}: {missed} of 200 packets missed");
    }
}

#[test]
fn more_talkers_than_slots_do_not_flap() {
    let mut crowd = Crowd::new(5);
    let speakers: Vec<(u32, i8)> = (0..20).map(|n| (n, -20 - n as i8)).collect();
    for _ in 0..3000 {
        crowd.packets(&speakers);
    }
    // A minute: five begin, and after that nobody asks much more strongly than another.
    assert!(crowd.changes <= 5 + 15, "{} changes", crowd.changes);
}
