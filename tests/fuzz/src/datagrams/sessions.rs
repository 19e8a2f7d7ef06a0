//! What sessions may say once they have one. The programs of [`datagrams`](super), but
//! with handshakes in the clear, so that an input costs little; with instructions for chunks of
//! SCTP and packets of RTP and RTCP that are right in all but what they say; and beside somebody
//! who does nothing wrong, and stays whatever they say.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;

use sfu::{Path, SessionId};

use super::{World, fixture};
use crate::hostile::Spec;
use crate::program::Program;

/// Steps of one input.
const STEPS_MAX: usize = 256;
/// Who does nothing wrong, from where nobody else comes.
const OTHER: SessionId = SessionId([0xe0; 8]);
const OTHERS_ADDRESS: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::new(10, 9, 1, 1)), 4000);

/// One program.
pub fn run(data: &[u8]) {
    let mut world = World::beside_another();
    let mut program = Program::new(data);
    for _ in 0..STEPS_MAX {
        if world.step_behind(&mut program).is_none() {
            break;
        }
        world.exchange();
    }
    world.assert_other_stays();
    world.end();
}

impl World {
    /// Some world in which somebody is who does nothing wrong.
    fn beside_another() -> Self {
        let mut world = Self::new(&fixture().plain);
        world.harmless = 1;
        world.admit(Spec::harmless(OTHER), Path::udp(OTHERS_ADDRESS));
        world.run_for(Duration::from_secs(1));
        assert!(world.connected.contains(&OTHER.0), "the other joins");
        world
    }

    /// The other has neither been ended nor left without an answer.
    fn assert_other_stays(&self) {
        assert!(!self.ended.contains(&OTHER.0), "the other was ended");
        assert!(!self.peers[0].client.down, "the other gave up");
    }

    /// Carries out the next instruction of those that sessions can bring about.
    fn step_behind(&mut self, program: &mut Program<'_>) -> Option<()> {
        let kind = program.byte()?;
        match kind % 8 {
            0 => self.wait(program),
            1 | 2 => {
                let n = self.peer(program)?;
                let datagram = self.peers[n].behind.sctp(program)?;
                self.deliver(self.peers[n].path, datagram);
                Some(())
            }
            3 => {
                let n = self.peer(program)?;
                let datagram = self.peers[n].behind.media(program)?;
                self.voice_lies = true;
                self.deliver(self.peers[n].path, datagram);
                Some(())
            }
            4 => self.join(program),
            5 => self.say(program),
            6 => self.talk(program),
            _ => self.disturb(program),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Joins as a speaker of the first room, and lets a second pass.
    const JOIN: &[u8] = &[4, 0, 4, 3, 0, 0, 3, 232];
    /// An ABORT of the association (RFC 9260 section 3.3.7), and a second.
    const ABORT: &[u8] = &[1, 0, 0, 0, 4, 6, 0, 0, 4, 0, 3, 232];

    fn run(program: &[u8]) -> World {
        let mut world = World::beside_another();
        let mut program = Program::new(program);
        while world.step_behind(&mut program).is_some() {
            world.exchange();
        }
        world
    }

    #[test]
    fn what_is_said_behind_the_keys_arrives() {
        let world = run(JOIN);
        assert_eq!((world.connected.len(), world.ended.len()), (2, 0));
        assert_eq!(world.sfu.participants(), 2, "both said hello");
        let world = run(&[JOIN, ABORT].concat());
        assert_eq!(world.ended.len(), 1, "its association is over");
        world.assert_other_stays();
    }

    #[test]
    fn voice_with_the_keys_is_heard() {
        let packet = |n: u8| {
            let rtp = [
                &[0x90, 111, 0, n, 0, 0, n, 0, 0, 0, 0, 7][..],
                &LEVEL,
                &[1; 40],
            ];
            let rtp = rtp.concat();
            [&[3, 0, 0, rtp.len() as u8], &rtp[..]].concat()
        };
        let before = run(JOIN).sfu.stats().clone();
        let voice: Vec<u8> = (0..40).flat_map(packet).collect();
        let after = run(&[JOIN, &voice].concat()).sfu.stats().clone();
        assert!(after.voice_in > before.voice_in, "{after:?}");
    }

    /// The header extension of one byte elements with an audio level (RFC 6464) of -16 dBov.
    const LEVEL: [u8; 8] = [0xbe, 0xde, 0, 1, 0x10, 0x90, 0, 0];
}
