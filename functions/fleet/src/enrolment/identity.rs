//! Machines on AWS that prove who they are: the edge asks STS whose a signature is.
//!
//! **The request is made anew** from the few fields of the proof and from the edge's own settings:
//! address, action, version, headers and lifetime are the edge's, so there is nothing of the
//! caller's to validate. Who signed another request than this one gets no answer from STS.

use std::collections::BTreeMap;

use edge::Refusal;
use edge::config;
use edge::ports::{IdentityLink, IdentityReply, Variables};
use edge::store::{Condition, Key, Put, Store, StoreError};
use serde::Deserialize;
use wire::enrolment::ProofKind;
use wire::enrolment::aws::{AwsProof, Envelope, authority};
use wire::ids::AwsRegion;
use wire::limits::{MAX_CLOCK_SKEW_MS, MAX_PROOF_AGE_S};
use wire::problem::ProblemKind;
use wire::{RegionName, ShardId};

use super::admission::Admission;

/// Most roles that may be allowed.
const MAX_RULES: usize = 256;
/// How long a nonce is remembered: longer than its proof is young enough by any clock.
const NONCE_MS: u64 = MAX_PROOF_AGE_S * 1000 + 2 * MAX_CLOCK_SKEW_MS;
const NONCE_SORT: &str = "nonce";
/// What an answer of STS begins with, in each of AWS's partitions.
const PARTITIONS: [&str; 3] = ["aws", "aws-cn", "aws-us-gov"];

/// What is asked.
pub(super) struct Asked<'a> {
    pub(super) proof: &'a AwsProof,
    /// What the signature covers besides.
    pub(super) terms: String,
    /// Where the relay wants to be.
    pub(super) region: Option<&'a RegionName>,
    /// This edge's address.
    pub(super) edge: Option<&'a str>,
}

/// The setting `enrolment_aws`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Rules {
    /// Addresses of STS by region. No other is ever asked.
    sts: BTreeMap<AwsRegion, String>,
    allow: Vec<Rule>,
}

/// Who may join where.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Rule {
    /// Twelve digits.
    account: String,
    /// Name of the role, without its path.
    role: String,
    region: RegionName,
    /// Most participants of all shards of a relay.
    capacity: u32,
}

/// Who STS says has signed.
#[derive(Debug, PartialEq, Eq)]
struct Caller {
    account: String,
    role: String,
    session: String,
}

/// Asks whose the proof is, uses it up, and says what it allows.
pub(super) async fn check<H: IdentityLink + Variables, S: Store>(
    host: &H,
    store: &S,
    now_ms: u64,
    asked: Asked<'_>,
) -> Result<Admission, Refusal> {
    let Some(text) = config::enrolment_aws(host).await? else {
        return Err(refused(
            "This edge lets relays in by token only; ask an operator for one.",
        ));
    };
    let rules = Rules::read(&text)?;
    let edge = asked.edge.and_then(authority).ok_or_else(|| {
        Refusal::misconfigured(
            config::EDGE_URL,
            "its address, which proofs name: https://HOST",
        )
    })?;
    check_time(asked.proof, now_ms)?;
    let Some(url) = rules.sts.get(&asked.proof.sts_region) else {
        return Err(refused(
            "This edge asks no STS of that region; sign for one of those in its settings.",
        ));
    };
    let url = url.trim_end_matches('/');
    let sts = authority(url).expect("checked when the rules were read");
    let question = asked.proof.question(Envelope {
        host: &sts,
        edge: &edge,
        terms: &asked.terms,
    });
    let address = format!("{url}{}", question.path_and_query);
    let reply = host.ask(&address, &question.headers).await;
    let caller = understand(&reply.map_err(|_| unavailable())?)?;
    let admission = rules.admit(&caller, asked.region)?;
    use_up(store, now_ms, asked.proof).await?;
    Ok(admission)
}

fn refused(detail: &'static str) -> Refusal {
    Refusal::new(ProblemKind::EnrolmentRefused, detail)
}

fn invalid(detail: &'static str) -> Refusal {
    Refusal::new(ProblemKind::ProofInvalid, detail)
}

fn unavailable() -> Refusal {
    Refusal::new(
        ProblemKind::IdentityUnavailable,
        "STS did not say who signed the proof; sign a new one in a moment.",
    )
}

fn check_time(proof: &AwsProof, now_ms: u64) -> Result<(), Refusal> {
    if !proof.is_well_formed() {
        return Err(invalid(
            "The proof's fields are not those of a signed GetCallerIdentity.",
        ));
    }
    let signed_ms = proof.signed_at_s * 1000;
    if signed_ms > now_ms + MAX_CLOCK_SKEW_MS {
        return Err(invalid(
            "Set the relay's clock: the proof was signed more than 30 seconds from now.",
        ));
    }
    if now_ms.saturating_sub(signed_ms) > MAX_PROOF_AGE_S * 1000 {
        return Err(Refusal::new(
            ProblemKind::ProofExpired,
            "The proof is older than 60 seconds; sign a new one, and set the relay's clock.",
        ));
    }
    Ok(())
}

impl Rules {
    fn read(text: &str) -> Result<Self, Refusal> {
        let wanted = "a JSON object with sts (addresses by region) and allow (account, role, \
                      region, capacity)";
        let bad = || Refusal::misconfigured(config::ENROLMENT_AWS, wanted);
        let rules: Self = serde_json::from_str(text).map_err(|_| bad())?;
        let is_address = |url: &String| {
            let end = url.trim_end_matches('/').rsplit("://").next();
            authority(url).is_some() && end.is_some_and(|end| !end.contains('/'))
        };
        let is_account = |text: &str| text.len() == 12 && text.bytes().all(|b| b.is_ascii_digit());
        let fine = rules.allow.len() <= MAX_RULES
            && rules.sts.values().all(is_address)
            && rules.allow.iter().all(|rule| is_account(&rule.account));
        fine.then_some(rules).ok_or_else(bad)
    }

    /// What the caller may be: the instance of its session, where a rule says.
    fn admit(&self, caller: &Caller, region: Option<&RegionName>) -> Result<Admission, Refusal> {
        let its = |rule: &&Rule| rule.account == caller.account && rule.role == caller.role;
        if self.allow.iter().find(its).is_none() {
            return Err(refused(
                "The account and role that signed are not among those that this edge lets in.",
            ));
        }
        let wanted = |rule: &&Rule| region.is_none_or(|region| *region == rule.region);
        let mut fitting = self.allow.iter().filter(its).filter(wanted);
        let rule = fitting.next().ok_or_else(|| {
            refused("The role that signed is not for that region; start the relay with another.")
        })?;
        if fitting.next().is_some() {
            return Err(refused(
                "The role that signed is for several regions; say with --region which one it is.",
            ));
        }
        if !is_instance(&caller.session) {
            return Err(refused(
                "Only a machine may sign: the role's session must be an instance's, i-...",
            ));
        }
        Ok(Admission {
            relay: ShardId::new(caller.session.clone()).expect("the id of an instance"),
            region: rule.region.clone(),
            capacity: rule.capacity.into(),
            by: ProofKind::Aws,
        })
    }
}

/// `i-` and 8 or 17 hex digits: EC2 calls the sessions of its instances so.
fn is_instance(session: &str) -> bool {
    let digits = session.strip_prefix("i-").unwrap_or_default();
    let is_hex = |b: u8| b.is_ascii_digit() || (b'a'..=b'f').contains(&b);
    [8, 17].contains(&digits.len()) && digits.bytes().all(is_hex)
}

#[derive(Deserialize)]
struct Answer {
    #[serde(rename = "GetCallerIdentityResponse")]
    response: Response,
}

#[derive(Deserialize)]
struct Response {
    #[serde(rename = "GetCallerIdentityResult")]
    result: Identity,
}

#[derive(Deserialize)]
struct Identity {
    #[serde(rename = "Account")]
    account: String,
    #[serde(rename = "Arn")]
    arn: String,
}

/// Who it is. Anything but an answer to this very question is none.
fn understand(reply: &IdentityReply) -> Result<Caller, Refusal> {
    match reply.status {
        200 => {}
        400 | 401 | 403 => {
            return Err(invalid(
                "STS does not confirm the signature. It must be of GetCallerIdentity, for this \
                 edge's address as --enrol names it, and by credentials that are valid now.",
            ));
        }
        // A redirect too: where it leads is not among the settings.
        _ => return Err(unavailable()),
    }
    let answer: Answer = serde_json::from_slice(&reply.body).map_err(|_| unavailable())?;
    let Identity { account, arn } = answer.response.result;
    Caller::of(&arn)
        .filter(|caller| caller.account == account)
        .ok_or_else(|| refused("Only a machine's role may sign, not a user or another role."))
}

impl Caller {
    /// `arn:aws:sts::ACCOUNT:assumed-role/ROLE/SESSION`.
    fn of(arn: &str) -> Option<Self> {
        let parts: Vec<&str> = arn.split(':').collect();
        let ["arn", partition, "sts", "", account, resource] = parts[..] else {
            return None;
        };
        let names: Vec<&str> = resource.split('/').collect();
        let ["assumed-role", role, session] = names[..] else {
            return None;
        };
        PARTITIONS.contains(&partition).then(|| Self {
            account: account.to_owned(),
            role: role.to_owned(),
            session: session.to_owned(),
        })
    }
}

/// Whoever comes with the proof first has it. After the question and not before: a stranger's
/// request writes nothing.
async fn use_up<S: Store>(store: &S, now_ms: u64, proof: &AwsProof) -> Result<(), Refusal> {
    let partition = format!("enrolment-nonce#{}", proof.nonce);
    let put = Put {
        key: Key::new(&partition, NONCE_SORT),
        value: b"1",
        expires_at_ms: Some(now_ms + NONCE_MS),
        condition: Condition::Absent,
    };
    match store.put(now_ms, put).await {
        Ok(_) => Ok(()),
        Err(StoreError::ConditionFailed) => Err(Refusal::new(
            ProblemKind::ProofUsed,
            "The proof was used before; sign a new one.",
        )),
        Err(error) => Err(error.into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn only_the_session_of_a_role_is_a_caller() {
        let found = Caller::of("arn:aws:sts::123456789012:assumed-role/relay/i-0123456789abcdef0");
        let found = found.unwrap();
        assert_eq!(
            (found.account.as_str(), found.role.as_str()),
            ("123456789012", "relay")
        );
        for arn in [
            "",
            "arn:aws:iam::123456789012:user/relay",
            "arn:aws:iam::123456789012:role/relay",
            "arn:aws:sts::123456789012:federated-user/relay",
            "arn:aws:sts::123456789012:assumed-role/relay",
            "arn:aws:sts::123456789012:assumed-role/a/relay/i-0123456789abcdef0",
            "arn:aws:sts::123456789012:assumed-role/relay/i-0:x",
            "arn:evil:sts::123456789012:assumed-role/relay/i-0123456789abcdef0",
            "arn:aws:sts:eu:123456789012:assumed-role/relay/i-0123456789abcdef0",
        ] {
            assert_eq!(Caller::of(arn), None, "{arn}");
        }
    }

    #[test]
    fn an_instance_is_known_by_the_form_of_its_id() {
        assert!(is_instance("i-0123456789abcdef0") && is_instance("i-01234567"));
        for other in [
            "",
            "i-",
            "i-012345678",
            "i-0123456789ABCDEF0",
            "ann",
            "i-0123456789abcdef/",
        ] {
            assert!(!is_instance(other), "{other}");
        }
    }

    proptest! {
        /// What names an instance names a relay, with room for the numbers of its shards.
        #[test]
        fn an_instance_is_a_name_of_a_relay(session in "i-([0-9a-f]{8}|[0-9a-f]{17})") {
            prop_assert!(is_instance(&session));
            let name = ShardId::new(session).unwrap();
            prop_assert!(wire::fleet::shard_ids(&name, wire::limits::MAX_SHARDS).is_ok());
        }

        /// No answer makes a caller of an account that it does not name twice.
        #[test]
        fn an_answer_is_read_or_refused(body in prop::collection::vec(any::<u8>(), 0..200)) {
            let reply = IdentityReply { status: 200, body };
            prop_assert!(understand(&reply).is_err());
        }
    }
}
