//! What a listener heard, as a list of packets, and what follows from it.
//!
//! Times are since one moment that all lists share.

use std::time::Duration;

/// Somebody of whom nothing came for this long is not audible: a jitter buffer hides less, and a
/// busy machine's hiccups are shorter.
pub const INAUDIBLE: Duration = Duration::from_millis(300);

/// A packet of voice that a listener heard.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Packet {
    /// When it came.
    pub at: Duration,
    /// Whose it is.
    pub speaker: u16,
}

/// What a fault was to one listener.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Effect {
    /// He heard everybody all the time.
    None,
    /// The last silence of anybody ended so long after the fault.
    Again(Duration),
    /// Somebody is not heard at the end.
    Silent,
}

/// Times without a packet of `speaker` that end after `from` and begin before `to`: each from one
/// packet to the next, the last one until `to`.
fn gaps(
    packets: &[Packet],
    speaker: u16,
    from: Duration,
    to: Duration,
) -> impl Iterator<Item = (Duration, Duration)> {
    let of_speaker = packets.iter().filter(move |it| it.speaker == speaker);
    let times = of_speaker.map(|it| it.at).filter(move |at| *at < to);
    let mut before = None;
    let pairs = times.chain([to]).filter_map(move |at| {
        // Of whom nothing came before, nothing is missed from the beginning on.
        let began = before.replace(at).unwrap_or(from);
        Some((began, at)).filter(|_| at > from)
    });
    pairs.collect::<Vec<_>>().into_iter()
}

/// The longest time without a packet of `speaker` between `from` and `to`, with what of it was
/// before `from`.
pub fn longest_gap(packets: &[Packet], speaker: u16, from: Duration, to: Duration) -> Duration {
    let lengths = gaps(packets, speaker, from, to).map(|(began, ended)| ended - began);
    lengths.max().unwrap_or_default()
}

/// What a fault at `fault` was to a listener who should hear `speakers`, seen until `to`.
pub fn effect(packets: &[Packet], speakers: &[u16], fault: Duration, to: Duration) -> Effect {
    let silences = speakers.iter().flat_map(|speaker| {
        gaps(packets, *speaker, fault, to).filter(|(began, ended)| *ended - *began > INAUDIBLE)
    });
    match silences.map(|(_, ended)| ended).max() {
        None => Effect::None,
        Some(ended) if ended >= to => Effect::Silent,
        Some(ended) => Effect::Again(ended - fault),
    }
}

/// When the first silence of anybody began that ended after `from`.
pub fn first_silence(
    packets: &[Packet],
    speakers: &[u16],
    from: Duration,
    to: Duration,
) -> Option<Duration> {
    let silences = speakers.iter().flat_map(|speaker| {
        gaps(packets, *speaker, from, to).filter(|(began, ended)| *ended - *began > INAUDIBLE)
    });
    silences.map(|(began, _)| began).min()
}

/// The longest time between `from` and `to` in which somebody of `speakers` was audible and
/// somebody was not. Who falls silent counts as audible for [`INAUDIBLE`] more.
pub fn longest_part(
    packets: &[Packet],
    speakers: &[u16],
    from: Duration,
    to: Duration,
) -> Duration {
    let mut turns: Vec<(Duration, i32)> = Vec::new();
    for speaker in speakers {
        let of_speaker = packets.iter().filter(|it| it.speaker == *speaker);
        let mut until = None;
        for at in of_speaker.map(|it| it.at) {
            match until {
                Some(until) if at <= until => {}
                _ => {
                    turns.extend(until.map(|until| (until, -1)));
                    turns.push((at, 1));
                }
            }
            until = Some(at + INAUDIBLE);
        }
        turns.extend(until.map(|until| (until, -1)));
    }
    turns.sort_unstable();
    let all = i32::try_from(speakers.len()).unwrap_or(i32::MAX);
    let (mut audible, mut longest, mut since) = (0, Duration::ZERO, None);
    for (at, change) in turns.into_iter().chain([(to, 0)]) {
        let at = at.clamp(from, to);
        let was_part = audible > 0 && audible < all;
        audible += change;
        let is_part = audible > 0 && audible < all;
        match (was_part, is_part) {
            (false, true) => since = Some(at),
            (true, _) => longest = longest.max(at - since.unwrap_or(at)),
            (false, false) => {}
        }
    }
    longest
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn ms(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    /// Packets of each speaker every 20 ms, between the times given, in the order of time.
    fn heard(spurts: &[(u16, u64, u64)]) -> Vec<Packet> {
        let mut packets = Vec::new();
        for &(speaker, from, to) in spurts {
            packets.extend((from..to).step_by(20).map(|at| Packet {
                at: ms(at),
                speaker,
            }));
        }
        packets.sort_by_key(|packet| packet.at);
        packets
    }

    #[test]
    fn a_gap_is_as_long_as_nothing_came_and_only_in_its_window() {
        let packets = heard(&[(1, 0, 1_000), (1, 3_000, 5_000), (2, 0, 5_000)]);
        assert_eq!(longest_gap(&packets, 1, ms(900), ms(5_000)), ms(2_020));
        assert_eq!(longest_gap(&packets, 1, ms(2_000), ms(5_000)), ms(2_020));
        assert_eq!(longest_gap(&packets, 1, ms(3_100), ms(5_000)), ms(20));
        assert_eq!(longest_gap(&packets, 1, ms(900), ms(2_500)), ms(1_520));
        assert_eq!(longest_gap(&packets, 2, ms(900), ms(5_000)), ms(20));
        assert_eq!(longest_gap(&packets, 3, ms(900), ms(5_000)), ms(4_100));
    }

    #[test]
    fn who_hears_everybody_again_does_so_with_the_last_of_them() {
        let packets = heard(&[
            (1, 0, 1_000),
            (1, 3_000, 6_000),
            (2, 0, 1_000),
            (2, 4_000, 6_000),
        ]);
        let of = |speakers: &[u16], to| effect(&packets, speakers, ms(1_000), ms(to));
        assert_eq!(of(&[1], 6_000), Effect::Again(ms(2_000)));
        assert_eq!(of(&[1, 2], 6_000), Effect::Again(ms(3_000)));
        assert_eq!(of(&[1, 2], 3_500), Effect::Silent);
        assert_eq!(of(&[], 6_000), Effect::None);
        let later = effect(&packets, &[1, 2], ms(4_100), ms(6_000));
        assert_eq!(later, Effect::None);
        let first = first_silence(&packets, &[1, 2], ms(1_000), ms(6_000));
        assert_eq!(first, Some(ms(980)));
    }

    #[test]
    fn who_is_lost_a_second_time_is_back_only_after_that() {
        let packets = heard(&[(1, 0, 1_000), (1, 3_000, 4_000), (1, 5_000, 9_000)]);
        let effect = effect(&packets, &[1], ms(1_000), ms(9_000));
        assert_eq!(effect, Effect::Again(ms(4_000)));
    }

    #[test]
    fn a_part_of_a_room_is_neither_all_nor_nobody() {
        let packets = heard(&[
            (1, 0, 1_000),
            (1, 2_000, 9_000),
            (2, 0, 1_000),
            (2, 4_000, 9_000),
        ]);
        let part = |from, to| longest_part(&packets, &[1, 2], ms(from), ms(to));
        assert_eq!(part(500, 9_000), ms(2_000));
        assert_eq!(
            part(3_000, 9_000),
            ms(1_000),
            "what was before is not counted"
        );
        assert_eq!(part(500, 3_000), ms(1_000), "nor what comes after");
        assert_eq!(part(4_100, 8_000), ms(0));
        assert_eq!(longest_part(&packets, &[1], ms(500), ms(9_000)), ms(0));
        assert_eq!(
            longest_part(&packets, &[1, 3], ms(500), ms(4_000)),
            ms(2_000)
        );
    }
}
