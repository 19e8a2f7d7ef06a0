//! What a channel does for its members.

use crate::rig::{NOW_MS, ROOM, Rig, problem, read, share};
use edge::ports::Clock as _;
use edge::store::Store as _;
use serde_json::{Value, json};
use wire::chat::{Deletion, HistoryReply, MessageReply, UnreadReply};

const MESSAGES: &str = "/v1/chat/channels/room~lobby~main/messages";

fn texts(rig: &Rig, player: &str, query: &str) -> Vec<(u64, String)> {
    let history = rig.history(player, ROOM, query);
    let line = |m: wire::chat::Message| (m.seq, m.text.unwrap_or_default());
    history.messages.into_iter().map(line).collect()
}

#[test]
fn messages_are_numbered_from_one_and_read_in_both_directions() {
    let rig = Rig::unlimited(1);
    for n in 1..=7 {
        let reply: MessageReply = read(&rig.post("ann", ROOM, &format!("k{n}"), &format!("t{n}")));
        assert_eq!((reply.message.seq, reply.message.version), (n, 1));
        assert_eq!(reply.message.author.unwrap().as_str(), "ann");
        assert_eq!(reply.message.at_ms, NOW_MS);
    }
    let seqs = |query: &str| -> Vec<u64> {
        texts(&rig, "bob", query)
            .into_iter()
            .map(|(seq, _)| seq)
            .collect()
    };
    assert_eq!(seqs(""), [1, 2, 3, 4, 5, 6, 7]);
    assert_eq!(seqs("limit=3"), [5, 6, 7]);
    assert_eq!(seqs("after=0&limit=2"), [1, 2]);
    assert_eq!(seqs("after=6"), [7]);
    assert_eq!(seqs("before=3"), [1, 2]);
    assert_eq!(seqs("before=5&limit=2"), [3, 4]);
    assert_eq!(seqs("after=7"), [0; 0]);
    let page = rig.history("bob", ROOM, "after=0&limit=2");
    assert!(page.more && page.tail.is_none() && page.next == Some(2));
    let page = rig.history("bob", ROOM, "after=5&limit=9");
    assert!(!page.more && page.tail.is_some());
}

#[test]
fn a_post_with_a_tail_is_one_read_and_two_writes() {
    let rig = Rig::unlimited(2);
    let mut reply: MessageReply = read(&rig.post("ann", ROOM, "k0", "first"));
    for n in 1..200 {
        let body = json!({ "key": format!("k{n}"), "text": "more", "tail": reply.tail });
        let response = rig.call("ann", "POST", MESSAGES, body);
        let share = share(&response);
        reply = read(&response);
        let seq = reply.message.seq;
        assert_eq!(seq, n + 1);
        if seq % 64 > 2 && !seq.is_power_of_two() {
            assert_eq!((share.store_reads, share.store_writes), (1, 2), "{seq}");
        }
    }
    let response = rig.post("ann", ROOM, "no-tail", "more");
    assert_eq!(
        (share(&response).store_reads, share(&response).store_writes),
        (2, 2)
    );
}

#[test]
fn a_stale_or_forged_tail_costs_a_retry_and_nothing_else() {
    let rig = Rig::unlimited(3);
    let old: MessageReply = read(&rig.post("ann", ROOM, "a", "1"));
    read::<MessageReply>(&rig.post("bob", ROOM, "b", "2"));
    let body = json!({ "key": "c", "text": "3", "tail": old.tail });
    let reply: MessageReply = read(&rig.call("ann", "POST", MESSAGES, body));
    assert_eq!(reply.message.seq, 3);
    let body = json!({ "key": "d", "text": "4", "tail": "A".repeat(36) });
    let reply: MessageReply = read(&rig.call("ann", "POST", MESSAGES, body));
    assert_eq!(reply.message.seq, 4);
}

#[test]
fn a_retry_gets_the_first_result_whatever_was_said_meanwhile() {
    let rig = Rig::unlimited(4);
    let first: MessageReply = read(&rig.post("ann", ROOM, "k", "hello"));
    for n in 0..300 {
        rig.post("bob", ROOM, &format!("b{n}"), "noise");
    }
    for n in 0..15 {
        rig.post("ann", ROOM, &format!("a{n}"), "noise");
    }
    rig.pass(60 * 60 * 1000);
    let again: MessageReply = read(&rig.post("ann", ROOM, "k", "hello"));
    assert_eq!(again.message, first.message);
    let others: MessageReply = read(&rig.post("bob", ROOM, "k", "hello"));
    assert_ne!(
        others.message.seq, first.message.seq,
        "keys are each player's own"
    );
    let elsewhere: MessageReply = read(&rig.post("ann", "room~lobby~team", "k", "hello"));
    assert_eq!(elsewhere.message.seq, 1, "and each channel's");
}

#[test]
fn edits_are_versioned_and_deletes_leave_a_tombstone() {
    let rig = Rig::unlimited(5);
    rig.post("ann", ROOM, "k", "helo");
    let edit = |player: &str, text: &str, version: u64| {
        let path = format!("{MESSAGES}/1");
        rig.call(
            player,
            "PATCH",
            &path,
            json!({ "text": text, "version": version }),
        )
    };
    let edited: MessageReply = read(&edit("ann", "hello", 1));
    assert_eq!(
        (edited.message.version, edited.message.text.as_deref()),
        (2, Some("hello"))
    );
    let again: MessageReply = read(&edit("ann", "hello", 1));
    assert_eq!(again.message, edited.message, "a retry of the edit");
    assert_eq!(problem(&edit("ann", "other", 1)), "version-conflict");
    assert_eq!(problem(&edit("bob", "mine", 2)), "not-moderator");
    let delete = |player: &str| rig.call(player, "DELETE", &format!("{MESSAGES}/1"), Value::Null);
    assert_eq!(problem(&delete("bob")), "not-moderator");
    let gone: MessageReply = read(&delete("mod"));
    assert_eq!(
        (gone.message.deleted, gone.message.text),
        (Some(Deletion::Moderator), None)
    );
    assert_eq!(problem(&edit("ann", "back", 3)), "unknown-message");
    read::<MessageReply>(&rig.post("ann", ROOM, "k2", "next"));
    assert_eq!(
        texts(&rig, "bob", ""),
        [(1, String::new()), (2, "next".into())]
    );
    assert_eq!(
        problem(&rig.call("ann", "DELETE", &format!("{MESSAGES}/9"), Value::Null)),
        "unknown-message"
    );
}

#[test]
fn reactions_are_counted_once_for_each_player() {
    let rig = Rig::unlimited(6);
    rig.post("ann", ROOM, "k", "look");
    let react = |player: &str, method: &str, reaction: &str| {
        rig.call(
            player,
            method,
            &format!("{MESSAGES}/1/reactions/{reaction}"),
            Value::Null,
        )
        .status
    };
    let (thumb, fire) = ("%F0%9F%91%8D", "fire");
    for player in ["ann", "bob", "bob", "cem"] {
        assert_eq!(react(player, "PUT", thumb), 204);
    }
    react("cem", "PUT", fire);
    react("cem", "DELETE", thumb);
    let seen = rig.history("bob", ROOM, "").messages.remove(0).reactions;
    let counts: Vec<_> = seen
        .iter()
        .map(|c| (c.reaction.as_str(), c.count, c.mine))
        .collect();
    assert_eq!(counts, [("\u{1f44d}", 2, true), ("fire", 1, false)]);
    for n in 0..4 {
        assert_eq!(react("cem", "PUT", &format!("r{n}")), 204);
    }
    assert_eq!(react("cem", "PUT", "r4"), 409);
    assert_eq!(react("cem", "PUT", "%FF"), 400);
}

#[test]
fn unread_is_what_came_after_the_marker() {
    let rig = Rig::unlimited(7);
    let mark = |seq: u64| {
        let body = json!({ "seq": seq });
        let reply = rig.call("bob", "PUT", "/v1/chat/channels/room~lobby~main/read", body);
        read::<wire::chat::ReadMarker>(&reply).seq
    };
    let unread = || {
        let path = "/v1/chat/unread?in=room~lobby~main,direct~ann";
        let reply: UnreadReply = read(&rig.call("bob", "GET", path, Value::Null));
        reply
            .channels
            .iter()
            .map(|c| (c.last, c.read, c.unread))
            .collect::<Vec<_>>()
    };
    assert_eq!(unread(), [(0, 0, 0), (0, 0, 0)]);
    (1..=3).for_each(|n| drop(rig.post("ann", ROOM, &format!("k{n}"), "x")));
    rig.post("ann", "direct~bob", "d", "psst");
    assert_eq!(unread(), [(3, 0, 3), (1, 0, 1)]);
    assert_eq!(mark(2), 2);
    assert_eq!(mark(1), 2, "a marker never goes back");
    assert_eq!(unread(), [(3, 2, 1), (1, 0, 1)]);
}

#[test]
fn a_direct_channel_is_the_same_from_both_sides_and_nobody_elses() {
    let rig = Rig::unlimited(8);
    rig.post("ann", "direct~bob", "k1", "hi bob");
    rig.post("bob", "direct~ann", "k2", "hi ann");
    let seen = |me: &str, other: &str| -> Vec<String> {
        let history = rig.history(me, &format!("direct~{other}"), "");
        history
            .messages
            .into_iter()
            .filter_map(|m| m.text)
            .collect()
    };
    assert_eq!(seen("ann", "bob"), ["hi bob", "hi ann"]);
    assert_eq!(seen("bob", "ann"), ["hi bob", "hi ann"]);
    assert_eq!(seen("cem", "ann"), [""; 0]);
    assert_eq!(
        problem(&rig.post("ann", "direct~ann", "k", "me")),
        "name-invalid"
    );
}

#[test]
fn who_waits_is_told_until_when_there_is_nothing() {
    let rig = Rig::unlimited(9);
    rig.post("ann", ROOM, "k1", "one");
    let ask = |query: &str| rig.call("bob", "GET", &format!("{MESSAGES}?{query}"), Value::Null);
    let before = rig.now_ms.load(std::sync::atomic::Ordering::Relaxed);
    let reply = ask("after=1&wait=7");
    assert_eq!(read::<HistoryReply>(&reply).poll_after_ms, Some(2_000));
    let until = reply.until.expect("there is nothing yet");
    assert_eq!((until.wait_ms, until.player.as_str()), (7_000, "bob"));
    assert_eq!(ask("after=1&wait=60").until.unwrap().wait_ms, 20_000);
    // Nothing that says "nothing yet" takes time of the function.
    let after = rig.now_ms.load(std::sync::atomic::Ordering::Relaxed);
    assert_eq!(after, before);
    for settled in [
        "after=0&wait=7",
        "after=1",
        "after=1&wait=0",
        "before=1&wait=7",
    ] {
        let reply = ask(settled);
        assert_eq!(reply.until, None, "{settled}");
        assert_eq!(
            read::<HistoryReply>(&reply).poll_after_ms,
            None,
            "{settled}"
        );
    }
    for odd in ["-1", "+1", "1.5", "", "x", "99999999999999999999"] {
        let refused = ask(&format!("after=1&wait={odd}"));
        assert_eq!(problem(&refused), "cursor-invalid", "{odd}");
    }
}

/// What a host is told to look for is what makes it news.
#[test]
fn what_is_posted_is_what_was_waited_for() {
    let rig = Rig::unlimited(9);
    rig.post("ann", ROOM, "k1", "one");
    let path = format!("{MESSAGES}?after=1&wait=7");
    let until = rig.call("bob", "GET", &path, Value::Null).until.unwrap();
    let [watch] = &until.watches[..] else {
        panic!("one log is watched: {:?}", until.watches);
    };
    let newest = |limit| {
        let query = edge::store::Query {
            partition: &watch.partition,
            from: Some(&watch.from),
            to: Some(&watch.to),
            limit,
            direction: edge::store::Direction::Forward,
        };
        let found = rig.store.inner.query(rig.now_ms(), query);
        edge::testing::schedule::block_on(found).unwrap()
    };
    assert_eq!(newest(9), []);
    rig.post("ann", ROOM, "k2", "two");
    let [item] = &newest(9)[..] else {
        panic!("one item is news")
    };
    assert!(watch.has(&item.sort));
    let reply = rig.call("bob", "GET", &path, Value::Null);
    let page: HistoryReply = read(&reply);
    assert_eq!(page.messages[0].text.as_deref(), Some("two"));
    assert_eq!(reply.until, None);
}

#[test]
fn numbers_go_on_after_everything_has_expired() {
    let rig = Rig::unlimited(10);
    let world = "world~eu-1";
    for n in 1..=70 {
        rig.post("ann", world, &format!("k{n}"), "x");
    }
    let settings = json!({ "slow_s": 0, "locked": true });
    let path = "/v1/chat/channels/world~eu-1/settings";
    read::<MessageReply>(&rig.call("mod", "PUT", path, settings));
    rig.pass(24 * 60 * 60 * 1000);
    assert_eq!(rig.history("ann", world, "").messages, []);
    assert_eq!(
        problem(&rig.post("ann", world, "late", "x")),
        "channel-locked",
        "still"
    );
    let open = json!({ "slow_s": 0, "locked": false });
    let opened: MessageReply = read(&rig.call("mod", "PUT", path, open));
    assert!(opened.message.seq > 71, "{}", opened.message.seq);
    let next: MessageReply = read(&rig.post("ann", world, "late", "x"));
    assert_eq!(next.message.seq, opened.message.seq + 1);
}
