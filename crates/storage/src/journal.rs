//! The journal: where each event is on its path.
//!
//! Ingest tells it what was published, the dispatcher what became of it ([`crate::Commit`]), in any order and some
//! of it twice. The state of the higher rank stays, and times that a row lacks are filled in whoever comes last.

pub(crate) mod merge;
mod days;

use events_proxy_core::{Attempt, DeadReason, EventId, Moment, SourceId, State};
use sea_orm::sea_query::ExprTrait;
use sea_orm::{
    ColumnTrait, Condition, DatabaseTransaction, DbErr, EntityTrait, FromQueryResult, Order, QueryFilter, QueryOrder, QuerySelect,
};

use crate::entity::journal::{Column, Entity, Model};
use crate::search::{in_state, named};
use crate::store::Transact;
use crate::value::{Columns, moment, text};
use crate::{Answer, Error, Store};

/// The most rows of one page.
pub const PAGE_ROWS_MAX: u32 = 200;

/// An event that reached the topic.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PublishedRow {
    /// Who sent it.
    pub source_id: SourceId,
    /// The sender's id for it.
    pub event_id: EventId,
    /// Its kind.
    pub name: String,
    /// The trace it belongs to.
    pub trace_id: String,
    /// When ingest received it.
    pub received_at: Moment,
    /// When it was durable at ingest.
    pub accepted_at: Moment,
    /// When the topic acknowledged it.
    pub published_at: Moment,
    /// Its partition on the topic.
    pub partition: u32,
    /// Its offset in that partition.
    pub offset: u64,
}

/// What the journal knows of an event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JournalRow {
    /// Who sent it.
    pub source_id: SourceId,
    /// The sender's id for it.
    pub event_id: EventId,
    /// Its kind.
    pub name: String,
    /// The trace it belongs to.
    pub trace_id: String,
    /// The brand it was, or will be, delivered with; known from its first settlement on.
    pub brand: Option<String>,
    /// Where it is on its path.
    pub state: State,
    /// When ingest received it.
    pub received_at: Moment,
    /// When it was durable at ingest.
    pub accepted_at: Option<Moment>,
    /// When the topic acknowledged it.
    pub published_at: Option<Moment>,
    /// When the dispatcher took it from the topic.
    pub consumed_at: Option<Moment>,
    /// When it came to its present state, if that is parked, dead or delivered.
    pub settled_at: Option<Moment>,
    /// When a parked event is due again.
    pub next_attempt_at: Option<Moment>,
    /// Its partition on the topic.
    pub partition: u32,
    /// Its offset in that partition.
    pub offset: u64,
    /// Every attempt to deliver it, oldest first.
    pub attempts: Vec<Attempt>,
    /// Why it is dead.
    pub dead_reason: Option<DeadReason>,
    /// Why it is dead, in words.
    pub dead_detail: Option<String>,
    /// How often it was replayed.
    pub replays: u32,
}

/// Which events of a source are asked for.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Query {
    /// Only those in this state.
    pub state: Option<State>,
    /// Only those of this kind.
    pub name: Option<String>,
    /// Only those dead for this reason.
    pub reason: Option<DeadReason>,
    /// Only those received at this moment or later.
    pub from: Option<Moment>,
    /// Only those received before this moment.
    pub to: Option<Moment>,
    /// Where the page before ended.
    pub cursor: Option<Cursor>,
    /// The most rows wanted: at least 1 and at most [`PAGE_ROWS_MAX`], whatever is asked for.
    pub limit: u32,
}

/// The last row of a page: the next page begins after it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cursor {
    /// When that row's event was received.
    pub received_at: Moment,
    /// That row's event.
    pub event_id: EventId,
}

/// Events of a source, newest first.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Page {
    /// The rows.
    pub rows: Vec<JournalRow>,
    /// Where the next page begins; `None` on the last one.
    pub next: Option<Cursor>,
}

/// How many events the journal holds in each state.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Counts {
    /// Durable at ingest.
    pub accepted: u64,
    /// On the topic.
    pub published: u64,
    /// Set aside until their next attempt.
    pub parked: u64,
    /// Given up.
    pub dead: u64,
    /// Taken by the target.
    pub delivered: u64,
}

impl Counts {
    /// How many are in one state.
    #[must_use]
    pub const fn of(&self, state: State) -> u64 {
        match state {
            State::Accepted => self.accepted,
            State::Published => self.published,
            State::Parked => self.parked,
            State::Dead => self.dead,
            State::Delivered => self.delivered,
        }
    }

    /// The place of one state's count.
    const fn of_mut(&mut self, state: State) -> &mut u64 {
        match state {
            State::Accepted => &mut self.accepted,
            State::Published => &mut self.published,
            State::Parked => &mut self.parked,
            State::Dead => &mut self.dead,
            State::Delivered => &mut self.delivered,
        }
    }
}

impl Store {
    /// Tells the journal of events that reached the topic. Rows that are ahead of that get the times they lack, no more. Nobody waits for
    /// their fsync: a power cut of the database's machine, or a crash of its server, may take the newest along.
    ///
    /// # Errors
    /// Any [`Error`]; then none of the rows was written, or all of them.
    pub fn journal_published<'a>(&'a self, rows: &'a [PublishedRow]) -> Answer<'a, ()> {
        Box::pin(async move {
            if rows.is_empty() {
                return Ok(());
            }
            self.write(rows).await
        })
    }

    /// What the journal knows of one event.
    ///
    /// # Errors
    /// Any [`Error`].
    pub fn event<'a>(&'a self, source: &'a SourceId, id: &'a EventId) -> Answer<'a, Option<JournalRow>> {
        Box::pin(async move {
            let row = Entity::find().filter(Column::SourceId.eq(text(source.as_str()))).filter(Column::EventId.eq(text(id.as_str())));
            // Sent again on another day it has a row for each; the one that is furthest tells.
            let furthest = row.order_by_desc(Column::StateRank).order_by_asc(Column::Day);
            let found = self.answer(furthest.one(self.reader())).await?;
            found.map(JournalRow::read).transpose()
        })
    }

    /// A page of a source's events: newest first, those of one moment by id.
    ///
    /// # Errors
    /// Any [`Error`].
    pub fn events<'a>(&'a self, source: &'a SourceId, query: &'a Query) -> Answer<'a, Page> {
        Box::pin(async move {
            let limit = query.limit.clamp(1, PAGE_ROWS_MAX);
            let select = Entity::find()
                .filter(query.condition(source))
                .order_by(Column::ReceivedAt, Order::Desc)
                .order_by(Column::EventId, Order::Asc)
                .limit(u64::from(limit) + 1);
            let models = self.answer(select.all(self.reader())).await?;
            let (rows, more) = page(models, limit)?;
            let next = rows.last().filter(|_| more).map(|row| Cursor { received_at: row.received_at, event_id: row.event_id.clone() });
            Ok(Page { rows, next })
        })
    }

    /// Counts the events in each state. Reads an index from end to end: for gauges, not for requests.
    ///
    /// # Errors
    /// Any [`Error`].
    pub fn counts(&self) -> Answer<'_, Counts> {
        Box::pin(async move {
            let select = Entity::find().select_only().column(Column::StateRank).column_as(Column::StateRank.count(), "events");
            let groups = self.answer(select.group_by(Column::StateRank).into_model::<Group>().all(self.reader())).await?;
            let mut counts = Counts::default();
            for Group { state_rank, events } in groups {
                *counts.of_mut(TABLE.sound("state_rank", State::from_rank(state_rank))?) = u64::try_from(events).unwrap_or(0);
            }
            Ok(counts)
        })
    }
}

/// Reads a page of so many rows out of what may be one more, and tells whether that one is there: it only says that there is a
/// next page.
pub(crate) fn page(models: Vec<Model>, limit: u32) -> Result<(Vec<JournalRow>, bool), Error> {
    let mut rows = models.into_iter().map(JournalRow::read).collect::<Result<Vec<_>, _>>()?;
    let more = rows.len() > usize::try_from(limit).unwrap_or(usize::MAX);
    if more {
        rows.pop();
    }
    Ok((rows, more))
}

impl Transact for [PublishedRow] {
    type Outcome = ();

    // The dispatcher's own row of an event lacks two times without it, no more.
    const LASTS: bool = false;

    async fn run(&self, transaction: &DatabaseTransaction) -> Result<(), DbErr> {
        merge::published(transaction, self).await
    }
}

/// The events of one state, counted.
#[derive(Debug, FromQueryResult)]
struct Group {
    /// The state's rank.
    state_rank: i16,
    /// How many.
    events: i64,
}

impl Query {
    /// The rows of that source that are asked for.
    fn condition(&self, source: &SourceId) -> Condition {
        let after = self.cursor.as_ref().map(|cursor| {
            let at = cursor.received_at.as_micros();
            let later_of_the_moment = Column::ReceivedAt.eq(at).and(Column::EventId.gt(text(cursor.event_id.as_str())));
            // The first comparison follows from the second, but it is the one by which an index finds its place.
            Condition::all().add(Column::ReceivedAt.lte(at)).add(Column::ReceivedAt.lt(at).or(later_of_the_moment))
        });
        Condition::all()
            .add(Column::SourceId.eq(text(source.as_str())))
            .add_option(self.state.map(in_state))
            .add_option(self.name.as_deref().map(named))
            .add_option(self.reason.map(|_| in_state(State::Dead)))
            .add_option(self.reason.map(|reason| Column::DeadReason.eq(reason.as_str())))
            .add_option(self.from.map(|from| Column::ReceivedAt.gte(from.as_micros())))
            .add_option(self.to.map(|to| Column::ReceivedAt.lt(to.as_micros())))
            .add_option(after)
    }
}

/// The table, as errors name it.
const TABLE: Columns = Columns("journal");

impl JournalRow {
    /// Reads a row.
    pub(crate) fn read(row: Model) -> Result<Self, Error> {
        Ok(Self {
            source_id: SourceId::new(row.source_id),
            event_id: EventId::new(row.event_id),
            name: row.name,
            trace_id: row.trace_id,
            brand: row.brand,
            state: TABLE.sound("state_rank", State::from_rank(row.state_rank))?,
            received_at: Moment::from_micros(row.received_at),
            accepted_at: moment(row.accepted_at),
            published_at: moment(row.published_at),
            consumed_at: moment(row.consumed_at),
            settled_at: moment(row.settled_at),
            next_attempt_at: moment(row.next_attempt_at),
            partition: TABLE.partition(row.partition)?,
            offset: TABLE.offset("offset", row.offset)?,
            attempts: row.attempts.map_or(Ok(Vec::new()), |json| TABLE.attempts(&json))?,
            dead_reason: row.dead_reason.map(|word| TABLE.reason("dead_reason", &word)).transpose()?,
            dead_detail: row.dead_detail,
            replays: TABLE.sound("replays", u32::try_from(row.replays).ok())?,
        })
    }
}
