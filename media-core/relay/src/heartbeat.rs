//! Heartbeats to the fleet function, one task per shard.

use std::error::Error;
use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant, UNIX_EPOCH};

use bytes::Bytes;
use http::{HeaderMap, Method, Request, StatusCode, header};
use http_body_util::{BodyExt, Full, Limited};
use hyper_rustls::{ConfigBuilderExt, HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use rustls::crypto::aws_lc_rs;
use rustls::{ClientConfig, RootCertStore};
use tokio::sync::watch;
use tokio::time::{sleep, timeout};
use wire::control::open_pending;
use wire::fleet::{Candidate, Heartbeat, HeartbeatReply, ShardState, sign_heartbeat};
use wire::keys::ShardKeys;
use wire::limits::MAX_BODY_BYTES;
use wire::problem::{Problem, ProblemKind, TYPE_BASE};
use wire::ticket::TICKET_VERSION;
use wire::{BootId, RegionName, SessionId};

use crate::clock;
use crate::command::{Wish, wish};
use crate::config::{EdgeUrl, StartError};
use crate::handle::{CpuMeter, ShardHandle};

/// Time between heartbeats.
pub(crate) const INTERVAL: Duration = Duration::from_secs(2);

/// Time until the first retry; doubles up to [`INTERVAL`].
pub(crate) const RETRY_MIN: Duration = Duration::from_millis(250);

/// Longest wait for a reply.
pub(crate) const REPLY_MAX: Duration = Duration::from_secs(2);

/// Longest wait for the reply to the last heartbeat: a relay that stops does not stay for it.
const LAST_REPLY_MAX: Duration = Duration::from_millis(600);

/// A difference between our clock and the edge's above which the log says so. Tickets live for a
/// minute, so this much is still harmless.
const SKEW_WARN_MS: u64 = 5_000;

/// Makes requests to the edge; connections are kept.
pub(crate) type EdgeClient = Client<HttpsConnector<HttpConnector>, Full<Bytes>>;

/// A client for `edge`. Over https it trusts the authorities that the machine trusts, or those in
/// the file that `SSL_CERT_FILE` names.
///
/// # Errors
/// When https is asked for and the machine trusts nobody.
pub(crate) fn edge_client(edge: &EdgeUrl) -> Result<EdgeClient, StartError> {
    let builder = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()
        .expect("the provider has what TLS 1.2 and 1.3 need");
    let tls = if edge.is_https() {
        builder.with_native_roots().map_err(|error| {
            StartError(format!(
                "--edge: no certificate authority to trust ({error}); install ca-certificates or \
                 set SSL_CERT_FILE"
            ))
        })?
    } else {
        builder.with_root_certificates(RootCertStore::empty())
    };
    let mut connector = HttpConnector::new();
    connector.set_nodelay(true);
    connector.set_connect_timeout(Some(REPLY_MAX));
    connector.enforce_http(false);
    let connector = HttpsConnectorBuilder::new()
        .with_tls_config(tls.with_no_client_auth())
        .https_or_http()
        .enable_http1()
        .wrap_connector(connector);
    Ok(Client::builder(TokioExecutor::new()).build(connector))
}

/// What the heartbeats of one shard have in common.
pub(crate) struct Identity {
    pub(crate) region: RegionName,
    pub(crate) boot: BootId,
    pub(crate) keys: ShardKeys,
    pub(crate) candidates: Vec<Candidate>,
    pub(crate) fingerprint: String,
    pub(crate) control_url: String,
    pub(crate) capacity: u32,
}

/// The heartbeats of one shard.
pub(crate) struct Pulse {
    pub(crate) shard: Arc<ShardHandle>,
    pub(crate) identity: Identity,
    pub(crate) edge: EdgeUrl,
    pub(crate) client: EdgeClient,
}

/// What one heartbeat leaves for the next.
#[derive(Debug, Default)]
struct Last {
    /// How many there were.
    sequence: u64,
    cpu: CpuMeter,
    /// Nonces of the commands that the last reply brought and that need not come again.
    taken: Vec<SessionId>,
}

/// Why a heartbeat was not accepted. Holds no address, since it goes to the log.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Failure {
    /// No connection to the edge.
    Connect,
    /// The edge's certificate is none that this machine trusts, or the handshake failed.
    Tls,
    /// The connection broke, or what came was not HTTP.
    Transport,
    /// No reply in time.
    Timeout,
    /// The edge refused; the problem's name.
    Refused(StatusCode, String),
    /// The reply is not one to a heartbeat.
    BadReply,
    /// The shard's loop does not turn, so the fleet is not to send anybody here.
    LoopStuck,
}

impl Failure {
    fn label(&self) -> &'static str {
        match self {
            Self::Connect => "connect",
            Self::Tls => "tls",
            Self::Transport => "transport",
            Self::Timeout => "timeout",
            Self::Refused(..) => "refused",
            Self::BadReply => "bad-reply",
            Self::LoopStuck => "loop-stuck",
        }
    }
}

impl Pulse {
    /// Beats until `stopping` becomes true, then once more as `stopping`, and ends.
    pub(crate) async fn run(self, mut stopping: watch::Receiver<bool>) {
        let mut left = Last::default();
        let mut retry = RETRY_MIN;
        let mut last: Option<Failure> = None;
        let mut accepted = false;
        tokio::select! {
            () = self.shard.started() => {}
            _ = stopping.changed() => {}
        }
        while !*stopping.borrow() {
            let outcome = tokio::select! {
                outcome = self.beat(self.state(), &mut left, REPLY_MAX) => outcome,
                _ = stopping.changed() => break,
            };
            let pause = match &outcome {
                Ok(changed) => {
                    retry = RETRY_MIN;
                    // A drain that begins or ends is told at once.
                    if *changed { Duration::ZERO } else { INTERVAL }
                }
                Err(_) => {
                    let pause = retry;
                    retry = (retry * 2).min(INTERVAL);
                    pause
                }
            };
            // A fleet that does not answer is not asked more often.
            let outcome_accepted = outcome.is_ok();
            self.log_change(&mut accepted, &mut last, outcome.err());
            tokio::select! {
                () = sleep(pause) => {}
                () = self.shard.urgent(), if outcome_accepted => {}
                _ = stopping.changed() => {}
            }
        }
        let _ = self
            .beat(ShardState::Stopping, &mut left, LAST_REPLY_MAX)
            .await;
    }

    fn state(&self) -> ShardState {
        if self.shard.draining.load(Ordering::Relaxed) {
            ShardState::Draining
        } else if self.shard.full().is_some() {
            ShardState::Full
        } else {
            ShardState::Open
        }
    }

    /// Sends one heartbeat; true when the reply began or ended a drain.
    async fn beat(
        &self,
        state: ShardState,
        left: &mut Last,
        reply_max: Duration,
    ) -> Result<bool, Failure> {
        if self.shard.is_stuck(clock::now()) {
            return Err(Failure::LoopStuck);
        }
        let heartbeat = self.heartbeat(state, left);
        let (sent_at_ms, sent_at) = (heartbeat.sent_at_ms, clock::now());
        let body = serde_json::to_vec(&heartbeat).expect("a heartbeat has string keys only");
        let body = body.into();
        let result = timeout(reply_max, self.exchange(body, sent_at))
            .await
            .unwrap_or(Err(Failure::Timeout));
        match &result {
            Ok(reply) => {
                self.shard.note_heartbeat(true, clock::now());
                self.note_skew(reply.now_ms);
                self.follow(sent_at, reply.now_ms);
            }
            Err(_) => self.shard.note_heartbeat(false, clock::now()),
        }
        if let Err(Failure::Refused(_, problem)) = &result
            && problem == ProblemKind::ShardRevoked.name()
        {
            // Its rooms have other homes: who is still here is to follow them.
            self.shard.set_draining(true);
        }
        let reply = result?;
        for moved in &reply.moved {
            // One that is not taken now comes again.
            let _ = self.shard.command(sfu::Command::Moved {
                room: sfu::RoomKey(moved.room.0),
                epoch: moved.epoch as u8,
            });
        }
        left.taken = match &reply.commands {
            Some(sealed) => self.carry_out(sealed, sent_at_ms),
            None => Vec::new(),
        };
        Ok(state != ShardState::Stopping && self.shard.set_draining(reply.draining))
    }

    /// Carries out what did not arrive when it was posted, and names what need not come again.
    fn carry_out(&self, sealed: &str, sent_at_ms: u64) -> Vec<SessionId> {
        let Identity {
            keys, boot, region, ..
        } = &self.identity;
        let Ok(pending) = open_pending(sealed, keys, *boot, sent_at_ms) else {
            let shard = &self.shard.id;
            tracing::warn!(%shard, "the reply to a heartbeat has commands that we cannot open");
            return Vec::new();
        };
        let mut taken = Vec::with_capacity(pending.len());
        for pending in pending {
            // One of another release is not better known the next time.
            let is_taken = match pending.message() {
                Ok(message) => match wish(message, region) {
                    Wish::Do(command) => self.shard.command(command).is_ok(),
                    // Nobody waits for the answer.
                    Wish::Tell(_) => true,
                },
                Err(_) => true,
            };
            taken.extend(is_taken.then_some(pending.nonce));
        }
        let count = taken.len() as u64;
        self.shard
            .commands_handed_over
            .fetch_add(count, Ordering::Relaxed);
        taken
    }

    fn heartbeat(&self, state: ShardState, left: &mut Last) -> Heartbeat {
        let snapshot = self.shard.snapshot();
        left.sequence += 1;
        Heartbeat {
            shard: self.shard.id.clone(),
            region: self.identity.region.clone(),
            boot: self.identity.boot,
            epoch: self.identity.keys.epoch,
            sent_at_ms: self.shard.time.unix_ms(clock::now()),
            sequence: left.sequence,
            state,
            candidates: self.identity.candidates.clone(),
            fingerprint: self.identity.fingerprint.clone(),
            control_url: self.identity.control_url.clone(),
            ticket_version: TICKET_VERSION,
            load: wire::fleet::Load {
                participants: snapshot.participants,
                rooms: snapshot.rooms,
                cpu_permille: left.cpu.permille(snapshot.cpu, clock::now()),
            },
            capacity: self.identity.capacity,
            large: snapshot.large,
            refused: self.shard.fullness().refused,
            taken: left.taken.clone(),
        }
    }

    async fn exchange(&self, body: Bytes, sent_at: Instant) -> Result<HeartbeatReply, Failure> {
        let url = self.edge.heartbeat(&self.shard.id);
        let request = signed(url, &self.identity.keys, body);
        let reply = self.client.request(request).await.map_err(|error| {
            if is_of_tls(&error) {
                Failure::Tls
            } else if error.is_connect() {
                Failure::Connect
            } else {
                Failure::Transport
            }
        })?;
        let status = reply.status();
        if status != StatusCode::OK
            && let Some(edge_ms) = date_ms(reply.headers())
            && edge_ms.abs_diff(self.shard.time.unix_ms(sent_at)) > SKEW_WARN_MS
        {
            // Refused perhaps because our clocks differ.
            self.follow(sent_at, edge_ms);
        }
        let body = Limited::new(reply.into_body(), MAX_BODY_BYTES)
            .collect()
            .await;
        let body = body.map_err(|_| Failure::Transport)?.to_bytes();
        if status != StatusCode::OK {
            return Err(Failure::Refused(status, problem_name(&body)));
        }
        serde_json::from_slice(&body).map_err(|_| Failure::BadReply)
    }

    /// Takes over the edge's clock where ours is another.
    fn follow(&self, sent_at: Instant, edge_ms: u64) {
        if self.shard.time.follow((sent_at, clock::now()), edge_ms) {
            let shard = &self.shard.id;
            tracing::warn!(%shard, "our time was another than the edge's, and is set");
        }
    }

    fn note_skew(&self, edge_ms: u64) {
        let ours_ms = clock::unix_ms();
        let skew_ms = i64::try_from(ours_ms.abs_diff(edge_ms)).unwrap_or(i64::MAX);
        let skew_ms = if ours_ms < edge_ms { -skew_ms } else { skew_ms };
        let before_ms = self.shard.skew_ms.swap(skew_ms, Ordering::Relaxed);
        let far = |ms: i64| ms.unsigned_abs() > SKEW_WARN_MS;
        if far(skew_ms) && !far(before_ms) {
            tracing::warn!(shard = %self.shard.id, skew_ms, "our clock differs from the edge's");
        }
    }

    /// Logs what happens to heartbeats once per change, not once per heartbeat.
    fn log_change(&self, accepted: &mut bool, last: &mut Option<Failure>, now: Option<Failure>) {
        let shard = &self.shard.id;
        match &now {
            None if !*accepted => tracing::info!(%shard, "heartbeats are accepted"),
            Some(failure) if *accepted || *last != now => match failure {
                Failure::Refused(status, problem) => {
                    let status = status.as_u16();
                    tracing::warn!(%shard, status, problem, "heartbeats are refused");
                }
                _ => tracing::warn!(%shard, reason = failure.label(), "heartbeats fail"),
            },
            _ => {}
        }
        *accepted = now.is_none();
        *last = now;
    }
}

/// When an answer was made, to the second, Unix milliseconds (RFC 9110 section 6.6.1).
fn date_ms(headers: &HeaderMap) -> Option<u64> {
    let date = headers.get(header::DATE)?.to_str().ok()?;
    let since = httpdate::parse_http_date(date)
        .ok()?
        .duration_since(UNIX_EPOCH);
    u64::try_from(since.ok()?.as_millis()).ok()
}

/// Whether TLS is what failed: of errors in errors, the innermost says so.
fn is_of_tls(error: &(dyn Error + 'static)) -> bool {
    let mut outer = Some(error);
    while let Some(error) = outer {
        if error.is::<rustls::Error>() {
            return true;
        }
        // The source of an I/O error is that of the error in it, and not that error.
        outer = match error.downcast_ref::<io::Error>() {
            Some(error) => error.get_ref().map(|inner| inner as &(dyn Error + 'static)),
            None => error.source(),
        };
    }
    false
}

/// A request to the edge with a body of JSON, signed with the keys of the shard that it is of.
pub(crate) fn signed(url: String, keys: &ShardKeys, body: Bytes) -> Request<Full<Bytes>> {
    Request::builder()
        .method(Method::POST)
        .uri(url)
        .header(header::CONTENT_TYPE, "application/json")
        .header(header::AUTHORIZATION, sign_heartbeat(keys, &body))
        .body(Full::new(body))
        .expect("the edge's address was checked at the start")
}

/// The name of the problem in a refusal; `unknown` when it is none of ours. Only names are logged,
/// since a detail may hold anything.
pub(crate) fn problem_name(body: &[u8]) -> String {
    let problem = serde_json::from_slice::<Problem>(body).ok();
    let name = problem
        .as_ref()
        .and_then(|problem| problem.type_uri.strip_prefix(TYPE_BASE));
    name.filter(|name| name.len() <= 64)
        .unwrap_or("unknown")
        .to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use wire::problem::ProblemKind;

    #[test]
    fn only_the_name_of_a_problem_is_logged() {
        let problem = Problem::new(ProblemKind::SignatureInvalid, "from 192.0.2.1");
        assert_eq!(problem_name(&problem.to_json()), "signature-invalid");
        assert_eq!(problem_name(b"<html>"), "unknown");
    }
}
