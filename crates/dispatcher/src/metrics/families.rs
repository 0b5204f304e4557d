//! The families of the dispatcher, each declared once: instruments and the reference are made of this table.

use chassis::metrics::{Family, Label, Unit};
use events_proxy_core::{DeadReason, Outcome, State};

use super::sign_ins::SignIn;
use super::slots::{self, Reserved};

/// How an attempt came out.
pub(super) const OUTCOME: Label = Label::of("outcome", || Outcome::ALL.map(Outcome::as_str).to_vec());
/// How an event ended this time.
pub(super) const STATE: Label = Label::of("state", || [State::Delivered, State::Parked, State::Dead].map(State::as_str).to_vec());
/// Why an event is dead, where the dispatcher finds it so.
pub(super) const DEAD: Label =
    Label::of("reason", || [DeadReason::Refused, DeadReason::AttemptsExhausted, DeadReason::Undecodable].map(DeadReason::as_str).to_vec());
/// What became of a slot.
pub(super) const SLOT: Label = Label::of("outcome", || slots::Outcome::ALL.map(slots::Outcome::as_str).to_vec());
/// Whether the database gave slots.
pub(super) const RESERVED: Label = Label::of("outcome", || Reserved::ALL.map(Reserved::as_str).to_vec());
/// How a sign-in ended.
pub(super) const SIGNED_IN: Label = Label::of("outcome", || SignIn::ALL.map(SignIn::as_str).to_vec());
/// Which partition.
pub(crate) const PARTITION: Label = Label::like("partition", "a partition's number, 0 to 1023");

/// The families of the dispatcher, in the order of an event's path.
pub const FAMILIES: &[Family] = &[
    Family::gauge("dispatch.partitions.owned", "Partitions that this replica works on"),
    Family::counter("dispatch.epoch.changes", "Partitions claimed by this replica"),
    Family::counter("dispatch.leases.lost", "Partitions that went to another before they were given back"),
    Family::counter("dispatch.beat.failures", "Renewals of leases that the storage did not take"),
    Family::gauge("dispatch.partition.lag", "Records of a partition that are not settled").by(&[PARTITION]),
    Family::counter("events.consumed", "Records read from the topic"),
    Family::counter("topic.read.failures", "Reads of a partition that failed; each is tried again").by(&[PARTITION]),
    Family::histogram("queue.duration", "From an event's acceptance until a dispatcher read it for the first time"),
    Family::counter("events.duplicates", "Records passed over because their event has ended or is under way"),
    Family::counter("events.expired", "Records that the topic dropped before they were read; they count as dead"),
    Family::gauge("events.pending.oldest.age", "How long the oldest unfinished event of this replica's partitions waits")
        .in_unit(Unit::Seconds),
    Family::gauge("backlog.drain", "How long the whole topic's backlog takes at the permitted rate").in_unit(Unit::Seconds),
    Family::gauge("backlog.retention.alarm", "1 while the topic may drop events before they are delivered, else 0"),
    Family::gauge("pace.permitted", "Requests per second that the target permits, over all replicas"),
    Family::gauge("pace.used", "The share of the permitted requests that this replica made lately, 0 to 1"),
    Family::histogram("pace.wait", "Time that attempts waited for a slot"),
    Family::counter("pace.slots", "Slots of the target's limit, by what became of them").by(&[SLOT]),
    Family::counter("pace.throttles", "Times that the target said it is too fast"),
    Family::counter("pace.reservations", "Reservations of slots, by success").by(&[RESERVED]),
    Family::counter("delivery.attempts", "Calls of the target, by outcome").by(&[OUTCOME]),
    Family::histogram("delivery.attempt.duration", "Time of one call of the target").by(&[OUTCOME]),
    Family::counter("delivery.retries", "Calls of the target beyond an event's first"),
    Family::gauge("delivery.in.flight", "Calls of the target that wait for its answer"),
    Family::gauge("delivery.breaker.open", "1 while the target is away and one call at a time finds out whether it is back, else 0"),
    Family::gauge("events.parked", "Events that are parked, of this replica's partitions"),
    Family::counter("events.settled", "Events by how they ended, parked ones each time").by(&[STATE]),
    Family::counter("events.dead", "Dead events by why; ingest counts its own as events_unpublishable_total").by(&[DEAD]),
    Family::histogram("events.duration", "Time from an event's receipt to its end").by(&[STATE]),
    Family::histogram("settle.duration", "Time of one commit of how events ended"),
    Family::counter("commit.failures", "Commits that the storage did not take; each is tried again"),
    Family::counter("commits.fenced", "Commits under an epoch that was over; nothing of them was written"),
    Family::counter("operator.sign.ins", "Sign-ins of operators, by how they ended").by(&[SIGNED_IN]),
];
