//! The datagrams of SCTP's handshake that an association must not be shown.
//!
//! A network that keeps datagrams back delivers a retransmitted INIT after the association is
//! established. RFC 9260 section 5.2.2 wants it answered without any change of state; sctp-proto
//! takes it for an error and closes the association, which ends a call. The peer that sent it has
//! its answer already, so here it is dropped: what DTLS opened is looked at on its way to SCTP.

/// Source and destination port, verification tag, checksum.
const COMMON_HEADER_BYTES: usize = 12;
/// Chunk types (RFC 9260 section 3.2).
const INIT: u8 = 1;
const COOKIE_ECHO: u8 = 10;

/// How far the handshake of one association has come, as its passive side sees it.
#[derive(Debug, Default)]
pub(crate) struct Handshake {
    /// The peer has echoed a cookie: it has had the answer to an INIT.
    is_past_init: bool,
}

impl Handshake {
    /// Takes note of an SCTP packet of the peer; false when the association must not see it.
    #[must_use]
    pub(crate) fn accepts(&mut self, packet: &[u8]) -> bool {
        // INIT is alone in its packet, and COOKIE ECHO is the first chunk of its own.
        let first_chunk = packet.get(COMMON_HEADER_BYTES);
        self.is_past_init |= first_chunk == Some(&COOKIE_ECHO);
        !(self.is_past_init && first_chunk == Some(&INIT))
    }

    /// Whether both sides know each other's tags.
    pub(crate) fn is_established(&self) -> bool {
        self.is_past_init
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn packet(chunk: u8) -> Vec<u8> {
        [vec![0; COMMON_HEADER_BYTES], vec![chunk, 0, 0, 4]].concat()
    }

    #[test]
    fn an_init_is_shown_until_its_answer_was_echoed() {
        let mut handshake = Handshake::default();
        let data = 0;
        for (chunk, is_shown) in [
            (INIT, true),
            (INIT, true),
            (COOKIE_ECHO, true),
            (INIT, false),
            (COOKIE_ECHO, true),
            (data, true),
            (INIT, false),
        ] {
            assert_eq!(handshake.accepts(&packet(chunk)), is_shown, "{chunk}");
        }
    }

    #[test]
    fn what_is_no_packet_is_not_ours_to_judge() {
        let mut handshake = Handshake::default();
        assert!(handshake.accepts(&[]));
        assert!(handshake.accepts(&[INIT; COMMON_HEADER_BYTES]));
        assert!(handshake.accepts(&packet(INIT)));
    }
}
