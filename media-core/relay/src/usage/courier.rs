//! Brings the journal to the edge: what earlier runs left first, a file at a time, each as a few
//! signed batches, until the edge has them. A batch that is brought again is the same batch, which
//! the edge knows; so nothing is lost and nothing counts twice, whenever this process ends.

use std::io::ErrorKind;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use bytes::Bytes;
use http::StatusCode;
use http_body_util::{BodyExt, Limited};
use tokio::sync::{Notify, oneshot};
use tokio::time::{sleep, timeout};
use wire::BootId;
use wire::ShardId;
use wire::keys::ShardKeys;
use wire::limits::MAX_BODY_BYTES;
use wire::problem::ProblemKind;
use wire::usage::{RoomUsage, UsageBatch, UsageReceipt};

use super::files::{Closed, Folder};
use super::journal::{self, Head, Journal};
use super::stats::Stats;
use crate::config::EdgeUrl;
use crate::heartbeat::{EdgeClient, INTERVAL, REPLY_MAX, RETRY_MIN, problem_name, signed};

/// What the edge says of a batch that it will never take.
const FINAL: [ProblemKind; 3] = [
    ProblemKind::UsageOld,
    ProblemKind::UsageOverlap,
    ProblemKind::BodyInvalid,
];

/// Who signs for a shard.
pub(crate) struct Signer {
    pub(crate) shard: ShardId,
    pub(crate) boot: BootId,
    pub(crate) keys: ShardKeys,
}

/// Brings the journal of a relay to the edge.
pub(crate) struct Courier {
    pub(crate) folder: Arc<Folder>,
    pub(crate) signers: Vec<Signer>,
    pub(crate) edge: EdgeUrl,
    pub(crate) client: EdgeClient,
    pub(crate) stats: Arc<Stats>,
    /// Told when there is something to bring.
    pub(crate) news: Arc<Notify>,
    /// A relay waits for a part of this, so that not all of a fleet come at once.
    pub(crate) spread: Duration,
}

/// Why a batch was not taken.
#[derive(Debug, Clone, PartialEq, Eq)]
enum NotTaken {
    /// Nobody answered, or not as a function does.
    Silent,
    /// The edge refused it; the problem's name. Another time it may not.
    Refused(String),
    /// The edge will never take it; the problem's name.
    Never(String),
}

/// How far a file got.
enum Brought {
    /// The edge has it, and here it is no more.
    All,
    /// It is still here.
    Not(NotTaken),
}

impl Courier {
    /// Brings what there is until `done`, once more then, and ends.
    pub(crate) async fn run(self, mut done: oneshot::Receiver<()>) {
        let mut retry = RETRY_MIN;
        let mut last: Option<NotTaken> = None;
        // What an earlier run left waits for nobody.
        let mut pause = Duration::ZERO;
        loop {
            tokio::select! {
                () = sleep(pause) => {}
                _ = &mut done => break,
            }
            let failure = self.bring_all().await;
            self.log_change(&mut last, failure.clone());
            if failure.is_some() {
                pause = retry;
                retry = (retry * 2).min(INTERVAL);
                continue;
            }
            retry = RETRY_MIN;
            pause = self.pause();
            tokio::select! {
                () = self.news.notified() => {}
                _ = &mut done => break,
            }
        }
        let _ = self.bring_all().await;
    }

    /// A part of the spread, always the same of one run.
    fn pause(&self) -> Duration {
        let byte = self.signers.first().map_or(0, |signer| signer.boot.0[0]);
        self.spread * u32::from(byte) / 256
    }

    /// Brings every file of our shards, the oldest of each first; why the edge did not take one.
    async fn bring_all(&self) -> Option<NotTaken> {
        let mut failure = None;
        // What is closed from here on is told as news.
        let closed = self.folder.closed().unwrap_or_default();
        let mut bytes: u64 = closed.iter().map(|file| file.bytes).sum();
        self.stats.waiting_bytes.store(bytes, Ordering::Relaxed);
        for signer in &self.signers {
            let is_of = |file: &&Closed| file.is_of(&signer.shard);
            let mut files: Vec<&Closed> = closed.iter().filter(is_of).collect();
            // Those of earlier runs before those of this one.
            files.sort_by_key(|file| file.is_of_run(signer.boot));
            for file in files {
                if let Brought::Not(why) = self.bring(signer, file).await {
                    Stats::add(&self.stats.failed, 1);
                    failure = Some(why);
                    break;
                }
                bytes -= file.bytes;
                self.stats.waiting_bytes.store(bytes, Ordering::Relaxed);
            }
        }
        failure
    }

    async fn bring(&self, signer: &Signer, file: &Closed) -> Brought {
        let journal = match file.read() {
            Ok(Some(journal)) if journal.head.shard == signer.shard => journal,
            // Ended before its first line was whole, or none of ours.
            Ok(_) => return self.drop_file(file, 1),
            // Dropped meanwhile, since too much waits.
            Err(error) if error.kind() == ErrorKind::NotFound => return Brought::All,
            Err(_) => return Brought::Not(NotTaken::Silent),
        };
        let Journal {
            head,
            records,
            torn,
        } = journal;
        for batch in journal::batches(&records) {
            let count = batch.len() as u64;
            match self.post(signer, &head, batch).await {
                Ok(_) => Stats::add(&self.stats.taken, count),
                Err(NotTaken::Never(problem)) => {
                    Stats::add(&self.stats.dropped_refused, count);
                    let shard = &signer.shard;
                    tracing::error!(%shard, problem, count, "the edge will never take this usage");
                }
                Err(why) => return Brought::Not(why),
            }
        }
        self.drop_file(file, torn)
    }

    /// Removes a file of which the edge has everything, apart from lines that are torn.
    fn drop_file(&self, file: &Closed, torn: u64) -> Brought {
        if file.remove().is_err() {
            return Brought::Not(NotTaken::Silent);
        }
        if torn > 0 {
            Stats::add(&self.stats.torn, torn);
            tracing::warn!(lines = torn, "the journal of usage had torn lines");
        }
        Brought::All
    }

    async fn post(
        &self,
        signer: &Signer,
        head: &Head,
        records: Vec<RoomUsage>,
    ) -> Result<UsageReceipt, NotTaken> {
        let batch = UsageBatch {
            shard: head.shard.clone(),
            boot: head.boot,
            epoch: signer.keys.epoch,
            region: head.region.clone(),
            records,
        };
        let body: Bytes = serde_json::to_vec(&batch)
            .expect("a batch has string keys only")
            .into();
        let request = signed(self.edge.usage(&signer.shard), &signer.keys, body);
        let exchange = async {
            let reply = self.client.request(request).await.ok()?;
            let status = reply.status();
            let body = Limited::new(reply.into_body(), MAX_BODY_BYTES);
            Some((status, body.collect().await.ok()?.to_bytes()))
        };
        let reply = timeout(REPLY_MAX, exchange).await.ok().flatten();
        let (status, body) = reply.ok_or(NotTaken::Silent)?;
        if status == StatusCode::OK {
            return serde_json::from_slice(&body).map_err(|_| NotTaken::Silent);
        }
        let problem = problem_name(&body);
        let is_final = FINAL.iter().any(|kind| kind.name() == problem);
        Err(match is_final {
            true => NotTaken::Never(problem),
            false => NotTaken::Refused(problem),
        })
    }

    /// Logs what becomes of usage once per change.
    fn log_change(&self, last: &mut Option<NotTaken>, now: Option<NotTaken>) {
        match &now {
            Some(NotTaken::Refused(problem)) if *last != now => {
                tracing::warn!(problem, "usage is refused and waits");
            }
            Some(_) if *last != now => tracing::warn!("usage is not taken and waits"),
            None if last.is_some() => tracing::info!("usage is taken"),
            _ => {}
        }
        *last = now;
    }
}
