use super::*;

fn message<T: fmt::Debug>(result: Result<T, StartError>) -> String {
    result.expect_err("a refusal").0
}

fn addresses(texts: &[&str]) -> Vec<SocketAddr> {
    texts
        .iter()
        .map(|text| text.parse().expect("an address"))
        .collect()
}

#[test]
fn shards_take_consecutive_or_free_ports() {
    let listen = addresses(&["0.0.0.0:7410", "[::]:0"]);
    assert_eq!(
        listen_addresses(&listen, 3),
        Ok(addresses(&["0.0.0.0:7413", "[::]:0"]))
    );
    assert!(listen_addresses(&addresses(&["0.0.0.0:65535"]), 1).is_err());
    assert!(listen_addresses(&addresses(&["0.0.0.0:1", "127.0.0.1:2"]), 0).is_err());
    assert!(listen_addresses(&[], 0).is_err());
}

#[test]
fn candidates_are_what_is_advertised_with_the_real_ports() {
    let bound = addresses(&["0.0.0.0:7410", "[::]:7411"]);
    let found = |advertise: &[&str]| {
        let advertise: Vec<_> = advertise
            .iter()
            .map(|ip| ip.parse().expect("an IP"))
            .collect();
        candidates(&bound, &[], &advertise).map(|found| {
            found
                .iter()
                .map(|candidate| candidate.address)
                .collect::<Vec<_>>()
        })
    };
    assert_eq!(
        found(&["2001:db8::1", "192.0.2.1"]),
        Ok(addresses(&["[2001:db8::1]:7411", "192.0.2.1:7410"]))
    );
    assert_eq!(found(&["127.0.0.1"]), Ok(addresses(&["127.0.0.1:7410"])));
    assert!(message(found(&[])).contains("--advertise"));
    assert!(found(&["192.0.2.1"; 9]).is_err());
    let fixed =
        candidates(&addresses(&["127.0.0.1:5"]), &[], &[]).expect("the address of the socket");
    assert_eq!(fixed[0].address, addresses(&["127.0.0.1:5"])[0]);
    let other = candidates(
        &addresses(&["127.0.0.1:5"]),
        &[],
        &["::1".parse().expect("an IP")],
    );
    assert!(message(other).contains("needs a --listen of its family"));
}

#[test]
fn tcp_candidates_follow_and_need_not_be_of_every_family() {
    let bound = addresses(&["0.0.0.0:7410", "[::]:7410"]);
    let advertise: Vec<IpAddr> = ["192.0.2.1", "2001:db8::1"]
        .map(|ip| ip.parse().expect("an IP"))
        .to_vec();
    let found = candidates(&bound, &addresses(&["0.0.0.0:443"]), &advertise).expect("three");
    let texts: Vec<_> = found
        .iter()
        .map(|candidate| format!("{:?} {}", candidate.transport, candidate.address))
        .collect();
    assert_eq!(
        texts,
        [
            "Udp 192.0.2.1:7410",
            "Udp [2001:db8::1]:7410",
            "Tcp 192.0.2.1:443"
        ]
    );
    let five = vec![advertise[0]; 5];
    let many = candidates(&bound, &addresses(&["0.0.0.0:443"]), &five);
    assert!(message(many).contains("--listen-tcp"));
    let unclear = candidates(
        &addresses(&["127.0.0.1:5"]),
        &addresses(&["0.0.0.0:443"]),
        &[],
    );
    assert!(message(unclear).contains("--listen-tcp takes any address"));
    assert!(check_families("--listen-tcp", &addresses(&["0.0.0.0:1", "0.0.0.0:2"])).is_err());
}
