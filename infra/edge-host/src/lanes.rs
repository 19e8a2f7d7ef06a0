//! Who waits for an instance behind whom. Every class of routes has instances of its own and a
//! queue of its own, so that whoever fills one class keeps nobody from another (decision 0037).

use std::sync::atomic::{AtomicUsize, Ordering};

use edge::http::route_of;
use http::header::ACCESS_CONTROL_REQUEST_METHOD;
use http::{HeaderMap, Method};
use tokio::sync::{Semaphore, SemaphorePermit};
use wire::routes::{Class, Route};

use crate::config::{LANES, Limits, milliseconds};

/// Where a request waits that no route of the API takes: pages, and what does not exist.
const OTHER: usize = LANES - 1;
const _: () = assert!(Class::ALL.len() == OTHER);

/// The route of a request, or the one that a browser asks whether it may send a request to.
pub(crate) fn route_asked(
    method: &Method,
    path: &str,
    headers: &HeaderMap,
) -> Option<&'static Route> {
    let asked = headers.get(ACCESS_CONTROL_REQUEST_METHOD);
    let asked = asked.and_then(|value| value.to_str().ok());
    let method = match (*method == Method::OPTIONS, asked) {
        (true, Some(asked)) => asked,
        _ => method.as_str(),
    };
    route_of(method, path)
}

/// All lanes of a host.
pub(crate) struct Lanes {
    lanes: [Lane; LANES],
    queue_ms: u64,
}

/// The instances of one class.
pub(crate) struct Lane {
    instances: u32,
    free: Semaphore,
    queued: AtomicUsize,
    queue: usize,
}

/// Counts a request that is in a queue, however it leaves.
struct Queued<'l>(&'l AtomicUsize);

impl Drop for Queued<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Lanes {
    pub(crate) fn new(limits: &Limits) -> Self {
        let lane = |instances: u32| Lane {
            instances,
            free: Semaphore::new(instances as usize),
            queued: AtomicUsize::new(0),
            queue: instances as usize * limits.queued_per_instance,
        };
        Self {
            lanes: limits.instances().map(lane),
            queue_ms: limits.queue_ms,
        }
    }

    /// The lane of requests of a route.
    pub(crate) fn of(&self, route: Option<&Route>) -> &Lane {
        &self.lanes[route.map_or(OTHER, |route| route.class as usize)]
    }

    /// Waits for an instance of the lane, which is free again when the permit is dropped; none when
    /// too many wait already, or for too long.
    pub(crate) async fn enter<'l>(&self, lane: &'l Lane) -> Option<SemaphorePermit<'l>> {
        if let Ok(permit) = lane.free.try_acquire() {
            return Some(permit);
        }
        let before = lane.queued.fetch_add(1, Ordering::Relaxed);
        let _queued = Queued(&lane.queued);
        if before >= lane.queue {
            return None;
        }
        let permit = tokio::time::timeout(milliseconds(self.queue_ms), lane.again()).await;
        permit.ok()
    }

    /// Requests that have an instance now.
    pub(crate) fn in_flight(&self) -> usize {
        let used = |lane: &Lane| lane.instances as usize - lane.free.available_permits();
        self.lanes.iter().map(used).sum()
    }
}

impl Lane {
    /// Waits for an instance as long as it takes: for a request that was let in before, and is
    /// counted elsewhere.
    pub(crate) async fn again(&self) -> SemaphorePermit<'_> {
        let permit = self.free.acquire().await;
        permit.expect("the semaphore is never closed")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderValue;
    use wire::routes::ROUTES;

    fn lanes(change: impl FnOnce(&mut Limits)) -> Lanes {
        let mut limits = Limits::default();
        change(&mut limits);
        Lanes::new(&limits)
    }

    fn at(lanes: &Lanes, method: &str, path: &str, asked: Option<&'static str>) -> usize {
        let mut headers = HeaderMap::new();
        if let Some(asked) = asked {
            let value = HeaderValue::from_static(asked);
            headers.insert(ACCESS_CONTROL_REQUEST_METHOD, value);
        }
        let method = Method::from_bytes(method.as_bytes()).unwrap();
        let lane = lanes.of(route_asked(&method, path, &headers));
        let found = lanes.lanes.iter().position(|it| std::ptr::eq(it, lane));
        found.unwrap()
    }

    #[test]
    fn each_route_is_in_the_lane_of_its_class_and_so_is_a_browsers_question_about_it() {
        let lanes = lanes(|_| {});
        for route in ROUTES {
            let path = route.path.replace(['{', '}'], "");
            let wanted = route.class as usize;
            assert_eq!(at(&lanes, route.method, &path, None), wanted, "{path}");
            let asked = at(&lanes, "OPTIONS", &path, Some(route.method));
            assert_eq!(asked, wanted, "{path}");
            // Only a question asks in another's name.
            let odd = at(&lanes, "TRACE", &path, Some(route.method));
            assert_eq!(odd, OTHER, "{path}");
        }
        for path in ["/", "/sdk/index.js", "/v1/rooms/a/sessions/b/c", "//", ""] {
            assert_eq!(at(&lanes, "GET", path, None), OTHER, "{path}");
        }
    }

    #[test]
    fn every_lane_has_an_instance_however_small_the_pool_is() {
        for concurrent in [1, 7, 16, 128, 4_096] {
            let limits = Limits {
                concurrent_requests: concurrent,
                ..Limits::default()
            };
            let shares = limits.instances();
            assert!(shares.iter().all(|share| *share >= 1), "{shares:?}");
            assert!(shares.iter().sum::<u32>() >= concurrent.min(128) / 2);
        }
        assert_eq!(Limits::default().instances().iter().sum::<u32>(), 128);
    }

    #[tokio::test(start_paused = true)]
    async fn a_full_lane_has_a_bounded_queue_and_keeps_nobody_from_another() {
        let lanes = lanes(|limits| {
            limits.concurrent_requests = 16;
            limits.queued_per_instance = 2;
            limits.queue_ms = 50;
        });
        let (poll, join) = (&lanes.lanes[Class::Poll as usize], &lanes.lanes[1]);
        let held = lanes.enter(poll).await.unwrap();
        assert_eq!(lanes.in_flight(), 1);
        let mut waiting: Vec<_> = (0..2).map(|_| Box::pin(lanes.enter(poll))).collect();
        for it in &mut waiting {
            assert!(futures_poll(it).is_none(), "it waits");
        }
        // The queue is full: refused at once, though no time passes.
        assert!(lanes.enter(poll).await.is_none());
        assert!(lanes.enter(join).await.is_some());
        drop(held);
        let mut waiting = waiting.into_iter();
        let next = waiting.next().unwrap().await;
        assert!(next.is_some(), "whoever came first");
        assert!(waiting.next().unwrap().await.is_none(), "its time is over");
        drop(next);
        assert_eq!(poll.queued.load(Ordering::Relaxed), 0);
        assert_eq!(lanes.in_flight(), 0);
    }

    /// Polls once.
    fn futures_poll<F: Future + Unpin>(future: &mut F) -> Option<F::Output> {
        let mut context = std::task::Context::from_waker(std::task::Waker::noop());
        match std::pin::Pin::new(future).poll(&mut context) {
            std::task::Poll::Ready(output) => Some(output),
            std::task::Poll::Pending => None,
        }
    }
}
