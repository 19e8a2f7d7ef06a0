//! Requests without end, and what came of them.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use scenarios::http::{Http, Method, Reply};
use scenarios::target::Target;
use tokio::task::JoinSet;

/// One request.
pub(crate) struct Sent {
    pub(crate) method: Method,
    pub(crate) path: String,
    pub(crate) token: String,
    /// JSON, or empty.
    pub(crate) body: String,
}

/// Many who send one request after the other, each as soon as the one before is answered.
pub(crate) struct Storm {
    stop: Arc<AtomicBool>,
    /// How often each was the answer: a status, or the problem's name.
    answers: Arc<Mutex<BTreeMap<String, usize>>>,
    senders: JoinSet<()>,
}

impl Storm {
    /// `next(sender, turn)` is what a sender sends in his turn.
    pub(crate) fn start(
        target: &Target,
        senders: usize,
        next: impl Fn(usize, usize) -> Sent + Clone + Send + 'static,
    ) -> Self {
        let mut storm = Self {
            stop: Arc::default(),
            answers: Arc::default(),
            senders: JoinSet::new(),
        };
        for sender in 0..senders {
            let (http, base, next) = (target.http.clone(), target.base.clone(), next.clone());
            let (stop, answers) = (Arc::clone(&storm.stop), Arc::clone(&storm.answers));
            storm.senders.spawn(async move {
                for turn in 0.. {
                    if stop.load(Ordering::Relaxed) {
                        return;
                    }
                    let Ok(reply) = send(&http, &base, next(sender, turn)).await else {
                        continue;
                    };
                    let name = match reply.problem() {
                        none if none.is_empty() => reply.status.as_u16().to_string(),
                        problem => problem,
                    };
                    *answers.lock().unwrap().entry(name).or_default() += 1;
                }
            });
        }
        storm
    }

    /// Lets it go on for a while, then ends it; how often each was the answer.
    pub(crate) async fn after(self, time: Duration) -> BTreeMap<String, usize> {
        tokio::time::sleep(time).await;
        self.end().await
    }

    /// Ends it.
    pub(crate) async fn end(mut self) -> BTreeMap<String, usize> {
        self.stop.store(true, Ordering::Relaxed);
        self.senders.shutdown().await;
        std::mem::take(&mut *self.answers.lock().unwrap())
    }
}

async fn send(http: &Http, base: &str, sent: Sent) -> anyhow::Result<Reply> {
    let media_type = match sent.body.is_empty() {
        true => "",
        false => "application/json",
    };
    let url = format!("{base}{}", sent.path);
    http.send(sent.method, &url, &sent.token, media_type, sent.body)
        .await
}
