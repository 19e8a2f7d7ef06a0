//! Whatever players ask with whatever tokens they have, none that they are given outlives the best
//! one that the game has signed for them, nor counts as issued later.

use crate::rig::{self, Rig, path, read, request, rules, ticket};
use data_encoding::BASE64URL_NOPAD;
use edge::http::Response;
use edge::ports::Clock;
use proptest::prelude::*;
use proptest::sample::Index;
use serde_json::{Value, json};
use wire::claims::{Claims, Grant, Permission};
use wire::matching::{TicketReply, TicketStatus};

const PLAYERS: [&str; 2] = ["ann", "bob"];
const HOUR_S: u64 = 3_600;

/// Everybody's tokens: those of the game, and what the function has given for them.
struct Tokens {
    rig: Rig,
    of: [Vec<String>; 2],
    /// Latest end and issue of those of the game.
    best: [(u64, u64); 2],
    tickets: Vec<TicketReply>,
    given: usize,
}

#[derive(Debug, Clone, Copy)]
enum Step {
    /// The game signs another one, which says when it was issued or does not.
    Sign {
        life_s: u64,
        says_when: bool,
    },
    Queue,
    Look,
    Show,
    Accept,
    Spectate,
    Wait {
        s: u64,
    },
}

impl Tokens {
    fn new() -> Self {
        let mut tokens = Self {
            rig: Rig::with_queue(1, &rules(2, 1, json!({}))),
            of: Default::default(),
            best: Default::default(),
            tickets: Vec::new(),
            given: 0,
        };
        for who in 0..PLAYERS.len() {
            tokens.sign(who, HOUR_S / 2, true);
        }
        tokens
    }

    fn now_s(&self) -> u64 {
        self.rig.now_ms() / 1000
    }

    fn sign(&mut self, who: usize, life_s: u64, says_when: bool) {
        let now_s = self.now_s();
        let claims = Claims {
            exp: now_s + life_s,
            iat: says_when.then_some(now_s),
            grants: vec![Grant {
                room: "*".into(),
                channels: vec!["*".into()],
                permissions: vec![Permission::Listen],
            }],
            ..rig::claims(PLAYERS[who], None)
        };
        let (exp, iat) = self.best[who];
        self.best[who] = (exp.max(claims.exp), iat.max(claims.iat.unwrap_or(0)));
        let header = request(&claims, "GET", "/", Value::Null).authorization;
        self.of[who].push(header.unwrap());
    }

    fn step(&mut self, who: usize, shown: usize, step: Step) {
        let ticket_path = self.tickets.last().map(path).unwrap_or_default();
        let found = self
            .tickets
            .iter()
            .rev()
            .find_map(|ticket| ticket.found.as_ref());
        let found = found.map_or("none".to_owned(), |found| found.id.to_string());
        let of_match = |end: &str| format!("/v1/match/matches/{found}{end}");
        let (method, at, body) = match step {
            Step::Sign { life_s, says_when } => return self.sign(who, life_s, says_when),
            Step::Wait { s } => return self.rig.pass(s * 1000),
            Step::Queue => {
                let key = format!("k{}", self.rig.now_ms());
                let body = ticket(&key, &[PLAYERS[who]]);
                ("POST", "/v1/match/queues/q/tickets".to_owned(), body)
            }
            Step::Look => ("GET", ticket_path, Value::Null),
            Step::Show => ("GET", of_match(""), Value::Null),
            Step::Accept => ("POST", of_match("/acceptance"), json!({ "accept": true })),
            Step::Spectate => ("POST", of_match("/spectators"), Value::Null),
        };
        let mut asked = request(&rig::claims(PLAYERS[who], None), method, &at, body);
        asked.authorization = Some(self.of[who][shown].clone());
        let reply = self.rig.send(asked);
        self.take(&reply);
        if at.contains("/tickets") && reply.status < 300 {
            self.tickets.push(read(&reply));
        }
    }

    /// Every token of a reply, wherever it stands in it, goes to whom it names.
    fn take(&mut self, reply: &Response) {
        let Ok(body) = serde_json::from_slice::<Value>(&reply.body) else {
            return;
        };
        let mut left = vec![body];
        while let Some(value) = left.pop() {
            match value {
                Value::Object(members) => left.extend(members.into_values()),
                Value::Array(values) => left.extend(values),
                Value::String(text) => self.keep(&text),
                _ => {}
            }
        }
    }

    fn keep(&mut self, text: &str) {
        let Some(claims) = claims_in(text) else {
            return;
        };
        let who = PLAYERS.iter().position(|name| *name == claims.sub.as_str());
        let who = who.expect("it is for one of them");
        let (exp, iat) = self.best[who];
        assert!(claims.exp <= exp, "{} outlives {exp}", claims.exp);
        assert!(claims.iat.unwrap_or(0) <= iat, "{claims:?}, {iat}");
        assert_eq!(claims.role, None);
        self.of[who].push(format!("Bearer {text}"));
        self.given += 1;
    }
}

/// The claims of a text that is a token.
fn claims_in(text: &str) -> Option<Claims> {
    let payload = text.split('.').nth(1)?;
    let payload = BASE64URL_NOPAD.decode(payload.as_bytes()).ok()?;
    serde_json::from_slice(&payload).ok()
}

fn any_step() -> impl Strategy<Value = Step> {
    prop_oneof![
        1 => (1..2 * HOUR_S, any::<bool>())
            .prop_map(|(life_s, says_when)| Step::Sign { life_s, says_when }),
        4 => Just(Step::Queue),
        4 => Just(Step::Look),
        2 => Just(Step::Show),
        1 => Just(Step::Accept),
        1 => Just(Step::Spectate),
        2 => (1..HOUR_S / 2).prop_map(|s| Step::Wait { s }),
        2 => Just(Step::Wait { s: 1 }),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn whatever_is_asked(
        steps in prop::collection::vec((0..2_usize, any::<Index>(), any_step()), 1..60),
    ) {
        let mut tokens = Tokens::new();
        for (who, with, step) in steps {
            let shown = with.index(tokens.of[who].len());
            tokens.step(who, shown, step);
        }
    }
}

/// Two who meet again and again, each time with the last token that they were given.
#[test]
fn a_seat_does_not_lead_to_another() {
    let mut tokens = Tokens::new();
    let round = |tokens: &mut Tokens| {
        for (who, step) in [
            (0, Step::Queue),
            (1, Step::Queue),
            (0, Step::Wait { s: 1 }),
            (0, Step::Look),
            (1, Step::Look),
        ] {
            let newest = tokens.of[who].len() - 1;
            tokens.step(who, newest, step);
        }
    };
    round(&mut tokens);
    let is_matched = |ticket: &TicketReply| ticket.status == TicketStatus::Matched;
    assert!(tokens.tickets.iter().any(is_matched), "the test is of use");
    assert!(tokens.given > 0);
    let given = tokens.given;
    for _ in 0..4 {
        tokens.step(0, 0, Step::Wait { s: HOUR_S / 4 });
        round(&mut tokens);
    }
    assert_eq!(tokens.given, given, "a seat opens no queue");
    for of in &tokens.of {
        let ends = of
            .iter()
            .filter_map(|shown| claims_in(shown))
            .map(|claims| claims.exp);
        assert!(ends.max() < Some(tokens.now_s()), "and their time is over");
    }
}
