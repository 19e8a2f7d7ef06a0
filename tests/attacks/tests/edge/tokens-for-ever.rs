//! A token that begets the next one by way of a match, and one that the game took back.

use std::time::Duration;

use scenarios::http::Method;
use scenarios::requests::OFFER;
use scenarios::shard::Shard;
use scenarios::target::Target;
use serde_json::{Value, json};
use wire::RoomName;
use wire::claims::Claims;
use wire::matching::{MatchSeat, TicketReply};

use crate::attacked;

const QUEUE: &str = "/v1/match/queues/seats";

fn body(player: &str, key: &str) -> Value {
    json!({ "key": key, "players": [{ "player": player, "details": {} }] })
}

/// The seat of the first player in a duel with the second, and the room.
async fn seat(target: &Target, tokens: &[(&str, String); 2]) -> (MatchSeat, RoomName) {
    let tickets = format!("{QUEUE}/tickets");
    let mut paths = Vec::new();
    for (player, token) in tokens {
        let queued = target.expect(201, Method::POST, &tickets, token, body(player, "k"));
        let ticket = queued.await.unwrap();
        paths.push(format!("{tickets}/{}", ticket["ticket"].as_str().unwrap()));
    }
    for _ in 0..100 {
        let asked = target.expect(200, Method::GET, &paths[0], &tokens[0].1, Value::Null);
        let ticket: TicketReply = serde_json::from_value(asked.await.unwrap()).unwrap();
        if let Some(found) = ticket.found
            && let Some(seat) = found.seat
        {
            return (seat, found.room);
        }
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    panic!("{} is never matched", tokens[0].0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_seat_is_no_token_for_the_next_one_and_ends_when_the_game_says() {
    let (host, _, _alone) = attacked().await;
    let target = &host.target;
    let _shard = Shard::start(target, "tokens-0", "tokens").await.unwrap();
    let mode = json!({
        "mode": "duel", "version": 1, "max_wait_s": 60,
        "teams": [{ "name": "side", "count": 2, "players": { "min": 1, "max": 1 } }],
    });
    let operator = target.secrets.operator_token();
    let rules = json!({ "version": 1, "modes": [mode] });
    let set = target.expect(200, Method::PUT, QUEUE, &operator, rules);
    set.await.unwrap();

    // He has three minutes from the game, and says when they began.
    let claims = scenarios::tokens::claims("mal", "lobby");
    let now_s = claims.exp - 3_600;
    let short = Claims {
        exp: now_s + 180,
        iat: Some(now_s - 5),
        ..claims
    };
    let tokens = [
        ("mal", target.secrets.sign(&short)),
        ("ann", target.secrets.token("ann", "lobby")),
    ];
    let (seat, room) = seat(target, &tokens).await;
    let (lent, until_s) = (seat.token, seat.expires_at);
    assert!(until_s <= short.exp, "{until_s} outlives {}", short.exp);
    let tickets = format!("{QUEUE}/tickets");
    let again = body("mal", "again");
    target
        .refuses("token-invalid", Method::POST, &tickets, &lent, again)
        .await
        .unwrap();

    // The game takes his tokens back: neither opens anything any more.
    let sessions = format!("/v1/rooms/{room}/sessions");
    let offer = json!({ "offer": OFFER, "channels": seat.channels });
    let join = target.expect(201, Method::POST, &sessions, &lent, offer.clone());
    join.await.unwrap();
    let revocation = "/v1/players/mal/revocation";
    let revoked = target.call(Method::PUT, revocation, &operator, &Value::Null);
    assert_eq!(revoked.await.unwrap().status, 200);
    for (path, token, body) in [
        (sessions.as_str(), &lent, offer),
        (
            "/v1/rooms/lobby/sessions",
            &tokens[0].1,
            json!({ "offer": OFFER }),
        ),
        (tickets.as_str(), &tokens[0].1, body("mal", "more")),
    ] {
        let refused = target.refuses("token-revoked", Method::POST, path, token, body);
        refused.await.unwrap();
    }
    println!(
        "a seat of a token with 180 s ends after {} s, begets none, and is revoked",
        until_s - now_s
    );
}
