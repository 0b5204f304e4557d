//! The world of the simulation: time, the network, the target, and everything that goes wrong, from one seed.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, BinaryHeap};
use std::time::Duration;

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use storage::Standing;

use super::super::Terms;
use super::database::{Database, Row};
use super::pod::Pod;

mod faults;

const TERMS: Terms =
    Terms { ttl: Duration::from_secs(10), margin: Duration::from_secs(1), renew: Duration::from_secs(1), attempt: Duration::from_secs(5) };
/// How long things go wrong, and how long the world then has to come right, in milliseconds.
const FAULTS: u64 = 60_000;
const HEALING: u64 = 100_000;
/// How long a pod waits for the database.
const PATIENCE: u64 = 3_000;
/// The longest time between a look at the lease and the arrival at the target.
const SENDING: u64 = 500;
/// How many records a partition has.
const RECORDS: u64 = 32;

/// What a call does at the database.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
enum Call {
    Beat { sent_at: Duration, first: bool, draining: bool },
    Release { partition: u32, epoch: u64 },
    Commit { partition: u32, epoch: u64, next: u64 },
}

/// What the database answers.
#[derive(Debug, Clone)]
enum Answer {
    Stands(Duration, Standing),
    Released(u32, u64),
    Committed { partition: u32, epoch: u64, next: u64, ours: bool },
    Failed(Call),
}

/// What happens.
#[derive(Debug, Clone)]
enum Event {
    Tick(usize),
    Work(usize),
    Execute(usize, u64, Call),
    Answer(usize, u64, Answer),
    Ended { pod: usize, place: (u32, u64), offset: u64, delivered: bool },
    Fault,
}

/// What was seen, over all seeds.
#[derive(Debug, Default)]
pub(super) struct Seen {
    pub(super) kills: u64,
    pub(super) zombies: u64,
    pub(super) stalls: u64,
    pub(super) cuts: u64,
    pub(super) joins: u64,
    pub(super) fenced: u64,
    pub(super) takeovers: u64,
    pub(super) repeats: u64,
}

impl Seen {
    /// Adds what another run saw.
    pub(super) fn add(&mut self, other: Self) {
        self.kills += other.kills;
        self.zombies += other.zombies;
        self.stalls += other.stalls;
        self.cuts += other.cuts;
        self.joins += other.joins;
        self.fenced += other.fenced;
        self.takeovers += other.takeovers;
        self.repeats += other.repeats;
    }
}

/// An attempt at the target.
#[derive(Debug)]
struct Attempt {
    partition: u32,
    epoch: u64,
    member: String,
    from: u64,
    until: u64,
}

/// Everything.
pub(super) struct World {
    now: u64,
    random: StdRng,
    queue: BinaryHeap<Reverse<(u64, u64)>>,
    events: BTreeMap<u64, Event>,
    number: u64,
    database: Database,
    stalled_until: u64,
    pods: Vec<Pod>,
    attempts: Vec<Attempt>,
    delivered: BTreeMap<(u32, u64), BTreeSet<u64>>,
    dead_epochs: BTreeSet<(usize, u32, u64)>,
    seen: Seen,
    told: bool,
}

impl World {
    /// A world with some partitions and pods.
    pub(super) fn new(seed: u64, told: bool) -> Self {
        let mut random = StdRng::seed_from_u64(seed);
        let rows = vec![Row::default(); random.random_range(1..=9)];
        let ttl = u64::try_from(TERMS.ttl.as_millis()).unwrap();
        let mut world = Self {
            now: 0,
            random,
            queue: BinaryHeap::new(),
            events: BTreeMap::new(),
            number: 0,
            database: Database { ttl, rows, members: BTreeMap::new() },
            stalled_until: 0,
            pods: Vec::new(),
            attempts: Vec::new(),
            delivered: BTreeMap::new(),
            dead_epochs: BTreeSet::new(),
            seen: Seen::default(),
            told,
        };
        for _ in 0..world.random.random_range(1..=4) {
            world.join(None);
        }
        world.after(1_000, Event::Fault);
        world
    }

    /// Lives until everything has come right, or fails.
    pub(super) fn run(mut self) -> Seen {
        while let Some(Reverse((at, number))) = self.queue.pop() {
            if at > FAULTS + HEALING {
                break;
            }
            self.now = at;
            let event = self.events.remove(&number).unwrap();
            self.happens(event);
        }
        self.judge();
        self.seen
    }

    /// Law 3.
    fn judge(&self) {
        let living: Vec<&Pod> = self.pods.iter().filter(|pod| pod.alive && !pod.stopping).collect();
        let shares: Vec<usize> = living.iter().map(|pod| pod.works.len()).collect();
        assert_eq!(shares.iter().sum::<usize>(), self.database.rows.len(), "not every partition is worked on: {shares:?}");
        assert!(shares.iter().max().unwrap() - shares.iter().min().unwrap() <= 1, "not balanced: {shares:?}");
        for (partition, row) in (0..).zip(&self.database.rows) {
            let owner = living.iter().find(|pod| Some(&pod.id) == row.owner.as_ref()).expect("a row without a living owner");
            assert_eq!(owner.works[&partition].epoch, row.epoch);
            assert_eq!(row.next_offset, RECORDS, "partition {partition} is not settled to its end");
        }
        for partition in 0..u32::try_from(self.database.rows.len()).unwrap() {
            assert!((0..RECORDS).all(|offset| self.delivered.contains_key(&(partition, offset))), "lost in partition {partition}");
        }
    }

    /// Lets an event happen later.
    fn after(&mut self, wait: u64, event: Event) {
        self.number += 1;
        self.events.insert(self.number, event);
        self.queue.push(Reverse((self.now + wait, self.number)));
    }

    /// A number up to a bound.
    fn up_to(&mut self, most: u64) -> u64 {
        self.random.random_range(0..=most)
    }

    /// Says so with a chance of so many in a hundred.
    fn chance(&mut self, percent: u64) -> bool {
        self.up_to(99) < percent
    }

    /// Tells what happens, when one seed is looked at.
    fn tell(&self, what: impl FnOnce() -> String) {
        if self.told {
            println!("{:>7} {}", self.now, what());
        }
    }

    /// The pod that an event is for, if it can take it now; a frozen one takes it when it wakes.
    fn awake(&mut self, pod: usize, event: &Event) -> bool {
        let until = self.pods[pod].frozen_until;
        if self.pods[pod].alive && until > self.now {
            self.after(until - self.now, event.clone());
            return false;
        }
        self.pods[pod].alive
    }

    /// One event.
    fn happens(&mut self, event: Event) {
        let pod = match &event {
            Event::Tick(pod) | Event::Work(pod) | Event::Answer(pod, _, _) | Event::Ended { pod, .. } => Some(*pod),
            Event::Execute(..) | Event::Fault => None,
        };
        if pod.is_some_and(|pod| !self.awake(pod, &event)) {
            return;
        }
        match event {
            Event::Tick(pod) => self.tick(pod),
            Event::Work(pod) => self.work(pod),
            Event::Execute(pod, number, call) => self.execute(pod, number, call),
            Event::Answer(pod, number, answer) => self.answer(pod, number, answer),
            Event::Ended { pod, place, offset, delivered } => self.ended(pod, place, offset, delivered),
            Event::Fault => self.fault(),
        }
    }

    /// A pod begins, under an id of its own or a former one's.
    fn join(&mut self, id: Option<String>) {
        let id = id.unwrap_or_else(|| format!("pod-{}", self.pods.len()));
        // Clocks run apart by up to two in a hundred, and begin anywhere.
        let (rate, offset) = (980 + self.up_to(40), self.up_to(1_000_000));
        self.tell(|| format!("{id} joins as {}", self.pods.len()));
        self.pods.push(Pod::new(id, TERMS, rate, offset));
        self.seen.joins += 1;
        let (pod, first) = (self.pods.len() - 1, self.up_to(300));
        self.after(first, Event::Tick(pod));
        self.after(first, Event::Work(pod));
    }

    /// A pod's owner wakes.
    fn tick(&mut self, pod: usize) {
        self.after(1_000, Event::Tick(pod));
        let now = self.now;
        let pod_ref = &mut self.pods[pod];
        if pod_ref.call.is_some() {
            return;
        }
        let clock = pod_ref.clock(now);
        let ready = pod_ref.drained.iter().position(|(partition, _)| pod_ref.plan.may_give_back(*partition, clock));
        let call = match ready.map(|at| pod_ref.drained.swap_remove(at)) {
            Some((partition, epoch)) => Call::Release { partition, epoch },
            None if pod_ref.stopping && pod_ref.plan.is_empty() => {
                pod_ref.alive = false;
                return;
            }
            None => Call::Beat { sent_at: clock, first: pod_ref.first, draining: pod_ref.stopping },
        };
        let number = self.call(pod, call);
        self.pods[pod].call = Some(number);
    }

    /// Sends a call: it may be slow, and its answer may be lost.
    fn call(&mut self, pod: usize, call: Call) -> u64 {
        let there = self.up_to(200);
        self.number += 1;
        let number = self.number;
        if self.pods[pod].cut_until <= self.now {
            self.after(there, Event::Execute(pod, number, call.clone()));
        }
        self.after(PATIENCE, Event::Answer(pod, number, Answer::Failed(call)));
        number
    }

    /// A call reaches the database.
    fn execute(&mut self, pod: usize, number: u64, call: Call) {
        if self.stalled_until > self.now {
            if self.chance(70) {
                self.after(self.stalled_until - self.now, Event::Execute(pod, number, call));
            }
            return;
        }
        let (now, member) = (self.now, self.pods[pod].id.clone());
        let answer = match call {
            Call::Beat { sent_at, first, draining } => Answer::Stands(sent_at, self.database.beat(now, &member, first, draining)),
            Call::Release { partition, epoch } => {
                self.database.release(&member, partition, epoch);
                Answer::Released(partition, epoch)
            }
            Call::Commit { partition, epoch, next } => {
                let before = self.database.rows[partition as usize].next_offset;
                let ours = self.database.commit(&member, (partition, epoch), next);
                let after = self.database.rows[partition as usize].next_offset;
                assert!(after >= before && (ours || after == before), "a fenced commit moved the offset");
                assert!((before..after).all(|offset| self.delivered.contains_key(&(partition, offset))), "committed over a loss");
                self.seen.fenced += u64::from(!ours);
                Answer::Committed { partition, epoch, next, ours }
            }
        };
        let (back, is_lost) = (self.up_to(200), self.chance(1));
        if !is_lost {
            self.after(back, Event::Answer(pod, number, answer));
        }
    }

    /// An answer, or the end of the patience.
    fn answer(&mut self, pod: usize, number: u64, answer: Answer) {
        let pod_number = pod;
        let pod = &mut self.pods[pod];
        let about_leases = !matches!(answer, Answer::Committed { .. } | Answer::Failed(Call::Commit { .. }));
        if about_leases && pod.call.take_if(|call| *call == number).is_none() {
            return;
        }
        match answer {
            Answer::Stands(sent_at, standing) => {
                pod.first = false;
                let changes = pod.plan.beaten(sent_at, &standing);
                let (id, told) = (pod.id.clone(), format!("{changes:?}"));
                self.seen.takeovers += u64::try_from(changes.len()).unwrap();
                pod.apply(changes);
                if told != "[]" {
                    self.tell(|| format!("{id} {told}"));
                }
            }
            Answer::Released(partition, epoch) => pod.plan.released(partition, epoch),
            Answer::Failed(Call::Release { partition, epoch }) => pod.drained.push((partition, epoch)),
            Answer::Failed(Call::Beat { .. }) => {}
            Answer::Committed { partition, epoch, next, ours } => {
                let of_epoch = pod.works.get_mut(&partition).filter(|work| work.epoch == epoch);
                if !ours {
                    let change = pod.plan.fenced(partition, epoch);
                    pod.apply(change.into_iter().collect());
                    self.dead_epochs.insert((pod_number, partition, epoch));
                } else if let Some(work) = of_epoch {
                    (work.committed, work.committing) = (work.committed.max(next), false);
                }
            }
            Answer::Failed(Call::Commit { partition, epoch, .. }) => {
                if let Some(work) = pod.works.get_mut(&partition).filter(|work| work.epoch == epoch) {
                    work.committing = false;
                }
            }
        }
        self.pods[pod_number].drain();
    }

    /// A pod sends and commits.
    fn work(&mut self, pod: usize) {
        let pause = 60 + self.up_to(500);
        self.after(pause, Event::Work(pod));
        let clock = self.pods[pod].clock(self.now);
        let (mut sends, mut commits) = (Vec::new(), Vec::new());
        for (partition, work) in &mut self.pods[pod].works {
            if let Some(offset) = work.take(clock, TERMS.attempt, RECORDS) {
                sends.push(((*partition, work.epoch), offset));
            }
            if !work.committing && work.window.committable() > work.committed {
                work.committing = true;
                commits.push(Call::Commit { partition: *partition, epoch: work.epoch, next: work.window.committable() });
            }
        }
        for (place, offset) in sends {
            self.send(pod, place, offset);
        }
        for commit in commits {
            self.call(pod, commit);
        }
    }

    /// An attempt goes out. Laws 1 and 2.
    fn send(&mut self, pod: usize, (partition, epoch): (u32, u64), offset: u64) {
        assert!(!self.dead_epochs.contains(&(pod, partition, epoch)), "pod {pod} sends under an epoch that was fenced");
        let sending = self.up_to(SENDING);
        // The pod gives up after the timeout by its own clock, which starts with the sending. Many take all of it.
        let timeout = u64::try_from(TERMS.attempt.as_millis()).unwrap() * 1_000 / self.pods[pod].rate;
        let takes = sending + if self.chance(30) { timeout } else { self.up_to(timeout) };
        let (member, from, until) = (self.pods[pod].id.clone(), self.now + sending, self.now + takes);
        let mut others =
            self.attempts.iter().filter(|other| other.partition == partition && other.epoch != epoch && other.member != member);
        let overlap = others.find(|other| other.from <= until && from <= other.until);
        assert!(overlap.is_none(), "{member} sends for partition {partition} under {epoch} while {overlap:?} is at the target");
        self.attempts.retain(|other| other.until + 60_000 > from);
        self.attempts.push(Attempt { partition, epoch, member, from, until });
        let delivered = self.chance(90);
        if delivered {
            let epochs = self.delivered.entry((partition, offset)).or_default();
            self.seen.repeats += u64::from(!epochs.is_empty());
            assert!(epochs.insert(epoch), "partition {partition} offset {offset} is delivered twice under epoch {epoch}");
        }
        self.after(takes, Event::Ended { pod, place: (partition, epoch), offset, delivered });
    }

    /// A pod learns how an attempt ended.
    fn ended(&mut self, pod: usize, (partition, epoch): (u32, u64), offset: u64, delivered: bool) {
        let pod = &mut self.pods[pod];
        let Some(work) = pod.works.get_mut(&partition).filter(|work| work.epoch == epoch) else { return };
        work.out -= 1;
        if delivered {
            work.window.finish(offset);
        } else {
            work.again.insert(offset);
        }
        pod.drain();
    }
}
