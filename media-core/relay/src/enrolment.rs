//! Joining the fleet: a relay without a name and keys shows the edge a proof and gets them. What it
//! got is kept in a file, so that it needs no new proof when it starts again.

mod imds;
mod state;

use std::path::{Path, PathBuf};
use std::time::Duration;

use bytes::Bytes;
use clap::Args;
use http::{Method, Request, StatusCode, header};
use http_body_util::{BodyExt, Full, Limited};
use tokio::time::{sleep, timeout};
use wire::enrolment::aws::{AwsProof, Envelope, authority};
use wire::enrolment::{Claim, EnrolmentReply, EnrolmentRequest, Proof, Secret, terms};
use wire::fleet::shard_ids;
use wire::ids::{AwsRegion, EnrolmentNonce};
use wire::keys::{EPOCHS, ShardKey};
use wire::limits::MAX_BODY_BYTES;
use wire::problem::{Problem, TYPE_BASE};
use wire::{RegionName, ShardId};

use crate::clock;
use crate::config::{EdgeUrl, StartError};
use crate::heartbeat::{EdgeClient, edge_client};
use crate::running::random;
use imds::Imds;
use state::State;

/// Environment variable that may hold an enrolment token instead of a file.
pub const TOKEN_VARIABLE: &str = "RELAY_ENROL_TOKEN";

/// Environment variable with the folder of what systemd's `LoadCredential=` handed over, and the
/// name of an enrolment token there.
const CREDENTIALS_VARIABLE: &str = "CREDENTIALS_DIRECTORY";
const TOKEN_CREDENTIAL: &str = "enrolment-token";

/// Environment variables that AWS's own tools know too: a region, and other addresses than the
/// usual ones.
const REGION_VARIABLE: &str = "AWS_REGION";
const IMDS_VARIABLE: &str = "AWS_EC2_METADATA_SERVICE_ENDPOINT";
const STS_VARIABLE: &str = "AWS_ENDPOINT_URL_STS";

/// Longest wait for a reply.
const REPLY_MAX: Duration = Duration::from_secs(10);

/// Wait before the second attempt; doubles with each, up to [`PAUSE_MAX`].
const PAUSE_MIN: Duration = Duration::from_millis(500);

/// Longest wait between two attempts: an edge that is away is asked until it is back.
const PAUSE_MAX: Duration = Duration::from_secs(30);

/// Bytes that are read of a token: it has 48, and perhaps white space around it.
const TOKEN_BYTES_MAX: usize = 1024;

/// Characters that are told of an edge's refusal.
const DETAIL_CHARS_MAX: usize = 400;

/// What the command line says of joining the fleet.
#[derive(Clone, Debug, Args)]
#[group(id = "enrolment", requires = "enrol")]
pub(crate) struct EnrolArguments {
    /// Join the fleet at this edge, which gives names, keys and region
    #[arg(id = "enrol", long = "enrol", value_name = "URL", required = false)]
    pub(crate) edge: EdgeUrl,

    /// Prove it by the role of this machine on AWS instead of a token
    #[arg(
        id = "enrol_aws",
        long = "enrol-aws",
        conflicts_with = "enrol_token_file"
    )]
    pub(crate) aws: bool,

    /// A token of `cargo xtask enrolment-token`, used once; or env
    /// RELAY_ENROL_TOKEN [default: $CREDENTIALS_DIRECTORY/enrolment-token]
    #[arg(
        id = "enrol_token_file",
        long = "enrol-token-file",
        value_name = "FILE"
    )]
    #[arg(verbatim_doc_comment)]
    pub(crate) token_file: Option<String>,

    /// Over http too, where everybody on the way could read the keys
    #[arg(id = "enrol_plain", long = "enrol-plain")]
    pub(crate) plain: bool,

    /// Where the place in the fleet is kept, so that the next start needs
    /// no token [default: $STATE_DIRECTORY/enrolment.json]
    #[arg(long, value_name = "FILE", verbatim_doc_comment)]
    pub(crate) state: Option<PathBuf>,
}

/// What a relay is in the fleet.
#[derive(Debug)]
pub(crate) struct Place {
    pub(crate) relay: ShardId,
    pub(crate) region: RegionName,
    pub(crate) edge: EdgeUrl,
    pub(crate) keys: Vec<ShardKey>,
}

/// What a relay needs of its place.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Wanted<'a> {
    pub(crate) shards: u16,
    /// Most participants of each shard.
    pub(crate) capacity: u32,
    /// Where the relay should be.
    pub(crate) region: Option<&'a RegionName>,
}

/// Where a proof comes from.
enum Source {
    Token(Secret),
    Aws(Box<Identity>),
}

/// What a machine on AWS signs with, and for whom.
struct Identity {
    imds: Imds,
    region: AwsRegion,
    /// Host of STS there.
    host: String,
    /// The edge, as the proof names it.
    edge: String,
}

/// Why the edge did not let us in.
#[derive(Debug, PartialEq, Eq)]
enum Failure {
    /// The same may work in a moment; the label for the log, which holds no address.
    Passing(String),
    /// Somebody has to change something.
    Lasting(String),
}

/// The relay's place, from the file or by asking the edge until it answers.
///
/// # Errors
/// A sentence that says what to change.
pub(crate) async fn place(
    arguments: &EnrolArguments,
    file: &Path,
    wanted: Wanted<'_>,
    variable: impl Fn(&str) -> Option<String>,
) -> Result<Place, StartError> {
    let mut state = match State::read(file)? {
        Some(state) => state,
        // Written before it is used: were it forgotten, a lost reply would be lost for good.
        None => State::new(arguments.edge.base(), Claim::new(random()?)).write(file)?,
    };
    if state.edge != arguments.edge.base() {
        return Err(StartError(format!(
            "--state {} is of a relay that enrolled at {}; name that edge with --enrol, or delete \
             the file and enrol with a new token",
            file.display(),
            state.edge
        )));
    }
    if let Some(known) = &state.place
        && arguments.accepts(known, wanted)
    {
        tracing::info!(relay = %known.relay, "the relay had enrolled before");
        return arguments.read(known, wanted);
    }
    check_way(arguments)?;
    let source = match arguments.aws {
        true => arguments.identity(variable).await?,
        false => {
            let token = variable(TOKEN_VARIABLE).or_else(|| credential(&variable));
            Source::Token(arguments.token(token, &state)?)
        }
    };
    // Made anew for each attempt: a signed proof counts once, and not for long.
    let request = async || {
        let (shards, capacity, region) = (wanted.shards, wanted.capacity, wanted.region);
        let nonce = EnrolmentNonce(random()?);
        let terms = terms(&state.claim, shards, capacity, region, nonce);
        Ok(EnrolmentRequest {
            claim: state.claim.clone(),
            shards,
            capacity,
            region: region.cloned(),
            proof: source.proof(&terms, nonce).await?,
        })
    };
    let reply = ask_until_told(&arguments.edge, request).await?;
    let place = arguments.read(&reply, wanted)?;
    state.place = Some(reply);
    state.write(file)?;
    tracing::info!(relay = %place.relay, "the relay has enrolled");
    Ok(place)
}

/// The token that systemd handed to the service. Its unit names a file that goes once the relay has
/// enrolled, and an empty one in its place.
fn credential(variable: impl Fn(&str) -> Option<String>) -> Option<String> {
    let folder = variable(CREDENTIALS_VARIABLE)?;
    let text = std::fs::read_to_string(Path::new(&folder).join(TOKEN_CREDENTIAL)).ok()?;
    Some(text).filter(|text| !text.trim().is_empty())
}

/// Keys in the clear are anybody's who listens.
fn check_way(arguments: &EnrolArguments) -> Result<(), StartError> {
    let edge = &arguments.edge;
    if edge.is_https() || edge.is_loopback() || arguments.plain {
        return Ok(());
    }
    Err(StartError(
        "--enrol: over http everybody on the way could read the relay's keys; use https, or say \
         with --enrol-plain that the network is private"
            .to_owned(),
    ))
}

impl EnrolArguments {
    /// Whether what is known is what is wanted now.
    fn accepts(&self, known: &EnrolmentReply, wanted: Wanted<'_>) -> bool {
        known.shards.len() == usize::from(wanted.shards)
            && known.capacity >= wanted.capacity
            && wanted.region.is_none_or(|r| *r == known.region)
    }

    async fn identity(
        &self,
        variable: impl Fn(&str) -> Option<String>,
    ) -> Result<Source, StartError> {
        let imds = Imds::new(variable(IMDS_VARIABLE).as_deref());
        let region = match variable(REGION_VARIABLE) {
            Some(text) => text
                .parse()
                .map_err(|error| StartError(format!("{REGION_VARIABLE} {text}: {error}")))?,
            None => imds.region().await?,
        };
        let address = variable(STS_VARIABLE).unwrap_or_else(|| sts(&region));
        let host = authority(&address)
            .ok_or_else(|| StartError(format!("{STS_VARIABLE} {address}: use https://HOST")))?;
        let edge = authority(self.edge.base())
            .ok_or_else(|| StartError("--enrol: use https://HOST without a user".to_owned()))?;
        Ok(Source::Aws(Box::new(Identity {
            imds,
            region,
            host,
            edge,
        })))
    }

    fn token(&self, token: Option<String>, state: &State) -> Result<Secret, StartError> {
        let (source, text) = match (&self.token_file, token) {
            (Some(file), _) => {
                let source = format!("--enrol-token-file {file}");
                let text = std::fs::read_to_string(file);
                let text = text.map_err(|error| {
                    StartError(
                        self.without_proof(&format!("{source} cannot be read: {error}"), state),
                    )
                })?;
                (source, text)
            }
            (None, Some(text)) => (TOKEN_VARIABLE.to_owned(), text),
            (None, None) => {
                let why = format!("--enrol-token-file is missing (or env {TOKEN_VARIABLE})");
                return Err(StartError(self.without_proof(&why, state)));
            }
        };
        if text.len() > TOKEN_BYTES_MAX {
            return Err(StartError(format!("{source} is longer than a token")));
        }
        Ok(Secret(text.trim().to_owned()))
    }

    /// Why a proof is needed at all, where the relay has a place.
    fn without_proof(&self, why: &str, state: &State) -> String {
        match &state.place {
            None => format!("{why}; an operator makes a token: cargo xtask enrolment-token"),
            Some(known) => format!(
                "{why}. The relay enrolled with {} shards of {} participants in {}; start it as it \
                 was, or give it a token for what it is to be",
                known.shards.len(),
                known.capacity,
                known.region
            ),
        }
    }

    /// Takes nothing from the edge unchecked.
    fn read(&self, reply: &EnrolmentReply, wanted: Wanted<'_>) -> Result<Place, StartError> {
        let bad = |what: &str| {
            StartError(format!(
                "the edge's reply to --enrol cannot be used ({what}); are edge and relay of one \
                 version?"
            ))
        };
        let names = shard_ids(&reply.relay, wanted.shards).map_err(|_| bad("names"))?;
        if !reply.shards.iter().map(|s| &s.shard).eq(&names) {
            return Err(bad("shards"));
        }
        if reply.epoch >= EPOCHS {
            return Err(bad("epoch"));
        }
        let keys = reply.shards.iter().map(|shard| shard.key(reply.epoch));
        let edge = match &reply.edge {
            Some(text) => text.parse().map_err(|_| bad("edge"))?,
            None => self.edge.clone(),
        };
        Ok(Place {
            relay: reply.relay.clone(),
            region: reply.region.clone(),
            edge,
            keys: keys.collect::<Result<_, _>>().map_err(|_| bad("keys"))?,
        })
    }
}

/// The address of STS in a region.
fn sts(region: &AwsRegion) -> String {
    let end = match region.as_str().starts_with("cn-") {
        true => "amazonaws.com.cn",
        false => "amazonaws.com",
    };
    format!("https://sts.{region}.{end}")
}

impl Source {
    async fn proof(&self, terms: &str, nonce: EnrolmentNonce) -> Result<Proof, StartError> {
        match self {
            Self::Token(token) => Ok(Proof::Token {
                token: token.clone(),
            }),
            Self::Aws(identity) => Ok(Proof::Aws(identity.sign(terms, nonce).await?)),
        }
    }
}

impl Identity {
    async fn sign(&self, terms: &str, nonce: EnrolmentNonce) -> Result<AwsProof, StartError> {
        let credentials = self.imds.credentials().await?;
        let envelope = Envelope {
            host: &self.host,
            edge: &self.edge,
            terms,
        };
        let (region, now_s) = (self.region.clone(), clock::unix_ms() / 1000);
        Ok(AwsProof::sign(&credentials, region, envelope, now_s, nonce))
    }
}

async fn ask_until_told(
    edge: &EdgeUrl,
    request: impl AsyncFn() -> Result<EnrolmentRequest, StartError>,
) -> Result<EnrolmentReply, StartError> {
    let client = edge_client(edge)?;
    let (mut pause, mut last) = (PAUSE_MIN, String::new());
    loop {
        let asked = timeout(REPLY_MAX, ask(&client, edge, &request().await?)).await;
        let failure = match asked {
            Ok(Ok(reply)) => return Ok(reply),
            Ok(Err(Failure::Lasting(why))) => return Err(StartError(why)),
            Ok(Err(Failure::Passing(label))) => label,
            Err(_) => "timeout".to_owned(),
        };
        if failure != last {
            tracing::warn!(reason = failure, "the edge does not answer; trying again");
            last = failure;
        }
        // Relays that began together do not come back together.
        let [chance] = random::<1>()?;
        sleep(pause.mul_f64(0.5 + f64::from(chance) / 512.0)).await;
        pause = (pause * 2).min(PAUSE_MAX);
    }
}

async fn ask(
    client: &EdgeClient,
    edge: &EdgeUrl,
    request: &EnrolmentRequest,
) -> Result<EnrolmentReply, Failure> {
    let body = serde_json::to_vec(request).expect("a request has string keys only");
    let request = Request::builder()
        .method(Method::POST)
        .uri(edge.enrolment())
        .header(header::CONTENT_TYPE, "application/json")
        .body(Full::new(Bytes::from(body)))
        .expect("the edge's address was checked at the start");
    let reply = client.request(request).await;
    let reply = reply.map_err(|_| Failure::Passing("no connection".to_owned()))?;
    let status = reply.status();
    let body = Limited::new(reply.into_body(), MAX_BODY_BYTES).collect();
    let body = body
        .await
        .map_err(|_| Failure::Passing("transport".to_owned()))?;
    understand(status, &body.to_bytes())
}

/// What a reply means.
fn understand(status: StatusCode, body: &[u8]) -> Result<EnrolmentReply, Failure> {
    if status == StatusCode::CREATED {
        return serde_json::from_slice(body).map_err(|_| {
            Failure::Lasting(
                "the edge's reply to --enrol cannot be read; are edge and relay of one version?"
                    .to_owned(),
            )
        });
    }
    let problem = serde_json::from_slice::<Problem>(body).ok();
    let ours = problem.as_ref().and_then(|problem| {
        let name = problem.type_uri.strip_prefix(TYPE_BASE)?;
        Some((name, &problem.title, &problem.detail))
    });
    let may_pass = [StatusCode::REQUEST_TIMEOUT, StatusCode::TOO_MANY_REQUESTS].contains(&status)
        || status.is_server_error();
    Err(match ours {
        _ if may_pass => Failure::Passing(format!("status {}", status.as_u16())),
        Some((name, title, detail)) => Failure::Lasting(printable(&format!(
            "the edge does not let this relay in: {title}. {detail} ({name})"
        ))),
        None if status.is_redirection() => Failure::Lasting(
            "--enrol: the edge sends us elsewhere, where no proof is sent; name its real address"
                .to_owned(),
        ),
        None => Failure::Lasting(format!(
            "--enrol: what answers there is no edge of ours (status {})",
            status.as_u16()
        )),
    })
}

/// A stranger's words go to a terminal.
fn printable(text: &str) -> String {
    let kept = text.chars().filter(|c| !c.is_control());
    kept.take(DETAIL_CHARS_MAX).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use wire::problem::ProblemKind;

    fn failure(status: u16, body: &[u8]) -> Failure {
        let status = StatusCode::from_u16(status).expect("a status");
        understand(status, body).expect_err("a failure")
    }

    #[test]
    fn a_credential_counts_unless_it_is_empty() {
        let folder = std::env::temp_dir().join(format!("relay-credential-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let name = folder.display().to_string();
        let variable = |asked: &str| (asked == CREDENTIALS_VARIABLE).then(|| name.clone());
        assert_eq!(credential(variable), None);
        for (text, wanted) in [("\n", None), ("lve1_x\n", Some("lve1_x\n".to_owned()))] {
            std::fs::write(folder.join(TOKEN_CREDENTIAL), text).unwrap();
            assert_eq!(credential(variable), wanted);
        }
        assert_eq!(credential(|_| None), None);
        std::fs::remove_dir_all(folder).unwrap();
    }

    #[test]
    fn a_refusal_is_told_and_a_fault_is_tried_again() {
        let used = Problem::new(ProblemKind::ProofUsed, "Ask for\u{1b}[2J another.");
        let Failure::Lasting(told) = failure(409, &used.to_json()) else {
            panic!("tried again");
        };
        assert!(
            told.contains("Ask for[2J another") && told.ends_with("(proof-used)"),
            "{told}"
        );
        let busy = Problem::new(ProblemKind::StoreUnavailable, "Later.");
        assert_eq!(
            failure(503, &busy.to_json()),
            Failure::Passing("status 503".into())
        );
        assert_eq!(
            failure(502, b"<html>"),
            Failure::Passing("status 502".into())
        );
        for (status, wanted) in [(301, "real address"), (404, "no edge of ours")] {
            let Failure::Lasting(told) = failure(status, b"<html>") else {
                panic!("tried again");
            };
            assert!(told.contains(wanted), "{told}");
        }
        assert!(matches!(failure(201, b"{}"), Failure::Lasting(_)));
    }
}
