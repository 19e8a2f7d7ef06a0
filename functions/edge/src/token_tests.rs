use data_encoding::{BASE64, BASE64URL_NOPAD};
use proptest::prelude::*;
use wire::claims::{Grant, Permission};

use super::*;

const NOW: u64 = 1_700_000_000;

fn key(byte: u8) -> SigningKey {
    SigningKey::new([byte; 32])
}

fn claims() -> Claims {
    Claims {
        sub: "p1".parse().unwrap(),
        aud: "game".into(),
        exp: NOW + 60,
        nbf: None,
        iat: None,
        name: Some("Ann".into()),
        profile: wire::claims::Profile::default(),
        role: None,
        grants: vec![Grant {
            room: "lobby".into(),
            channels: vec!["main".into()],
            permissions: vec![Permission::Speak],
        }],
    }
}

const SECRET: [u8; 32] = [9; 32];

fn verifier() -> Verifier {
    let public = key(1).public_base64();
    let secret = BASE64.encode(&SECRET);
    let json = format!(
        r#"[{{"kid":"ed","alg":"EdDSA","public":"{public}"}},
            {{"kid":"mac","alg":"HS256","secret":"{secret}"}}]"#
    );
    Verifier::new(KeySet::from_json(&json).unwrap(), "game".into())
}

fn verify(token: &str) -> Result<Claims, ProblemKind> {
    let header = format!("Bearer {token}");
    verifier()
        .verify(Signers::Seats, Some(&header), NOW)
        .map_err(|refusal| refusal.kind)
}

/// A token with any header and payload, signed by `mac` over whatever it says.
fn hand_made(header: &str, payload: &str, mac_key: &[u8]) -> String {
    let input = format!(
        "{}.{}",
        BASE64URL_NOPAD.encode(header.as_bytes()),
        BASE64URL_NOPAD.encode(payload.as_bytes())
    );
    let mac = Hmac::<Sha256>::new_from_slice(mac_key)
        .unwrap()
        .chain_update(&input);
    format!(
        "{input}.{}",
        BASE64URL_NOPAD.encode(&mac.finalize().into_bytes())
    )
}

fn payload() -> String {
    serde_json::to_string(&claims()).unwrap()
}

#[test]
fn a_signed_token_gives_its_claims() {
    assert_eq!(verify(&sign(&claims(), &key(1), "ed")), Ok(claims()));
    let mac = hand_made(r#"{"alg":"HS256","kid":"mac"}"#, &payload(), &SECRET);
    assert_eq!(verify(&mac), Ok(claims()));
}

#[test]
fn the_key_decides_the_algorithm() {
    let public = BASE64.decode(key(1).public_base64().as_bytes()).unwrap();
    let refused = [
        // The public key as an HMAC secret: the classic confusion.
        hand_made(r#"{"alg":"HS256","kid":"ed"}"#, &payload(), &public),
        hand_made(r#"{"alg":"EdDSA","kid":"mac"}"#, &payload(), &SECRET),
        hand_made(r#"{"alg":"none","kid":"mac"}"#, &payload(), &SECRET),
        hand_made(r#"{"alg":"hs256","kid":"mac"}"#, &payload(), &SECRET),
        hand_made(r#"{"alg":"HS256"}"#, &payload(), &SECRET),
        hand_made(r#"{"alg":"HS256","kid":"other"}"#, &payload(), &SECRET),
        hand_made(
            r#"{"alg":"HS256","kid":"mac","crit":["b64"]}"#,
            &payload(),
            &SECRET,
        ),
        hand_made(r#"{"alg":"HS256","kid":"mac"}"#, &payload(), &[8; 32]),
        hand_made(r#"{"alg":"HS256","kid":"mac"}"#, r#"{"sub":"p1"}"#, &SECRET),
        sign(&claims(), &key(2), "ed"),
        format!(
            "{}.",
            sign(&claims(), &key(1), "ed").rsplit_once('.').unwrap().0
        ),
    ];
    for token in refused {
        assert_eq!(verify(&token), Err(ProblemKind::TokenInvalid), "{token}");
    }
}

#[test]
fn time_and_audience_are_checked() {
    let with = |change: fn(&mut Claims)| {
        let mut claims = claims();
        change(&mut claims);
        verify(&sign(&claims, &key(1), "ed")).map(|_| ())
    };
    assert_eq!(with(|c| c.exp = NOW + 1), Ok(()));
    assert_eq!(with(|c| c.exp = NOW), Err(ProblemKind::TokenExpired));
    assert_eq!(with(|c| c.exp = 0), Err(ProblemKind::TokenExpired));
    assert_eq!(with(|c| c.nbf = Some(NOW + NOT_BEFORE_LEEWAY_S)), Ok(()));
    let early = with(|c| c.nbf = Some(NOW + NOT_BEFORE_LEEWAY_S + 1));
    assert_eq!(early, Err(ProblemKind::TokenInvalid));
    assert_eq!(
        with(|c| c.aud = "other".into()),
        Err(ProblemKind::TokenAudience)
    );
}

#[test]
fn names_are_bounded_and_plain() {
    let with = |name: &str| {
        let claims = Claims {
            name: Some(name.into()),
            ..claims()
        };
        verify(&sign(&claims, &key(1), "ed")).map(|_| ())
    };
    assert_eq!(with(&"é".repeat(64)), Ok(()));
    assert_eq!(with(&"é".repeat(65)), Err(ProblemKind::TokenInvalid));
    assert_eq!(with("a\nb"), Err(ProblemKind::TokenInvalid));
}

#[test]
fn the_header_must_be_bearer_and_a_short_token() {
    let token = sign(&claims(), &key(1), "ed");
    let check = |header: Option<&str>| verifier().verify(Signers::Game, header, NOW).map(|_| ());
    assert_eq!(check(Some(&format!("bearer {token}"))), Ok(()));
    for header in [
        None,
        Some(""),
        Some(token.as_str()),
        Some("Basic x"),
        Some("Bearer"),
    ] {
        assert_eq!(
            check(header).unwrap_err().kind,
            ProblemKind::TokenInvalid,
            "{header:?}"
        );
    }
    let mut long = claims();
    long.grants = vec![long.grants[0].clone(); 100];
    let long = sign(&long, &key(1), "ed");
    assert!(long.len() > MAX_TOKEN_BYTES);
    assert_eq!(verify(&long), Err(ProblemKind::TokenInvalid));
}

#[test]
fn faults_of_key_sets_are_named() {
    let good = format!(
        r#"{{"kid":"a","alg":"EdDSA","public":"{}"}}"#,
        key(1).public_base64()
    );
    let read = |text: String| KeySet::from_json(&text).map(|_| ()).unwrap_err();
    assert_eq!(read("{}".into()), BadKeySet::Shape);
    assert_eq!(read("[]".into()), BadKeySet::Count);
    assert_eq!(read(format!("[{good},{good}]")), BadKeySet::Kid);
    assert_eq!(
        read(good.replace("\"a\"", "\"\"").replace('{', "[{") + "]"),
        BadKeySet::Kid
    );
    assert_eq!(
        read(format!("[{}]", good.replace("EdDSA", "RS256"))),
        BadKeySet::Algorithm
    );
    assert_eq!(
        read(format!("[{}]", good.replace("public", "pub"))),
        BadKeySet::Public
    );
    let short = r#"[{"kid":"a","alg":"HS256","secret":"c2hvcnQ="}]"#;
    assert_eq!(read(short.into()), BadKeySet::Secret);
}

#[test]
fn keys_do_not_print() {
    let shown = format!("{:?} {:?}", key(1), verifier());
    assert!(
        !shown.contains(&key(1).public_base64()) && shown.contains("Hmac(..)"),
        "{shown}"
    );
}

#[test]
fn a_seed_round_trips() {
    let again = SigningKey::from_base64(&format!("{}\n", key(3).to_base64())).unwrap();
    assert_eq!(again.public_base64(), key(3).public_base64());
    assert!(SigningKey::from_base64("c2hvcnQ=").is_err());
    assert!(KeySet::from_json(&key(3).key_set_json("dev")).is_ok());
}

/// RFC 8037, appendix A.4: it has no kid, so the signature alone is checked here.
#[test]
fn rfc_8037_signature_verifies() {
    let public = BASE64URL_NOPAD
        .decode(b"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo")
        .unwrap();
    let seed = BASE64URL_NOPAD
        .decode(b"nWGxne_9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A")
        .unwrap();
    let input = b"eyJhbGciOiJFZERTQSJ9.RXhhbXBsZSBvZiBFZDI1NTE5IHNpZ25pbmc";
    let signature =
        "hgyY0il_MGCjP0JzlnLWG1PPOt7-09PGcvMg3AIbQR6dWbhijcNR4ki4iylGjg5BhVsPt9g7sVvpAr_MuM0KAg";
    let signature = BASE64URL_NOPAD.decode(signature.as_bytes()).unwrap();
    let key = VerificationKey::Ed25519(public.try_into().unwrap());
    assert!(key.verifies(input, &signature));
    assert!(!key.verifies(&input[1..], &signature));
    let ours = SigningKey::new(seed.try_into().unwrap()).0.sign(input);
    assert_eq!(ours.to_bytes().as_slice(), signature);
}

/// RFC 7515, appendix A.1.
#[test]
fn rfc_7515_mac_verifies() {
    let secret =
        "AyM1SysPpbyDfgZld3umj1qzKObwVMkoqQ-EstJQLr_T-1qS0gZH75aKtMN3Yj0iPS4hcgUuTwjAzZr1Z9CAow";
    let secret = BASE64URL_NOPAD.decode(secret.as_bytes()).unwrap();
    let input = "eyJ0eXAiOiJKV1QiLA0KICJhbGciOiJIUzI1NiJ9.\
                 eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFt\
                 cGxlLmNvbS9pc19yb290Ijp0cnVlfQ";
    let mac = BASE64URL_NOPAD
        .decode(b"dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk")
        .unwrap();
    let key = VerificationKey::Hmac(secret);
    assert!(key.verifies(input.as_bytes(), &mac));
    assert!(!key.verifies(input.as_bytes(), &mac[1..]));
}

proptest! {
    #[test]
    fn any_changed_byte_of_a_token_is_refused(at in 0..200_usize, to in 0..128_u8) {
        let token = sign(&claims(), &key(1), "ed");
        let mut bytes = token.clone().into_bytes();
        let at = at % bytes.len();
        prop_assume!(bytes[at] != to);
        bytes[at] = to;
        let changed = String::from_utf8(bytes).unwrap();
        prop_assert_eq!(verify(&changed), Err(ProblemKind::TokenInvalid));
    }

    #[test]
    fn arbitrary_text_is_refused(text in "\\PC{0,200}") {
        prop_assert_eq!(verify(&text), Err(ProblemKind::TokenInvalid));
    }
}

#[test]
fn a_token_of_the_edge_is_good_for_its_own_fleet_only() {
    let [ours, theirs] = [8, 9].map(key);
    let keys = || KeySet::from_json(&key(1).key_set_json(EDGE_KID)).unwrap();
    let token = format!("Bearer {}", sign_as_edge(&claims(), &ours));
    let verify = |keys: KeySet| {
        let verifier = Verifier::new(keys, "game".into());
        verifier
            .verify(Signers::Seats, Some(&token), NOW)
            .map_err(|refusal| refusal.kind)
    };
    assert_eq!(
        verify(keys().with_edge_keys(&ours.public_base64()).unwrap()),
        Ok(claims())
    );
    assert_eq!(
        verify(keys().with_edge_keys(&theirs.public_base64()).unwrap()),
        Err(ProblemKind::TokenInvalid)
    );
    // While one takes the other's place, in either order.
    for (one, other) in [(&ours, &theirs), (&theirs, &ours)] {
        let both = format!("{} {}", one.public_base64(), other.public_base64());
        assert_eq!(verify(keys().with_edge_keys(&both).unwrap()), Ok(claims()));
        assert_eq!(keys().with_edge_keys(&format!("{both} {both}")), None);
    }
    assert_eq!(keys().with_edge_keys(""), None);
    // A configured key of the same name does not take its place.
    assert_eq!(verify(keys()), Err(ProblemKind::TokenInvalid));
}

#[test]
fn a_token_of_the_edge_counts_where_it_may() {
    let ours = key(8);
    let keys = KeySet::from_json(&key(1).key_set_json("ed")).unwrap();
    let keys = keys.with_edge_keys(&ours.public_base64()).unwrap();
    let verifier = Verifier::new(keys, "game".into());
    let is_good = |signers, role, key: &SigningKey, kid: &str| {
        let claims = Claims { role, ..claims() };
        let token = format!("Bearer {}", sign(&claims, key, kid));
        verifier.verify(signers, Some(&token), NOW).is_ok()
    };
    for (role, in_seats, in_schedules) in [
        (None, true, false),
        (Some(Role::Operator), false, true),
        (Some(Role::GameServer), false, false),
        (Some(Role::Privacy), false, false),
    ] {
        let of_edge = |signers| is_good(signers, role, &ours, EDGE_KID);
        assert!(!of_edge(Signers::Game), "{role:?}");
        assert_eq!(of_edge(Signers::Seats), in_seats, "{role:?}");
        assert_eq!(of_edge(Signers::Schedule), in_schedules, "{role:?}");
        for signers in [Signers::Game, Signers::Seats, Signers::Schedule] {
            assert!(is_good(signers, role, &key(1), "ed"), "the game's own");
        }
    }
}

#[test]
fn a_token_lives_no_longer_than_the_setting_says() {
    let verifier = verifier().with_life_s(70);
    let told = |iat, exp| {
        let claims = Claims {
            iat,
            exp,
            ..claims()
        };
        let token = format!("Bearer {}", sign(&claims, &key(1), "ed"));
        let verified = verifier.verify(Signers::Game, Some(&token), NOW);
        verified.map(drop).map_err(|refusal| refusal.kind)
    };
    let refused = Err(ProblemKind::TokenInvalid);
    // Clocks differ by 30 seconds at most.
    assert_eq!(told(None, NOW + 100), Ok(()));
    assert_eq!(told(None, NOW + 101), refused);
    assert_eq!(told(None, u64::MAX), refused);
    assert_eq!(told(Some(NOW - 50), NOW + 50), Ok(()));
    assert_eq!(told(Some(NOW - 50), NOW + 51), refused);
    assert_eq!(told(Some(0), NOW + 1), refused);
    // What it says of the time to come lends it none.
    assert_eq!(told(Some(NOW + 50), NOW + 101), refused);
    assert_eq!(told(Some(u64::MAX), NOW + 101), refused);
}
