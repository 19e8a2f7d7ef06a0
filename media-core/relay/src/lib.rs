//! The relay daemon: shard threads, control endpoint, heartbeats, metrics.
