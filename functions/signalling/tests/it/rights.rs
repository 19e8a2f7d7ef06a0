//! What the policy and the player's own blocks make of a join.

use edge::http::Response;
use wire::claims::{Age, Claims, Permission, Platform};
use wire::hello::Hello;
use wire::join::JoinReply;
use wire::ticket::Permissions;

use crate::rig::{
    self, BOOT, NOW_MS, Rig, bearer, join_body, join_request, offer, secret, shard_keys, share,
};

#[test]
fn a_hello_says_whom_the_player_blocks_and_on_what_he_plays() {
    let rig = Rig::new();
    let me = rig::claims().sub;
    let store = rig.store.inner.open();
    for other in ["bob", "cyd"] {
        let pair = (&me, &other.parse().expect("an id"));
        let set = edge::blocks::set(&edge::testing::Patience, &store, NOW_MS, pair, true);
        edge::testing::schedule::block_on(set).expect("blocked");
    }
    let mut claims = rig::claims();
    claims.profile.platform = Some(Platform::Console);
    claims.profile.cross_play = Some(false);
    let mut request = join_request(&join_body(&offer("chromium")));
    request.authorization = bearer(&claims);
    let response = rig.handle(request);
    let share = share(&response);
    assert_eq!(
        share.store_writes, 2,
        "the room is new: its home, and a count"
    );
    let reply: JoinReply = serde_json::from_slice(&response.body).expect("a reply");
    let hello = Hello::open(&reply.hello, &shard_keys(), BOOT).expect("a hello");
    let key = |name: &str| secret().player_key(&name.parse().expect("an id"), 0);
    assert_eq!(hello.blocked, [key("bob"), key("cyd")]);
    assert_eq!(
        (hello.platform.as_str(), hello.one_platform),
        ("console", true)
    );
}

/// A table whose children may listen and whose consoles are silent.
fn with_voice_policy() -> Rig {
    let mut rig = Rig::new();
    let mut table: serde_json::Value =
        serde_json::from_str(include_str!("../../../edge/policy.json")).expect("a table");
    let rules = table["rules"].as_array_mut().expect("rules");
    rules.push(serde_json::json!({ "when": { "age": ["child"] }, "set": { "voice": "listen" } }));
    rules.push(
        serde_json::json!({ "when": { "platform": ["console"] }, "set": { "voice": "off" } }),
    );
    rig.set("policy", &table.to_string());
    rig
}

#[test]
fn the_policy_says_who_may_listen_and_who_may_speak() {
    let rig = with_voice_policy();
    let ask = |path: &str, change: &dyn Fn(&mut Claims)| {
        let mut claims = rig::claims();
        change(&mut claims);
        let (whip, body) = (path.ends_with("whip"), offer("chromium"));
        let mut request = join_request(&if whip { body } else { join_body(&body) });
        request.path = path.into();
        request.content_type = whip
            .then(|| "application/sdp".into())
            .or(request.content_type);
        request.authorization = bearer(&claims);
        rig.handle(request)
    };
    const JOIN: &str = "/v1/rooms/lobby/sessions";
    let granted = |response: &Response| {
        let reply: JoinReply = serde_json::from_slice(&response.body).expect("a reply");
        let hello = Hello::open(&reply.hello, &shard_keys(), BOOT).expect("a hello");
        Permissions(hello.channels[0].permissions)
    };
    let adult = ask(JOIN, &|claims| claims.profile.age = Some(Age::Adult));
    assert!(granted(&adult).contains(Permissions::SPEAK));
    let child = ask(JOIN, &|claims| claims.profile.age = Some(Age::Child));
    assert_eq!(granted(&child), Permissions::LISTEN);
    let refused = |response: Response| (response.status, response.outcome);
    const WHIP: &str = "/v1/rooms/lobby/whip";
    let child = ask(WHIP, &|claims| claims.profile.age = Some(Age::Child));
    assert_eq!(
        refused(child),
        (403, "policy-refused"),
        "he could only listen"
    );
    let listener = ask(WHIP, &|claims| {
        claims.profile.age = Some(Age::Adult);
        claims.grants[0].permissions = vec![Permission::Listen];
    });
    assert_eq!(refused(listener), (403, "channel-not-granted"));
    let off = |claims: &mut Claims| claims.profile.platform = Some(Platform::Console);
    for path in [JOIN, WHIP] {
        assert_eq!(refused(ask(path, &off)), (403, "policy-refused"), "{path}");
    }
    // Nothing is left of a grant to speak.
    let dumb = ask(JOIN, &|claims| {
        claims.profile.age = Some(Age::Child);
        claims.grants[0].permissions = vec![Permission::Speak];
    });
    assert_eq!((dumb.status, dumb.outcome), (403, "policy-refused"));
}
