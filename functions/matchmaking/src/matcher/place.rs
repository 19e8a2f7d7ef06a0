//! Where a match is played, and its description.

use std::cmp::Reverse;

use super::balance;
use super::outcome::{Match, MatchTeam, Quality};
use super::pool::{Pool, UNKNOWN_MS};
use crate::rules::Limits;

/// What a round-trip time that nobody measured counts for when regions are compared.
const UNKNOWN_COUNTS_MS: u64 = 1_000;

/// Whether the region is near enough to a ticket.
pub(super) fn is_near(pool: &Pool, limits: &Limits, region: usize, ticket: u32) -> bool {
    let Some(latency) = &limits.latency else {
        return true;
    };
    let worst = pool.latency_worst(ticket, region);
    worst != UNKNOWN_MS && worst <= latency.of(&pool.regions[region].name)
}

/// Regions in which company for the anchor is looked for, nearest first. Without a cap on latency
/// everybody is near every region, and one is enough: the one with most room.
pub(super) fn regions_of(pool: &Pool, limits: &Limits, room: &[u32], anchor: u32) -> Vec<usize> {
    let needed = limits.players_min().max(pool.entries[anchor as usize].size);
    let mut found: Vec<usize> = (0..pool.regions.len())
        .filter(|&region| room[region] >= needed && is_near(pool, limits, region, anchor))
        .collect();
    found.sort_by_key(|&region| (pool.latency_worst(anchor, region), region));
    if limits.latency.is_none() {
        let roomiest = found.into_iter().rev().max_by_key(|&region| room[region]);
        return roomiest.into_iter().collect();
    }
    found
}

/// As a set, one bit each: regions that are near enough to a ticket and have any room.
pub(super) fn regions_near(pool: &Pool, limits: &Limits, room: &[u32], ticket: u32) -> u64 {
    let usable = |&region: &usize| room[region] > 0 && is_near(pool, limits, region, ticket);
    (0..pool.regions.len())
        .filter(usable)
        .map(|region| 1 << region)
        .sum()
}

/// The region for a match: near enough to all, with room, then the lowest worst and the lowest
/// mean round-trip time, then the one with most room.
pub(super) fn best(pool: &Pool, limits: &Limits, room: &[u32], members: &[u32]) -> Option<usize> {
    let size: u32 = members
        .iter()
        .map(|&member| pool.entries[member as usize].size)
        .sum();
    (0..pool.regions.len())
        .filter(|&region| room[region] >= size)
        .filter(|&region| members.iter().all(|&m| is_near(pool, limits, region, m)))
        .min_by_key(|&region| {
            let worst = members.iter().map(|&m| pool.latency_worst(m, region)).max();
            let counts = |&member: &u32| {
                let unknown = pool.latency_worst(member, region) == UNKNOWN_MS;
                let size = u64::from(pool.entries[member as usize].size);
                if unknown {
                    size * UNKNOWN_COUNTS_MS
                } else {
                    pool.latency_sum(member, region)
                }
            };
            let mean = members.iter().map(counts).sum::<u64>();
            (worst, mean, Reverse(room[region]), region)
        })
}

/// Spells a match out.
pub(super) fn describe(
    pool: &Pool,
    limits: &Limits,
    anchor: u32,
    region: usize,
    teams: &[Vec<u32>],
) -> Match {
    let entry = |ticket: &u32| &pool.entries[*ticket as usize];
    let members = || teams.iter().flatten();
    let ratings = || members().map(|member| entry(member).rating);
    let (favourite, distribution) = balance::inequality(pool, limits, teams);
    let worst = members()
        .map(|&member| pool.latency_worst(member, region))
        .max();
    let languages = members().fold(u64::MAX, |all, member| all & entry(member).languages);
    let language = pool.languages.get(languages.trailing_zeros() as usize);
    let described = teams
        .iter()
        .zip(&limits.teams)
        .map(|(tickets, team)| MatchTeam {
            name: team.name.clone(),
            tickets: tickets
                .iter()
                .map(|ticket| entry(ticket).ticket.id.clone())
                .collect(),
            players: tickets
                .iter()
                .flat_map(|ticket| &entry(ticket).ticket.players)
                .map(|player| player.id.clone())
                .collect(),
        });
    Match {
        anchor: entry(&anchor).ticket.id.clone(),
        region: pool.regions[region].name.clone(),
        teams: described.collect(),
        quality: Quality {
            rating_spread: ratings().fold(f64::MIN, f64::max) - ratings().fold(f64::MAX, f64::min),
            favourite,
            distribution,
            latency_worst_ms: worst.filter(|&ms| ms != UNKNOWN_MS),
            language: language.map(|name| (*name).to_owned()),
        },
    }
}
