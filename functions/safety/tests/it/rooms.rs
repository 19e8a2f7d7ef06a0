//! Moderators and the game's server silence players, remove them and keep them out: at once by the
//! relay, and for whoever joins by what is written down.

use edge::ports::Unreachable;
use serde_json::{Value, json};
use wire::claims::{Claims, Permission, Role};
use wire::control::{ControlCommand, ControlMessage};
use wire::hello::Hello;
use wire::join::JoinReply;
use wire::problem::Problem;
use wire::ticket::Ticket;
use wire::{PlayerKey, RoomKey};

use crate::rig::{BOOT, EPOCH, NOW_MS, Rig, claims, read, request, secret, shard_keys, share};

const PLAYER: &str = "player-1";
const WHIP_OFFER: &str = include_str!("../../../signalling/tests/offers/gstreamer-whip.sdp");

/// Who may sanction everybody in the lobby.
fn moderator() -> Claims {
    claims("mod")
}

fn ask(rig: &Rig, who: &Claims, method: &str, path: &str, body: Value) -> (u16, String) {
    let path = format!("/v1/rooms/lobby/{path}");
    let response = rig.send(request(who, method, &path, body));
    (response.status, share(&response).outcome)
}

fn order(rig: &Rig, method: &str, path: &str, body: Value) -> String {
    let (status, outcome) = ask(rig, &moderator(), method, path, body);
    assert_eq!(status, 204, "{outcome}");
    outcome
}

fn seconds(seconds: u64) -> Value {
    json!({ "seconds": seconds })
}

/// What the relay was told since the last time.
fn told(rig: &Rig) -> Vec<ControlCommand> {
    let posts = rig.take_posts();
    let open = |(_, _, sealed): &(_, _, String)| {
        let message = ControlMessage::open(sealed, &shard_keys(), BOOT);
        message.expect("sealed for this shard").command
    };
    posts.iter().map(open).collect()
}

fn key() -> PlayerKey {
    secret().player_key(&claims(PLAYER).sub, EPOCH)
}

fn room() -> RoomKey {
    RoomKey::of(&"lobby".parse().unwrap())
}

/// What the ticket and the hello of a join say: whether he is silenced, and until when.
fn join(rig: &Rig) -> (bool, Option<u64>) {
    let reply: JoinReply = read(&rig.join(PLAYER));
    let ufrag = reply
        .answer
        .lines()
        .find_map(|line| line.strip_prefix("a=ice-ufrag:"));
    let ticket = Ticket::open(ufrag.unwrap(), &shard_keys(), BOOT, NOW_MS / 1000).unwrap();
    let hello = Hello::open(&reply.hello, &shard_keys(), BOOT).unwrap();
    (ticket.server_muted, hello.muted_until_ms)
}

#[test]
fn a_mute_is_told_at_once_and_holds_for_every_join_until_its_time() {
    let rig = Rig::with_shard();
    join(&rig);
    assert_eq!(order(&rig, "PUT", "mutes/player-1", seconds(2)), "ok");
    let until_ms = Some(NOW_MS + 2_000);
    let (room, player) = (room(), key());
    let mute = |until_ms| ControlCommand::Mute {
        room,
        player,
        until_ms,
    };
    assert_eq!(told(&rig), [mute(until_ms)]);
    assert_eq!(join(&rig), (true, until_ms));
    rig.pass(2_000);
    assert_eq!(join(&rig), (false, None), "its time is over");
    order(&rig, "PUT", "mutes/player-1", seconds(9));
    assert!(join(&rig).0 && told(&rig).len() == 1);
    assert_eq!(order(&rig, "DELETE", "mutes/player-1", Value::Null), "ok");
    assert_eq!(told(&rig), [mute(None)]);
    assert_eq!(join(&rig), (false, None));
    // Again: nothing is left to end, and that is no fault.
    assert_eq!(order(&rig, "DELETE", "mutes/player-1", Value::Null), "ok");
}

#[test]
fn a_ban_removes_and_keeps_out_until_its_time_or_its_end() {
    let rig = Rig::with_shard();
    join(&rig);
    let (room, player) = (room(), key());
    let kick = ControlCommand::Kick { room, player };
    assert_eq!(order(&rig, "PUT", "bans/player-1", seconds(2)), "ok");
    assert_eq!(told(&rig), std::slice::from_ref(&kick));
    let refused = rig.join(PLAYER);
    assert_eq!((refused.status, refused.outcome), (403, "banned"));
    let detail = serde_json::from_slice::<Problem>(&refused.body)
        .unwrap()
        .detail;
    assert!(detail.contains("2 seconds"), "{detail}");
    assert_eq!(refused.header("retry-after"), Some("2"));
    let mut whip = request(&claims(PLAYER), "POST", "/v1/rooms/lobby/whip", Value::Null);
    whip.content_type = Some("application/sdp".into());
    whip.body = WHIP_OFFER.into();
    assert_eq!(rig.send(whip).status, 403, "nor by WHIP");
    rig.pass(2_000);
    join(&rig);
    order(&rig, "PUT", "bans/player-1", seconds(9));
    assert_eq!(rig.join(PLAYER).status, 403);
    assert_eq!(told(&rig), std::slice::from_ref(&kick));
    assert_eq!(order(&rig, "DELETE", "bans/player-1", Value::Null), "ok");
    assert_eq!(told(&rig), []);
    join(&rig);
    // Who is only removed may come back.
    assert_eq!(order(&rig, "DELETE", "players/player-1", Value::Null), "ok");
    assert_eq!(told(&rig), [kick]);
    join(&rig);
}

#[test]
fn what_is_written_down_holds_although_the_relay_did_not_hear_of_it() {
    let rig = Rig::with_shard();
    let outcome = order(&rig, "PUT", "mutes/player-1", seconds(9));
    assert_eq!(outcome, "relay-unknown", "nobody is in the room");
    join(&rig);
    for (answer, outcome) in [
        (Err(Unreachable), "relay-silent"),
        (Ok(422), "relay-refused"),
    ] {
        *rig.relay_answers.lock().unwrap() = answer;
        let heard = order(&rig, "PUT", "mutes/player-1", seconds(9));
        assert_eq!(heard, outcome);
        assert!(join(&rig).0);
    }
}

#[test]
fn only_moderators_of_the_whole_room_and_the_games_server_may() {
    let rig = Rig::with_shard();
    let with = |change: &dyn Fn(&mut Claims)| {
        let mut claims = moderator();
        change(&mut claims);
        claims
    };
    let nine = || seconds(9);
    for refused in [
        claims(PLAYER),
        with(&|claims| claims.grants[0].room = "other".into()),
        with(&|claims| claims.grants[0].channels = vec!["main".into()]),
        with(&|claims| claims.grants[0].permissions = vec![Permission::Speak]),
        with(&|claims| {
            claims.grants.clear();
            claims.role = Some(Role::Operator);
        }),
    ] {
        for (method, path, body) in [
            ("PUT", "mutes/player-1", nine()),
            ("DELETE", "mutes/player-1", Value::Null),
            ("PUT", "bans/player-1", nine()),
            ("DELETE", "bans/player-1", Value::Null),
            ("DELETE", "players/player-1", Value::Null),
        ] {
            let asked = ask(&rig, &refused, method, path, body);
            assert_eq!(asked, (403, "not-moderator".into()), "{method} {path}");
        }
    }
    assert_eq!(told(&rig), []);
    let server = with(&|claims| {
        claims.grants.clear();
        claims.role = Some(Role::GameServer);
    });
    assert_eq!(ask(&rig, &server, "PUT", "bans/player-1", nine()).0, 204);
}

#[test]
fn a_time_that_is_none_and_a_name_that_is_none_are_refused() {
    let rig = Rig::with_shard();
    for body in [
        Value::Null,
        json!({}),
        seconds(0),
        seconds(31_536_001),
        json!({ "seconds": -1 }),
    ] {
        let asked = ask(&rig, &moderator(), "PUT", "mutes/player-1", body.clone());
        assert_eq!(asked, (400, "body-invalid".into()), "{body}");
    }
    let asked = ask(&rig, &moderator(), "PUT", "mutes/no%20name", seconds(1));
    assert_eq!(asked, (400, "name-invalid".into()));
}

#[test]
fn a_join_reads_what_holds_with_the_home_and_pays_no_more_for_it() {
    let rig = Rig::with_shard();
    join(&rig);
    let units = |rig: &Rig| {
        let response = rig.join(PLAYER);
        let share = share(&response);
        assert_eq!(share.store_writes, 0);
        (share.store_calls, share.store_read_units)
    };
    let before = units(&rig);
    order(&rig, "PUT", "mutes/somebody", seconds(9));
    assert_eq!(units(&rig), before);
}

#[test]
fn a_block_is_told_to_the_rooms_where_the_player_is_and_holds_for_his_next_join() {
    let rig = Rig::with_shard();
    join(&rig);
    let block = |method: &str, rooms: &str| {
        let path = format!("/v1/chat/blocks/bob{rooms}");
        let response = rig.send(request(&claims(PLAYER), method, &path, Value::Null));
        (response.status, share(&response).outcome)
    };
    let hello = || {
        let reply: JoinReply = read(&rig.join(PLAYER));
        Hello::open(&reply.hello, &shard_keys(), BOOT)
            .unwrap()
            .blocked
    };
    let bob = secret().player_key(&"bob".parse().unwrap(), EPOCH);
    let said = |blocked| ControlCommand::Block {
        room: room(),
        player: key(),
        other: bob,
        blocked,
    };
    assert_eq!(block("PUT", "?in=lobby"), (204, "ok".into()));
    assert_eq!(told(&rig), [said(true)]);
    assert_eq!(hello(), [bob]);
    assert_eq!(block("DELETE", "?in=lobby"), (204, "ok".into()));
    assert_eq!(told(&rig), [said(false)]);
    assert!(hello().is_empty());
    // Elsewhere it holds from the next join on.
    assert_eq!(block("PUT", ""), (204, "ok".into()));
    assert_eq!(told(&rig), []);
    assert_eq!(hello(), [bob]);
    for (rooms, refused) in [
        ("?in=elsewhere", (403, "room-not-granted")),
        ("?in=lobby,lobby,lobby,lobby,lobby", (400, "name-invalid")),
        ("?in=", (400, "name-invalid")),
    ] {
        assert_eq!(
            block("PUT", rooms),
            (refused.0, refused.1.into()),
            "{rooms}"
        );
    }
    // What the relay does not take is not forgotten.
    *rig.relay_answers.lock().unwrap() = Err(Unreachable);
    assert_eq!(block("PUT", "?in=lobby"), (204, "relay-silent".into()));
}
