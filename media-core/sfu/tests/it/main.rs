//! The core on a virtual clock: one program, because each would link str0m again.

#![allow(
    clippy::unwrap_used,
    reason = "a failure in a helper is a failure of its test"
)]

mod common;

#[path = "a-full-shard-refuses.rs"]
mod a_full_shard_refuses;
#[path = "a-path-proves-itself.rs"]
mod a_path_proves_itself;
#[path = "a-player-has-few-sessions.rs"]
mod a_player_has_few_sessions;
#[path = "a-room-moves-away.rs"]
mod a_room_moves_away;
#[path = "admission-needs-proof.rs"]
mod admission_needs_proof;
#[path = "both-dtls-versions-connect.rs"]
mod both_dtls_versions_connect;
#[path = "clients-come-and-go.rs"]
mod clients_come_and_go;
#[path = "forwarding-allocates-nothing.rs"]
mod forwarding_allocates_nothing;
#[path = "one-speaker-has-a-rate.rs"]
mod one_speaker_has_a_rate;
#[path = "orders-outlive-their-room.rs"]
mod orders_outlive_their_room;
#[path = "pushed-messages-arrive.rs"]
mod pushed_messages_arrive;
#[path = "quality-is-told.rs"]
mod quality_is_told;
#[path = "red-passes-through.rs"]
mod red_passes_through;
#[path = "two-people-talk.rs"]
mod two_people_talk;
#[path = "usage-adds-up.rs"]
mod usage_adds_up;
#[path = "voice-is-opened-once.rs"]
mod voice_is_opened_once;
#[path = "voice-is-sealed-for-each.rs"]
mod voice_is_sealed_for_each;
#[path = "voice-over-tcp.rs"]
mod voice_over_tcp;
#[path = "work-has-a-budget.rs"]
mod work_has_a_budget;
