//! One check of connectivity in another name: of a third party, of another player, or recorded and
//! sent again from elsewhere. And what the same protection costs a player whose NAT forgets him.

use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::time::Duration;

use anyhow::Result;
use attacks::{Attacker, Bystanders, Scale, relay_program};
use loadgen::peer::Peer;
use loadgen::relay_process::RelayProcess;
use loadgen::swarm::pause;
use udp::SendBatch;

/// Bytes that may be sent to who has not answered, for each that came.
const FACTOR: usize = 3;
/// Longest silence that is none: what else the machine does is in it.
const SILENCE_MAX: Duration = Duration::from_millis(1500);
/// The longest of a listener whose NAT forgets him: his next check comes up to 3 s later.
const REBOUND_MAX: Duration = Duration::from_millis(4500);
/// Time in which a client sends a check.
const CHECK_EVERY: Duration = Duration::from_millis(3500);
/// First byte of RTP and RTCP, at least.
const RTP: u8 = 128;

/// Somebody who is no player: what he is sent.
struct ThirdParty(UdpSocket);

impl ThirdParty {
    fn new() -> Self {
        let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        socket.set_nonblocking(true).unwrap();
        Self(socket)
    }

    /// Something is sent in his name.
    fn send(&self, data: &[u8], to: SocketAddr) {
        self.0.send_to(data, to).unwrap();
    }

    /// Bytes that he got, and voice packets among them.
    fn take(&self) -> (usize, usize) {
        let (mut bytes, mut voice) = (0, 0);
        let mut data = [0; 2048];
        while let Ok(length) = self.0.recv(&mut data) {
            bytes += length;
            voice += usize::from(data[0] >= RTP);
        }
        (bytes, voice)
    }
}

/// Two rooms in which somebody talks.
fn talking() -> (RelayProcess, Bystanders, Scale) {
    let scale = Scale::wanted();
    let relay = RelayProcess::start(&relay_program().unwrap()).unwrap();
    let bystanders = Bystanders::join(&relay, scale).unwrap();
    bystanders.talk();
    (relay, bystanders, scale)
}

fn nothing(_: &mut Peer, _: &mut SendBatch, _: std::time::Instant) -> Result<()> {
    Ok(())
}

#[test]
fn a_third_party_gets_little_for_one_check_in_its_name() {
    let _alone = crate::alone();
    let (relay, bystanders, scale) = talking();
    let mut attacker = Attacker::join_to_listen(&relay, "honest-0", 0).unwrap();
    attacker.keep_doing(CHECK_EVERY, nothing).unwrap();
    let check = attacker.check().expect("it has checked connectivity");
    let third_party = ThirdParty::new();
    third_party.send(&check, attacker.relay());
    // He says nothing any more, so that nothing brings his voice back to him.
    let (mut bytes, mut voice) = (0, 0);
    for _ in 0..scale.time.as_millis() / 10 {
        pause(Duration::from_millis(10)).unwrap();
        let (more, packets) = third_party.take();
        (bytes, voice) = (bytes + more, voice + packets);
    }
    println!(
        "he got {bytes} bytes ({voice} packets of voice) for one check of {} in its name",
        check.len()
    );
    assert!(bytes > 0, "the check is answered");
    assert!(bytes <= FACTOR * check.len(), "{bytes} bytes");
    assert_eq!(voice, 0);
    bystanders.finish(&relay).unwrap();
}

#[test]
fn a_player_is_not_silenced_by_checks_in_his_name() {
    let _alone = crate::alone();
    let (relay, bystanders, scale) = talking();
    let attacker = Attacker::join_to_listen(&relay, "honest-1", 0).unwrap();
    let mut victim = Attacker::join_to_listen(&relay, "honest-0", 1).unwrap();
    let (check, to) = (attacker.check().expect("a check"), attacker.relay());
    victim.take_heard();
    let mut forged = 0;
    let sent = victim.keep_doing(scale.time, |peer, batch, _| {
        forged += 1;
        batch.push(peer.socket(), to, &check);
        Ok(())
    });
    sent.unwrap();
    let heard = victim.take_heard();
    let figures = victim.figures(&relay).unwrap();
    let refused = figures.sum("relay_datagrams_rejected_total", "\"path-taken\"");
    println!(
        "{forged} checks in a listener's name: he heard {} packets, longest silence {:?}; \
         {refused} refused",
        heard.packets, heard.longest_gap
    );
    assert!(heard.longest_gap <= SILENCE_MAX, "{heard:?}");
    assert!(refused >= f64::from(forged) * 0.9, "{refused} of {forged}");
    bystanders.finish(&relay).unwrap();
}

#[test]
fn a_recorded_check_brings_no_voice_to_who_recorded_it() {
    let _alone = crate::alone();
    let (relay, bystanders, scale) = talking();
    let mut victim = Attacker::join_to_listen(&relay, "honest-0", 0).unwrap();
    victim.keep_doing(CHECK_EVERY, nothing).unwrap();
    let (check, to) = (victim.check().expect("a check"), victim.relay());
    let recorder = ThirdParty::new();
    victim.take_heard();
    let (mut bytes, mut voice, mut replays) = (0, 0, 0);
    let sent = victim.keep_doing(scale.time, |_, _, _| {
        recorder.send(&check, to);
        replays += 1;
        let (more, packets) = recorder.take();
        (bytes, voice) = (bytes + more, voice + packets);
        Ok(())
    });
    sent.unwrap();
    let heard = victim.take_heard();
    println!(
        "{replays} replays of a check: its recorder got {voice} packets of voice, {bytes} bytes; \
         its client heard {}, longest silence {:?}",
        heard.packets, heard.longest_gap
    );
    assert_eq!(voice, 0);
    assert!(bytes <= FACTOR * check.len() * replays, "{bytes} bytes");
    assert!(heard.longest_gap <= SILENCE_MAX, "{heard:?}");
    bystanders.finish(&relay).unwrap();
}

#[test]
fn a_listener_whose_nat_forgets_him_is_found_again() {
    let _alone = crate::alone();
    let (relay, bystanders, _) = talking();
    let mut listener = Attacker::join_to_listen(&relay, "honest-0", 0).unwrap();
    listener.keep_doing(CHECK_EVERY, nothing).unwrap();
    listener.take_heard();
    let moved = listener.keep_doing(Duration::ZERO, |peer, _, _| peer.rebind());
    moved.unwrap();
    listener.keep_doing(2 * CHECK_EVERY, nothing).unwrap();
    let heard = listener.take_heard();
    println!(
        "a new address: {} packets, longest silence {:?}",
        heard.packets, heard.longest_gap
    );
    assert!(heard.longest_gap <= REBOUND_MAX, "{heard:?}");
    let later = listener.keep_doing(CHECK_EVERY, nothing);
    later.unwrap();
    assert!(
        listener.take_heard().longest_gap <= SILENCE_MAX,
        "it goes on"
    );
    bystanders.finish(&relay).unwrap();
}
