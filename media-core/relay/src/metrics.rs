//! What `/metrics` says. Labels are the shard and reasons, never a player, room or address.

use std::sync::atomic::Ordering;

use crate::accepted::Accepted;
use crate::exposition::{Buckets, Exposition, Kind};
use crate::handle::{ShardHandle, Snapshot};
use crate::outcome::Outcome;
use crate::overload::FullReason;
use crate::state::Relay;
use crate::streams::{CloseReason, DropReason};

/// Figures of one shard at one moment.
struct Row<'a> {
    shard: &'a ShardHandle,
    figures: Snapshot,
}

/// Name, help and value of a family with one sample per shard.
type Figure = (&'static str, &'static str, fn(&Snapshot) -> u64);

const GAUGES: &[Figure] = &[
    (
        "relay_sessions",
        "Sessions, those in handshake included.",
        |all| all.sessions.into(),
    ),
    (
        "relay_participants",
        "Sessions with a finished handshake.",
        |all| all.participants.into(),
    ),
    ("relay_rooms", "Rooms with at least one session.", |all| {
        all.rooms.into()
    }),
    (
        "relay_tcp_connections",
        "Open media connections that showed a ticket.",
        |all| all.connections.into(),
    ),
];

const COUNTERS: &[Figure] = &[
    (
        "relay_datagrams_received_total",
        "Datagrams given to the core.",
        |all| all.core.datagrams_in,
    ),
    (
        "relay_received_bytes_total",
        "UDP payload bytes given to the core.",
        |all| all.core.bytes_in,
    ),
    (
        "relay_datagrams_queued_total",
        "Datagrams that the core gave out.",
        |all| all.core.datagrams_out,
    ),
    (
        "relay_queued_bytes_total",
        "UDP payload bytes that the core gave out.",
        |all| all.core.bytes_out,
    ),
    (
        "relay_voice_packets_received_total",
        "Authenticated voice packets.",
        |all| all.core.voice_in,
    ),
    (
        "relay_voice_packets_forwarded_total",
        "Voice packets, one per listener.",
        |all| all.core.voice_out,
    ),
    (
        "relay_messages_pushed_total",
        "Messages of the edge passed on, one per participant.",
        |all| all.core.pushed,
    ),
    (
        "relay_news_told_total",
        "Participants told that there is something new, in place of messages.",
        |all| all.core.told_of_news,
    ),
    (
        "relay_sessions_admitted_total",
        "Sessions that proved a ticket.",
        |all| all.core.admitted,
    ),
    (
        "relay_sessions_connected_total",
        "Sessions whose handshake finished.",
        |all| all.core.connected,
    ),
    ("relay_receive_calls_total", "Calls of recvmmsg.", |all| {
        all.received.calls
    }),
    (
        "relay_receive_oversize_total",
        "Datagrams longer than 2048 bytes.",
        |all| all.received.oversize,
    ),
    (
        "relay_receive_overflows_total",
        "Datagrams that the kernel dropped because the receive buffer was full.",
        |all| all.overflows,
    ),
    (
        "relay_datagrams_sent_total",
        "Datagrams that the kernel took.",
        |all| all.sent.datagrams,
    ),
    (
        "relay_sent_bytes_total",
        "UDP payload bytes that the kernel took.",
        |all| all.sent.bytes,
    ),
    ("relay_send_calls_total", "Calls of sendmmsg.", |all| {
        all.sent.calls
    }),
    (
        "relay_datagrams_offloaded_total",
        "Sent datagrams that shared a segmentation train with others.",
        |all| all.sent.offloaded,
    ),
    (
        "relay_send_waits_total",
        "Waits for room in the send buffer.",
        |all| all.sent.waits,
    ),
    (
        "relay_tcp_connections_opened_total",
        "Media connections that showed a ticket.",
        |all| all.streams.opened,
    ),
    (
        "relay_tcp_received_bytes_total",
        "Bytes read from media connections, framing included.",
        |all| all.streams.bytes_in,
    ),
    (
        "relay_tcp_sent_bytes_total",
        "Bytes written to media connections, framing included.",
        |all| all.streams.bytes_out,
    ),
    (
        "relay_usage_records_lost_total",
        "Usage records that were lost because the output did not keep up.",
        |all| all.records_lost,
    ),
];

/// The text of `/metrics`.
pub(crate) fn render(relay: &Relay) -> String {
    let rows: Vec<Row<'_>> = relay
        .shards
        .iter()
        .map(|shard| Row {
            shard: &shard.handle,
            figures: shard.handle.snapshot(),
        })
        .collect();
    let mut text = Exposition::default();
    for (name, help, value) in GAUGES {
        per_shard(&mut text, &rows, Kind::Gauge, (name, help), |row| {
            value(&row.figures)
        });
    }
    for (name, help, value) in COUNTERS {
        per_shard(&mut text, &rows, Kind::Counter, (name, help), |row| {
            value(&row.figures)
        });
    }
    let draining = (
        "relay_draining",
        "1 while participants are asked to migrate.",
    );
    per_shard(&mut text, &rows, Kind::Gauge, draining, |row| {
        u8::from(row.shard.draining.load(Ordering::Relaxed))
    });
    let times = ("relay_full_total", "How often the shard became full.");
    per_shard(&mut text, &rows, Kind::Counter, times, |row| {
        row.shard.fullness().times
    });
    fullness(&mut text, &rows);
    reasons(&mut text, &rows);
    quality(&mut text, &rows);
    streams(&mut text, &rows);
    accepted(&mut text, relay);
    loop_figures(&mut text, &rows);
    heartbeats(&mut text, &rows);
    process(&mut text);
    text.finish()
}

/// A family with one sample per shard.
fn per_shard<T: std::fmt::Display>(
    text: &mut Exposition,
    rows: &[Row<'_>],
    kind: Kind,
    (name, help): (&'static str, &str),
    value: impl Fn(&Row<'_>) -> T,
) {
    let mut family = text.family(name, kind, help);
    for row in rows {
        family.sample(&[("shard", row.shard.id.as_str())], value(row));
    }
}

/// A counter family with one sample per shard and reason.
fn per_reason<R: Copy>(
    text: &mut Exposition,
    rows: &[Row<'_>],
    (name, help): (&'static str, &str),
    reasons: &[R],
    label: impl Fn(R) -> &'static str,
    value: impl Fn(&Snapshot, R) -> u64,
) {
    let mut family = text.family(name, Kind::Counter, help);
    for row in rows {
        for reason in reasons {
            let labels = [("shard", row.shard.id.as_str()), ("reason", label(*reason))];
            family.sample(&labels, value(&row.figures, *reason));
        }
    }
}

fn reasons(text: &mut Exposition, rows: &[Row<'_>]) {
    per_reason(
        text,
        rows,
        (
            "relay_datagrams_rejected_total",
            "Datagrams that the core did not accept, by reason.",
        ),
        sfu::RejectReason::ALL,
        sfu::RejectReason::label,
        |figures, reason| figures.core.rejected(reason),
    );
    per_reason(
        text,
        rows,
        (
            "relay_sessions_ended_total",
            "Sessions that ended, by reason.",
        ),
        sfu::EndReason::ALL,
        sfu::EndReason::label,
        |figures, reason| figures.core.ended(reason),
    );
    per_reason(
        text,
        rows,
        (
            "relay_drops_total",
            "Voice packets and messages not passed on, by reason; silence is what saves egress.",
        ),
        sfu::DropReason::ALL,
        sfu::DropReason::label,
        |figures, reason| figures.core.dropped(reason),
    );
    per_reason(
        text,
        rows,
        (
            "relay_send_drops_total",
            "Datagrams that the kernel did not take, by reason.",
        ),
        &udp::DropReason::ALL,
        udp::DropReason::label,
        |figures, reason| figures.sent.dropped_for(reason),
    );
}

/// 1 for the reason for which a shard is full.
fn fullness(text: &mut Exposition, rows: &[Row<'_>]) {
    let help = "1 while the shard takes no new sessions for this reason.";
    let mut family = text.family("relay_full", Kind::Gauge, help);
    for row in rows {
        let full = row.shard.full();
        for reason in FullReason::ALL {
            let labels = [("shard", row.shard.id.as_str()), ("reason", reason.label())];
            family.sample(&labels, u8::from(full == Some(reason)));
        }
    }
}

fn streams(text: &mut Exposition, rows: &[Row<'_>]) {
    per_reason(
        text,
        rows,
        (
            "relay_tcp_connections_closed_total",
            "Media connections that were closed, by reason.",
        ),
        &CloseReason::ALL,
        CloseReason::label,
        |figures, reason| figures.streams.closed(reason),
    );
    per_reason(
        text,
        rows,
        (
            "relay_tcp_drops_total",
            "Datagrams that were not written to a media connection, by reason.",
        ),
        &DropReason::ALL,
        DropReason::label,
        |figures, reason| figures.streams.dropped(reason),
    );
}

/// What the listeners, which are shared by all shards, have counted.
fn accepted(text: &mut Exposition, relay: &Relay) {
    let mut door = |(strangers, accepts), of: &str, stats: &Accepted, outcomes: &[Outcome]| {
        let help = format!("TCP connections of the {of} port that have not shown who they are.");
        text.family(strangers, Kind::Gauge, &help)
            .sample(&[], stats.door.len() as u64);
        let help = format!("TCP connections of the {of} port, by what became of them.");
        let mut family = text.family(accepts, Kind::Counter, &help);
        for outcome in outcomes {
            family.sample(&[("outcome", outcome.label())], stats.count(*outcome));
        }
    };
    let names = ("relay_tcp_strangers", "relay_tcp_accepts_total");
    door(names, "media", &relay.accepted, &Outcome::MEDIA);
    let names = ("relay_control_strangers", "relay_control_accepts_total");
    door(names, "control", &relay.control, &Outcome::CONTROL);
}

/// One value each few seconds of each participant of whom or to whom there was voice.
fn quality(text: &mut Exposition, rows: &[Row<'_>]) {
    per_reason(
        text,
        rows,
        (
            "relay_report_flaws_total",
            "What was not believed in receiver reports of clients, by reason.",
        ),
        sfu::ReportFlaw::ALL,
        sfu::ReportFlaw::label,
        |figures, flaw| figures.core.flawed(flaw),
    );
    per_way(
        text,
        rows,
        (
            "relay_voice_lost_ratio",
            "Share of voice packets lost between participants and the shard.",
        ),
        |way| spread(&way.lost, 1e-3),
    );
    per_way(
        text,
        rows,
        (
            "relay_voice_concealed_ratio",
            "Share of voice frames that no repetition made good; to participants an estimate.",
        ),
        |way| spread(&way.concealed, 1e-3),
    );
    per_way(
        text,
        rows,
        (
            "relay_voice_jitter_seconds",
            "Interarrival jitter of voice.",
        ),
        |way| spread(&way.jitter, 1e-3),
    );
    per_way(
        text,
        rows,
        (
            "relay_voice_mos",
            "Mean opinion score by the wideband E-model, 1 to 4.5; an estimate.",
        ),
        |way| spread(&way.mos, 1e-2),
    );
    let help = "There and back between the shard and participants, by their reports.";
    let mut family = text.family("relay_round_trip_seconds", Kind::Histogram, help);
    for row in rows {
        let labels = [("shard", row.shard.id.as_str())];
        family.buckets(&labels, &spread(&row.figures.core.quality.round_trip, 1e-3));
    }
}

/// A histogram family with one for each shard and way.
fn per_way(
    text: &mut Exposition,
    rows: &[Row<'_>],
    (name, help): (&'static str, &str),
    buckets: impl Fn(&sfu::WayStats) -> Buckets,
) {
    let mut family = text.family(name, Kind::Histogram, help);
    for row in rows {
        let quality = &row.figures.core.quality;
        for (way, stats) in [("up", &quality.up), ("down", &quality.down)] {
            let labels = [("shard", row.shard.id.as_str()), ("way", way)];
            family.buckets(&labels, &buckets(stats));
        }
    }
}

/// Buckets of values that are counted in a unit of `unit`.
fn spread<const N: usize>(spread: &sfu::Spread<N>, unit: f64) -> Buckets {
    // Divided rather than multiplied: 0.005, not 0.005000000000000001.
    let scaled = |value: f64| value / (1.0 / unit).round();
    let bounds = spread.bounds.iter().map(|bound| scaled(f64::from(*bound)));
    Buckets {
        bounds: bounds.zip(spread.counts).collect(),
        count: spread.count,
        sum: scaled(spread.sum as f64),
    }
}

fn loop_figures(text: &mut Exposition, rows: &[Row<'_>]) {
    let cpu = (
        "relay_cpu_seconds_total",
        "CPU time of the shard's thread, kernel included.",
    );
    per_shard(text, rows, Kind::Counter, cpu, |row| {
        row.figures.cpu.as_secs_f64()
    });
    let help = "Time of one turn of the shard's loop, waiting left out.";
    let mut turns = text.family("relay_loop_turn_seconds", Kind::Histogram, help);
    for row in rows {
        turns.histogram(&[("shard", row.shard.id.as_str())], &row.figures.turns);
    }
    let help = "From a datagram's arrival in the kernel until what came of it was sent.";
    let mut transits = text.family("relay_transit_seconds", Kind::Histogram, help);
    for row in rows {
        transits.histogram(&[("shard", row.shard.id.as_str())], &row.figures.transits);
    }
}

fn heartbeats(text: &mut Exposition, rows: &[Row<'_>]) {
    let help = "Heartbeats to the fleet, by outcome.";
    let mut family = text.family("relay_heartbeats_total", Kind::Counter, help);
    for row in rows {
        for (outcome, count) in [
            ("accepted", &row.shard.heartbeats_accepted),
            ("failed", &row.shard.heartbeats_failed),
        ] {
            let labels = [("shard", row.shard.id.as_str()), ("outcome", outcome)];
            family.sample(&labels, count.load(Ordering::Relaxed));
        }
    }
    let handed_over = (
        "relay_commands_handed_over_total",
        "Commands that came in replies to heartbeats, since they did not arrive when posted.",
    );
    per_shard(text, rows, Kind::Counter, handed_over, |row| {
        row.shard.commands_handed_over.load(Ordering::Relaxed) as f64
    });
    let skew = (
        "relay_clock_skew_seconds",
        "Our clock minus the edge's at the last heartbeat, network delay included.",
    );
    per_shard(text, rows, Kind::Gauge, skew, |row| {
        row.shard.skew_ms.load(Ordering::Relaxed) as f64 / 1000.0
    });
}

fn process(text: &mut Exposition) {
    let help = "Always 1; the version is the label.";
    text.family("relay_build_info", Kind::Gauge, help)
        .sample(&[("version", env!("CARGO_PKG_VERSION"))], 1);
    if let Some(bytes) = resident_bytes() {
        let help = "Resident memory of the process.";
        text.family("process_resident_memory_bytes", Kind::Gauge, help)
            .sample(&[], bytes);
    }
}

fn resident_bytes() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kilobytes: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kilobytes * 1024)
}
