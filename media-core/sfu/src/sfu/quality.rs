//! How well participants are heard and hear: their reports, and what they are told of it.

use super::Sfu;
use crate::idents::RoomKey;
use crate::link::Link;
use crate::protocol::{Notice, Protocol};
use crate::stats::RejectReason;
use crate::ways::{Quality, Way};

impl<P: Protocol> Sfu<P> {
    /// Takes a report of a client, sealed.
    pub(super) fn handle_report(&mut self, index: usize, data: &[u8]) -> Result<(), RejectReason> {
        self.take_work(index, data.len())?;
        let link = &mut self.links[index];
        let opened = link.open_report(self.now, data, &*self.config.srtp);
        let Some(plain) = opened.ok_or(RejectReason::Srtp)? else {
            return Ok(());
        };
        let member = link.member();
        let room = &mut self.rooms[link.room].room;
        for block in Link::report_blocks(&plain) {
            let taken = block.and_then(|block| {
                link.round_trip.note(self.now, &block)?;
                member.map_or(Ok(()), |member| room.note_report(member, &block))
            });
            if let Err(flaw) = taken {
                self.stats.flaw(flaw);
            }
        }
        Ok(())
    }

    /// Looks at how well a participant is heard and hears, and tells him what has changed.
    pub(super) fn tell_quality(&mut self, index: usize) {
        let link = &mut self.links[index];
        let Some(member) = link.member() else { return };
        let round_trip = link.round_trip.smoothed();
        let room = &mut self.rooms[link.room].room;
        let Some(quality) = room.take_quality(member, round_trip, link.jitter_ticks()) else {
            return;
        };
        self.stats.quality.observe(&quality);
        if let Some(down) = quality.down {
            room.note_rating(down.rating, &mut self.stats);
        }
        // Of the way of which too little is new, the last still holds.
        let last = link.quality.unwrap_or_default();
        let quality = Quality {
            up: quality.up.or(last.up),
            down: quality.down.or(last.down),
            ..quality
        };
        link.quality = Some(quality);
        let is_news = link.told.is_none_or(|told| is_news(&told, &quality));
        if is_news && room.is_introduced(member) {
            link.told = Some(quality);
            self.tell(index, &Notice::Quality(quality));
        }
    }

    /// How well those in a room are heard and hear who have been long enough in it to tell. Looks
    /// at every session: not for each wake-up.
    pub fn qualities(&self, room: RoomKey) -> impl Iterator<Item = Quality> + '_ {
        let room = self.by_room.get(&room).copied();
        let links = self.links.iter().map(|(_, link)| link);
        let links = links.filter(move |link| Some(link.room) == room && link.member().is_some());
        links.filter_map(|link| link.quality)
    }
}

/// Differences worth a message: what somebody may hear, or what changes how he sends.
const RATING_STEP: u8 = 3;
const LOST_STEP_PERMILLE: u16 = 5;
const RTT_STEP_MS: u16 = 50;

/// Whether `now` is worth telling to whom `told` was told.
fn is_news(told: &Quality, now: &Quality) -> bool {
    let differs = |one: Option<u16>, other: Option<u16>, step: u16| match (one, other) {
        (Some(one), Some(other)) => one.abs_diff(other) >= step,
        (one, other) => one.is_some() != other.is_some(),
    };
    let ways = [(told.up, now.up), (told.down, now.down)];
    let is_other_way = ways.into_iter().any(|(told, now)| {
        let lost = |way: Option<Way>| way.map(|way| way.lost_permille);
        let ratings = (told.map(|way| way.rating), now.map(|way| way.rating));
        let is_rated_otherwise = match ratings {
            (Some(told), Some(now)) => told.abs_diff(now) >= RATING_STEP,
            _ => false,
        };
        is_rated_otherwise || differs(lost(told), lost(now), LOST_STEP_PERMILLE)
    });
    let listeners = |quality: &Quality| quality.listeners_lost_permille;
    is_other_way
        || differs(told.rtt_ms, now.rtt_ms, RTT_STEP_MS)
        || differs(listeners(told), listeners(now), LOST_STEP_PERMILLE)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn little_changes_are_kept_to_oneself() {
        let way = Way {
            lost_permille: 10,
            concealed_permille: 10,
            jitter_ms: 5,
            rating: 80,
            mos_centi: 402,
        };
        let told = Quality {
            up: Some(way),
            rtt_ms: Some(40),
            ..Quality::default()
        };
        let with = |way: Way| Quality {
            up: Some(way),
            ..told
        };
        assert!(!is_news(&told, &told));
        assert!(!is_news(
            &told,
            &with(Way {
                lost_permille: 14,
                ..way
            })
        ));
        assert!(!is_news(
            &told,
            &with(Way {
                jitter_ms: 500,
                rating: 78,
                ..way
            })
        ));
        assert!(!is_news(
            &told,
            &Quality {
                rtt_ms: Some(89),
                ..told
            }
        ));
        for news in [
            with(Way {
                lost_permille: 15,
                ..way
            }),
            with(Way { rating: 77, ..way }),
            Quality {
                rtt_ms: Some(90),
                ..told
            },
            Quality {
                rtt_ms: None,
                ..told
            },
            Quality {
                down: Some(way),
                ..told
            },
            Quality {
                listeners_lost_permille: Some(0),
                ..told
            },
        ] {
            assert!(is_news(&told, &news), "{news:?}");
        }
    }
}
