//! How a worker's batches are shaped.

use std::time::Duration;

use tokio::sync::mpsc;

use super::lane::{Inlet, Waiting};

/// The most records of one batch.
pub(super) const RECORDS: usize = 1_000;
/// The most bytes of one batch.
const BYTES: usize = 512 * 1024;
/// Up to this size what waits is one batch; between this and [`LARGE_BYTES`] it goes as several of this size, because
/// a request of some 9 to 21 kB waits 40 ms on a connection that neither side told to send at once.
const SMALL_BYTES: usize = 8 * 1024;
/// From this size on a batch is as large as may be.
const LARGE_BYTES: usize = 64 * 1024;
/// How many of them may be of one lane while the other one has some too: neither starves.
const SHARE: usize = RECORDS / 2;
/// The pause after a failure, doubled up to the second.
const PAUSE: (Duration, Duration) = (Duration::from_millis(50), Duration::from_secs(2));

const _: () = assert!(SMALL_BYTES < LARGE_BYTES && LARGE_BYTES < BYTES, "what waits is small, between, or large");
const _: () = assert!(SHARE > 0 && SHARE * 2 <= RECORDS, "both lanes have a share of a batch");
const _: () = assert!(PAUSE.0.as_millis() < PAUSE.1.as_millis(), "pauses grow");

impl Inlet {
    /// Waits for records of either lane, and takes up to [`RECORDS`]; false when none will come.
    pub(super) async fn gather(&mut self, into: &mut Vec<Waiting>) -> bool {
        let [backlog, fresh] = &mut self.queues;
        // Both arms are cancel-safe: what is not taken stays.
        let first = tokio::select! {
            biased;
            first = fresh.recv() => first,
            first = backlog.recv() => first,
        };
        let Some(first) = first else { return false };
        let of_fresh = usize::from(first.fresh);
        into.push(first);
        top_up(into, fresh, SHARE - of_fresh);
        let room = RECORDS.saturating_sub(into.len());
        top_up(into, backlog, room);
        true
    }
}

/// Takes at most so many of those that wait.
fn top_up(into: &mut Vec<Waiting>, queue: &mut mpsc::Receiver<Waiting>, most: usize) {
    for _ in 0..most {
        let Ok(waiting) = queue.try_recv() else { return };
        into.push(waiting);
    }
}

/// How many of the waiting records make the next batch; at least one.
pub(super) fn len(waiting: &[Waiting]) -> usize {
    let total: usize = waiting.iter().map(|one| one.record.bytes()).sum();
    let most = if total > SMALL_BYTES && total < LARGE_BYTES { SMALL_BYTES } else { BYTES };
    let mut bytes = 0_usize;
    let fitting = waiting.iter().take_while(|one| {
        bytes = bytes.saturating_add(one.record.bytes());
        bytes <= most
    });
    fitting.count().clamp(1, RECORDS)
}

/// The pause after so many failures in a row; `spread` puts it anywhere in its second half, so that partitions do not beat as one.
pub(super) fn pause(attempt: u32, spread: u8) -> Duration {
    let doubled = PAUSE.0.saturating_mul(1_u32.checked_shl(attempt.saturating_sub(1)).unwrap_or(u32::MAX));
    let most = doubled.min(PAUSE.1);
    most / 2 + most / 2 * u32::from(spread) / 256
}

#[cfg(test)]
mod tests {
    use events_proxy_core::envelope::Record;

    use super::super::lane::{Outlets, Waiting};
    use super::{BYTES, RECORDS, SHARE, SMALL_BYTES, len, pause};

    fn waiting(offset: u64, bytes: usize) -> Waiting {
        Waiting { offset, record: Record { payload: vec![0; bytes], ..Record::default() }, fresh: false }
    }

    fn batch(count: u64, bytes: usize) -> Vec<Waiting> {
        (0..count).map(|offset| waiting(offset, bytes)).collect()
    }

    #[test]
    fn a_batch_is_bounded_by_records_and_by_bytes_and_has_at_least_one() {
        assert_eq!(len(&batch(5, 100)), 5);
        assert_eq!(len(&batch(3_000, 100)), RECORDS);
        assert_eq!(len(&batch(1_000, 1_000)), BYTES / 1_000);
        assert_eq!(len(&batch(2, BYTES + 1)), 1);
        assert_eq!(len(&batch(30, 1_000)), SMALL_BYTES / 1_000, "between small and large it goes in small ones");
    }

    #[test]
    fn pauses_grow_and_are_bounded_and_spread() {
        let (longest, shortest) = (pause(40, 255), pause(40, 0));
        assert!(longest.as_millis() <= 2_000 && shortest.as_millis() == 1_000, "{shortest:?} {longest:?}");
        assert!(pause(1, 0) < pause(2, 0) && pause(2, 0) < pause(3, 0));
    }

    #[tokio::test]
    async fn while_both_lanes_have_some_each_has_its_share_of_a_batch() {
        let ([backlog, fresh], mut inlets) = Outlets::pair(1);
        for outlets in [&backlog, &fresh] {
            for offset in 0..1_500 {
                outlets.offer(waiting(offset, 1), outlets.is_fresh());
            }
        }
        let mut batch = Vec::new();
        assert!(inlets[0].gather(&mut batch).await);
        assert_eq!((batch.len(), batch.iter().filter(|one| one.fresh).count()), (RECORDS, SHARE));
        drop((backlog, fresh));
        for left in [1_000, 1_000, 0] {
            batch.clear();
            assert_eq!((inlets[0].gather(&mut batch).await, batch.len()), (left > 0, left));
        }
    }
}
