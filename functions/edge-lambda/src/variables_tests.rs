//! Secrets against the emulator, with a proxy that fails as Parameter Store may. Time is what the
//! tests say.

use scenarios::moto::Moto;
use scenarios::proxy::{Fate, Proxy};

use super::*;

const HOUR: Duration = Duration::from_secs(3_600);

struct Rig {
    moto: Moto,
    proxy: Proxy,
    parameters: Parameters,
    start: Instant,
}

impl Rig {
    async fn start() -> Self {
        let moto = Moto::start().await.unwrap();
        let proxy = Proxy::start(moto.url()).await.unwrap();
        let credentials = aws_credential_types::Credentials::new("t", "t", None, None, "test");
        let timeouts = aws_config::timeout::TimeoutConfig::builder()
            .operation_attempt_timeout(Duration::from_secs(2))
            .build();
        let config = aws_config::from_env()
            .endpoint_url(&proxy.url)
            .region("us-east-1")
            .credentials_provider(credentials)
            .timeout_config(timeouts)
            .load()
            .await;
        let permissions = FunctionPermissions {
            table: Vec::new(),
            partitions: Vec::new(),
            secrets: vec!["fleet_secret".to_owned(), "token_keys".to_owned()],
            settings: vec!["region".to_owned(), "policy".to_owned()],
            outbound: None,
            objects: Vec::new(),
            memory_mb: 128,
            timeout_s: 6,
        };
        let environment = |name: &str| (name == "LIFEVERSE_REGION").then(|| "eu".to_owned());
        let store = ParameterStore::new(config).unwrap();
        let parameters = Parameters::new(store, "/game/", &permissions, environment);
        let rig = Self {
            moto,
            proxy,
            parameters,
            start: crate::host::now(),
        };
        rig.set("fleet_secret", "one").await;
        rig.set("token_keys", "keys").await;
        rig
    }

    async fn set(&self, name: &str, value: &str) {
        let name = format!("/game/{name}");
        self.moto.put_secret(&name, value).await.unwrap();
    }

    /// The fleet secret, `after` the start.
    async fn get(&self, after: Duration) -> Result<Option<String>, VariableFault> {
        self.parameters
            .get(self.start + after, "fleet_secret")
            .await
    }

    fn calls(&self) -> usize {
        self.proxy.seen().len()
    }
}

fn text(text: &str) -> Result<Option<String>, VariableFault> {
    Ok(Some(text.to_owned()))
}

#[tokio::test]
async fn secrets_are_read_together_kept_and_read_again() {
    let rig = Rig::start().await;
    assert_eq!(rig.get(Duration::ZERO).await, text("one"));
    let keys = rig.parameters.get(rig.start, "token_keys").await;
    assert_eq!((keys, rig.calls()), (text("keys"), 1));
    rig.set("fleet_secret", "two").await;
    let spread = FRESH.checked_sub(FRESH_SPREAD).unwrap();
    let early = spread.checked_sub(Duration::from_secs(1)).unwrap();
    assert_eq!((rig.get(early).await, rig.calls()), (text("one"), 1));
    assert_eq!((rig.get(FRESH).await, rig.calls()), (text("two"), 2));
}

#[tokio::test]
async fn those_at_hand_serve_an_hour_of_an_outage_and_it_is_asked_for_once_in_a_while() {
    let rig = Rig::start().await;
    assert_eq!(rig.get(Duration::ZERO).await, text("one"));
    rig.proxy.decide(|_| Fate::Refuse("ThrottlingException"));
    let second = Duration::from_secs(1);
    assert_eq!(rig.get(FRESH).await, text("one"));
    let calls = rig.calls();
    assert!(calls > 0);
    assert_eq!(rig.get(FRESH + 4 * second).await, text("one"));
    assert_eq!(rig.calls(), calls, "the pause after a failure holds");
    assert_eq!(rig.get(FRESH + 6 * second).await, text("one"));
    assert!(rig.calls() > calls);
    let end = HOUR.checked_sub(second).unwrap();
    assert_eq!(rig.get(end).await, text("one"));
    let unavailable = Err(VariableFault::Unavailable);
    assert_eq!(rig.get(HOUR + 10 * second).await, unavailable);
    rig.proxy.script([]);
    assert_eq!(rig.get(HOUR + 11 * second).await, unavailable, "paused");
    assert_eq!(rig.get(HOUR + 20 * second).await, text("one"));
}

#[tokio::test]
async fn a_silent_parameter_store_does_not_use_up_a_requests_time() {
    let rig = Rig::start().await;
    assert_eq!(rig.get(Duration::ZERO).await, text("one"));
    rig.proxy.decide(|_| Fate::Silence);
    let began = crate::host::now();
    assert_eq!(rig.get(FRESH).await, text("one"));
    assert!(began.elapsed() < 2 * RENEWAL_LIMIT);
    // A request that ends while it waits for them spares the next one the wait.
    let after = FRESH + Duration::from_secs(6);
    let cut = tokio::time::timeout(Duration::from_millis(50), rig.get(after)).await;
    assert!(cut.is_err());
    let calls = rig.calls();
    assert_eq!(rig.get(after).await, text("one"));
    assert_eq!(rig.calls(), calls);
}

#[tokio::test]
async fn who_has_none_says_whether_to_wait_or_to_mend() {
    let rig = Rig::start().await;
    for (code, fault) in [
        ("ThrottlingException", VariableFault::Unavailable),
        ("AccessDeniedException", VariableFault::Refused),
    ] {
        rig.proxy.decide(move |_| Fate::Refuse(code));
        let minutes = 10 * u32::from(fault == VariableFault::Refused);
        let after = Duration::from_secs(60) * minutes;
        assert_eq!(rig.get(after).await, Err(fault), "{code}");
        let calls = rig.calls();
        assert_eq!(rig.get(after).await, Err(fault), "{code}, paused");
        assert_eq!(rig.calls(), calls);
    }
    // What fails while an instance starts does not count against its first request.
    let began = rig.start + Duration::from_secs(1_200);
    rig.proxy.decide(|_| Fate::Refuse("ThrottlingException"));
    rig.parameters.warm(began).await;
    rig.proxy.script([]);
    assert_eq!(rig.parameters.get(began, "fleet_secret").await, text("one"));
}

#[tokio::test]
async fn what_is_not_listed_is_refused_and_what_is_not_set_is_none() {
    let rig = Rig::start().await;
    let get = async |name| rig.parameters.get(rig.start, name).await;
    assert_eq!(get("region").await, text("eu"));
    assert_eq!(get("policy").await, Ok(None));
    assert_eq!(get("other_secret").await, Err(VariableFault::Refused));
    assert_eq!(rig.calls(), 0);
    let shown = format!("{:?}", rig.parameters);
    assert_eq!(get("fleet_secret").await, text("one"));
    let full = format!("{:?}", rig.parameters);
    assert_eq!(shown, full, "no value is shown");
    assert!(!full.contains("\"eu\""), "{full}");
}
