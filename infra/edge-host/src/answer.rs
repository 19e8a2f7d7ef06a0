//! Runs a request in its component: at once, and while the component says "nothing yet", again
//! whenever something was written that it is about. Between two runs the request has no instance.

use std::sync::atomic::Ordering;
use std::time::Instant;

use bytes::Bytes;
use http::{HeaderMap, HeaderName, Request, Response};
use http_body_util::Full;
use wire::until::{UNTIL_HEADER, Until};

use crate::clock;
use crate::config::milliseconds;
use crate::invoke::{Failure, Function, Invocation};
use crate::lanes::Lane;
use crate::record::FunctionShare;
use crate::refusal::Refusal;
use crate::server::{App, Seen, record};
use crate::waiters::End;

const RECORD: HeaderName = HeaderName::from_static(wire::record::SHARE_HEADER);
const UNTIL: HeaderName = HeaderName::from_static(UNTIL_HEADER);
/// Runs of one request: writes that are no news to it do not keep it running for ever.
const RUNS_MAX: u32 = 32;

/// One run of a request, and all before it.
struct Ran {
    reply: Response<Bytes>,
    outcome: &'static str,
    share: FunctionShare,
    /// What all runs used together.
    used: Invocation,
    /// When the reply says "nothing yet": until when.
    until: Option<Until>,
}

impl App {
    /// Answers a request that waits in `lane` for its instance.
    pub(crate) async fn answer_function(
        &self,
        function: &Function,
        lane: &Lane,
        request: Request<Bytes>,
        seen: Seen,
    ) -> Response<Full<Bytes>> {
        let Some(slot) = self.lanes.enter(lane).await else {
            let reply = Refusal::Overloaded.response();
            let (outcome, share) = (Refusal::Overloaded.name(), FunctionShare::default());
            let refused = record(seen, &reply, outcome, None, share);
            self.recorder.record(refused);
            return reply.map(Full::new);
        };
        let mut since = self.waiters.writes();
        let mut ran = self.run(function, &request, None).await;
        drop(slot);
        let mut end: Option<Instant> = None;
        let mut runs = 1;
        while let Some(until) = ran.until.take()
            && runs < RUNS_MAX
        {
            let wait = milliseconds(until.wait_ms.min(self.limits.waiting_ms));
            let asked = clock::now() + wait;
            // Being run again is no reason to wait longer than was asked for.
            let end = *end.insert(end.map_or(asked, |end| end.min(asked)));
            let bytes = size_bytes(request.uri(), request.headers(), request.body())
                + size_bytes("", ran.reply.headers(), ran.reply.body());
            if self.waiters.wait(&until, since, bytes, end).await != End::Written {
                break;
            }
            // With so many others that have news, what it has may be all that there is time for.
            let Ok(slot) = tokio::time::timeout_at(end.into(), lane.again()).await else {
                break;
            };
            since = self.waiters.writes();
            ran = self.run(function, &request, Some(ran)).await;
            drop(slot);
            runs += 1;
        }
        let Ran {
            reply,
            outcome,
            share,
            used,
            ..
        } = ran;
        self.recorder
            .record(record(seen, &reply, outcome, Some(&used), share));
        reply.map(Full::new)
    }

    async fn run(&self, function: &Function, request: &Request<Bytes>, before: Option<Ran>) -> Ran {
        let mut used = function
            .invoke(&self.engine, &self.limits, request.clone())
            .await;
        let mut share = FunctionShare::default();
        let mut until = None;
        let result = std::mem::replace(&mut used.result, Err(Failure::Trap));
        let (reply, outcome) = match result {
            Ok(mut reply) => {
                share = self.take_share(reply.headers_mut());
                until = take_until(reply.headers_mut());
                let is_good = reply.status().is_success() || reply.status().is_redirection();
                (reply, if is_good { "ok" } else { "refused" })
            }
            Err(failure) => (failure.refusal().response(), failure.name()),
        };
        if let Some(before) = before {
            used.add(&before.used);
            share.add(&before.share);
        }
        Ran {
            reply,
            outcome,
            share,
            used,
            until,
        }
    }

    /// Takes the function's share of the record out of its reply.
    fn take_share(&self, headers: &mut HeaderMap) -> FunctionShare {
        let Some(value) = headers.remove(RECORD) else {
            return FunctionShare::default();
        };
        serde_json::from_slice(value.as_bytes()).unwrap_or_else(|cause| {
            self.malformed_shares.fetch_add(1, Ordering::Relaxed);
            tracing::warn!(%cause, "a function's lv-record header is malformed");
            FunctionShare::default()
        })
    }
}

/// Takes out of a reply until when it holds, which is none of the client's business.
fn take_until(headers: &mut HeaderMap) -> Option<Until> {
    let value = headers.remove(UNTIL)?;
    let until = serde_json::from_slice(value.as_bytes());
    until
        .inspect_err(|cause| tracing::warn!(%cause, "a function's lv-until header is malformed"))
        .ok()
}

/// What a request or a reply takes while it is kept.
fn size_bytes(uri: impl ToString, headers: &HeaderMap, body: &Bytes) -> usize {
    let header = |(name, value): (&HeaderName, &http::HeaderValue)| {
        size_of::<HeaderName>() + size_of_val(value) + name.as_str().len() + value.len()
    };
    uri.to_string().len() + headers.iter().map(header).sum::<usize>() + body.len()
}
