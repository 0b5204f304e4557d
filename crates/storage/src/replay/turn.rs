//! One turn of a replay: takes its turn, looks at the next few events, moves them, and notes how far it is.

use std::time::Duration;

use events_proxy_core::envelope::Record;
use events_proxy_core::{DeadReason, Envelope, Moment, State, TraceContext};
use sea_orm::sea_query::{Condition, ExprTrait, OnConflict};
use sea_orm::{
    ActiveValue::Set, ColumnTrait, ConnectionTrait, DatabaseTransaction, DbErr, EntityTrait, PaginatorTrait, QueryFilter, QueryOrder,
    QuerySelect, Value,
};

use super::{ActiveModel, Choice, Entity, Model, Of, ReplayState};
use crate::entity::{dead, journal, parked, replay};
use crate::lease::statement;
use crate::store::Transact;
use crate::value::{CHUNK_ROWS_MAX, Columns, bigint, day, headers, places, text};
use crate::{Answer, Store, parked as parking};

/// What a turn asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Turn {
    /// Whose turn it is.
    pub id: String,
    /// How many events it may look at, at most [`Turn::EVENTS_MAX`] of them.
    pub at_most: u32,
    /// When the next turn may be, at the earliest.
    pub pause: Duration,
    /// The present moment: when what is moved is due.
    pub now: Moment,
}

impl Turn {
    /// The most events of one turn.
    pub const EVENTS_MAX: usize = CHUNK_ROWS_MAX;
}

/// What came of a turn.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Moved {
    /// How many events were moved.
    pub moved: u64,
    /// Whether it was the last turn.
    pub done: bool,
}

impl Store {
    /// Takes a turn of a replay; `None` when another has it, or the replay runs no more.
    ///
    /// # Errors
    /// Any [`Error`]; the turn was then taken whole or not at all.
    pub fn replay_turn<'a>(&'a self, turn: &'a Turn) -> Answer<'a, Option<Moved>> {
        Box::pin(async move { self.write(turn).await })
    }
}

/// The order of a replay.
pub(super) struct Begin(pub(super) ActiveModel);

impl Transact for Begin {
    type Outcome = ();

    async fn run(&self, transaction: &DatabaseTransaction) -> Result<(), DbErr> {
        let once = OnConflict::column(replay::Column::Id).do_nothing().to_owned();
        Entity::insert(self.0.clone()).on_conflict(once).exec_without_returning(transaction).await?;
        Ok(())
    }
}

/// The end of a replay before its time.
pub(super) struct Cancel {
    /// Which.
    pub(super) id: String,
    /// When.
    pub(super) at: Moment,
}

impl Transact for Cancel {
    type Outcome = bool;

    async fn run(&self, transaction: &DatabaseTransaction) -> Result<bool, DbErr> {
        end(transaction, &self.id, ReplayState::Cancelled, self.at).await
    }
}

/// How many events a choice has.
pub(super) async fn count(database: &impl ConnectionTrait, topic: &str, choice: &Choice) -> Result<u64, DbErr> {
    match choice.of {
        Of::Dead => dead::Entity::find().filter(of_dead(topic, choice)).count(database).await,
        Of::Parked => journal::Entity::find().filter(of_parked(choice)).count(database).await,
    }
}

impl Transact for Turn {
    type Outcome = Option<Moved>;

    async fn run(&self, transaction: &DatabaseTransaction) -> Result<Option<Moved>, DbErr> {
        const TAKE: &str = "UPDATE replay SET turn_at = {now} + $1 WHERE id = $2 AND state = 'running' AND turn_at <= {now}";
        let pause = i64::try_from(self.pause.as_micros()).unwrap_or(i64::MAX);
        let take = statement(transaction.get_database_backend(), TAKE, vec![pause.into(), text(&self.id).into()]);
        if transaction.execute_raw(take).await?.rows_affected() == 0 {
            return Ok(None);
        }
        let Some(replay) = Entity::find_by_id(text(&self.id)).one(transaction).await? else { return Ok(None) };
        let choice: Choice = serde_json::from_str(&replay.choice).map_err(|error| DbErr::Type(error.to_string()))?;
        let limit = u64::from(self.at_most).clamp(1, u64::try_from(Self::EVENTS_MAX).unwrap_or(u64::MAX));
        let step = match choice.of {
            Of::Dead => self.dead(transaction, &replay, &choice, limit).await?,
            Of::Parked => self.parked(transaction, &replay, &choice, limit).await?,
        };
        self.note(transaction, &step).await?;
        let done = step.looked_at < limit;
        if done {
            end(transaction, &replay.id, ReplayState::Done, self.now).await?;
        }
        Ok(Some(Moved { moved: step.moved, done }))
    }
}

/// What was done to the next few events.
#[derive(Debug, Default)]
struct Step {
    /// How many there were.
    looked_at: u64,
    /// How many were moved.
    moved: u64,
    /// How many cannot be.
    skipped: u64,
    /// The last one: moment, partition, offset.
    last: Option<(i64, i64, i64)>,
}

impl Turn {
    /// Moves dead events to the parked ones, due now.
    async fn dead(&self, transaction: &DatabaseTransaction, replay: &Model, choice: &Choice, limit: u64) -> Result<Step, DbErr> {
        use dead::Column;
        let rows = dead::Entity::find()
            .filter(of_dead(&replay.topic, choice))
            .filter(after(replay, (Column::DiedAt, Column::Partition, Column::Offset)))
            .order_by_asc(Column::DiedAt)
            .order_by_asc(Column::Partition)
            .order_by_asc(Column::Offset)
            .limit(limit)
            .lock_exclusive()
            .all(transaction)
            .await?;
        let looked_at = u64::try_from(rows.len()).unwrap_or(u64::MAX);
        let last = rows.last().map(|row| (row.died_at, row.partition, row.offset));
        let events: Vec<dead::Model> = rows.into_iter().filter(is_an_event).collect();
        let moved = u64::try_from(events.len()).unwrap_or(u64::MAX);
        if !events.is_empty() {
            for row in &events {
                let place = (row.topic.clone(), row.partition, row.offset);
                dead::Entity::delete_by_id(place).exec(transaction).await?;
            }
            let moved = events.into_iter().map(|row| self.due(replay, row)).collect::<Result<Vec<_>, _>>()?;
            let (keys, rows): (Vec<Option<Key>>, Vec<parked::ActiveModel>) = moved.into_iter().unzip();
            parking::put(transaction, rows).await?;
            self.reopen(transaction, &keys.into_iter().flatten().collect::<Vec<_>>()).await?;
        }
        Ok(Step { looked_at, moved, skipped: looked_at - moved, last })
    }

    /// Makes parked events due now.
    async fn parked(&self, transaction: &DatabaseTransaction, replay: &Model, choice: &Choice, limit: u64) -> Result<Step, DbErr> {
        use journal::Column;
        const DUE: &str = r#"UPDATE parked SET next_attempt_at = $1, record_headers = $2
            WHERE topic = $3 AND "partition" = $4 AND "offset" = $5 AND next_attempt_at > $1"#;
        let rows = journal::Entity::find()
            .filter(of_parked(choice))
            .filter(after(replay, (Column::SettledAt, Column::Partition, Column::Offset)))
            .order_by_asc(Column::SettledAt)
            .order_by_asc(Column::Partition)
            .order_by_asc(Column::Offset)
            .limit(limit)
            .all(transaction)
            .await?;
        let mut step = Step { looked_at: u64::try_from(rows.len()).unwrap_or(u64::MAX), ..Step::default() };
        for row in &rows {
            let place = (replay.topic.clone(), row.partition, row.offset);
            let Some(waiting) = parked::Entity::find_by_id(place).one(transaction).await? else { continue };
            let noted = noted(replay, (waiting.record_key, waiting.record_payload, &waiting.record_headers));
            // What does not read is due all the same.
            let kept = noted.map_or(waiting.record_headers, |record| headers(&record.headers));
            let mut values: Vec<Value> = vec![self.now.as_micros().into(), kept.into()];
            values.extend([replay.topic.clone().into(), row.partition.into(), row.offset.into()]);
            let due = statement(transaction.get_database_backend(), DUE, values);
            step.moved += transaction.execute_raw(due).await?.rows_affected();
        }
        step.last = rows.last().map(|row| (row.settled_at.unwrap_or_default(), row.partition, row.offset));
        Ok(step)
    }

    /// A dead event as a parked one that is due now, with its row in the journal; its attempts so far are kept, and count no more.
    fn due(&self, replay: &Model, row: dead::Model) -> Result<(Option<Key>, parked::ActiveModel), DbErr> {
        let made = Columns("dead").attempts(&row.attempts).map_or(0, |attempts| attempts.len());
        let (partition, offset) = place(&replay.topic, &row);
        let key = key(&row, (partition, offset)).or_else(|| key_of_record(&row, (partition, offset)));
        let record = noted(replay, (row.record_key, row.record_payload, &row.record_headers))?;
        let parked = parked::ActiveModel {
            next_attempt_at: Set(self.now.as_micros()),
            received_at: Set(row.received_at.unwrap_or(row.died_at)),
            consumed_at: Set(row.consumed_at.unwrap_or(row.died_at)),
            attempts: Set(row.attempts),
            forgiven: Set(i32::try_from(made).unwrap_or(i32::MAX)),
            record_headers: Set(headers(&record.headers)),
            record_key: Set(record.key),
            record_payload: Set(record.payload),
            topic: Set(replay.topic.clone()),
            partition: Set(partition),
            offset: Set(offset),
        };
        Ok((key, parked))
    }

    /// Tells the journal that these events are on their way again: the one move that is not forward, for it opens a new round.
    async fn reopen(&self, transaction: &DatabaseTransaction, keys: &[Key]) -> Result<(), DbErr> {
        let mut values: Vec<Value> =
            vec![State::Parked.rank().into(), self.now.as_micros().into(), self.now.as_micros().into(), State::Dead.rank().into()];
        let wanted = places(values.len() + 1, (keys.len(), 5));
        for (source, event, [day, partition, offset]) in keys {
            values.extend([source.clone().into(), event.clone().into(), (*day).into(), (*partition).into(), (*offset).into()]);
        }
        let reopen = format!(
            "UPDATE journal SET state_rank = $1, next_attempt_at = $2, settled_at = $3, dead_reason = NULL, dead_detail = NULL, \
             \"partition\" = wanted.column4, \"offset\" = wanted.column5, replays = replays + 1 FROM (VALUES {wanted}) AS wanted \
             WHERE journal.source_id = wanted.column1 AND journal.event_id = wanted.column2 AND journal.day = wanted.column3 \
             AND journal.state_rank = $4"
        );
        transaction.execute_raw(statement(transaction.get_database_backend(), &reopen, values)).await?;
        Ok(())
    }

    /// Notes how far the replay is.
    async fn note(&self, transaction: &DatabaseTransaction, step: &Step) -> Result<(), DbErr> {
        const NOTE: &str = "UPDATE replay SET moved = moved + $1, skipped = skipped + $2, seen_at = $3, seen_partition = $4, seen_offset = $5 WHERE id = $6";
        let Some((at, partition, offset)) = step.last else { return Ok(()) };
        let values =
            vec![bigint(step.moved).into(), bigint(step.skipped).into(), at.into(), partition.into(), offset.into(), text(&self.id).into()];
        transaction.execute_raw(statement(transaction.get_database_backend(), NOTE, values)).await?;
        Ok(())
    }
}

/// A stored record that leads to this replay, and to none before it.
fn noted(replay: &Model, (key, payload, stored): (Vec<u8>, Vec<u8>, &[u8])) -> Result<Record, DbErr> {
    let record = Columns("replay").record(key, payload, stored);
    let mut record = record.map_err(|error| DbErr::Type(error.to_string()))?;
    record.note_replay(replay.trace.as_deref().and_then(|parent| TraceContext::parse(parent, None)).as_ref());
    Ok(record)
}

/// A row of the journal: source, event, day of its receipt; and the place where the event is from now on.
type Key = (String, String, [i64; 3]);

/// The journal's row of a dead event.
fn key(row: &dead::Model, (partition, offset): (i64, i64)) -> Option<Key> {
    Some((row.source_id.clone()?, row.event_id.clone()?, [day(Moment::from_micros(row.received_at?)), partition, offset]))
}

/// The same of one that did not read when it died, and does now: its record tells who it is.
fn key_of_record(row: &dead::Model, (partition, offset): (i64, i64)) -> Option<Key> {
    let record = Columns("dead").record(row.record_key.clone(), row.record_payload.clone(), &row.record_headers).ok()?;
    let Envelope { source_id, event, received_at, .. } = Envelope::decode(&record).ok()?;
    Some((text(source_id.as_str()), text(event.id.as_str()), [day(received_at), partition, offset]))
}

/// Where a dead event is parked: at its own place, or, when it never reached the topic, at one that no record has.
fn place(topic: &str, row: &dead::Model) -> (i64, i64) {
    if row.topic == topic {
        return (row.partition, row.offset);
    }
    // FNV-1a over what names it, in the upper half of the offsets, which no topic reaches.
    let name = row.topic.bytes().chain(row.partition.to_le_bytes()).chain(row.offset.to_le_bytes());
    let hash = name.fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3));
    (0, bigint(1 << 62 | hash >> 2))
}

/// Ends a replay that runs; `false` if it runs no more.
async fn end(transaction: &DatabaseTransaction, id: &str, state: ReplayState, at: Moment) -> Result<bool, DbErr> {
    const END: &str = "UPDATE replay SET state = $1, ended_at = $2 WHERE id = $3 AND state = 'running'";
    let values = vec![state.as_str().into(), at.as_micros().into(), id.into()];
    Ok(transaction.execute_raw(statement(transaction.get_database_backend(), END, values)).await?.rows_affected() > 0)
}

/// Whether a dead row is an event that can be sent; a record that is none stays dead.
fn is_an_event(row: &dead::Model) -> bool {
    let record = Columns("dead").record(row.record_key.clone(), row.record_payload.clone(), &row.record_headers);
    record.is_ok_and(|record| Envelope::decode(&record).is_ok())
}

/// The dead rows that a choice has.
fn of_dead(topic: &str, choice: &Choice) -> Condition {
    use dead::Column;
    // An event that the topic refused is dead under its spool's name; it is sent past the topic.
    let within = Column::Topic.eq(topic).or(Column::Reason.eq(DeadReason::Unpublishable.as_str()));
    Condition::all()
        .add(within)
        .add_option(choice.source_id.as_ref().map(|source| Column::SourceId.eq(text(source.as_str()))))
        .add_option(choice.event_id.as_ref().map(|event| Column::EventId.eq(text(event.as_str()))))
        .add_option(choice.name.as_ref().map(|name| Column::Name.eq(text(name))))
        .add_option(choice.reason.map(|reason| Column::Reason.eq(reason.as_str())))
        .add_option(choice.from.map(|from| Column::DiedAt.gte(from.as_micros())))
        .add_option(choice.to.map(|to| Column::DiedAt.lt(to.as_micros())))
}

/// The journal's rows of the parked events that a choice has.
fn of_parked(choice: &Choice) -> Condition {
    use journal::Column;
    Condition::all()
        .add(Column::StateRank.eq(State::Parked.rank()))
        .add_option(choice.source_id.as_ref().map(|source| Column::SourceId.eq(text(source.as_str()))))
        .add_option(choice.event_id.as_ref().map(|event| Column::EventId.eq(text(event.as_str()))))
        .add_option(choice.name.as_ref().map(|name| Column::Name.eq(text(name))))
        .add_option(choice.from.map(|from| Column::SettledAt.gte(from.as_micros())))
        .add_option(choice.to.map(|to| Column::SettledAt.lt(to.as_micros())))
}

/// The rows behind the last one that was looked at.
fn after<C: ColumnTrait>(replay: &Model, (at, partition, offset): (C, C, C)) -> Condition {
    let later_there = partition.eq(replay.seen_partition).and(offset.gt(replay.seen_offset));
    let later_then = at.eq(replay.seen_at).and(partition.gt(replay.seen_partition).or(later_there));
    Condition::all().add(at.gte(replay.seen_at)).add(at.gt(replay.seen_at).or(later_then))
}
