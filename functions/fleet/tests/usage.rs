//! What rooms used, through the function's front door: a batch counts once, whatever happens on the
//! way, and one that is not what it should be is refused with the reason.

#![allow(clippy::unwrap_used, reason = "helpers of tests")]

use std::future::Future;
use std::ops::{Deref, DerefMut};
use std::pin::pin;
use std::sync::atomic::Ordering;
use std::task::{Context, Poll, Waker};

use edge::http::{Request, Response};
use edge::testing::calls;
use edge::testing::host::{self, Host, NOW_MS, secret, signing_key};
use edge::testing::schedule::block_on;
use serde_json::Value;
use wire::BootId;
use wire::claims::Role;
use wire::fleet::sign_heartbeat;
use wire::limits::MAX_USAGE_AGE_MS;
use wire::record::UsageRecord;
use wire::usage::{MINUTE_MS, RoomUsage, UsageBatch, UsageReceipt};

const MINUTE: u64 = NOW_MS / MINUTE_MS * MINUTE_MS;
const DAY_MS: u64 = 24 * 3600 * 1000;

struct Rig(Host);

impl Rig {
    fn new(seed: u64) -> Self {
        Self(Host::new("fleet", seed))
    }

    fn send(&self, batch: &UsageBatch) -> Response {
        self.handle(request(batch))
    }

    fn handle(&self, request: Request) -> Response {
        block_on(fleet::handle(self, request))
    }

    #[track_caller]
    fn taken(&self, batch: &UsageBatch) -> UsageReceipt {
        let response = self.send(batch);
        assert_eq!(response.status, 200, "{}", calls::text(&response));
        calls::read(&response)
    }

    #[track_caller]
    fn refused(&self, request: Request, status: u16, outcome: &str) {
        let response = self.handle(request);
        let text = calls::text(&response);
        assert_eq!(
            (response.status, response.outcome),
            (status, outcome),
            "{text}"
        );
    }

    fn operator(&self, method: &str, path: &str, body: &Value) -> Response {
        let token = calls::bearer(&host::claims("ops", Some(Role::Operator)), &signing_key());
        self.handle(calls::request(token, method, path, body))
    }

    /// The records of all objects.
    fn records(&self) -> Vec<UsageRecord> {
        let objects = self.objects.lock().unwrap();
        let objects = objects.as_ref().unwrap().values();
        let lines = objects.flat_map(|object| object.split_inclusive(|byte| *byte == b'\n'));
        lines
            .map(|line| serde_json::from_slice(line).unwrap())
            .collect()
    }

    fn objects(&self) -> usize {
        self.objects.lock().unwrap().as_ref().unwrap().len()
    }
}

impl Deref for Rig {
    type Target = Host;

    fn deref(&self) -> &Host {
        &self.0
    }
}

impl DerefMut for Rig {
    fn deref_mut(&mut self) -> &mut Host {
        &mut self.0
    }
}

fn record(sequence: u64) -> RoomUsage {
    let text = format!(
        r#"{{"seq":{sequence},"minute_ms":{MINUTE},"room":"{sequence:016x}","talk_ms":{sequence}}}"#
    );
    serde_json::from_str(&text).unwrap()
}

fn batch(sequences: impl IntoIterator<Item = u64>) -> UsageBatch {
    UsageBatch {
        shard: "eu-1-a".parse().unwrap(),
        boot: BootId([7; 8]),
        epoch: 0,
        region: "eu-1".parse().unwrap(),
        records: sequences.into_iter().map(record).collect(),
    }
}

fn at(minute_ms: u64) -> UsageBatch {
    let mut batch = batch([1]);
    batch.records[0].minute_ms = minute_ms;
    batch
}

fn request(batch: &UsageBatch) -> Request {
    signed(batch, serde_json::to_vec(batch).unwrap())
}

/// A body as the shard of a batch signs it.
fn signed(batch: &UsageBatch, body: Vec<u8>) -> Request {
    let key = secret().shard_key(&batch.shard, batch.epoch.min(15));
    Request {
        method: "POST".into(),
        path: format!("/v1/relays/{}/usage", batch.shard),
        query: None,
        authorization: Some(sign_heartbeat(&key.subkeys(), &body)),
        content_type: Some("application/json".into()),
        body,
    }
}

#[test]
fn a_batch_is_an_object_and_counts_once() {
    let rig = Rig::new(1);
    let first = batch(1..=3);
    let receipt = rig.taken(&first);
    assert_eq!((receipt.first, receipt.last, receipt.is_new), (1, 3, true));
    let again = rig.taken(&first);
    assert_eq!((again.first, again.last, again.is_new), (1, 3, false));
    // Signed with the key of the next epoch, since the relay was rekeyed in between.
    let rekeyed = UsageBatch {
        epoch: 1,
        ..first.clone()
    };
    assert!(!rig.taken(&rekeyed).is_new);
    let objects = rig.objects.lock().unwrap().clone().unwrap();
    let (name, content) = objects.first_key_value().unwrap();
    let wanted = "usage/2023-11-14/eu-1-a/0707070707070707-000000000001-000000000003.jsonl";
    assert_eq!((name.as_str(), objects.len()), (wanted, 1));
    assert_eq!(*content, first.lines().into_bytes());
}

#[test]
fn batches_count_in_any_order_and_runs_apart() {
    let rig = Rig::new(2);
    for (sequences, is_new) in [
        (7..=9, true),
        (1..=3, true),
        (7..=9, false),
        (4..=6, true),
        (1..=3, false),
    ] {
        assert_eq!(rig.taken(&batch(sequences)).is_new, is_new);
    }
    let other_run = UsageBatch {
        boot: BootId([8; 8]),
        ..batch(1..=3)
    };
    assert!(rig.taken(&other_run).is_new);
    assert_eq!(rig.records().len(), 12);
}

#[test]
fn records_that_came_in_another_batch_are_refused() {
    let rig = Rig::new(3);
    rig.taken(&batch([5, 6, 9]));
    for sequences in [
        vec![9],
        vec![5],
        vec![1, 5],
        vec![6, 7],
        vec![9, 10],
        vec![7],
        vec![1, 20],
    ] {
        rig.refused(request(&batch(sequences)), 409, "usage-overlap");
    }
    let mut changed = batch([5, 6, 9]);
    changed.records[1].talk_ms += 1;
    rig.refused(request(&changed), 409, "usage-overlap");
    assert!(rig.taken(&batch([1, 4])).is_new && rig.taken(&batch([10])).is_new);
    assert_eq!(rig.records().len(), 6);
}

#[test]
fn what_is_not_signed_by_its_shard_is_refused() {
    let rig = Rig::new(4);
    let good = request(&batch([1]));
    let by_another = Request {
        authorization: request(&UsageBatch {
            shard: "eu-1-b".parse().unwrap(),
            ..batch([1])
        })
        .authorization,
        ..good.clone()
    };
    let unsigned = Request {
        authorization: None,
        ..good.clone()
    };
    let mut changed = good.clone();
    let place = changed
        .body
        .windows(4)
        .position(|four| four == b"seq\"")
        .unwrap()
        + 5;
    changed.body[place] = b'2';
    let elsewhere = Request {
        path: "/v1/relays/eu-1-b/usage".into(),
        ..good.clone()
    };
    for forged in [by_another, unsigned, changed, elsewhere] {
        rig.refused(forged, 401, "signature-invalid");
    }
    // Signed by the shard of the path, of another.
    let of_another = UsageBatch {
        shard: "eu-1-b".parse().unwrap(),
        ..batch([1])
    };
    let body = serde_json::to_vec(&of_another).unwrap();
    rig.refused(signed(&batch([1]), body), 400, "body-invalid");
    assert_eq!(rig.objects(), 0);
}

#[test]
fn what_is_torn_or_malformed_is_refused() {
    let rig = Rig::new(5);
    let whole = serde_json::to_vec(&batch([1])).unwrap();
    for cut in 0..whole.len() {
        let torn = signed(&batch([1]), whole[..cut].to_vec());
        rig.refused(torn, 400, "body-invalid");
    }
    for bad in [vec![], vec![0], vec![2, 1], vec![1, 1]] {
        rig.refused(request(&batch(bad)), 400, "body-invalid");
    }
    rig.refused(request(&at(MINUTE + 1)), 400, "body-invalid");
    let no_epoch = UsageBatch {
        epoch: 16,
        ..batch([1])
    };
    rig.refused(request(&no_epoch), 400, "body-invalid");
    let long = Request {
        body: vec![b' '; wire::limits::MAX_BODY_BYTES + 1],
        ..request(&batch([1]))
    };
    rig.refused(long, 413, "body-too-large");
    assert_eq!(rig.objects(), 0);
}

#[test]
fn what_is_years_old_or_to_come_is_refused() {
    let rig = Rig::new(6);
    for old in [
        0,
        MINUTE - MAX_USAGE_AGE_MS - MINUTE_MS,
        MINUTE - 3 * 365 * DAY_MS,
    ] {
        let old = at(old / MINUTE_MS * MINUTE_MS);
        rig.refused(request(&old), 410, "usage-old");
    }
    for early in [
        MINUTE + 2 * MINUTE_MS,
        MINUTE + DAY_MS,
        u64::MAX / MINUTE_MS * MINUTE_MS,
    ] {
        rig.refused(request(&at(early)), 409, "usage-early");
    }
    assert_eq!(rig.objects(), 0);
    assert!(rig.taken(&at(MINUTE - MAX_USAGE_AGE_MS + MINUTE_MS)).is_new);
}

#[test]
fn a_batch_that_was_captured_never_counts_again() {
    let rig = Rig::new(7);
    let captured = request(&batch(1..=3));
    let mut counted = 0;
    for _ in 0..20 {
        let response = rig.handle(captured.clone());
        if response.status == 200 {
            let receipt: UsageReceipt = calls::read(&response);
            counted += u32::from(receipt.is_new);
        } else {
            assert_eq!(response.outcome, "usage-old");
        }
        rig.pass(DAY_MS);
    }
    assert_eq!((counted, rig.objects()), (1, 1));
}

#[test]
fn a_shard_that_is_revoked_or_not_registered_is_not_billed() {
    let mut rig = Rig::new(8);
    let revoked = serde_json::json!({ "least_epoch": 2 });
    let response = rig.operator("PUT", "/v1/relays/eu-1-a/revocation", &revoked);
    assert_eq!(response.status, 200);
    rig.refused(request(&batch([1])), 403, "shard-revoked");
    let rekeyed = UsageBatch {
        epoch: 2,
        ..batch([1])
    };
    assert!(rig.taken(&rekeyed).is_new);
    rig.set(
        "static_shards",
        r#"[{"shards": "eu-1-a", "region": "eu-2"}]"#,
    );
    let moved = UsageBatch {
        epoch: 2,
        ..batch([2])
    };
    rig.refused(request(&moved), 403, "registration-exceeded");
    rig.set("static_shards", "[]");
    rig.refused(request(&moved), 403, "shard-unregistered");
    assert_eq!(rig.objects(), 1);
}

/// Lets a request take `steps` steps and then ends it; whether it was done by then.
fn cut_short(rig: &Rig, batch: &UsageBatch, steps: usize) -> bool {
    let mut handling = pin!(fleet::handle(rig, request(batch)));
    let mut context = Context::from_waker(Waker::noop());
    (0..steps).any(|_| matches!(handling.as_mut().poll(&mut context), Poll::Ready(_)))
}

#[test]
fn a_function_that_ends_at_any_moment_loses_nothing_and_counts_nothing_twice() {
    let mut steps = 0;
    loop {
        let rig = Rig::new(9);
        let batch = batch(1..=5);
        let was_done = cut_short(&rig, &batch, steps);
        // Where there is a receipt there is the object.
        let object = rig.objects();
        let receipt = rig.taken(&batch);
        assert!(receipt.is_new || object == 1, "after {steps} steps");
        assert!(!was_done || !receipt.is_new, "after {steps} steps");
        assert_eq!((rig.objects(), rig.records().len()), (1, 5));
        assert!(!rig.taken(&batch).is_new);
        if was_done {
            break;
        }
        steps += 1;
    }
    // Before the terms, before receipts are looked at, before the object, and before the receipt.
    assert_eq!(steps, 5);
}

#[test]
fn whatever_fails_is_sent_again_until_it_counts() {
    let mut failed = 0;
    for seed in 0..300 {
        let rig = Rig::new(seed);
        rig.store.faults_per_thousand.store(300, Ordering::Relaxed);
        let mut counted = 0;
        for first in [1, 4, 7] {
            let batch = batch(first..first + 3);
            loop {
                let is_kept = !rig.store.chance.next().is_multiple_of(4);
                let kept = rig.objects.lock().unwrap().take();
                *rig.objects.lock().unwrap() = kept.clone().filter(|_| is_kept);
                let response = rig.send(&batch);
                let now = rig.objects.lock().unwrap().take();
                *rig.objects.lock().unwrap() = now.or(kept);
                if response.status == 200 {
                    let receipt: UsageReceipt = calls::read(&response);
                    counted += u32::from(receipt.is_new);
                    break;
                }
                assert_eq!(response.outcome, "store-unavailable");
                failed += 1;
            }
        }
        // A write of which nobody heard whether it happened may have counted before.
        assert!(counted <= 3);
        let mut sequences: Vec<u64> = rig.records().iter().map(|one| one.sequence).collect();
        sequences.sort_unstable();
        assert_eq!(sequences, [1, 2, 3, 4, 5, 6, 7, 8, 9], "seed {seed}");
    }
    assert!(failed > 300, "{failed} faults prove nothing");
}

#[test]
fn usage_costs_three_calls_of_the_store() {
    let rig = Rig::new(10);
    let response = rig.send(&batch(1..=200));
    let share = calls::share(&response);
    assert_eq!((share.store_calls, share.store_writes), (3, 1), "{share:?}");
}
