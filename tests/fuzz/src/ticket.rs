//! Tickets: a username fragment that the edge did not seal never opens, one that it did opens to
//! what was sealed, and any change of it is refused.

use relay::SealedProtocol;
use sfu::Protocol as _;
use wire::ticket::{BadTicket, Permissions, TICKET_CHARS, Ticket};
use wire::{ChannelKey, PlayerKey, RoomKey, SessionId};

use crate::program::Program;
use crate::{BOOT, keys};

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
    assert!(is_malformed || ufrag.len() == TICKET_CHARS);
    assert!(SealedProtocol::new(keys(), BOOT).open(ufrag).is_err());
}

fn sealed(program: &mut Program<'_>) -> Option<()> {
    let (at, to) = (usize::from(program.byte()?), program.byte()?);
    let ticket = fields(program)?;
    let ufrag = ticket.seal(&keys(), BOOT);
    assert_eq!(ufrag.len(), TICKET_CHARS);
    assert_eq!(
        Ticket::open_expired(&ufrag, &keys(), BOOT).as_ref(),
        Ok(&ticket)
    );
    let admission = SealedProtocol::new(keys(), BOOT)
        .open(&ufrag)
        .expect("it is ours");
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
        permissions: Permissions(take()?),
        opus_payload_type: take()?,
        red_payload_type: take()?,
        audio_level_id: take()?,
        slots: take()?,
    })
}

fn array<const N: usize>(take: &mut impl FnMut() -> Option<u8>) -> Option<[u8; N]> {
    let mut out = [0; N];
    for byte in &mut out {
        *byte = take()?;
    }
    Some(out)
}
