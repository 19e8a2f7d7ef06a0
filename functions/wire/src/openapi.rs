//! The OpenAPI 3.1 document of the HTTP interface, made from the [route table](crate::routes) and
//! the message types.

mod matching;

use schemars::generate::{SchemaGenerator, SchemaSettings};
use serde_json::{Map, Value, json};

use crate::chat::{
    AuditReply, BlockList, ChannelSettings, ChatChannel, EditRequest, EraseReply, ExportReply,
    HistoryReply, MessageReply, MuteRequest, PostRequest, PresenceReply, PresenceRequest,
    ReadMarker, ReportQueueReply, ReportRequest, ReportsReply, UnreadReply,
};
use crate::enrolment::{
    Enrolment, EnrolmentReply, EnrolmentRequest, TokenList, TokenReply, TokenRequest,
};
use crate::fleet::{
    DrainRequest, Heartbeat, HeartbeatReply, Home, RegionList, RevokeShardRequest, ShardList,
    ShardRecord, ShardRevocation,
};
use crate::ids::AwsRegion;
use crate::join::{JoinReply, JoinRequest};
use crate::limits::MAX_BODY_BYTES;
use crate::moderation::{RevocationReply, RoomPlayers, SanctionRequest};
use crate::problem::{MEDIA_TYPE, Problem, ProblemKind, TYPE_BASE};
use crate::routes::{self, Auth, Function, JSON, ROUTES, Route, SDP};
use crate::usage::{UsageBatch, UsageReceipt};
use crate::{
    EnrolmentId, MatchId, PlayerId, QueueName, RegionName, RoomName, SessionRef, ShardId, TicketId,
};

/// The document.
pub fn document() -> Value {
    let mut generator = SchemaSettings::draft2020_12()
        .with(|settings| settings.definitions_path = "/components/schemas".into())
        .into_generator();
    let mut paths = Map::new();
    for route in ROUTES {
        let operation = operation(&mut generator, route);
        let path = paths
            .entry(route.path)
            .or_insert_with(|| parameters(&mut generator, route));
        let method = route.method.to_ascii_lowercase();
        path.as_object_mut()
            .expect("made as an object")
            .insert(method, operation);
    }
    generator.subschema_for::<Problem>();
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "LifeVerse Voice",
            "version": env!("CARGO_PKG_VERSION"),
            "description": "Voice rooms and text chat for games, and the relay fleet. Every \
                refusal is application/problem+json with a stable type and a sentence that says \
                what to change.",
            "license": { "name": "MIT OR Apache-2.0", "identifier": "MIT OR Apache-2.0" },
        },
        "servers": [
            { "url": "http://127.0.0.1:7400", "description": "cargo xtask up" },
        ],
        "paths": paths,
        "components": {
            "schemas": generator.take_definitions(true),
            "securitySchemes": security_schemes(),
        },
    })
}

/// The document as text, the same for the same code.
pub fn document_text() -> String {
    let mut text = serde_json::to_string_pretty(&document()).expect("string keys only");
    text.push('\n');
    text
}

fn security_schemes() -> Value {
    json!({
        "player": {
            "type": "http",
            "scheme": "bearer",
            "bearerFormat": "JWT",
            "description": "A player token that the game issued. The claim grants names rooms, \
                channels and permissions.",
        },
        "seat": {
            "type": "http",
            "scheme": "bearer",
            "bearerFormat": "JWT",
            "description": "The token of a seat in a match, as matchmaking gives it: for the \
                voice and chat of that match.",
        },
        "operator": {
            "type": "http",
            "scheme": "bearer",
            "bearerFormat": "JWT",
            "description": "A token whose claim role is operator.",
        },
        "privacy": {
            "type": "http",
            "scheme": "bearer",
            "bearerFormat": "JWT",
            "description": "A token whose claim role is privacy.",
        },
        "moderation": {
            "type": "http",
            "scheme": "bearer",
            "bearerFormat": "JWT",
            "description": "A token whose claim role is moderator or support.",
        },
        "game-server": {
            "type": "http",
            "scheme": "bearer",
            "bearerFormat": "JWT",
            "description": "A token whose claim role is game-server.",
        },
        "shard": {
            "type": "apiKey",
            "in": "header",
            "name": "authorization",
            "description": "Shard and a space, then HMAC-SHA-256 of the body with the shard's \
                heartbeat key, in base64url.",
        },
    })
}

/// The path's parameters, which all of its methods share.
fn parameters(generator: &mut SchemaGenerator, route: &Route) -> Value {
    let names = route
        .path
        .split('/')
        .filter_map(|s| s.strip_prefix('{')?.strip_suffix('}'));
    let parameters: Vec<Value> = names
        .map(|name| {
            let schema = match name {
                "room" => generator.subschema_for::<RoomName>(),
                "region" => generator.subschema_for::<AwsRegion>(),
                "shard" => generator.subschema_for::<ShardId>(),
                "enrolment" => generator.subschema_for::<EnrolmentId>(),
                "session" => generator.subschema_for::<SessionRef>(),
                "channel" => generator.subschema_for::<ChatChannel>(),
                "queue" => generator.subschema_for::<QueueName>(),
                "ticket" => generator.subschema_for::<TicketId>(),
                "match" => generator.subschema_for::<MatchId>(),
                "player" => generator.subschema_for::<PlayerId>(),
                "seq" => schemars::json_schema!({ "type": "integer", "minimum": 1 }),
                "report" => schemars::json_schema!({ "type": "string", "maxLength": 128 }),
                "reaction" => schemars::json_schema!({ "type": "string", "maxLength": 32 }),
                other => panic!("the parameter {other} has no type"),
            };
            json!({ "name": name, "in": "path", "required": true, "schema": schema })
        })
        .collect();
    if parameters.is_empty() {
        json!({})
    } else {
        json!({ "parameters": parameters })
    }
}

fn operation(generator: &mut SchemaGenerator, route: &Route) -> Value {
    let security = match route.auth {
        Auth::Player => json!([{ "player": [] }]),
        Auth::Seat => json!([{ "player": [] }, { "seat": [] }]),
        Auth::Operator | Auth::Schedule => json!([{ "operator": [] }]),
        Auth::Privacy => json!([{ "privacy": [] }]),
        Auth::Moderation => json!([{ "moderation": [] }]),
        Auth::GameServer => json!([{ "game-server": [] }]),
        Auth::Shard => json!([{ "shard": [] }]),
        // In the body, for which the document has no scheme.
        Auth::Proof => json!([]),
    };
    let mut operation = json!({
        "operationId": route.name,
        "summary": route.summary,
        // Which function serves it: gateways are made from this document.
        "tags": [route.function.name()],
        "security": security,
        "responses": responses(generator, route),
    });
    if let Some(media_type) = route.body {
        operation["requestBody"] = json!({
            "required": true,
            "description": format!("At most {MAX_BODY_BYTES} bytes."),
            "content": { media_type: { "schema": request_schema(generator, route) } },
        });
    }
    let parameters = query_parameters(generator, route);
    if !parameters.is_empty() {
        operation["parameters"] = parameters.into();
    }
    operation
}

fn query_parameters(generator: &mut SchemaGenerator, route: &Route) -> Vec<Value> {
    let text = || json!({ "type": "string" });
    let number = || json!({ "type": "integer", "minimum": 0 });
    let participant = || json!({ "type": "integer", "minimum": 0, "maximum": u32::MAX });
    let parameters = match route.name {
        name if name == routes::RELAYS.name => {
            vec![("region", generator.subschema_for::<RegionName>().into())]
        }
        name if name == routes::REPORT_QUEUE.name => vec![
            ("region", generator.subschema_for::<RegionName>().into()),
            ("day", json!({ "type": "string", "format": "date" })),
            ("after", text()),
        ],
        name if name == routes::HISTORY.name => vec![
            ("after", number()),
            ("before", number()),
            ("limit", number()),
            ("wait", number()),
        ],
        name if name == routes::PLAYERS.name => {
            vec![("after", participant())]
        }
        name if name == routes::UNREAD.name => vec![("in", text())],
        name if [routes::BLOCK.name, routes::UNBLOCK.name].contains(&name) => {
            vec![("in", text())]
        }
        name if name == routes::PRESENCE.name => vec![("players", text())],
        name if name == routes::EXPORT.name || name == routes::ERASE.name => {
            vec![("next", text())]
        }
        name if name == routes::RULES.name => vec![("check", text())],
        name if name == routes::EVACUATE.name => vec![("coming", text())],
        _ => vec![],
    };
    let mut described = Vec::new();
    for (name, schema) in parameters {
        let schema: Value = schema;
        described.push(json!({ "name": name, "in": "query", "required": false, "schema": schema }));
    }
    described
}

fn request_schema(generator: &mut SchemaGenerator, route: &Route) -> Value {
    let schema = match route.name {
        name if name == routes::JOIN.name => generator.subschema_for::<JoinRequest>(),
        name if name == routes::HEARTBEAT.name => generator.subschema_for::<Heartbeat>(),
        name if name == routes::USAGE.name => generator.subschema_for::<UsageBatch>(),
        name if name == routes::DRAIN.name => generator.subschema_for::<DrainRequest>(),
        name if name == routes::REVOKE_SHARD.name => {
            generator.subschema_for::<RevokeShardRequest>()
        }
        name if name == routes::ENROL.name => generator.subschema_for::<EnrolmentRequest>(),
        name if name == routes::MAKE_ENROLMENT_TOKEN.name => {
            generator.subschema_for::<TokenRequest>()
        }
        name if name == routes::POST.name => generator.subschema_for::<PostRequest>(),
        name if name == routes::EDIT.name => generator.subschema_for::<EditRequest>(),
        name if name == routes::REPORT.name => generator.subschema_for::<ReportRequest>(),
        name if name == routes::MARK_READ.name => generator.subschema_for::<ReadMarker>(),
        name if name == routes::SET_PRESENCE.name => generator.subschema_for::<PresenceRequest>(),
        name if name == routes::SET_SETTINGS.name => generator.subschema_for::<ChannelSettings>(),
        name if name == routes::ROOM_MUTE.name || name == routes::ROOM_BAN.name => {
            generator.subschema_for::<SanctionRequest>()
        }
        name if name == routes::MUTE.name => generator.subschema_for::<MuteRequest>(),
        name if name == routes::WHIP.name => return sdp_schema(),
        name if route.function == Function::Matchmaking => matching::request(generator, name),
        other => panic!("the body of {other} has no type"),
    };
    schema.into()
}

fn sdp_schema() -> Value {
    json!({ "type": "string", "description": "A session description (RFC 8866)." })
}

fn responses(generator: &mut SchemaGenerator, route: &Route) -> Value {
    let mut responses = Map::new();
    responses.insert(route.status.to_string(), success(generator, route));
    let kinds = || {
        ProblemKind::ALL
            .iter()
            .filter(|kind| route.documents(**kind))
    };
    for kind in kinds() {
        let status = kind.status();
        let same: Vec<ProblemKind> = kinds().filter(|k| k.status() == status).copied().collect();
        responses.insert(status.to_string(), problems(&same));
    }
    Value::Object(responses)
}

fn problems(kinds: &[ProblemKind]) -> Value {
    let titles: Vec<String> = kinds
        .iter()
        .map(|kind| format!("`{}`: {}", kind.name(), kind.title()))
        .collect();
    let types: Vec<String> = kinds
        .iter()
        .map(|kind| format!("{TYPE_BASE}{}", kind.name()))
        .collect();
    json!({
        "description": titles.join("; "),
        "content": { MEDIA_TYPE: { "schema": {
            "allOf": [{ "$ref": "#/components/schemas/Problem" }],
            "properties": { "type": { "enum": types } },
        } } },
    })
}

fn success(generator: &mut SchemaGenerator, route: &Route) -> Value {
    let location = json!({
        "location": {
            "description": "The session's address; DELETE it to leave.",
            "required": true,
            "schema": { "type": "string" },
        },
    });
    if let Some(schema) = chat_reply(generator, route) {
        return json!({ "description": "Done", "content": { JSON: { "schema": schema } } });
    }
    let schema = match route.name {
        name if name == routes::JOIN.name => generator.subschema_for::<JoinReply>(),
        name if name == routes::HEARTBEAT.name => generator.subschema_for::<HeartbeatReply>(),
        name if name == routes::USAGE.name => generator.subschema_for::<UsageReceipt>(),
        name if name == routes::DRAIN.name => generator.subschema_for::<ShardRecord>(),
        name if name == routes::REVOKE_SHARD.name => generator.subschema_for::<ShardRevocation>(),
        name if name == routes::RELAYS.name => generator.subschema_for::<ShardList>(),
        name if is_of_regions(name) => generator.subschema_for::<RegionList>(),
        name if name == routes::HOME.name => generator.subschema_for::<Home>(),
        name if name == routes::ENROL.name => generator.subschema_for::<EnrolmentReply>(),
        name if name == routes::MAKE_ENROLMENT_TOKEN.name => {
            generator.subschema_for::<TokenReply>()
        }
        name if name == routes::ENROLMENT_TOKENS.name => generator.subschema_for::<TokenList>(),
        name if name == routes::ENROLMENT.name => generator.subschema_for::<Enrolment>(),
        name if name == routes::WHIP.name => {
            return json!({
                "description": "The answer",
                "headers": location,
                "content": { SDP: { "schema": sdp_schema() } },
            });
        }
        name if name == routes::LEAVE.name => {
            return json!({ "description": "Left; also when the relay is gone" });
        }
        name if route.function == Function::Matchmaking && route.status != 204 => {
            matching::reply(generator, name)
        }
        _ if route.status == 204 || matches!(route.function, Function::Chat | Function::Safety) => {
            return json!({ "description": "Done" });
        }
        other => panic!("the reply of {other} has no type"),
    };
    let mut success =
        json!({ "description": "Done", "content": { JSON: { "schema": Value::from(schema) } } });
    if route.status == 201 && route.name == routes::JOIN.name {
        success["headers"] = location;
    }
    success
}

fn is_of_regions(name: &str) -> bool {
    let routes = [routes::REGIONS, routes::EVACUATE, routes::END_EVACUATION];
    routes.iter().any(|route| route.name == name)
}

/// The reply of a route of chat or safety that has one.
fn chat_reply(generator: &mut SchemaGenerator, route: &Route) -> Option<Value> {
    let name = route.name;
    let is = |wanted: &[&Route]| wanted.iter().any(|route| route.name == name);
    let schema = match () {
        () if is(&[
            &routes::POST,
            &routes::EDIT,
            &routes::DELETE_MESSAGE,
            &routes::SET_SETTINGS,
        ]) =>
        {
            generator.subschema_for::<MessageReply>()
        }
        () if is(&[&routes::HISTORY]) => generator.subschema_for::<HistoryReply>(),
        () if is(&[&routes::MARK_READ]) => generator.subschema_for::<ReadMarker>(),
        () if is(&[&routes::UNREAD]) => generator.subschema_for::<UnreadReply>(),
        () if is(&[&routes::PRESENCE]) => generator.subschema_for::<PresenceReply>(),
        () if is(&[&routes::PLAYERS]) => generator.subschema_for::<RoomPlayers>(),
        () if is(&[&routes::REVOKE]) => generator.subschema_for::<RevocationReply>(),
        () if is(&[&routes::BLOCKS]) => generator.subschema_for::<BlockList>(),
        () if is(&[&routes::AUDIT]) => generator.subschema_for::<AuditReply>(),
        () if is(&[&routes::REPORT_QUEUE]) => generator.subschema_for::<ReportQueueReply>(),
        () if is(&[&routes::REPORTS]) => generator.subschema_for::<ReportsReply>(),
        () if is(&[&routes::EXPORT]) => generator.subschema_for::<ExportReply>(),
        () if is(&[&routes::ERASE]) => generator.subschema_for::<EraseReply>(),
        () => return None,
    };
    Some(schema.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every `$ref` leads somewhere.
    fn check_references(document: &Value, value: &Value) {
        match value {
            Value::Object(map) => {
                if let Some(Value::String(reference)) = map.get("$ref") {
                    let pointer = reference.strip_prefix('#').expect("a local reference");
                    assert!(document.pointer(pointer).is_some(), "{reference}");
                }
                map.values()
                    .for_each(|value| check_references(document, value));
            }
            Value::Array(values) => {
                values
                    .iter()
                    .for_each(|value| check_references(document, value));
            }
            _ => {}
        }
    }

    #[test]
    fn every_route_is_described_and_every_reference_leads_somewhere() {
        let document = document();
        check_references(&document, &document);
        for route in ROUTES {
            let operation = &document["paths"][route.path][route.method.to_ascii_lowercase()];
            assert_eq!(operation["operationId"], route.name);
            assert_eq!(operation["tags"], json!([route.function.name()]));
            for kind in route.all_problems() {
                let response = &operation["responses"][kind.status().to_string()];
                let description = response["description"].as_str().expect("a description");
                assert!(
                    description.contains(kind.name()),
                    "{} {}",
                    route.name,
                    kind.name()
                );
            }
        }
    }
}
