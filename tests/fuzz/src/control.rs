//! Control messages of the edge: nothing opens that was not sealed for this shard and boot, and
//! what was sealed opens to itself.

use wire::BootId;
use wire::control::ControlMessage;
use wire::keys::ShardKey;

use crate::{BOOT, keys};

/// The first byte chooses: a body as it is, or the JSON of a message and one change of its seal.
pub fn run(data: &[u8]) {
    match data {
        [0, body @ ..] => {
            if let Ok(body) = std::str::from_utf8(body) {
                let opened = ControlMessage::open(body.trim(), &keys(), BOOT);
                assert!(opened.is_err(), "nobody without the key seals a message");
            }
        }
        [_, at, to, json @ ..] => sealed(usize::from(*at), *to, json),
        _ => {}
    }
}

fn sealed(at: usize, to: u8, json: &[u8]) {
    let Ok(message) = serde_json::from_slice::<ControlMessage>(json) else {
        return;
    };
    let sealed = message.seal(&keys(), BOOT);
    assert_eq!(ControlMessage::open(&sealed, &keys(), BOOT), Ok(message));
    let other_boot = BootId([8; 8]);
    assert!(ControlMessage::open(&sealed, &keys(), other_boot).is_err());
    let other_shard = ShardKey::new(0, [6; 32]).subkeys();
    assert!(ControlMessage::open(&sealed, &other_shard, BOOT).is_err());
    let mut changed = sealed.clone().into_bytes();
    let length = changed.len();
    changed[at % length] = to;
    if let Ok(changed) = String::from_utf8(changed)
        && changed != sealed
    {
        assert!(ControlMessage::open(&changed, &keys(), BOOT).is_err());
    }
}
