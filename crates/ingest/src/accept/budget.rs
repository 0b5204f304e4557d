//! How the time to an answer is shared out; in thousandths of it, so that another deadline keeps the proportions.
//!
//! ```text
//! t0 ── parsed +40 ───── spool +180 ── soft wait, at most 150, ends +250 ────── answer +400 ms
//!          └ a body that comes later, up to +260, shifts the spool's end, up to +320
//! ```

use std::time::Duration;

use tokio::time::Instant;

/// When the body usually is there and parsed.
const PARSED: u32 = 100;
/// Until when the spool may take, for such a body.
const SPOOLED: u32 = 450;
/// When a soft wait for the topic ends.
const ACKED: u32 = 625;
/// How long a soft wait lasts at most.
const SOFT_WAIT: u32 = 375;
/// When a body that is not there is given up.
const BODY: u32 = 650;
/// Until when the spool may take, whenever the body came.
const SPOOLED_LAST: u32 = 800;
/// The whole.
const WHOLE: u32 = 1_000;

const _: () = assert!(PARSED < SPOOLED, "the spool needs time");
const _: () = assert!(SPOOLED < ACKED && ACKED < WHOLE, "a soft wait begins after the spool and ends before the answer");
const _: () = assert!(SOFT_WAIT <= ACKED - PARSED, "a soft wait that begins with a fast spool ends in time");
const _: () = assert!(BODY < SPOOLED_LAST && SPOOLED_LAST < WHOLE, "the last body leaves time for both ways");
const _: () = assert!(SPOOLED_LAST <= BODY + SPOOLED - PARSED, "a late body has no more of the spool's time than others");

/// The deadlines of one request.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Budget {
    /// When the request began.
    began: Instant,
    /// The time to its answer.
    whole: Duration,
}

impl Budget {
    /// The budget of a request that begins now.
    pub(crate) fn new(whole: Duration) -> Self {
        Self { began: Instant::now(), whole }
    }

    /// How long the request has lasted.
    pub(crate) fn spent(&self) -> Duration {
        self.began.elapsed()
    }

    /// Whether the deadline has passed.
    pub(crate) fn is_over(&self) -> bool {
        self.spent() > self.whole
    }

    /// So many thousandths of the whole.
    fn share(&self, thousandths: u32) -> Duration {
        self.whole * thousandths / WHOLE
    }

    /// When the body must be there.
    pub(crate) fn body(&self) -> Instant {
        self.began + self.share(BODY)
    }

    /// When the spool must have taken an event that is parsed now.
    pub(crate) fn spooled(&self, now: Instant) -> Instant {
        let usual = self.began + self.share(SPOOLED);
        usual.max((now + self.share(SPOOLED - PARSED)).min(self.began + self.share(SPOOLED_LAST)))
    }

    /// When a soft wait that begins now ends.
    pub(crate) fn acked(&self, now: Instant) -> Instant {
        (self.began + self.share(ACKED)).min(now + self.share(SOFT_WAIT))
    }

    /// When the request must be answered.
    pub(crate) fn answered(&self) -> Instant {
        self.began + self.whole
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::Budget;

    #[tokio::test(start_paused = true)]
    async fn the_shares_of_400_ms_are_those_that_were_decided() {
        let budget = Budget::new(Duration::from_millis(400));
        let began = budget.began;
        let ms = |at: tokio::time::Instant| at.duration_since(began).as_millis();
        let after = |millis| began + Duration::from_millis(millis);
        assert_eq!((ms(budget.body()), ms(budget.answered())), (260, 400));
        for (parsed, spooled) in [(0, 180), (40, 180), (60, 200), (180, 320), (260, 320)] {
            assert_eq!(ms(budget.spooled(after(parsed))), spooled, "parsed at {parsed}");
        }
        for (from, until) in [(5, 155), (100, 250), (180, 250)] {
            assert_eq!(ms(budget.acked(after(from))), until, "fsynced at {from}");
        }
        tokio::time::advance(Duration::from_millis(401)).await;
        assert!(budget.is_over());
    }
}
