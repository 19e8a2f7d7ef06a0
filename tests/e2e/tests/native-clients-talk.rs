//! The first slice, natively: two clients join through the edge and hear each other.

use std::collections::BTreeSet;

use anyhow::{Context, Result};
use e2e::client::{Client, Options, Seen, join};
use e2e::service::{Edge, Relay};
use wire::ChannelName;
use wire::channel::{ClientMessage, EndReason, RelayMessage};

async fn service() -> Result<(Edge, Relay)> {
    let edge = Edge::start().await?;
    let relay = edge.start_relay("test").await?;
    Ok((edge, relay))
}

async fn talker(edge: &Edge, mark: u8) -> Result<Client> {
    let token = edge.secrets.token(&format!("p{mark}"), "lobby");
    let options = Options {
        talks: true,
        ..Options::new(mark)
    };
    join(&edge.http, &edge.url(), "lobby", &token, options).await
}

#[tokio::test(flavor = "multi_thread")]
async fn two_clients_hear_each_other_after_one_request_each() -> Result<()> {
    let (mut edge, _relay) = service().await?;
    let mut ann = talker(&edge, 1).await?;
    let mut bob = talker(&edge, 2).await?;
    ann.hears(2).await?;
    bob.hears(1).await?;
    let heard = |client: &mut Client| {
        let marks = client
            .drain()
            .into_iter()
            .filter_map(|(_, seen)| match seen {
                Seen::Voice { mark, .. } => Some(mark),
                _ => None,
            });
        marks.collect::<BTreeSet<u8>>()
    };
    ann.hears(2).await?;
    assert!(!heard(&mut ann).contains(&1), "nobody hears himself");
    let mut joins = 0;
    while let Ok(record) = edge.records.try_recv() {
        joins += u32::from(record.function == "signalling");
        assert_eq!(record.status / 100, 2, "{record:?}");
    }
    assert_eq!(joins, 2, "a join is one request");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn the_roster_names_everybody_and_the_slot_map_tells_who_is_heard() -> Result<()> {
    let (edge, _relay) = service().await?;
    let mut ann = talker(&edge, 1).await?;
    let RelayMessage::Welcome {
        participant: ann_id,
        room,
        slots,
        ..
    } = ann.welcome().await?
    else {
        unreachable!("welcome gives a welcome")
    };
    assert_eq!((room.as_str(), slots), ("lobby", 4));
    let mut bob = talker(&edge, 2).await?;
    let RelayMessage::Welcome { participants, .. } = bob.welcome().await? else {
        unreachable!("welcome gives a welcome")
    };
    let names: BTreeSet<&str> = participants.iter().map(|p| p.name.as_str()).collect();
    assert_eq!(names, BTreeSet::from(["Player p1", "Player p2"]));
    let in_slot = |seen: &Seen| match seen {
        Seen::Message(RelayMessage::Slots { slots }) => slots.first().cloned(),
        _ => None,
    };
    let (_, slot) = bob.wait_for("a slot", in_slot).await?;
    assert_eq!((slot.slot, slot.participant), (0, Some(ann_id)));
    assert_eq!(slot.channel.as_ref().map(ChannelName::as_str), Some("main"));
    let speaking = |seen: &Seen| match seen {
        Seen::Message(RelayMessage::Speaking { started, .. }) => {
            started.contains(&ann_id).then_some(())
        }
        _ => None,
    };
    ann.talk(false);
    let silent = |seen: &Seen| match seen {
        Seen::Message(RelayMessage::Speaking { stopped, .. }) => {
            stopped.contains(&ann_id).then_some(())
        }
        _ => None,
    };
    bob.wait_for("Ann stops", silent).await?;
    ann.talk(true);
    bob.wait_for("Ann talks", speaking).await?;
    ann.say(ClientMessage::Leave);
    let left = |seen: &Seen| match seen {
        Seen::Message(RelayMessage::Roster { left, .. }) => left.contains(&ann_id).then_some(()),
        _ => None,
    };
    bob.wait_for("Ann leaves", left).await?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn leaving_through_the_edge_ends_the_session_on_the_relay() -> Result<()> {
    let (edge, _relay) = service().await?;
    let mut ann = talker(&edge, 1).await?;
    ann.welcome().await?;
    let session = format!(
        "{}/v1/rooms/lobby/sessions/{}",
        edge.url(),
        ann.joined.session
    );
    let delete = |token: String| {
        let (http, session) = (edge.http.clone(), session.clone());
        async move {
            http.send(hyper::Method::DELETE, &session, &token, "", "")
                .await
        }
    };
    // Another player's token does not end it, and does not learn whether it exists.
    let reply = delete(edge.secrets.token("p9", "lobby")).await?;
    assert_eq!(reply.status, 204);
    ann.say(ClientMessage::Ping { id: 7 });
    let pong =
        |seen: &Seen| matches!(seen, Seen::Message(RelayMessage::Pong { id: 7 })).then_some(());
    ann.wait_for("a pong: the session lives", pong).await?;
    let reply = delete(edge.secrets.token("p1", "lobby")).await?;
    assert_eq!(reply.status, 204);
    let ended = |seen: &Seen| match seen {
        Seen::Message(RelayMessage::Ended { reason }) => Some(*reason),
        _ => None,
    };
    assert_eq!(ann.wait_for("the end", ended).await?.1, EndReason::Left);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn voice_works_over_ipv6() -> Result<()> {
    let edge = Edge::start().await?;
    let ipv6 = |config: &mut relay::Config| {
        let address = "[::1]:0".parse().expect("an address");
        config.settings.listen.push(address);
    };
    let _relay = edge.start_relay_with("dual", ipv6).await?;
    let token = |n: u8| edge.secrets.token(&format!("p{n}"), "lobby");
    let v6 = Options {
        talks: true,
        bind: "[::1]:0".parse()?,
        ..Options::new(1)
    };
    let mut ann = join(&edge.http, &edge.url(), "lobby", &token(1), v6).await?;
    let mut bob = talker(&edge, 2).await?;
    ann.hears(2).await.context("over IPv6")?;
    bob.hears(1).await.context("over IPv4")?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dead_relays_rooms_move_and_a_drained_relays_people_are_asked_to() -> Result<()> {
    let (edge, first) = service().await?;
    let mut ann = talker(&edge, 1).await?;
    ann.welcome().await?;
    let second = edge.start_relay("second").await?;
    let url = format!("{}/v1/relays/test/drain", edge.url());
    let operator = edge.secrets.operator_token();
    let put = hyper::Method::PUT;
    let body = r#"{"draining":true}"#;
    let reply = edge
        .http
        .send(put, &url, &operator, "application/json", body)
        .await?;
    assert_eq!(
        reply.status,
        200,
        "{}",
        String::from_utf8_lossy(&reply.body)
    );
    let migrate = |seen: &Seen| matches!(seen, Seen::Message(RelayMessage::Migrate)).then_some(());
    ann.wait_for("the request to migrate", migrate).await?;
    let mut moved = talker(&edge, 1).await?;
    assert_eq!(moved.joined.relay.as_str(), "second");
    let mut bob = talker(&edge, 2).await?;
    assert_eq!(bob.joined.relay.as_str(), "second");
    bob.hears(1).await?;
    moved.hears(2).await?;
    first.running.stop().await?;
    second.running.stop().await?;
    let reply = edge
        .http
        .post(&format!("{}/v1/rooms/lobby/sessions", edge.url()), "", "")
        .await?;
    assert_eq!(reply.problem(), "token-invalid");
    Ok(())
}
