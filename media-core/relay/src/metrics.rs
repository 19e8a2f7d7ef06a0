//! What `/metrics` says. Labels are the shard and reasons, never a player, room or address.

use std::sync::atomic::Ordering;

use crate::exposition::{Exposition, Kind};
use crate::handle::{ShardHandle, Snapshot};
use crate::state::Relay;

/// Figures of one shard at one moment.
struct Row<'a> {
    shard: &'a ShardHandle,
    figures: Snapshot,
}

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
    gauges(&mut text, &rows);
    core(&mut text, &rows);
    core_reasons(&mut text, &rows);
    network(&mut text, &rows);
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

fn gauges(text: &mut Exposition, rows: &[Row<'_>]) {
    let mut gauge = |name, help, value: fn(&Row<'_>) -> u64| {
        per_shard(text, rows, Kind::Gauge, (name, help), value);
    };
    gauge(
        "relay_sessions",
        "Sessions, those in handshake included.",
        |row| row.figures.sessions.into(),
    );
    gauge(
        "relay_participants",
        "Sessions with a finished handshake.",
        |row| row.figures.participants.into(),
    );
    gauge("relay_rooms", "Rooms with at least one session.", |row| {
        row.figures.rooms.into()
    });
    gauge(
        "relay_draining",
        "1 while participants are asked to migrate.",
        |row| row.shard.draining.load(Ordering::Relaxed).into(),
    );
}

fn core(text: &mut Exposition, rows: &[Row<'_>]) {
    let mut counter = |name, help, value: fn(&sfu::Stats) -> u64| {
        per_shard(text, rows, Kind::Counter, (name, help), |row| {
            value(&row.figures.core)
        });
    };
    counter(
        "relay_datagrams_received_total",
        "Datagrams given to the core.",
        |core| core.datagrams_in,
    );
    counter(
        "relay_received_bytes_total",
        "UDP payload bytes given to the core.",
        |core| core.bytes_in,
    );
    counter(
        "relay_datagrams_queued_total",
        "Datagrams that the core gave out.",
        |core| core.datagrams_out,
    );
    counter(
        "relay_queued_bytes_total",
        "UDP payload bytes that the core gave out.",
        |core| core.bytes_out,
    );
    counter(
        "relay_voice_packets_received_total",
        "Authenticated voice packets.",
        |core| core.voice_in,
    );
    counter(
        "relay_voice_packets_forwarded_total",
        "Voice packets, one per listener.",
        |core| core.voice_out,
    );
    counter(
        "relay_sessions_admitted_total",
        "Sessions that proved a ticket.",
        |core| core.admitted,
    );
    counter(
        "relay_sessions_connected_total",
        "Sessions whose handshake finished.",
        |core| core.connected,
    );
}

fn core_reasons(text: &mut Exposition, rows: &[Row<'_>]) {
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
}

fn network(text: &mut Exposition, rows: &[Row<'_>]) {
    let mut counter = |name, help, value: fn(&Snapshot) -> u64| {
        per_shard(text, rows, Kind::Counter, (name, help), |row| {
            value(&row.figures)
        });
    };
    counter(
        "relay_receive_calls_total",
        "Calls of recvmmsg.",
        |figures| figures.received.calls,
    );
    counter(
        "relay_receive_oversize_total",
        "Datagrams longer than 2048 bytes.",
        |figures| figures.received.oversize,
    );
    counter(
        "relay_receive_overflows_total",
        "Datagrams that the kernel dropped because the receive buffer was full.",
        |figures| figures.overflows,
    );
    counter(
        "relay_datagrams_sent_total",
        "Datagrams that the kernel took.",
        |figures| figures.sent.datagrams,
    );
    counter(
        "relay_sent_bytes_total",
        "UDP payload bytes that the kernel took.",
        |figures| figures.sent.bytes,
    );
    counter("relay_send_calls_total", "Calls of sendmmsg.", |figures| {
        figures.sent.calls
    });
    counter(
        "relay_datagrams_offloaded_total",
        "Sent datagrams that shared a segmentation train with others.",
        |figures| figures.sent.offloaded,
    );
    counter(
        "relay_send_waits_total",
        "Waits for room in the send buffer.",
        |figures| figures.sent.waits,
    );
    counter(
        "relay_usage_records_lost_total",
        "Usage records that were lost because the output did not keep up.",
        |figures| figures.records_lost,
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
