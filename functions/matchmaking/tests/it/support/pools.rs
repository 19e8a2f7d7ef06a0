//! Random tickets and worlds.

use std::collections::{BTreeMap, BTreeSet};

use matchmaking::{AttributeValue, Player, QueueTicket, Rating, Region, World};
use proptest::prelude::*;
use wire::{ModeName, PlayerId, RegionName, TicketId};

pub(crate) const NOW_MS: u64 = 1_000_000_000;
const REGIONS: [&str; 3] = ["east", "mid", "west"];

pub(crate) fn region(name: &str) -> RegionName {
    RegionName::new(name).unwrap()
}

/// Somebody ordinary who fits with anybody.
pub(crate) fn player(id: &str) -> Player {
    Player {
        id: PlayerId::new(id).unwrap(),
        rating: Rating {
            mu: 25.0,
            sigma: 2.0,
        },
        attributes: BTreeMap::new(),
        latency_ms: REGIONS.iter().map(|name| (region(name), 30)).collect(),
        platform: "pc".to_owned(),
        cross_play: true,
        languages: vec!["en".to_owned()],
        blocks: Vec::new(),
    }
}

pub(crate) fn ticket(id: &str, waited_s: u64, players: Vec<Player>) -> QueueTicket {
    QueueTicket {
        id: TicketId::new(id).unwrap(),
        players,
        modes: vec![ModeName::new("m").unwrap()],
        since_ms: NOW_MS - waited_s * 1000,
    }
}

fn text(choices: &'static [&'static str]) -> impl Strategy<Value = String> {
    proptest::sample::select(choices).prop_map(str::to_owned)
}

fn any_player() -> impl Strategy<Value = Player> {
    let attributes = (
        proptest::option::weighted(0.8, text(&["healer", "healer", "tank", "dps", "scout"])),
        proptest::option::of(proptest::collection::btree_set(
            text(&["a", "b", "c"]),
            1..3,
        )),
        proptest::option::of(1_u32..10),
        proptest::option::weighted(0.2, text(&["a", "b"])),
    );
    let latency = proptest::collection::vec(proptest::option::weighted(0.9, 10_u32..120), 3);
    let platform = (
        text(&["pc", "pc", "console"]),
        proptest::bool::weighted(0.8),
    );
    let languages = proptest::collection::vec(text(&["en", "de", "fr"]), 0..3);
    let blocks = proptest::collection::vec(0_usize..60, 0..2);
    let rating = (150_u32..350, 1_u32..9);
    (rating, attributes, latency, platform, languages, blocks).prop_map(
        |(
            (mu, sigma),
            (role, maps, level, server),
            latency,
            (platform, cross_play),
            languages,
            blocks,
        )| {
            let mut found = player("x");
            found.rating = Rating {
                mu: f64::from(mu) / 10.0,
                sigma: f64::from(sigma),
            };
            let set = |maps: BTreeSet<String>| AttributeValue::Set(maps);
            let all = [
                ("role", role.map(AttributeValue::Text)),
                ("maps", maps.map(set)),
                (
                    "level",
                    level.map(|level| AttributeValue::Number(f64::from(level))),
                ),
                ("server", server.map(AttributeValue::Text)),
            ];
            for (name, value) in all {
                found
                    .attributes
                    .extend(value.map(|value| (name.to_owned(), value)));
            }
            let measured = REGIONS.iter().zip(latency);
            found.latency_ms = measured
                .filter_map(|(name, ms)| Some((region(name), ms?)))
                .collect();
            found.platform = platform;
            found.cross_play = cross_play;
            found.languages = languages;
            found.blocks = blocks
                .iter()
                .map(|n| PlayerId::new(format!("p{n}.0")).unwrap())
                .collect();
            found
        },
    )
}

/// Up to `most` tickets of one to three players, with ids by their place.
pub(crate) fn any_tickets(most: usize) -> impl Strategy<Value = Vec<QueueTicket>> {
    let size = prop_oneof![5 => Just(1_usize), 2 => Just(2), 1 => Just(3)];
    let party = size.prop_flat_map(|size| proptest::collection::vec(any_player(), size));
    proptest::collection::vec((party, 0_u64..90, proptest::bool::weighted(0.97)), 0..most).prop_map(
        |parties| {
            let named =
                |(number, (mut players, waited_s, wants)): (usize, (Vec<Player>, u64, bool))| {
                    for (index, player) in players.iter_mut().enumerate() {
                        player.id = PlayerId::new(format!("p{number}.{index}")).unwrap();
                    }
                    let mut found = ticket(&format!("t{number}"), waited_s, players);
                    if !wants {
                        found.modes = vec![ModeName::new("other").unwrap()];
                    }
                    found
                };
            parties.into_iter().enumerate().map(named).collect()
        },
    )
}

pub(crate) fn any_world() -> impl Strategy<Value = World> {
    let room = prop_oneof![1 => Just(0_u32), 1 => 1..12_u32, 3 => Just(1000)];
    proptest::collection::vec(room, 3).prop_map(|rooms| World {
        regions: REGIONS
            .iter()
            .zip(rooms)
            .map(|(name, room)| Region::of_one_shard(region(name), room))
            .collect(),
        arrivals_per_min: 60.0,
        recent_waits_s: vec![5.0, 20.0, 70.0],
        ..World::default()
    })
}
