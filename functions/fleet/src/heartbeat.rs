use edge::directory::{self, Orders, StaticShards};
use edge::http::{Call, Response};
use edge::ports::{Clock, Entropy, Timer, Variables};
use edge::store::Store;
use edge::{Metered, Refusal, config};
use wire::ShardId;
use wire::control::{ControlCommand, ControlMessage, PendingCommand, seal_pending};
use wire::fleet::{Heartbeat, HeartbeatReply, Transport, verify_heartbeat};
use wire::keys::{ControlSecret, EPOCHS, FleetSecret, HeartbeatSecret, PlayerSecret, Purpose};
use wire::limits::{MAX_CANDIDATES, MAX_LARGE_ROOMS, MAX_PENDING_COMMANDS, MAX_REFUSED_ROOMS};
use wire::problem::ProblemKind;
use wire::routes::HEARTBEAT;

use crate::body_invalid;

/// Longest control URL, in bytes.
const MAX_URL_BYTES: usize = 256;

/// `POST /v1/relays/{shard}/heartbeat`.
pub(crate) async fn heartbeat<H: Clock + Entropy + Timer + Variables, S: Store>(
    host: &H,
    store: &Metered<'_, S>,
    call: &Call<'_>,
) -> Result<Response, Refusal> {
    let shard: ShardId = call.parameter(0)?;
    // The body names the key that it is signed with; nothing else of it is believed before.
    let heartbeat: Heartbeat = wire::json::read(&call.request.body)
        .map_err(|error| body_invalid(format!("The body is not a heartbeat: {error}.")))?;
    if heartbeat.epoch >= EPOCHS {
        return Err(body_invalid("The key epoch must be 0 to 15."));
    }
    let secret = config::fleet_secret(host).await?;
    let of_heartbeats = HeartbeatSecret(secret.purpose(Purpose::Heartbeat));
    let key = of_heartbeats.key(&shard, heartbeat.epoch);
    let signature = call.request.authorization.as_deref().unwrap_or_default();
    if !verify_heartbeat(&key, &call.request.body, signature) {
        return Err(Refusal::new(
            ProblemKind::SignatureInvalid,
            "Sign the body with the key of this shard and epoch: authorization: Shard.",
        ));
    }
    if heartbeat.shard != shard {
        return Err(body_invalid("The body must be of the shard in the path."));
    }
    check(&heartbeat)?;
    let now_ms = host.now_ms();
    let declared = async |shard: &ShardId| {
        let list = config::static_shards(host).await?;
        Ok(StaticShards::terms(&list, shard))
    };
    let orders = directory::record_heartbeat(host, store, now_ms, &heartbeat, &declared).await?;
    let commands = commands(&secret, &heartbeat, &orders);
    let reply = HeartbeatReply {
        draining: orders.draining,
        now_ms,
        commands,
        moved: orders.moved,
    };
    Ok(Response::json(HEARTBEAT.status, &reply))
}

/// What the shard is told to do, sealed: what it did not get, and whose sessions end.
fn commands(secret: &FleetSecret, heartbeat: &Heartbeat, orders: &Orders) -> Option<String> {
    let mut all = orders.pending.clone();
    let players = PlayerSecret(secret.purpose(Purpose::Player));
    for ended in orders.ended.iter().take(MAX_PENDING_COMMANDS - all.len()) {
        let player = players.player_key(&ended.player, heartbeat.epoch);
        all.push(PendingCommand::from(&ControlMessage {
            at_ms: ended.at_ms,
            nonce: ended.nonce(),
            command: ControlCommand::Revoke { player },
        }));
    }
    if all.is_empty() {
        return None;
    }
    let control = ControlSecret(secret.purpose(Purpose::Control));
    let key = control.key(&heartbeat.shard, heartbeat.epoch);
    let Heartbeat {
        boot, sent_at_ms, ..
    } = *heartbeat;
    Some(seal_pending(&all, &key, boot, sent_at_ms))
}

/// What functions rely on when they put a heartbeat's content into answers and requests. The relay
/// holds its key, so this finds wrong settings rather than attacks.
fn check(heartbeat: &Heartbeat) -> Result<(), Refusal> {
    let candidates = &heartbeat.candidates;
    let udp = candidates
        .iter()
        .filter(|candidate| candidate.transport == Transport::Udp)
        .count();
    if candidates.len() > MAX_CANDIDATES || udp == 0 {
        return Err(body_invalid(
            "Publish 1 to 8 candidates, at least one of them UDP.",
        ));
    }
    let unusable = |candidate: &wire::fleet::Candidate| {
        candidate.address.ip().is_unspecified() || candidate.address.port() == 0
    };
    if candidates.iter().any(unusable) {
        return Err(body_invalid(
            "A candidate must have an address and port that clients reach.",
        ));
    }
    if !is_fingerprint(&heartbeat.fingerprint) {
        return Err(body_invalid(
            "The fingerprint must be sha-256 and 32 bytes as AB:CD:.. .",
        ));
    }
    if !is_http_url(&heartbeat.control_url) {
        return Err(body_invalid(
            "The control URL must be http:// or https:// and a host.",
        ));
    }
    if heartbeat.refused.len() > MAX_REFUSED_ROOMS {
        return Err(body_invalid("Name at most 64 refused rooms."));
    }
    if heartbeat.large.len() > MAX_LARGE_ROOMS {
        return Err(body_invalid("Name at most 64 large rooms."));
    }
    if heartbeat.taken.len() > MAX_PENDING_COMMANDS {
        return Err(body_invalid("Name at most 48 commands that are taken."));
    }
    if heartbeat.capacity == 0 {
        return Err(body_invalid(
            "The capacity must be at least one participant.",
        ));
    }
    Ok(())
}

/// `sha-256 AB:CD:..`, 32 bytes, as it goes into answers.
fn is_fingerprint(text: &str) -> bool {
    let Some(digits) = text.strip_prefix("sha-256 ") else {
        return false;
    };
    let is_byte = |part: &str| part.len() == 2 && part.bytes().all(|b| b.is_ascii_hexdigit());
    digits.split(':').count() == 32 && digits.split(':').all(is_byte)
}

fn is_http_url(text: &str) -> bool {
    let rest = text
        .strip_prefix("http://")
        .or_else(|| text.strip_prefix("https://"));
    text.len() <= MAX_URL_BYTES
        && text
            .bytes()
            .all(|b| b.is_ascii_graphic() && !b"@?#\\".contains(&b))
        && rest.is_some_and(|rest| !rest.is_empty() && !rest.starts_with('/'))
}
