//! The timeline in a simulated world: several processes with clocks of their own, a row as the database keeps it, late
//! wake-ups, stalls, pauses and jitter, from a seed. The judge is the record of arrivals.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap, VecDeque};
use std::time::Duration;

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use storage::{Asked, Limit, Reserved};

use super::{Ask, Sent, Taken, Timeline};

/// A millisecond.
const MS: u64 = 1_000_000;
/// What the database's clock says when the world begins.
const EPOCH: u64 = 1_700_000_000_000_000_000;

/// What happens to a process.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
enum Event {
    /// The attempt that has its turn looks at its slot.
    Wake,
    /// The asking task looks at what is wanted.
    Ask,
    /// The database runs the reservation that was asked for at that time, with so many slots and pushes.
    Run(u64, u32, u64),
    /// Its answer arrives.
    Reply(u64, u32, Answer),
    /// The target's answer arrives, sent so late, with so many pushes, after so long.
    Heard(i64, i64, u64),
}

/// The numbers of a reservation.
type Answer = (u64, u64, u32, u64, u32);

/// What goes wrong, and how much.
#[derive(Debug, Clone, Copy)]
struct Trouble {
    /// The share of wake-ups that are late by up to a quarter of the second.
    stall: f64,
    /// The share of round trips to the database that take up to a second.
    slow: f64,
    /// The jitter of the way to the target.
    jitter: u64,
    /// Whether the limit is changed now and then.
    changes: bool,
}

/// The row, as the statement in the storage treats it.
struct Row {
    limit: Limit,
    next: u64,
    pushed: u64,
}

impl Row {
    fn reserve(&mut self, now: u64, asked: Asked) -> Answer {
        let period = u64::try_from(self.limit.period().as_nanos()).unwrap();
        let requests = u64::from(self.limit.requests);
        let push = u64::try_from(asked.pushed.as_nanos()).unwrap().saturating_sub(self.pushed);
        let first = (self.next + push).max(now);
        let last = now + u64::try_from(asked.ahead.as_nanos()).unwrap();
        let slots = if first > last { 0 } else { u64::from(asked.slots).min((last - first) * requests / period + 1) };
        self.pushed += push;
        self.next = first + (slots * period).div_ceil(requests);
        (now, first, u32::try_from(slots).unwrap(), self.pushed, self.limit.requests)
    }

    fn change(&mut self, limit: Limit) {
        let distance = |limit: Limit| u64::try_from(limit.period().as_nanos()).unwrap() / u64::from(limit.requests);
        self.next = self.next + distance(limit) + 1 - distance(self.limit);
        self.limit = limit;
    }
}

/// One process.
struct Process {
    timeline: Timeline,
    /// Its clock, less the true one.
    offset: u64,
    /// Whether a reservation is under way.
    asking: bool,
    /// When the wake-up and the look are that count; others were overtaken.
    due: BTreeMap<Event, u64>,
}

struct World {
    rng: StdRng,
    trouble: Trouble,
    row: Row,
    processes: Vec<Process>,
    events: BinaryHeap<Reverse<(u64, usize, Event)>>,
    arrivals: Vec<u64>,
    limits: Vec<u32>,
}

fn limit(requests: u32, interval: Duration) -> Limit {
    crate::pace::limit(requests, interval).unwrap()
}

impl World {
    fn new(seed: u64, limit: Limit, processes: usize, trouble: Trouble) -> Self {
        let mut rng = StdRng::seed_from_u64(seed);
        let process = |rng: &mut StdRng| Process {
            timeline: Timeline::new(limit),
            offset: rng.random_range(0..1_000_000 * MS),
            asking: false,
            due: BTreeMap::new(),
        };
        let processes: Vec<Process> = (0..processes).map(|_| process(&mut rng)).collect();
        let row = Row { limit, next: 0, pushed: 0 };
        let mut world =
            Self { rng, trouble, row, processes, events: BinaryHeap::new(), arrivals: Vec::new(), limits: vec![limit.requests] };
        for number in 0..world.processes.len() {
            world.schedule(0, number, Event::Ask);
        }
        world
    }

    /// Lets the world run for so long.
    fn run(&mut self, time: u64) {
        let mut change_at = time / 5;
        while let Some(Reverse((now, number, event))) = self.events.pop() {
            if now > time {
                break;
            }
            if self.trouble.changes && now > change_at {
                change_at += time / 5;
                let requests = (self.row.limit.requests * self.rng.random_range(1..9) / 4).max(1);
                self.row.change(limit(requests, self.row.limit.interval));
                self.limits.push(requests);
            }
            let overtaken = matches!(event, Event::Wake | Event::Ask) && self.processes[number].due.get(&event) != Some(&now);
            if !overtaken {
                self.happen(now, number, event);
            }
        }
        self.arrivals.sort_unstable();
    }

    fn schedule(&mut self, at: u64, number: usize, event: Event) {
        if matches!(event, Event::Wake | Event::Ask) {
            self.processes[number].due.insert(event.clone(), at);
        }
        self.events.push(Reverse((at, number, event)));
    }

    fn happen(&mut self, now: u64, number: usize, event: Event) {
        let offset = self.processes[number].offset;
        let local = i64::try_from(now + offset).unwrap();
        match event {
            Event::Wake => self.wake(now, number, local),
            Event::Ask => self.ask(now, number, local),
            Event::Run(began, slots, pushed) => {
                let ahead = self.processes[number].timeline.ahead();
                let answer = self.row.reserve(EPOCH + now, Asked { slots, ahead, pushed: Duration::from_nanos(pushed) });
                let back = self.trip();
                self.schedule(now + back, number, Event::Reply(began, slots, answer));
            }
            Event::Reply(began, asked, (said, first, slots, pushed, requests)) => {
                let limit = limit(requests, self.row.limit.interval);
                let pushed = Duration::from_nanos(pushed);
                let reserved = Reserved { now: said, first, slots, pushed, paused_until: 0, limit };
                let process = &mut self.processes[number];
                process.asking = false;
                let received = process.timeline.reserved(i64::try_from(began + offset).unwrap(), local, asked, &reserved);
                assert!(!received.jumped, "the database's clock seemed to jump");
                self.schedule(now, number, Event::Wake);
                self.schedule(now, number, Event::Ask);
            }
            Event::Heard(late, pushed, round_trip) => {
                let sent = Sent { late, pushed };
                if self.processes[number].timeline.heard(sent, Duration::from_nanos(round_trip), true) {
                    self.schedule(now, number, Event::Ask);
                }
            }
        }
    }

    /// The attempts of a process that are due.
    fn wake(&mut self, now: u64, number: usize, local: i64) {
        loop {
            match self.processes[number].timeline.take(local) {
                Taken::Used(sent) => {
                    let arrived = now + MS + self.rng.random_range(0..=self.trouble.jitter);
                    let answered = arrived + MS + self.rng.random_range(0..MS);
                    self.arrivals.push(arrived);
                    self.schedule(answered, number, Event::Heard(sent.late, sent.pushed, answered - now));
                    self.schedule(now, number, Event::Ask);
                }
                Taken::Dropped => {}
                Taken::At(due) => {
                    let stalled = self.rng.random_bool(self.trouble.stall);
                    let late = self.rng.random_range(0..if stalled { 250 * MS } else { MS });
                    let due = u64::try_from(due).unwrap() - self.processes[number].offset;
                    return self.schedule(due + late, number, Event::Wake);
                }
                Taken::Wait => return self.schedule(now, number, Event::Ask),
            }
        }
    }

    /// What a process asks the database for, with a hundred attempts that wait.
    fn ask(&mut self, now: u64, number: usize, local: i64) {
        let process = &mut self.processes[number];
        if process.asking {
            return;
        }
        match process.timeline.ask(local, 100) {
            Ask::Now(asked) => {
                process.asking = true;
                let there = self.trip();
                let pushed = u64::try_from(asked.pushed.as_nanos()).unwrap();
                self.schedule(now + there, number, Event::Run(now, asked.slots, pushed));
            }
            Ask::At(due) => {
                let due = u64::try_from(due).unwrap() - process.offset + self.rng.random_range(0..5 * MS);
                self.schedule(due.max(now), number, Event::Ask);
            }
            Ask::Nothing => {}
        }
    }

    /// One way to or from the database.
    fn trip(&mut self) -> u64 {
        let slow = self.rng.random_bool(self.trouble.slow);
        self.rng.random_range(MS / 10..if slow { 500 * MS } else { MS })
    }

    /// The most arrivals of any rolling window.
    fn worst(&self) -> usize {
        let interval = u64::try_from(self.row.limit.interval.as_nanos()).unwrap();
        let (mut inside, mut most) = (VecDeque::new(), 0);
        for arrival in &self.arrivals {
            inside.push_back(*arrival);
            while inside.front().is_some_and(|first| arrival - first >= interval) {
                inside.pop_front();
            }
            most = most.max(inside.len());
        }
        most
    }

    /// The used share of the limit between the first and the last arrival.
    fn used(&self) -> f64 {
        let (first, last) = (self.arrivals[0], self.arrivals[self.arrivals.len() - 1]);
        let gaps = f64::from(u32::try_from(self.arrivals.len() - 1).unwrap());
        gaps / f64::from(self.row.limit.requests) * self.row.limit.interval.as_secs_f64() / Duration::from_nanos(last - first).as_secs_f64()
    }
}

/// Limits and numbers of processes, by seed.
fn case(seed: u64) -> (Limit, usize, u64) {
    let limits = [(1, 3_000), (1, 1_000), (5, 1_000), (40, 2_000), (300, 1_000), (700, 1_000)];
    let (requests, millis) = limits[usize::try_from(seed).unwrap() % limits.len()];
    (limit(requests, Duration::from_millis(millis)), [1, 2, 4][usize::try_from(seed / 6).unwrap() % 3], 12 * millis * MS)
}

#[test]
fn over_a_thousand_seeds_no_window_ever_sees_more_than_the_limit() {
    for seed in 0..1_000 {
        let (limit, processes, time) = case(seed);
        let trouble = Trouble { stall: 0.02, slow: 0.05, jitter: 5 * MS, changes: false };
        let mut world = World::new(seed, limit, processes, trouble);
        world.run(time / 2);
        let worst = world.worst();
        assert!(worst <= usize::try_from(limit.requests).unwrap(), "seed {seed}: {worst} in a window of {limit:?}, {processes} processes");
        assert!(world.arrivals.len() > 3, "seed {seed}: nothing was sent");
    }
}

#[test]
fn over_a_hundred_seeds_a_calm_world_uses_at_least_98_percent() {
    for seed in 0..100 {
        let (limit, processes, time) = case(seed);
        let mut world = World::new(seed, limit, processes, Trouble { stall: 0.0, slow: 0.0, jitter: MS, changes: false });
        world.run(time);
        assert!(world.used() >= 0.98, "seed {seed}: {} of {limit:?}, {processes} processes", world.used());
    }
}

#[test]
fn over_a_hundred_seeds_a_changed_limit_never_lets_more_through_than_the_larger_one() {
    for seed in 0..100 {
        let (limit, processes, time) = case(seed);
        let mut world = World::new(seed, limit, processes, Trouble { stall: 0.01, slow: 0.02, jitter: 5 * MS, changes: true });
        world.run(time);
        let (worst, most) = (world.worst(), world.limits.iter().max().unwrap());
        assert!(worst <= usize::try_from(*most).unwrap(), "seed {seed}: {worst} in a window, limits {:?}", world.limits);
    }
}

#[test]
fn a_request_that_may_have_arrived_late_pushes_the_slots_of_everybody() {
    let limit = limit(10, Duration::from_secs(1));
    let mut timeline = Timeline::new(limit);
    let mut row = Row { limit, next: 0, pushed: 0 };
    let Ask::Now(asked) = timeline.ask(0, 3) else { panic!("nothing is asked for") };
    let (now, first, slots, pushed, _) = row.reserve(EPOCH, asked);
    let reserved = Reserved { now, first, slots, pushed: Duration::from_nanos(pushed), paused_until: 0, limit };
    timeline.reserved(0, 0, asked.slots, &reserved);
    let Taken::Used(sent) = timeline.take(0) else { panic!("the slot is not used") };
    assert!(timeline.heard(sent, Duration::from_millis(32), true));
    let Ask::Now(asked) = timeline.ask(1, 0) else { panic!("no push is asked for") };
    let before = row.next;
    row.reserve(EPOCH, asked);
    assert_eq!(row.next - before, 20 * MS, "32 ms less the guard of 12");
}

#[test]
fn a_pause_takes_slots_back_and_a_jump_of_the_clock_does_too() {
    let limit = limit(100, Duration::from_secs(1));
    let mut timeline = Timeline::new(limit);
    let reserved = |now, first, paused_until| Reserved { now, first, slots: 5, pushed: Duration::ZERO, paused_until, limit };
    timeline.reserved(0, 1, 5, &reserved(EPOCH, EPOCH, 0));
    assert_eq!(timeline.reserved(10, 11, 5, &reserved(EPOCH + 10, EPOCH + 900 * MS, EPOCH + 900 * MS)).withdrawn, 5);
    let received = timeline.reserved(20, 21, 5, &reserved(EPOCH + 3_600_000 * MS, EPOCH + 3_600_000 * MS, 0));
    assert_eq!((received.jumped, received.withdrawn), (true, 5));
}
