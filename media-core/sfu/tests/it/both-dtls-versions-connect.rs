//! Clients with DTLS 1.2, with 1.3 and with both connect and hear each other.

use crate::common::{Want, World};
use sfu::{EndReason, RejectReason};
use str0m::config::DtlsVersion;

#[test]
fn each_client_gets_the_newest_version_that_it_has() {
    let with = |dtls| Want {
        dtls,
        ..Want::default()
    };
    let versions = [
        (DtlsVersion::Dtls12, "DTLS1_2"),
        (DtlsVersion::Dtls13, "DTLS1_3"),
        (DtlsVersion::Auto, "DTLS1_3"),
    ];
    let mut world = World::new(&versions.map(|(dtls, _)| with(dtls)));
    world.start_all();
    world.run_until("all three are in the room", |world| {
        world.sfu.participants() == 3 && world.are_welcome()
    });
    for (client, (_, wanted)) in world.clients.iter_mut().zip(versions) {
        let version = client.connection.dtls_version();
        assert_eq!(format!("{:?}", version.expect("connected")), wanted);
        client.level = Some(-20);
    }
    world.run_ms(500);
    for (n, client) in world.clients.iter().enumerate() {
        assert_eq!(client.voices().len(), 2, "client {n} hears the others");
    }
    assert_eq!(world.sfu.stats().rejected(RejectReason::Session), 0);
}

#[test]
fn a_certificate_that_the_ticket_does_not_name_ends_both_versions() {
    for dtls in [DtlsVersion::Dtls12, DtlsVersion::Dtls13] {
        let want = Want {
            dtls,
            other_certificate: true,
            ..Want::default()
        };
        let mut world = World::new(&[want]);
        world.start_all();
        world.run_until("the session ends", |world| {
            world.sfu.stats().ended(EndReason::Fingerprint) == 1
        });
        assert_eq!((world.sfu.sessions(), world.sfu.participants()), (0, 0));
    }
}
