//! Relay heartbeats, draining, listing, and room homes.
