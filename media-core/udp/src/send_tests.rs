//! The queue and its answers to a kernel, played by a script.

use std::collections::VecDeque;

use proptest::prelude::*;

use super::*;

/// A kernel that answers from a list and then takes everything. Notes what it took.
#[derive(Default)]
struct Script {
    answers: VecDeque<Result<usize, i32>>,
    taken: Vec<(SocketAddr, Vec<u8>)>,
    calls: usize,
    waits: usize,
}

impl Script {
    fn new(answers: impl IntoIterator<Item = Result<usize, i32>>) -> Self {
        Self {
            answers: answers.into_iter().collect(),
            ..Self::default()
        }
    }
}

impl Line for Script {
    fn send(&mut self, parcels: &[Parcel<'_>]) -> Result<usize, i32> {
        self.calls += 1;
        let count = match self.answers.pop_front() {
            Some(answer) => answer?.clamp(1, parcels.len()),
            None => parcels.len(),
        };
        for parcel in &parcels[..count] {
            let segment_bytes = parcel.segment_bytes.map_or(DATAGRAM_BYTES_MAX, usize::from);
            let mut pieces: Vec<_> = parcel.data.chunks(segment_bytes).collect();
            if pieces.is_empty() {
                pieces.push(&[]);
            }
            assert_eq!(pieces.len(), usize::from(parcel.count));
            assert_eq!(parcel.segment_bytes.is_some(), parcel.count > 1);
            self.taken
                .extend(pieces.into_iter().map(|piece| (parcel.to, piece.to_vec())));
        }
        Ok(count)
    }

    fn wait(&mut self) {
        self.waits += 1;
    }
}

fn peer(number: u8) -> SocketAddr {
    SocketAddr::from(([10, 0, 0, number], 4000))
}

fn batch_of(gso: bool, datagrams: &[(u8, usize)]) -> SendBatch {
    let mut batch = SendBatch::with_gso(gso);
    for (index, (to, bytes)) in datagrams.iter().enumerate() {
        batch.enqueue(peer(*to), &vec![index as u8; *bytes]);
    }
    batch
}

fn counts(batch: &SendBatch) -> Vec<u16> {
    batch.queue.trains.iter().map(|train| train.count).collect()
}

#[test]
fn consecutive_datagrams_of_one_size_to_one_peer_are_one_train() {
    let batch = batch_of(true, &[(1, 120), (1, 120), (1, 120), (2, 120), (1, 120)]);
    assert_eq!(counts(&batch), [3, 1, 1]);
}

#[test]
fn a_shorter_datagram_ends_a_train_and_a_longer_one_begins_another() {
    let batch = batch_of(true, &[(1, 120), (1, 80), (1, 80), (1, 120)]);
    assert_eq!(counts(&batch), [2, 1, 1]);
}

#[test]
fn an_empty_datagram_travels_alone() {
    let mut batch = batch_of(true, &[(1, 0), (1, 0), (1, 5)]);
    assert_eq!(counts(&batch), [1, 1, 1]);
    let mut line = Script::default();
    batch.flush_over(&mut line);
    assert_eq!(line.taken.len(), 3);
}

#[test]
fn a_train_is_bounded_in_datagrams_and_in_bytes() {
    assert_eq!(counts(&batch_of(true, &[(1, 10); 65])), [64, 1]);
    assert_eq!(counts(&batch_of(true, &[(1, 2048); 40])), [31, 9]);
}

#[test]
fn without_gso_each_datagram_is_a_parcel() {
    let mut batch = batch_of(false, &[(1, 120); 100]);
    let mut line = Script::default();
    batch.flush_over(&mut line);
    assert_eq!((line.calls, line.taken.len()), (2, 100));
    assert_eq!(batch.stats().offloaded, 0);
}

#[test]
fn oversize_is_dropped_and_counted() {
    let batch = batch_of(
        true,
        &[(1, DATAGRAM_BYTES_MAX), (1, DATAGRAM_BYTES_MAX + 1)],
    );
    assert_eq!(batch.len(), 1);
    assert_eq!(batch.stats().dropped_for(DropReason::TooLarge), 1);
}

#[test]
fn a_partial_send_goes_on_where_it_stopped() {
    let mut batch = batch_of(false, &[(1, 3), (2, 3), (3, 3)]);
    let mut line = Script::new([Ok(1), Ok(1)]);
    batch.flush_over(&mut line);
    let to: Vec<_> = line.taken.iter().map(|(to, _)| *to).collect();
    assert_eq!(to, [peer(1), peer(2), peer(3)]);
    assert_eq!(batch.stats().calls, 3);
}

#[test]
fn a_full_buffer_is_waited_for_and_then_given_up() {
    let mut batch = batch_of(true, &[(1, 9), (1, 9), (2, 9), (3, 9)]);
    let mut line = Script::new([
        Ok(1),
        Err(libc::EAGAIN),
        Err(libc::EAGAIN),
        Err(libc::EAGAIN),
    ]);
    batch.flush_over(&mut line);
    assert_eq!((line.waits, line.taken.len()), (2, 2));
    assert_eq!(batch.stats().dropped_for(DropReason::BufferFull), 2);
    assert!(batch.is_empty());
}

#[test]
fn room_after_a_wait_loses_nothing() {
    let mut batch = batch_of(true, &[(1, 9), (2, 9)]);
    let mut line = Script::new([Err(libc::EAGAIN), Ok(1), Err(libc::EAGAIN)]);
    batch.flush_over(&mut line);
    assert_eq!(line.taken.len(), 2);
    assert_eq!(batch.stats().dropped, [0; DropReason::ALL.len()]);
}

#[test]
fn one_bad_peer_costs_only_its_own_datagrams() {
    for (errno, reason) in [
        (libc::ECONNREFUSED, DropReason::Unreachable),
        (libc::ENOBUFS, DropReason::QueueFull),
        (libc::EPERM, DropReason::Forbidden),
        (libc::EBADF, DropReason::Other),
    ] {
        let mut batch = batch_of(true, &[(1, 9), (2, 9), (2, 9), (3, 9)]);
        let mut line = Script::new([Ok(1), Err(errno)]);
        batch.flush_over(&mut line);
        assert_eq!(line.taken.len(), 2);
        assert_eq!(batch.stats().dropped_for(reason), 2);
    }
}

#[test]
fn a_refused_train_is_sent_one_by_one() {
    let mut batch = batch_of(true, &[(1, 9), (1, 9), (1, 4), (2, 9)]);
    let mut line = Script::new([Err(libc::EMSGSIZE)]);
    batch.flush_over(&mut line);
    assert_eq!(line.taken.len(), 4);
    assert_eq!((batch.stats().splits, batch.stats().offloaded), (1, 0));
    assert!(batch.queue.gso, "another path may still take trains");
}

#[test]
fn a_device_without_offload_is_asked_once() {
    let mut batch = batch_of(true, &[(1, 9), (1, 9), (2, 9), (2, 9)]);
    batch.flush_over(&mut Script::new([Err(libc::EIO)]));
    assert_eq!((batch.stats().splits, batch.stats().datagrams), (1, 4));
    assert!(!batch.queue.gso);
}

proptest! {
    /// Whatever the kernel answers, a flush ends, every datagram is either taken in order or
    /// counted as dropped, and the batch is empty.
    #[test]
    fn every_datagram_is_sent_in_order_or_counted(
        gso in any::<bool>(),
        datagrams in prop::collection::vec((0u8..3, 0usize..4), 0..200),
        answers in prop::collection::vec(
            prop_oneof![
                4 => (1usize..64).prop_map(Ok),
                1 => prop::sample::select(vec![
                    libc::EAGAIN, libc::EINTR, libc::ENOBUFS, libc::EIO, libc::EINVAL,
                    libc::EMSGSIZE, libc::ECONNREFUSED, libc::EPERM,
                ]).prop_map(Err),
            ],
            0..20,
        ),
    ) {
        let mut batch = batch_of(gso, &datagrams);
        let mut line = Script::new(answers);
        batch.flush_over(&mut line);
        prop_assert!(batch.is_empty());
        let stats = *batch.stats();
        prop_assert_eq!(stats.datagrams as usize, line.taken.len());
        let dropped: u64 = stats.dropped.iter().sum();
        prop_assert_eq!((stats.datagrams + dropped) as usize, datagrams.len());
        let mut wanted = datagrams.iter().enumerate().map(|(index, (to, bytes))| {
            (peer(*to), vec![index as u8; *bytes])
        });
        for taken in &line.taken {
            prop_assert!(wanted.any(|datagram| datagram == *taken));
        }
    }
}
