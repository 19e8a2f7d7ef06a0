//! Events of Lambda as requests, and replies as what API Gateway and Function URLs want.

use data_encoding::BASE64;
use edge::http::{Request, Response};
use edge::ports::{Clock, Variables};
use edge::token::sign_as_edge;
use edge::{Refusal, config};
use http::{HeaderMap, HeaderName, HeaderValue};
use lambda_http::Body;
use lambda_http::aws_lambda_events::apigw::{ApiGatewayV2httpRequest, ApiGatewayV2httpResponse};
use serde::Deserialize;
use wire::claims::{Claims, Profile, Role};
use wire::limits::MAX_BODY_BYTES;
use wire::routes::JSON;

/// Every route does.
const ROUTES_BEGIN: &str = "/v1/";

/// Seconds for which a schedule's token is good.
const SCHEDULE_TOKEN_S: u64 = 60;

/// What invokes a function.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
pub(crate) enum Event {
    /// EventBridge, by a rule whose constant input is `{"schedule": "/v1/.."}`: a `POST` to that
    /// path as an operator. Only IAM lets anybody send one.
    Scheduled {
        /// The path.
        schedule: String,
    },
    /// API Gateway's HTTP API or a Function URL, payload version 2.0.
    Http(Box<ApiGatewayV2httpRequest>),
}

impl Event {
    /// The path, when a schedule sent it.
    pub(crate) fn schedule(&self) -> Option<&str> {
        match self {
            Self::Scheduled { schedule } => Some(schedule),
            Self::Http(_) => None,
        }
    }

    /// The request that the event stands for. One of a schedule carries a token that the function
    /// signs for itself, for a minute and good for its own fleet only.
    ///
    /// # Errors
    /// `misconfigured` when the function has no secret to sign with: it has no schedule then.
    pub(crate) async fn into_request<H: Clock + Variables>(
        self,
        host: &H,
    ) -> Result<Request, Refusal> {
        match self {
            Self::Scheduled { schedule } => Ok(Request {
                method: "POST".to_owned(),
                path: schedule,
                authorization: Some(format!("Bearer {}", operator_token(host).await?)),
                content_type: Some(JSON.to_owned()),
                ..Request::default()
            }),
            Self::Http(event) => Ok(of_http(*event)),
        }
    }
}

async fn operator_token<H: Clock + Variables>(host: &H) -> Result<String, Refusal> {
    let claims = Claims {
        sub: "schedule".parse().expect("a good name"),
        aud: config::audience(host).await?,
        exp: host.now_ms() / 1000 + SCHEDULE_TOKEN_S,
        nbf: None,
        iat: None,
        name: None,
        profile: Profile::default(),
        role: Some(Role::Operator),
        grants: Vec::new(),
    };
    Ok(sign_as_edge(
        &claims,
        &config::edge_token_secret(host).await?,
    ))
}

fn of_http(event: ApiGatewayV2httpRequest) -> Request {
    let header = |name: &str| {
        let value = event.headers.get(name)?;
        value.to_str().ok().map(str::to_owned)
    };
    Request {
        method: event.request_context.http.method.as_str().to_owned(),
        path: path(&event),
        query: event
            .raw_query_string
            .clone()
            .filter(|query| !query.is_empty()),
        authorization: header("authorization"),
        content_type: header("content-type"),
        body: body(event.body.unwrap_or_default(), event.is_base64_encoded),
    }
}

/// The path without the stage, which API Gateway puts before it unless it is `$default`. A domain
/// of one's own may leave it out, so what is no stage before a route stays.
fn path(event: &ApiGatewayV2httpRequest) -> String {
    let raw = event.raw_path.as_deref().unwrap_or_default();
    let stage = event.request_context.stage.as_deref().unwrap_or_default();
    let rest = raw.strip_prefix('/').unwrap_or_default();
    let below = rest.strip_prefix(stage).unwrap_or_default();
    let is_below = below.starts_with(ROUTES_BEGIN);
    (if is_below { below } else { raw }).to_owned()
}

/// The body, cut after the byte by which an overlong one is known. What should be base64 and is
/// not stays as it is: the function will say that it is not what it takes.
fn body(text: String, is_base64: bool) -> Vec<u8> {
    let mut bytes = text.into_bytes();
    if is_base64 && let Ok(decoded) = BASE64.decode(&bytes) {
        bytes = decoded;
    }
    bytes.truncate(MAX_BODY_BYTES + 1);
    bytes
}

/// The reply in the form of the gateway.
pub(crate) fn reply(response: Response) -> ApiGatewayV2httpResponse {
    let mut headers = HeaderMap::with_capacity(response.headers.len());
    for (name, value) in response.headers {
        let name = HeaderName::from_static(name);
        let value = HeaderValue::from_str(&value)
            .expect("functions put checked names and our own words into headers");
        headers.append(name, value);
    }
    let mut reply = ApiGatewayV2httpResponse::default();
    reply.status_code = i64::from(response.status);
    reply.headers = headers;
    reply.is_base64_encoded = std::str::from_utf8(&response.body).is_err();
    reply.body = Some(match String::from_utf8(response.body) {
        Ok(text) => Body::Text(text),
        Err(other) => Body::Binary(other.into_bytes()),
    });
    reply
}

#[cfg(test)]
mod tests {
    use super::*;
    use edge::ports::VariableFault;
    use edge::testing::{FixedVariables, schedule::block_on};
    use edge::token::{Signers, SigningKey};
    use serde_json::json;
    use wire::problem::ProblemKind;

    struct Host(FixedVariables);

    impl Clock for Host {
        fn now_ms(&self) -> u64 {
            1_000_000
        }
    }

    impl Variables for Host {
        async fn variable(&self, name: &str) -> Result<Option<String>, VariableFault> {
            self.0.variable(name).await
        }
    }

    fn host() -> Host {
        let secret = data_encoding::BASE64.encode(&[7; 32]);
        let keys = SigningKey::new([1; 32]).key_set_json("a");
        let variables = [("fleet_secret", secret.as_str()), ("token_keys", &keys)];
        Host(FixedVariables::new(&variables).with_derived())
    }

    fn request(event: serde_json::Value) -> Request {
        let event = serde_json::from_value::<Event>(event).unwrap();
        block_on(event.into_request(&host())).unwrap()
    }

    /// As API Gateway documents payload version 2.0; a Function URL sends the same members.
    fn http_event() -> serde_json::Value {
        json!({
            "version": "2.0",
            "routeKey": "$default",
            "rawPath": "/v1/rooms/lobby/sessions",
            "rawQueryString": "region=eu&region=us",
            "cookies": ["a=b"],
            "headers": { "Authorization": "Bearer t", "content-type": "application/json" },
            "queryStringParameters": { "region": "eu,us" },
            "requestContext": {
                "accountId": "1", "apiId": "api", "domainName": "id.execute-api.example",
                "domainPrefix": "id", "requestId": "r", "routeKey": "$default",
                "stage": "$default", "time": "12/Mar/2020:19:03:58 +0000",
                "timeEpoch": 1_583_348_638_390_u64,
                "http": { "method": "POST", "path": "/v1/rooms/lobby/sessions",
                          "protocol": "HTTP/1.1", "sourceIp": "192.0.2.1", "userAgent": "a" }
            },
            "body": "eyJhIjoxfQ==",
            "isBase64Encoded": true
        })
    }

    #[test]
    fn a_gateways_event_is_a_request() {
        let request = request(http_event());
        let wanted = Request {
            method: "POST".into(),
            path: "/v1/rooms/lobby/sessions".into(),
            query: Some("region=eu&region=us".into()),
            authorization: Some("Bearer t".into()),
            content_type: Some("application/json".into()),
            body: b"{\"a\":1}".to_vec(),
        };
        assert_eq!(request, wanted);
    }

    #[test]
    fn a_stage_is_no_part_of_the_path() {
        let with = |stage: &str, raw: &str| {
            let mut event = http_event();
            event["requestContext"]["stage"] = stage.into();
            event["rawPath"] = raw.into();
            request(event).path
        };
        assert_eq!(with("prod", "/prod/v1/relays"), "/v1/relays");
        assert_eq!(with("v1", "/v1/v1/relays"), "/v1/relays");
        assert_eq!(with("v1", "/v1/relays"), "/v1/relays");
        assert_eq!(with("prod", "/production/v1"), "/production/v1");
        assert_eq!(with("prod", "/v1/relays"), "/v1/relays");
        assert_eq!(with("$default", "/v1/relays"), "/v1/relays");
    }

    #[test]
    fn bodies_are_text_base64_or_nothing_and_bounded() {
        let with = |body: serde_json::Value, is_base64: bool| {
            let mut event = http_event();
            event["body"] = body;
            event["isBase64Encoded"] = is_base64.into();
            request(event).body
        };
        assert_eq!(with(json!("v=0\r\n"), false), b"v=0\r\n");
        assert_eq!(with(json!(null), false), b"");
        assert_eq!(with(json!("not base64!"), true), b"not base64!");
        let long = "x".repeat(MAX_BODY_BYTES * 2);
        assert_eq!(with(json!(long), false).len(), MAX_BODY_BYTES + 1);
    }

    #[test]
    fn a_schedule_is_a_request_of_an_operator() {
        let tick = request(json!({ "schedule": "/v1/sweep" }));
        assert_eq!(
            (tick.method.as_str(), tick.path.as_str()),
            ("POST", "/v1/sweep")
        );
        let verified = |signers| {
            let verifier = block_on(config::verifier(&host(), signers)).unwrap();
            verifier.verify(signers, tick.authorization.as_deref(), 1_000)
        };
        let claims = verified(Signers::Schedule).unwrap();
        assert_eq!(claims.role, Some(Role::Operator));
        for other in [Signers::Game, Signers::Seats] {
            assert_eq!(verified(other).unwrap_err().kind, ProblemKind::TokenInvalid);
        }
        let unset = Host(FixedVariables::default());
        let event: Event = serde_json::from_value(json!({ "schedule": "/v1/sweep" })).unwrap();
        let refusal = block_on(event.into_request(&unset)).unwrap_err();
        assert_eq!(refusal.kind, ProblemKind::Misconfigured);
    }

    #[test]
    fn what_comes_through_a_gateway_is_never_a_schedule() {
        let mut pretended = http_event();
        pretended["headers"]["schedule"] = "/v1/sweep".into();
        pretended["body"] = json!("{\"schedule\": \"/v1/sweep\"}");
        pretended["isBase64Encoded"] = false.into();
        let request = request(pretended);
        assert_eq!(request.path, "/v1/rooms/lobby/sessions");
        assert_eq!(request.authorization.as_deref(), Some("Bearer t"));
    }

    #[test]
    fn other_events_are_errors() {
        for event in [
            json!({}),
            json!({ "Records": [] }),
            json!("text"),
            json!(null),
        ] {
            assert!(
                serde_json::from_value::<Event>(event.clone()).is_err(),
                "{event}"
            );
        }
    }

    #[test]
    fn a_reply_keeps_status_headers_and_body() {
        let response = Response::new(201, "application/json", b"{}".to_vec());
        let value = serde_json::to_value(reply(response.with("location", "/v1/x"))).unwrap();
        assert_eq!(value["statusCode"], 201);
        assert_eq!(value["headers"]["location"], "/v1/x");
        assert_eq!(value["body"], "{}");
        assert_eq!(value["isBase64Encoded"], false);
        let binary = serde_json::to_value(reply(Response::new(200, "a/b", vec![0xff]))).unwrap();
        assert_eq!(binary["body"], "/w==");
        assert_eq!(binary["isBase64Encoded"], true);
    }
}
