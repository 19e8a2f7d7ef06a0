//! What a shard says is signed with its key.

use edge::Refusal;
use edge::http::Call;
use wire::ShardId;
use wire::fleet::verify_heartbeat;
use wire::keys::{EPOCHS, FleetSecret, HeartbeatSecret, Purpose};
use wire::problem::ProblemKind;

use crate::body_invalid;

/// Whether a body, which says of which epoch its key is, is signed with that key of a shard.
///
/// # Errors
/// `body-invalid` when there is no such epoch, `signature-invalid`.
pub(crate) fn check(
    secret: &FleetSecret,
    (shard, epoch): (&ShardId, u8),
    call: &Call<'_>,
) -> Result<(), Refusal> {
    if epoch >= EPOCHS {
        return Err(body_invalid("The key epoch must be 0 to 15."));
    }
    let of_heartbeats = HeartbeatSecret(secret.purpose(Purpose::Heartbeat));
    let key = of_heartbeats.key(shard, epoch);
    let signature = call.request.authorization.as_deref().unwrap_or_default();
    if verify_heartbeat(&key, &call.request.body, signature) {
        return Ok(());
    }
    Err(Refusal::new(
        ProblemKind::SignatureInvalid,
        "Sign the body with the key of this shard and epoch: authorization: Shard.",
    ))
}
