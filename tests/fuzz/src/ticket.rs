//! Tickets: a username fragment that the edge did not seal never opens, one that it did opens to
//! what was sealed, and any change of it is refused.

use sfu::Protocol as _;
use wire::ticket::{BadTicket, ChannelKind, Permissions, TICKET_CHARS, TICKET_VERSION, Ticket};
use wire::{ChannelKey, PlayerKey, RoomKey, SessionId};

use crate::program::Program;
use crate::{BOOT, keys, protocol};

/// The first byte chooses: a fragment as it is, or the fields of a ticket and one change.
pub fn run(data: &[u8]) {
    let mut program = Program::new(data);
    match program.byte() {
        Some(0) => stranger(program.rest()),
        Some(_) => drop(sealed(&mut program)),
        None => {}
    }
}

fn stranger(ufrag: &[u8]) {
    let Ok(ufrag) = std::str::from_utf8(ufrag) else {
        return;
    };
    let opened = Ticket::open_expired(ufrag, &keys(), BOOT);
    let refused = opened.expect_err("nobody without the key makes a ticket");
    let is_malformed = refused == BadTicket::Malformed;
    // One character less in version 1.
    assert!(is_malformed || [TICKET_CHARS - 1, TICKET_CHARS].contains(&ufrag.len()));
    assert!(protocol().open(ufrag).is_err());
}

fn sealed(program: &mut Program<'_>) -> Option<()> {
    let (at, to) = (usize::from(program.byte()?), program.byte()?);
    let ticket = fields(program)?;
    let ufrag = ticket.seal(TICKET_VERSION, &keys(), BOOT);
    assert_eq!(ufrag.len(), TICKET_CHARS);
    assert_eq!(
        Ticket::open_expired(&ufrag, &keys(), BOOT).as_ref(),
        Ok(&ticket)
    );
    let admission = protocol().open(&ufrag).expect("it is ours");
    assert_eq!(admission.server_muted, ticket.server_muted);
    assert_eq!(admission.says_hello, ticket.says_hello);
    assert_eq!(admission.session.0, ticket.session.0);
    assert!(admission.slot_ssrcs.len() <= wire::limits::MAX_SLOTS);
    let late = u64::from(ticket.expires_at) + 1;
    let expired = Ticket::open(&ufrag, &keys(), BOOT, late);
    assert_eq!(expired, Err(BadTicket::Expired));
    let mut changed = ufrag.clone().into_bytes();
    changed[at % TICKET_CHARS] = to;
    if let Ok(changed) = String::from_utf8(changed)
        && changed != ufrag
    {
        assert!(Ticket::open_expired(&changed, &keys(), BOOT).is_err());
    }
    Some(())
}

fn fields(program: &mut Program<'_>) -> Option<Ticket> {
    let mut take = || program.byte();
    Some(Ticket {
        expires_at: u32::from_be_bytes(array(&mut take)?),
        session: SessionId(array(&mut take)?),
        player: PlayerKey(array(&mut take)?),
        fingerprint: array(&mut take)?,
        room: RoomKey(array(&mut take)?),
        channel: ChannelKey(array(&mut take)?),
        permissions: Permissions(take()? & 0x3f),
        opus_payload_type: take()? & 0x7f,
        red_payload_type: take()? & 0x7f,
        audio_level_id: take()? & 0x0f,
        slots: take()? & 0x1f,
        // Inputs of before version 2 end here.
        channel_kind: ChannelKind::Group,
        home_epoch: take().unwrap_or_default(),
        server_muted: take().is_some_and(|byte| byte & 1 != 0),
        recorded: take().is_some_and(|byte| byte & 1 != 0),
        hello_version: 1 + take().unwrap_or_default() % TICKET_VERSION,
        says_hello: take().is_some_and(|byte| byte & 1 != 0),
    })
}

fn array<const N: usize>(take: &mut impl FnMut() -> Option<u8>) -> Option<[u8; N]> {
    let mut out = [0; N];
    for byte in &mut out {
        *byte = take()?;
    }
    Some(out)
}
