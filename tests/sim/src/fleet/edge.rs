//! The functions signalling, fleet and safety, each on the ports that it may have, and the requests
//! that they are answering.

use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use ::edge::http::{Request, Response};
use ::edge::ports::{
    Clock, Entropy, IdentityLink, IdentityReply, ObjectFault, Objects, RelayInquiry, RelayLink,
    RelayReply, Storage, Timer, Unreachable, VariableFault, Variables,
};
use ::edge::testing::host::Host;
use ::edge::testing::{FixedVariables, MemoryStore};
use wire::ShardId;
use wire::routes::Function;

use super::air::Air;
use super::store::WeatheredStore;

/// A request that takes longer is ended by its host.
const REQUEST_MAX: Duration = Duration::from_secs(10);

/// The ports of one function.
struct Ports {
    air: Rc<Air>,
    store: WeatheredStore,
    variables: FixedVariables,
}

impl Ports {
    fn new(host: &Host, air: &Rc<Air>) -> Self {
        Self {
            air: Rc::clone(air),
            store: WeatheredStore {
                items: host.store.inner.clone(),
                air: Rc::clone(air),
            },
            variables: host.variables.clone(),
        }
    }
}

impl Storage for Ports {
    type Store = WeatheredStore;

    fn store(&self) -> &WeatheredStore {
        &self.store
    }
}

impl Clock for Ports {
    fn now_ms(&self) -> u64 {
        self.air.edge_ms()
    }
}

impl Timer for Ports {
    async fn sleep(&self, ms: u64) {
        self.air.pass(Duration::from_millis(ms)).await;
    }
}

impl Entropy for Ports {
    fn fill(&self, bytes: &mut [u8]) {
        let mut chance = self.air.chance.borrow_mut();
        bytes.fill_with(|| chance.any() as u8);
    }
}

impl Variables for Ports {
    async fn variable(&self, name: &str) -> Result<Option<String>, VariableFault> {
        self.variables.variable(name).await
    }
}

impl RelayLink for Ports {
    async fn post(&self, url: &str, shard: &ShardId, sealed: String) -> Result<u16, Unreachable> {
        let reply = self.air.post(url, shard, sealed).await?;
        Ok(reply.status)
    }
}

impl RelayInquiry for Ports {
    async fn inquire(
        &self,
        url: &str,
        shard: &ShardId,
        sealed: String,
    ) -> Result<RelayReply, Unreachable> {
        self.air.post(url, shard, sealed).await
    }
}

impl Objects for Ports {
    async fn put_object(&self, _: &str, _: Vec<u8>) -> Result<(), ObjectFault> {
        Err(ObjectFault::Nowhere)
    }
}

impl IdentityLink for Ports {
    /// No relay of a run proves itself by its machine.
    async fn ask(
        &self,
        _: &str,
        _: &[(&'static str, String)],
    ) -> Result<IdentityReply, Unreachable> {
        Err(Unreachable)
    }
}

/// A request that is being answered.
struct Running<A> {
    asker: A,
    due: Instant,
    ends_at: Instant,
    work: Pin<Box<dyn Future<Output = Response>>>,
}

/// The edge: `A` says whose a request is.
pub(super) struct Edge<A> {
    signalling: Rc<Ports>,
    fleet: Rc<Ports>,
    safety: Rc<Ports>,
    running: Vec<Running<A>>,
    pub(super) is_up: bool,
    items: MemoryStore,
}

impl<A> Edge<A> {
    pub(super) fn new(air: &Rc<Air>, region: &str) -> Self {
        let mut host = Host::new("signalling", 0);
        host.set("region", region);
        let of = |host: &Host| Rc::new(Ports::new(host, air));
        Self {
            signalling: of(&host),
            fleet: of(&host.beside("fleet")),
            safety: of(&host.beside("safety")),
            running: Vec::new(),
            is_up: true,
            items: host.store.inner.open(),
        }
    }

    /// What is stored, whoever may touch it.
    pub(super) fn items(&self) -> &MemoryStore {
        &self.items
    }

    /// Begins to answer.
    pub(super) fn handle(&mut self, now: Instant, asker: A, request: Request) {
        let function = request.route().map(|route| route.function);
        let work: Pin<Box<dyn Future<Output = Response>>> = match function {
            Some(Function::Fleet) => {
                let host = Rc::clone(&self.fleet);
                Box::pin(async move { ::fleet::handle(&*host, request).await })
            }
            Some(Function::Safety) => {
                let host = Rc::clone(&self.safety);
                Box::pin(async move { ::safety::handle(&*host, request).await })
            }
            _ => {
                let host = Rc::clone(&self.signalling);
                Box::pin(async move { ::signalling::handle(&*host, request).await })
            }
        };
        self.running.push(Running {
            asker,
            due: now,
            ends_at: now + REQUEST_MAX,
            work,
        });
    }

    /// Ends every request without an answer.
    pub(super) fn stop(&mut self) -> Vec<A> {
        self.is_up = false;
        self.running
            .drain(..)
            .map(|running| running.asker)
            .collect()
    }

    /// Somebody may wait for what has just come.
    pub(super) fn wake(&mut self, now: Instant) {
        self.running
            .iter_mut()
            .for_each(|running| running.due = now);
    }

    /// When the next request goes on.
    pub(super) fn next_at(&self) -> Option<Instant> {
        self.running.iter().map(|running| running.due).min()
    }

    /// Goes on with what is due. Returns what is answered, or was given up.
    pub(super) fn advance(&mut self, air: &Air) -> Vec<(A, Option<Response>)> {
        let (now, mut done) = (air.now(), Vec::new());
        let mut context = Context::from_waker(Waker::noop());
        let mut at = 0;
        while at < self.running.len() {
            let running = &mut self.running[at];
            if running.due > now {
                at += 1;
                continue;
            }
            let polled = running.work.as_mut().poll(&mut context);
            let due = air.take_due().unwrap_or(running.ends_at);
            running.due = due.min(running.ends_at);
            match polled {
                Poll::Ready(response) => {
                    done.push((self.running.remove(at).asker, Some(response)));
                }
                Poll::Pending if now >= running.ends_at => {
                    done.push((self.running.remove(at).asker, None));
                }
                Poll::Pending => at += 1,
            }
        }
        done
    }
}
