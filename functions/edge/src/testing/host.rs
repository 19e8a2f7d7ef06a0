//! A host that a test controls: the ports of every function.

use std::collections::BTreeMap;
use std::fmt;
use std::net::SocketAddr;
use std::ops::Deref;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};

use wire::claims::{Claims, Profile, Role};
use wire::fleet::{Candidate, Heartbeat, Load, ShardState, Transport};
use wire::keys::FleetSecret;
use wire::ticket::TICKET_VERSION;
use wire::{BootId, RegionName, ShardId};

use super::memory::listed;
use super::schedule::{block_on, yield_now};
use super::sts::FakeSts;
use super::{CountingEntropy, FaultyStore, FixedVariables, MemoryStore, Patience};
use crate::Refusal;
use crate::directory::{self, Terms};
use crate::ports::{
    Clock, Entropy, IdentityLink, IdentityReply, ObjectFault, Objects, RelayInquiry, RelayLink,
    RelayReply, Storage, Timer, Unreachable, VariableFault, Variables,
};
use crate::token::SigningKey;

/// When tests begin, Unix milliseconds.
pub const NOW_MS: u64 = 1_700_000_000_000;
/// The fleet secret, as its variable has it.
pub const SECRET: &str = "BQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQU=";

/// A heartbeat of a shard that takes sessions and has none.
pub fn any_heartbeat(shard: ShardId, region: RegionName, sent_at_ms: u64) -> Heartbeat {
    Heartbeat {
        shard,
        region,
        boot: BootId([1; 8]),
        epoch: 0,
        sent_at_ms,
        sequence: 0,
        state: ShardState::Open,
        candidates: vec![Candidate {
            transport: Transport::Udp,
            address: SocketAddr::from(([192, 0, 2, 1], 7410)),
        }],
        fingerprint: "sha-256 AB".into(),
        control_url: "http://192.0.2.1:7411".into(),
        ticket_version: TICKET_VERSION,
        load: Load::default(),
        capacity: 100,
        large: Vec::new(),
        refused: Vec::new(),
        taken: Vec::new(),
    }
}

/// What the ports of every function are made of. Whatever dereferences to it has them, so a crate's
/// tests wrap it and put beside it what they say of their function.
#[derive(Debug)]
pub struct Host {
    /// It gives up the turn before each call, and fails by its seed when told to.
    pub store: FaultyStore,
    /// The function's settings.
    pub variables: FixedVariables,
    /// Unix milliseconds. Waits let it pass for everybody.
    pub now_ms: Arc<AtomicU64>,
    /// What was posted to relays: where, to which shard, and what was sealed for it.
    pub posts: Arc<Mutex<Vec<(String, ShardId, String)>>>,
    /// What relays answer.
    pub relay_answers: Arc<Mutex<Result<u16, Unreachable>>>,
    /// What relays say to a question, besides that status.
    pub relay_says: Arc<Mutex<RelaySays>>,
    /// What was put: names and content. A put fails while this is none.
    pub objects: Arc<Mutex<Option<ObjectsByName>>>,
    /// What was asked of identity services.
    pub asked: Arc<Mutex<Vec<String>>>,
    services: Arc<Mutex<BTreeMap<String, Service>>>,
    counting: Option<CountingEntropy>,
}

/// Objects and their content.
pub type ObjectsByName = BTreeMap<String, Vec<u8>>;

/// What a relay says to what was sealed for it.
pub type Answer = dyn Fn(&str) -> Vec<u8> + Send;

/// What relays say.
pub struct RelaySays(pub Box<Answer>);

impl Default for RelaySays {
    fn default() -> Self {
        Self(Box::new(|_| Vec::new()))
    }
}

impl fmt::Debug for RelaySays {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("RelaySays(..)")
    }
}

/// What is at an address.
#[derive(Debug, Clone)]
pub enum Service {
    /// One that judges signatures.
    Sts(FakeSts),
    /// The same status and body for everybody.
    Fixed(u16, String),
    /// No answer.
    Silent,
}

/// The secrets that a function may have, and no others.
fn secrets_of(function: &str) -> BTreeMap<String, String> {
    let keys = signing_key().key_set_json("dev");
    let secrets = [("fleet_secret", SECRET), ("token_keys", keys.as_str())];
    let mut all = FixedVariables::new(&secrets).with_derived().0;
    let listed = listed(function, "secrets");
    all.retain(|name, _| listed.contains(name));
    all
}

impl Host {
    /// Of a function, whose entropy and faults come from a seed.
    pub fn new(function: &str, seed: u64) -> Self {
        let mut variables = secrets_of(function);
        variables.insert("region".into(), "eu-1".into());
        // Tests let months pass with the token that they began with.
        variables.insert("token_life_s".into(), u64::MAX.to_string());
        variables.insert("static_shards".into(), r#"[{"shards": "*"}]"#.into());
        Self {
            store: FaultyStore::new(MemoryStore::of(function), seed, 0),
            variables: FixedVariables(variables),
            now_ms: Arc::new(AtomicU64::new(NOW_MS)),
            posts: Arc::default(),
            relay_answers: Arc::new(Mutex::new(Ok(202))),
            relay_says: Arc::default(),
            objects: Arc::new(Mutex::new(Some(BTreeMap::new()))),
            asked: Arc::default(),
            services: Arc::default(),
            counting: None,
        }
    }

    /// Of a function whose ids count, so that replies can be compared.
    pub fn counting(function: &str) -> Self {
        Self {
            counting: Some(CountingEntropy::default()),
            ..Self::new(function, 0)
        }
    }

    /// Another function beside it: of the same items those that it lists, the same settings and
    /// time, the same relays and services.
    pub fn beside(&self, function: &str) -> Self {
        let faults = self.store.faults_per_thousand.load(Ordering::Relaxed);
        let store = self.store.inner.as_of(function);
        let mut variables = self.variables.clone();
        let is_secret = |name: &String| name == "token_keys" || name.contains("_secret");
        variables.0.retain(|name, _| !is_secret(name));
        variables.0.extend(secrets_of(function));
        Self {
            store: FaultyStore::new(store, self.store.chance.next(), faults),
            variables,
            now_ms: Arc::clone(&self.now_ms),
            posts: Arc::clone(&self.posts),
            relay_answers: Arc::clone(&self.relay_answers),
            relay_says: Arc::clone(&self.relay_says),
            objects: Arc::clone(&self.objects),
            asked: Arc::clone(&self.asked),
            services: Arc::clone(&self.services),
            counting: None,
        }
    }

    /// Lets time pass.
    pub fn pass(&self, ms: u64) {
        self.now_ms.fetch_add(ms, Ordering::Relaxed);
    }

    /// Sets a variable of the function.
    pub fn set(&mut self, variable: &str, value: &str) {
        self.variables.0.insert(variable.into(), value.into());
    }

    /// Takes a relay's heartbeat as the fleet function does.
    ///
    /// # Panics
    /// When it is refused.
    #[track_caller]
    pub fn beat(&self, heartbeat: &Heartbeat) {
        let store = &self.store.inner.open();
        let now_ms = self.now_ms.load(Ordering::Relaxed);
        let beat = directory::record_heartbeat(&Patience, store, now_ms, heartbeat, &any_terms);
        block_on(beat).expect("the heartbeat is taken");
    }

    /// What was posted to relays since it was last taken.
    pub fn take_posts(&self) -> Vec<(String, ShardId, String)> {
        std::mem::take(&mut locked(&self.posts))
    }

    /// Puts a service at an address.
    pub fn serve(&self, host: &str, service: Service) {
        locked(&self.services).insert(host.into(), service);
    }
}

/// Lets every shard be what it says.
///
/// # Errors
/// Never.
pub async fn any_terms(_: &ShardId) -> Result<Option<Terms>, Refusal> {
    Ok(Some(Terms::default()))
}

/// The key that signs tokens.
pub fn signing_key() -> SigningKey {
    SigningKey::new([1; 32])
}

/// The fleet secret.
///
/// # Panics
/// Never.
pub fn secret() -> FleetSecret {
    FleetSecret::from_base64(SECRET).expect("32 bytes in base64")
}

/// The claims of somebody who is granted nothing.
///
/// # Panics
/// When his name is none.
pub fn claims(player: &str, role: Option<Role>) -> Claims {
    Claims {
        sub: player.parse().expect("a name"),
        aud: "lifeverse-voice".into(),
        exp: u64::MAX / 1000,
        nbf: None,
        iat: None,
        name: Some(format!("Name of {player}")),
        profile: Profile::default(),
        role,
        grants: vec![],
    }
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex
        .lock()
        .expect("no test panics while it holds the lock")
}

impl<T: Deref<Target = Host>> Storage for T {
    type Store = FaultyStore;

    fn store(&self) -> &FaultyStore {
        &self.deref().store
    }
}

impl<T: Deref<Target = Host>> Clock for T {
    fn now_ms(&self) -> u64 {
        self.deref().now_ms.load(Ordering::Relaxed)
    }
}

impl<T: Deref<Target = Host>> Timer for T {
    /// Time passes for everybody.
    async fn sleep(&self, ms: u64) {
        yield_now().await;
        self.pass(ms);
    }
}

impl<T: Deref<Target = Host>> Entropy for T {
    fn fill(&self, bytes: &mut [u8]) {
        match &self.counting {
            Some(counting) => counting.fill(bytes),
            None => bytes.fill_with(|| self.deref().store.chance.next() as u8),
        }
    }
}

impl<T: Deref<Target = Host>> Variables for T {
    async fn variable(&self, name: &str) -> Result<Option<String>, VariableFault> {
        self.variables.variable(name).await
    }
}

impl<T: Deref<Target = Host>> RelayLink for T {
    async fn post(&self, url: &str, shard: &ShardId, sealed: String) -> Result<u16, Unreachable> {
        locked(&self.posts).push((url.to_owned(), shard.clone(), sealed));
        *locked(&self.relay_answers)
    }
}

impl<T: Deref<Target = Host>> RelayInquiry for T {
    async fn inquire(
        &self,
        url: &str,
        shard: &ShardId,
        sealed: String,
    ) -> Result<RelayReply, Unreachable> {
        let body = locked(&self.relay_says).0(&sealed);
        let status = self.post(url, shard, sealed).await?;
        Ok(RelayReply { status, body })
    }
}

impl<T: Deref<Target = Host>> Objects for T {
    async fn put_object(&self, name: &str, bytes: Vec<u8>) -> Result<(), ObjectFault> {
        yield_now().await;
        let mut objects = locked(&self.objects);
        let objects = objects.as_mut().ok_or(ObjectFault::Unavailable)?;
        objects.insert(name.to_owned(), bytes);
        Ok(())
    }
}

impl<T: Deref<Target = Host>> IdentityLink for T {
    async fn ask(
        &self,
        url: &str,
        headers: &[(&'static str, String)],
    ) -> Result<IdentityReply, Unreachable> {
        yield_now().await;
        locked(&self.asked).push(url.to_owned());
        let rest = url.strip_prefix("https://").expect("it is asked by TLS");
        let (host, target) = rest.split_at(rest.find('/').expect("it has a path"));
        let mut sent = vec![("host".to_owned(), host.to_owned())];
        let headers = headers.iter();
        sent.extend(headers.map(|(name, value)| ((*name).to_owned(), value.clone())));
        let service = locked(&self.services).get(host).cloned();
        let (status, body) = match service {
            Some(Service::Sts(sts)) => sts.answer(self.now_ms() / 1000, "GET", target, &sent),
            Some(Service::Fixed(status, body)) => (status, body),
            Some(Service::Silent) | None => return Err(Unreachable),
        };
        Ok(IdentityReply {
            status,
            body: body.into_bytes(),
        })
    }
}
