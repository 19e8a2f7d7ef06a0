//! Any text that is taken comes back unchanged, and nothing that a client sends makes a fault.

use crate::rig::{ROOM, Rig, claims, problem, read, request};
use chat::Filter;
use proptest::prelude::*;
use serde_json::{Value, json};
use wire::chat::MessageReply;

const MESSAGES: &str = "/v1/chat/channels/room~lobby~main/messages";

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn a_text_comes_back_unchanged_or_is_refused(text in "\\PC{1,200}|(?s).{1,60}") {
        let mut rig = Rig::unlimited(1);
        let policy = &rig.variables.0["policy"];
        let policy = policy.replace("\"filter\": \"mask\"", "\"filter\": \"off\"");
        rig.variables.0.insert("policy".into(), policy);
        let mut adult = claims("ann");
        adult.profile.age = Some(wire::claims::Age::Adult);
        let body = json!({ "key": "k", "text": text });
        let response = rig.send(request(&adult, "POST", MESSAGES, body));
        let is_bad = |c: char| c.is_control() && c != '\n' && c != '\t';
        if text.chars().any(is_bad) || text.chars().all(char::is_whitespace) {
            prop_assert_eq!(problem(&response), "text-invalid");
        } else {
            let posted: MessageReply = read(&response);
            prop_assert_eq!(posted.message.text.as_ref(), Some(&text));
            let seen = rig.history("bob", ROOM, "").messages.remove(0);
            prop_assert_eq!(seen.text, Some(text));
        }
    }

    #[test]
    fn no_body_and_no_query_is_a_fault(
        body: Vec<u8>,
        query in "(after|before|limit|wait)=\\PC{0,20}",
    ) {
        let rig = Rig::unlimited(1);
        let mut raw = request(&claims("ann"), "POST", MESSAGES, json!({}));
        raw.body = body;
        let status = rig.send(raw).status;
        prop_assert!((400..500).contains(&status), "{}", status);
        let mut raw = request(&claims("ann"), "GET", MESSAGES, Value::Null);
        raw.query = Some(query);
        let status = rig.send(raw).status;
        prop_assert!(status == 200 || status == 400, "{}", status);
    }

    #[test]
    fn the_filter_finds_within_the_text_and_a_mask_hides_what_it_found(
        before in "[ a-z\u{e9}\u{4f60}\u{1f600}]{0,20}",
        after in "[ a-z\u{e9}\u{4f60}\u{1f600}]{0,20}",
        word in prop::sample::select(vec!["grob", "GR0B", "g r o b", "gr\u{f3}b", "\u{ff47}rob"]),
    ) {
        let filter = Filter::new::<&str, _>(&[], &["grob"]);
        let text = format!("{before} {word} {after}");
        let found = filter.find(&text);
        prop_assert!(!found.is_empty() || before.ends_with(|c: char| c.is_alphanumeric())
            || word.contains(' '), "{}", text);
        for range in &found {
            prop_assert!(text.get(range.clone()).is_some(), "not on a character");
        }
        let masked = Filter::mask(&text, &found);
        prop_assert_eq!(masked.chars().count(), text.chars().count());
        prop_assert!(filter.find(&masked).is_empty(), "{}", masked);
    }

    #[test]
    fn the_filter_takes_any_text(text in "(?s).{0,100}") {
        let filter = Filter::new(&["de", "en", "es", "fr"], &["*x*"]);
        let found = filter.find(&text);
        let masked = Filter::mask(&text, &found);
        prop_assert_eq!(masked.chars().count(), text.chars().count());
    }

    #[test]
    fn pages_in_either_direction_make_the_whole(count in 1_u64..40, limit in 1_u64..12) {
        let rig = Rig::unlimited(1);
        for n in 1..=count {
            rig.post("ann", ROOM, &format!("k{n}"), "x");
        }
        let (mut forward, mut after) = (Vec::new(), 0);
        loop {
            let page = rig.history("bob", ROOM, &format!("after={after}&limit={limit}"));
            forward.extend(page.messages.iter().map(|m| m.seq));
            after = page.next.unwrap_or(after);
            if !page.more {
                break;
            }
        }
        let (mut backward, mut before) = (Vec::new(), count + 1);
        loop {
            let page = rig.history("bob", ROOM, &format!("before={before}&limit={limit}"));
            backward.extend(page.messages.iter().rev().map(|m| m.seq));
            before = page.next.unwrap_or(before);
            if !page.more {
                break;
            }
        }
        backward.reverse();
        prop_assert_eq!(&forward, &(1..=count).collect::<Vec<_>>());
        prop_assert_eq!(forward, backward);
    }
}
