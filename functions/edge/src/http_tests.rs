use wire::claims::{Claims, Profile, Role};
use wire::routes::{FleetRoute, HEARTBEAT, JOIN, SignallingRoute};

use super::*;
use crate::ports::VariableFault;
use crate::store::{Key, Store};
use crate::testing::calls::{self, problem, share};
use crate::testing::{FixedVariables, MemoryStore, schedule::block_on};
use crate::token::SigningKey;

const NOW_MS: u64 = 1_700_000_000_000;

/// What the router needs of a host.
struct Host {
    store: MemoryStore,
    variables: FixedVariables,
}

impl Host {
    fn new() -> Self {
        let keys = SigningKey::new([1; 32]).key_set_json("dev");
        let secret = "BQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQU=";
        let variables = [("edge_token_public", secret), ("token_keys", keys.as_str())];
        Self {
            store: MemoryStore::default(),
            variables: FixedVariables::new(&variables),
        }
    }
}

impl Storage for Host {
    type Store = MemoryStore;

    fn store(&self) -> &MemoryStore {
        &self.store
    }
}

impl Clock for Host {
    fn now_ms(&self) -> u64 {
        NOW_MS
    }
}

impl Variables for Host {
    async fn variable(&self, name: &str) -> Result<Option<String>, VariableFault> {
        self.variables.variable(name).await
    }
}

/// The `authorization` of who has a role, or none.
fn bearer(role: Option<Role>) -> String {
    let claims = Claims {
        sub: "ann".parse().unwrap(),
        aud: "lifeverse-voice".into(),
        exp: NOW_MS / 1000 + 60,
        nbf: None,
        iat: None,
        name: None,
        profile: Profile::default(),
        role,
        grants: vec![],
    };
    calls::bearer(&claims, &SigningKey::new([1; 32]))
}

fn request(method: &str, path: &str) -> Request {
    Request {
        method: method.into(),
        path: path.into(),
        authorization: Some(bearer(None)),
        ..Request::default()
    }
}

fn run(request: &Request) -> Response {
    let handler = async |_: SignallingRoute, call: &Call<'_>, store: &Metered<'_, MemoryStore>| {
        store.get(0, Key::new("a", "b")).await?;
        Ok(Response::json(200, &call.parameters).with("x-route", call.route.name))
    };
    block_on(serve(&Host::new(), request, handler))
}

#[test]
fn a_request_is_of_a_route_by_method_and_address() {
    let of = |method: &str, path: &str| {
        let request = Request {
            method: method.into(),
            path: path.into(),
            ..Request::default()
        };
        request.route().map(|route| route.name)
    };
    assert_eq!(of("POST", "/v1/rooms/lobby/sessions"), Some("join"));
    assert_eq!(of("GET", "/v1/rooms/lobby/sessions"), None);
    assert_eq!(of("GET", "/v1/chat/presence"), Some("chat-presence"));
    assert_eq!(of("PUT", "/v1/rooms/lobby/bans/ann"), Some("room-ban"));
    assert_eq!(of("GET", "/v2"), None);
}

#[test]
fn a_path_finds_its_route_and_parameters() {
    let response = run(&request("POST", "/v1/rooms/lobby%2D1/sessions"));
    assert_eq!(response.header("x-route"), Some("join"));
    assert_eq!(response.body, br#"["lobby-1"]"#);
    let response = run(&request("DELETE", "/v1/rooms/lobby/sessions/dev-0~00ff"));
    assert_eq!(response.body, br#"["lobby","dev-0~00ff"]"#);
    let wanted = FunctionShare {
        route: "leave".into(),
        outcome: "ok".into(),
        store_calls: 1,
        store_reads: 1,
        store_writes: 0,
        store_read_units: 1,
        store_write_units: 0,
    };
    assert_eq!(share(&response), wanted);
}

#[test]
fn what_no_route_takes_is_refused() {
    for path in [
        "/",
        "",
        "/v1/rooms",
        "/v1/rooms/a/sessions/",
        "/v1/rooms/a/sessions/b/c",
        "/v1/relays",
    ] {
        let response = run(&request("POST", path));
        assert_eq!(
            (response.status, response.outcome),
            (404, "unknown-route"),
            "{path}"
        );
        assert_eq!(response.header("content-type"), Some(MEDIA_TYPE));
    }
    let response = run(&request("PATCH", "/v1/rooms/a/sessions/b"));
    assert_eq!(
        (response.status, response.header("allow")),
        (405, Some("DELETE, OPTIONS"))
    );
    assert_eq!(share(&response).route, "unknown");
}

#[test]
fn preflights_are_answered_for_every_path() {
    let response = run(&request("OPTIONS", "/v1/rooms/a/whip"));
    assert_eq!(response.status, 204);
    assert_eq!(
        response.header("access-control-allow-methods"),
        Some("POST, OPTIONS")
    );
    assert_eq!(
        response.header("access-control-allow-headers"),
        Some("authorization, content-type")
    );
    assert_eq!(response.header("access-control-allow-origin"), Some("*"));
    assert_eq!(response.header("accept-post"), Some("application/sdp"));
    let response = run(&request("OPTIONS", "/v1/rooms/a/sessions"));
    assert_eq!(response.header("accept-post"), None);
    assert_eq!(run(&request("OPTIONS", "/nowhere")).status, 404);
}

#[test]
fn a_body_over_the_limit_is_refused() {
    let mut request = request("POST", "/v1/rooms/a/sessions");
    request.body = vec![0; MAX_BODY_BYTES];
    assert_eq!(run(&request).status, 200);
    request.body.push(0);
    assert_eq!(run(&request).outcome, "body-too-large");
}

#[test]
fn refusals_carry_what_http_asks_for() {
    fn refuse<R: RouteSet>(method: &str, path: &str, kind: ProblemKind) -> Response {
        let handler = async |_: R, _: &Call<'_>, _: &Metered<'_, MemoryStore>| {
            Err(Refusal::new(kind, "Change it."))
        };
        block_on(serve(&Host::new(), &request(method, path), handler))
    }
    let join = JOIN.path;
    let token = refuse::<SignallingRoute>("POST", join, ProblemKind::TokenInvalid);
    assert_eq!(token.header("www-authenticate"), Some("Bearer"));
    assert_eq!(
        token.header("access-control-expose-headers"),
        Some("location, retry-after, ratelimit, ratelimit-policy")
    );
    let invalid = ProblemKind::SignatureInvalid;
    let beat = refuse::<FleetRoute>("POST", HEARTBEAT.path, invalid);
    assert_eq!(beat.header("www-authenticate"), Some("Shard"));
    let busy = refuse::<SignallingRoute>("POST", join, ProblemKind::NoLiveRelay);
    assert_eq!((busy.status, busy.header("retry-after")), (503, Some("1")));
    let problem: wire::problem::Problem = serde_json::from_slice(&busy.body).unwrap();
    assert_eq!(problem.detail, "Change it.");
    assert_eq!(share(&busy).outcome, "no-live-relay");
}

#[test]
fn queries_and_content_types_are_read() {
    let request = Request {
        query: Some("a=1&region=eu%2d1&region=x&flag".into()),
        content_type: Some("Application/SDP; charset=utf-8".into()),
        ..Request::default()
    };
    assert_eq!(request.query_value("region").as_deref(), Some("eu-1"));
    assert_eq!(request.query_value("flag").as_deref(), Some(""));
    assert_eq!(request.query_value("b"), None);
    assert!(request.has_content_type("application/sdp"));
    assert!(!request.has_content_type("application/json"));
}

#[test]
fn broken_percent_signs_stay() {
    for (text, wanted) in [
        ("%", "%"),
        ("%4", "%4"),
        ("%zz", "%zz"),
        ("a%41%", "aA%"),
        ("%ff", "\u{fffd}"),
    ] {
        assert_eq!(percent_decode(text), wanted);
    }
}

/// What the handler of a route sees of who has a role: his name and the time, or a problem.
fn seen<R: RouteSet>(route: &Route, authorization: Option<String>) -> String {
    seen_at::<R>(&Host::new(), route, authorization)
}

fn seen_at<R: RouteSet>(host: &Host, route: &Route, authorization: Option<String>) -> String {
    let request = Request {
        authorization,
        ..request(route.method, &route.path.replace(['{', '}'], ""))
    };
    let handler = async |_: R, call: &Call<'_>, _: &Metered<'_, MemoryStore>| {
        let caller = call.caller()?;
        Ok(Response::json(200, &(caller.me(), caller.now_ms)))
    };
    let response = block_on(serve(host, &request, handler));
    match problem(&response) {
        none if none.is_empty() => calls::text(&response),
        problem => problem,
    }
}

#[test]
fn a_handler_sees_only_whom_its_route_lets_in() {
    let roles = [
        None,
        Some(Role::Operator),
        Some(Role::Privacy),
        Some(Role::GameServer),
        Some(Role::Moderator),
        Some(Role::Support),
    ];
    fn of_set<R: RouteSet>(roles: [Option<Role>; 6], count: &mut usize) {
        for member in R::ALL {
            let route = member.route();
            let (wanted, refusal) = match route.auth {
                Auth::Player | Auth::Seat => (None, ""),
                Auth::Operator | Auth::Schedule => (Some(Role::Operator), "operator-only"),
                Auth::Privacy => (Some(Role::Privacy), "privacy-only"),
                Auth::GameServer => (Some(Role::GameServer), "game-server-only"),
                Auth::Moderation => (Some(Role::Moderator), "not-moderator"),
                // Its handler knows of nobody, whatever he shows.
                Auth::Shard | Auth::Proof => {
                    assert_eq!(seen::<R>(route, Some(bearer(None))), "internal");
                    continue;
                }
            };
            *count += 1;
            for role in roles {
                let is_support = role == Some(Role::Support) && wanted == Some(Role::Moderator);
                let is_let_in = wanted.is_none() || role == wanted || is_support;
                let told = seen::<R>(route, Some(bearer(role)));
                let let_in = format!("[\"ann\",{NOW_MS}]");
                let expected = if is_let_in { let_in.as_str() } else { refusal };
                assert_eq!(told, expected, "{} {role:?}", route.name);
            }
            assert_eq!(seen::<R>(route, None), "token-invalid", "{}", route.name);
        }
    }
    let mut count = 0;
    of_set::<SignallingRoute>(roles, &mut count);
    of_set::<FleetRoute>(roles, &mut count);
    of_set::<wire::routes::ChatRoute>(roles, &mut count);
    of_set::<wire::routes::MatchmakingRoute>(roles, &mut count);
    of_set::<wire::routes::SafetyRoute>(roles, &mut count);
    assert_eq!(
        count,
        ROUTES.len() - 3,
        "all but heartbeat, usage, enrolment"
    );
}

#[test]
fn a_revoked_token_reaches_no_handler_but_those_that_ask_themselves() {
    fn of_set<R: RouteSet>(host: &Host, asked: &mut usize) {
        for route in R::ALL.iter().map(|member| member.route()) {
            let role = match route.auth {
                Auth::Player | Auth::Seat => None,
                Auth::Operator | Auth::Schedule => Some(Role::Operator),
                Auth::Privacy => Some(Role::Privacy),
                Auth::GameServer => Some(Role::GameServer),
                Auth::Moderation => Some(Role::Moderator),
                Auth::Shard | Auth::Proof => continue,
            };
            let told = seen_at::<R>(host, route, Some(bearer(role)));
            let is_refused = route.asks_revocation() == Asks::Router;
            assert_eq!(told == "token-revoked", is_refused, "{} {told}", route.name);
            *asked += usize::from(is_refused);
        }
    }
    let host = Host::new();
    let ann = "ann".parse().unwrap();
    let revoked = revocation::revoke(&crate::testing::Patience, &host.store, NOW_MS, &ann, 60);
    block_on(revoked).unwrap();
    let mut asked = 0;
    of_set::<SignallingRoute>(&host, &mut asked);
    of_set::<FleetRoute>(&host, &mut asked);
    of_set::<wire::routes::ChatRoute>(&host, &mut asked);
    of_set::<wire::routes::MatchmakingRoute>(&host, &mut asked);
    of_set::<wire::routes::SafetyRoute>(&host, &mut asked);
    let by_router = ROUTES
        .iter()
        .filter(|r| r.asks_revocation() == Asks::Router);
    assert_eq!(asked, by_router.count());
    assert!(asked > 20, "{asked}");
}
