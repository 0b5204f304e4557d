//! The arithmetic of slots that are reserved in a database; pure, so that a simulation can run it.
//!
//! ```text
//!  by the database's clock     v                    v + interval + guard      the slot of the N-th request after it
//!                              |────── guard ──────|
//!  by ours            earliest(v)  latest(v)  sent    arrived                 never sent before latest(v)
//!                              └──── late ─────┘
//! ```
//! Law: a request arrives within the guard after its slot, or slots are pushed back, for everybody, by what it was later.
//! Half of the guard is for being late here, which is known before the sending: who is later has the push first, or drops
//! the slot. The other half, and pushes as far as the credit for jitter reaches, are for the way. Times are nanoseconds:
//! the database's since the Unix epoch, ours since an origin.

use std::collections::VecDeque;
use std::time::Duration;

use storage::{Asked, Limit, Reserved};

use super::bearings::Bearings;
use super::jitter::Jitter;
use super::nanos;

/// How far ahead slots are reserved at most: what a crash loses, and how late a throttle reaches others.
const AHEAD: Duration = Duration::from_millis(200);
/// How many slots are reserved at once: those of so much time, so that several processes take turns.
const AT_ONCE: Duration = Duration::from_millis(50);
/// What each request adds to the credit for pushes, in thousandths of its slot's length.
const CREDIT_THOUSANDTHS: u32 = 4;
/// The least push that is asked for.
const PUSH_MIN: i64 = 100_000;
/// An answer that comes later than an interval and this, together, tells of no window that is still to come.
const OUTDATED: Duration = Duration::from_secs(1);
/// The longest time without a look at the database while attempts wait.
const PATIENCE: Duration = Duration::from_secs(1);
/// The least pause between two reservations, as a part of how far ahead they reach: 8 ms of 200.
const PAUSE_PART: i64 = 25;
/// The same where all slots in hand are due when they come, for then the limit holds nobody up: 2 ms of 200.
const PAUSE_PART_OPEN: i64 = 100;

/// A reserved slot.
#[derive(Debug, Clone, Copy)]
struct Held {
    /// When, by the database's clock.
    at: i64,
    /// How far slots had been pushed when it was reserved.
    pushed: i64,
}

/// What becomes of a slot that is due.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Taken {
    /// It is used: send now.
    Used(Sent),
    /// It was too late to be used.
    Dropped,
    /// It is not due before this moment.
    At(i64),
    /// It is so late that a push is needed first, or there is none: more is known after a reservation.
    Wait,
}

/// What must be remembered of a request that was sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Sent {
    /// How late it was sent.
    late: i64,
    /// How far slots had been pushed when its slot was reserved.
    pushed: i64,
}

/// What to ask the database for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ask {
    /// This, now.
    Now(Asked),
    /// Nothing before this moment.
    At(i64),
    /// Nothing, as things are.
    Nothing,
}

/// Slots in hand, and what is known of the database's clock and of pushes.
#[derive(Debug)]
pub(super) struct Timeline {
    /// The limit.
    pub(super) limit: Limit,
    /// Its clock, seen from ours.
    bearings: Bearings,
    /// Slots in hand, by time.
    hand: VecDeque<Held>,
    /// How far slots were pushed, as last heard.
    pushed: i64,
    /// How far they should be pushed.
    wanted: i64,
    /// What answers tell.
    jitter: Jitter,
    /// Nothing is to be had, or asked for, before this moment.
    ask_from: i64,
    /// How long the last reservation took.
    round_trip: i64,
}

impl Timeline {
    /// No slots yet.
    pub(super) fn new(limit: Limit) -> Self {
        Self {
            limit,
            bearings: Bearings::default(),
            hand: VecDeque::new(),
            pushed: 0,
            wanted: 0,
            jitter: jitter(limit),
            ask_from: 0,
            round_trip: 0,
        }
    }

    /// Takes the first slot in hand, if it can be used now.
    pub(super) fn take(&mut self, now: i64) -> Taken {
        let Some(slot) = self.hand.front().copied() else { return Taken::Wait };
        let Some((earliest, latest)) = self.bearings.local(slot.at) else { return Taken::Wait };
        if latest > now {
            return Taken::At(latest);
        }
        let late = now - earliest;
        let beyond = late - signed(self.limit.guard) / 2;
        self.jitter.late(Duration::from_nanos(u64::try_from(beyond).unwrap_or_default()));
        if beyond <= self.pushed - slot.pushed {
            self.hand.pop_front();
            self.jitter.earn();
            return Taken::Used(Sent { late, pushed: slot.pushed });
        }
        // A push costs everybody so much time, a dropped slot costs one distance of slots: the smaller is chosen. The push
        // must be in place before the slots are given out that this one can collide with.
        if beyond < self.distance() && late < signed(self.limit.interval) / 4 {
            self.wanted = self.wanted.max(slot.pushed + beyond + 2 * self.round_trip + PUSH_MIN);
            return Taken::Wait;
        }
        self.hand.pop_front();
        Taken::Dropped
    }

    /// What to ask for while so many wait for a slot.
    pub(super) fn ask(&self, now: i64, waiting: usize) -> Ask {
        let need = waiting.saturating_sub(self.hand.len());
        let ahead = self.ahead();
        let pushed = u64::try_from(self.wanted).unwrap_or_default();
        let asked = |slots| Asked { slots, ahead, pushed: Duration::from_nanos(pushed) };
        let from = self.ask_from.max(self.last().map_or(0, |last| last - signed(ahead) / 2));
        if need > 0 && from <= now {
            Ask::Now(asked(u32::try_from(need).unwrap_or(u32::MAX).min(self.at_once())))
        } else if self.wanted > self.pushed + PUSH_MIN {
            Ask::Now(asked(0))
        } else if need > 0 {
            Ask::At(from)
        } else {
            Ask::Nothing
        }
    }

    /// Takes up what was reserved, asked for at `began` and heard of at `ended`; tells how many of the slots are too late
    /// already.
    pub(super) fn reserved(&mut self, began: i64, ended: i64, asked: u32, reserved: &Reserved) -> Received {
        if reserved.limit != self.limit {
            self.limit = reserved.limit;
            self.jitter = jitter(self.limit);
        }
        let (now, first) = (unsigned(reserved.now), unsigned(reserved.first));
        let mut received = Received { jumped: !self.bearings.take((began, ended), now), ..Received::default() };
        self.round_trip = ended - began;
        self.pushed = signed(reserved.pushed);
        self.wanted = self.wanted.max(self.pushed);
        let held = self.hand.len();
        let paused = unsigned(reserved.paused_until);
        // Slots of before a jump of the database's clock mean moments that nobody can tell any more.
        self.hand.retain(|slot| slot.at >= paused && !received.jumped);
        received.withdrawn = held - self.hand.len();
        let period = u128::from(nanos(self.limit.period()));
        for number in 0..reserved.slots {
            let offset = period * u128::from(number) / u128::from(self.limit.requests.max(1));
            let slot = Held { at: first.saturating_add(i64::try_from(offset).unwrap_or(i64::MAX)), pushed: self.pushed };
            let late = self.bearings.local(slot.at).map_or(0, |(earliest, _)| ended - earliest);
            if late - signed(self.limit.guard) / 2 >= self.distance() {
                received.late += 1;
            } else {
                self.hand.push_back(slot);
            }
        }
        let open = reserved.slots > 0 && self.last().is_some_and(|last| last <= ended);
        self.ask_from = ended + signed(self.ahead()) / if open { PAUSE_PART_OPEN } else { PAUSE_PART };
        if reserved.slots == 0 && asked > 0 {
            let near = self.bearings.local(first).map_or(ended, |(_, latest)| latest - signed(self.ahead()));
            // The limit may have been raised meanwhile, which only asking tells.
            self.ask_from = self.ask_from.max(near).min(ended + signed(PATIENCE));
        }
        received
    }

    /// An answer came after so long: asks for a push if the request can have arrived later than the guard allows; `true` if so.
    pub(super) fn heard(&mut self, sent: Sent, round_trip: Duration, worked: bool) -> bool {
        let excess = self.jitter.heard(round_trip, worked);
        if excess > self.limit.interval.saturating_add(OUTDATED) {
            return false;
        }
        let beyond = sent.late + signed(excess) - signed(self.limit.guard);
        let lacking = sent.pushed + beyond.min(signed(self.limit.interval) / 4) - self.wanted.max(self.pushed);
        let lacks = lacking > PUSH_MIN;
        if lacks {
            let spent = self.jitter.spend(Duration::from_nanos(u64::try_from(lacking).unwrap_or_default()), excess);
            self.wanted = self.wanted.max(self.pushed) + signed(spent);
        }
        lacks
    }

    /// Gives all slots in hand up; tells how many.
    pub(super) fn clear(&mut self) -> usize {
        let held = self.hand.len();
        self.hand.clear();
        held
    }

    /// When the last slot in hand is due.
    fn last(&self) -> Option<i64> {
        self.bearings.local(self.hand.back()?.at).map(|(_, latest)| latest)
    }

    /// How far ahead slots are reserved.
    fn ahead(&self) -> Duration {
        AHEAD.min(self.limit.interval / 4)
    }

    /// How many slots are reserved at once.
    fn at_once(&self) -> u32 {
        let share = AT_ONCE.min(self.ahead() / 4).as_nanos() * u128::from(self.limit.requests) / self.limit.interval.as_nanos().max(1);
        u32::try_from(share).unwrap_or(u32::MAX).max(1)
    }

    /// The distance of two slots.
    fn distance(&self) -> i64 {
        signed(self.limit.period() / self.limit.requests.max(1))
    }
}

/// What came of a reservation.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Received {
    /// Whether the database's clock jumped.
    pub(super) jumped: bool,
    /// Slots that were given up because of a pause or a jump.
    pub(super) withdrawn: usize,
    /// Slots that came too late to be used.
    pub(super) late: usize,
}

/// A credit for pushes: what is saved up covers a twentieth of an interval at once.
fn jitter(limit: Limit) -> Jitter {
    Jitter::new(limit.period() * CREDIT_THOUSANDTHS / 1_000 / limit.requests.max(1), limit.interval / 20, limit.guard / 3)
}

/// A time as a difference.
fn signed(time: Duration) -> i64 {
    i64::try_from(time.as_nanos()).unwrap_or(i64::MAX)
}

/// A moment that can be subtracted from.
fn unsigned(moment: u64) -> i64 {
    i64::try_from(moment).unwrap_or(i64::MAX)
}

#[cfg(test)]
#[path = "timeline_tests.rs"]
mod tests;

#[cfg(test)]
#[path = "timeline_steps_tests.rs"]
mod steps;
