//! What operators ask of events of all sources: search in the journal, dead letters by reason.
//!
//! A search is answered from an index, a page at a time, newest first; whatever is asked for, an answer is bounded.

use std::fmt;
use std::str::FromStr;

use events_proxy_core::envelope::Record;
use events_proxy_core::{DeadReason, EventId, Moment, SourceId, State};
use sea_orm::sea_query::{Expr, ExprTrait};
use sea_orm::{ColumnTrait, Condition, EntityTrait, FromQueryResult, Order, QueryFilter, QueryOrder, QuerySelect};

use crate::entity::{dead, journal, parked};
use crate::journal::{JournalRow, PAGE_ROWS_MAX, page};
use crate::value::{Columns, bigint, text};
use crate::{Answer, Error, Store};

/// Which events are looked for; what is not said matches all.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Search {
    /// Sent by this source.
    pub source_id: Option<SourceId>,
    /// With this id.
    pub event_id: Option<EventId>,
    /// Of this trace.
    pub trace_id: Option<String>,
    /// Of this kind.
    pub name: Option<String>,
    /// In this state.
    pub state: Option<State>,
    /// Dead for this reason.
    pub reason: Option<DeadReason>,
    /// Received at this moment or later.
    pub from: Option<Moment>,
    /// Received before this moment.
    pub to: Option<Moment>,
    /// Where the page before ended.
    pub after: Option<Place>,
    /// The most rows wanted: at least 1 and at most [`PAGE_ROWS_MAX`], whatever is asked for.
    pub limit: u32,
}

/// A row's place among all events, newest first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// When the event was received.
    pub received_at: Moment,
    /// Who sent it.
    pub source_id: SourceId,
    /// The sender's id for it.
    pub event_id: EventId,
}

impl fmt::Display for Place {
    /// Writes the moment, the length of the source's id in bytes, and the two ids: `1700000000000000.4.shoporder-1`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (source, event) = (self.source_id.as_str(), self.event_id.as_str());
        write!(f, "{}.{}.{source}{event}", self.received_at.as_micros(), source.len())
    }
}

/// A text is no place.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("this is no place of a search")]
pub struct NoPlace;

impl FromStr for Place {
    type Err = NoPlace;

    fn from_str(text: &str) -> Result<Self, NoPlace> {
        let (micros, rest) = text.split_once('.').ok_or(NoPlace)?;
        let (length, ids) = rest.split_once('.').ok_or(NoPlace)?;
        let (source, event) = length.parse().ok().and_then(|length| ids.split_at_checked(length)).ok_or(NoPlace)?;
        let received_at = micros.parse().map(Moment::from_micros).map_err(|_| NoPlace)?;
        Ok(Self { received_at, source_id: SourceId::new(source), event_id: EventId::new(event) })
    }
}

/// A page of a search.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Found {
    /// The rows, newest first.
    pub rows: Vec<JournalRow>,
    /// Where the next page begins; `None` on the last one.
    pub next: Option<Place>,
}

/// The dead letters of one reason.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DeadGroup {
    /// Why they are dead.
    pub reason: DeadReason,
    /// How many they are.
    pub count: u64,
    /// When the first of them died.
    pub first_at: Moment,
    /// When the last of them died.
    pub last_at: Moment,
}

impl Store {
    /// A page of events of all sources: newest first, those of one moment by source and id.
    ///
    /// # Errors
    /// Any [`Error`].
    pub fn search<'a>(&'a self, search: &'a Search) -> Answer<'a, Found> {
        Box::pin(async move {
            use journal::Column;
            let limit = search.limit.clamp(1, PAGE_ROWS_MAX);
            let select = journal::Entity::find()
                .filter(search.condition())
                .order_by(Column::ReceivedAt, Order::Desc)
                .order_by(Column::SourceId, Order::Asc)
                .order_by(Column::EventId, Order::Asc)
                .limit(u64::from(limit) + 1);
            let models = self.answer(select.all(self.reader())).await?;
            let (rows, more) = page(models, limit)?;
            let next = rows.last().filter(|_| more).map(|row| Place {
                received_at: row.received_at,
                source_id: row.source_id.clone(),
                event_id: row.event_id.clone(),
            });
            Ok(Found { rows, next })
        })
    }

    /// The dead letters counted by reason, the most first. Reads all of them: for pages, not for the path of an event.
    ///
    /// # Errors
    /// Any [`Error`].
    pub fn dead_groups(&self) -> Answer<'_, Vec<DeadGroup>> {
        Box::pin(async move {
            use dead::Column;
            let select = dead::Entity::find()
                .select_only()
                .column(Column::Reason)
                .column_as(Column::Reason.count(), "letters")
                .column_as(Column::DiedAt.min(), "first_at")
                .column_as(Column::DiedAt.max(), "last_at")
                .group_by(Column::Reason);
            let groups = self.answer(select.into_model::<Group>().all(self.reader())).await?;
            let mut groups = groups.into_iter().map(Group::read).collect::<Result<Vec<_>, _>>()?;
            groups.sort_by_key(|group| (std::cmp::Reverse(group.count), group.reason.as_str()));
            Ok(groups)
        })
    }

    /// When the oldest event was received that has not ended, as far as the journal knows.
    ///
    /// # Errors
    /// Any [`Error`].
    pub fn oldest_pending(&self) -> Answer<'_, Option<Moment>> {
        Box::pin(async move {
            use journal::Column;
            let mut oldest = None;
            for state in State::ALL.into_iter().filter(|state| !state.is_final()) {
                // One look at the index for each state, whatever the number of rows.
                let select = journal::Entity::find()
                    .select_only()
                    .column(Column::ReceivedAt)
                    .filter(Column::StateRank.eq(state.rank()))
                    .order_by_asc(Column::ReceivedAt)
                    .limit(1);
                let found: Option<i64> = self.answer(select.into_tuple().one(self.reader())).await?;
                oldest = oldest.into_iter().chain(found).min();
            }
            Ok(oldest.map(Moment::from_micros))
        })
    }

    /// The record of an event, if it is kept: of a dead or parked one.
    ///
    /// # Errors
    /// Any [`Error`].
    pub fn kept<'a>(&'a self, topic: &'a str, event: &'a JournalRow) -> Answer<'a, Option<Record>> {
        Box::pin(async move {
            let dead = dead::Entity::find()
                .filter(dead::Column::SourceId.eq(text(event.source_id.as_str())))
                .filter(dead::Column::EventId.eq(text(event.event_id.as_str())))
                .order_by_desc(dead::Column::DiedAt)
                .limit(1);
            if let Some(row) = self.answer(dead.one(self.reader())).await? {
                return Columns("dead").record(row.record_key, row.record_payload, &row.record_headers).map(Some);
            }
            let place = (text(topic), i64::from(event.partition), bigint(event.offset));
            let parked = self.answer(parked::Entity::find_by_id(place).one(self.reader())).await?;
            parked.map(|row| Columns("parked").record(row.record_key, row.record_payload, &row.record_headers)).transpose()
        })
    }
}

impl Search {
    /// The rows that are asked for.
    fn condition(&self) -> Condition {
        use journal::Column;
        let after = self.after.as_ref().map(|place| {
            let at = place.received_at.as_micros();
            let source = text(place.source_id.as_str());
            let later_of_the_source = Column::SourceId.eq(source.clone()).and(Column::EventId.gt(text(place.event_id.as_str())));
            let later_of_the_moment = Column::ReceivedAt.eq(at).and(Column::SourceId.gt(source).or(later_of_the_source));
            // The first comparison follows from the second, but it is the one by which an index finds its place.
            Condition::all().add(Column::ReceivedAt.lte(at)).add(Column::ReceivedAt.lt(at).or(later_of_the_moment))
        });
        let of_any_source = self.source_id.is_none() && self.event_id.is_some();
        Condition::all()
            .add_option(of_any_source.then(|| Expr::cust(OF_EACH_SOURCE)))
            .add_option(self.source_id.as_ref().map(|source| Column::SourceId.eq(text(source.as_str()))))
            .add_option(self.event_id.as_ref().map(|event| Column::EventId.eq(text(event.as_str()))))
            .add_option(self.trace_id.as_ref().map(|trace| Column::TraceId.eq(text(trace))))
            .add_option(self.name.as_deref().map(named))
            .add_option(self.state.map(in_state))
            .add_option(self.reason.map(|_| in_state(State::Dead)))
            .add_option(self.reason.map(|reason| Column::DeadReason.eq(reason.as_str())))
            .add_option(self.from.map(|from| Column::ReceivedAt.gte(from.as_micros())))
            .add_option(self.to.map(|to| Column::ReceivedAt.lt(to.as_micros())))
            .add_option(after)
    }
}

/// The rows of a name, which an index finds by its beginning: how that is said stands in the statement's text, as in the index.
pub(crate) fn named(name: &str) -> Condition {
    let beginning: String = name.chars().take(128).collect();
    Condition::all().add(Expr::cust("substr(name, 1, 128)").eq(text(&beginning))).add(journal::Column::Name.eq(text(name)))
}

/// The rows in a state, which stands in the statement's text: an index that holds one state alone is taken only where the
/// database reads that it will do.
pub(crate) fn in_state(state: State) -> Expr {
    Expr::cust(format!("state_rank = {}", state.rank()))
}

/// Every source there is: an id alone is in no index, but each source's key is, and one look for each is soon done.
const OF_EACH_SOURCE: &str = "source_id IN (WITH RECURSIVE sources (id) AS (SELECT MIN(source_id) FROM journal UNION ALL
    SELECT (SELECT MIN(source_id) FROM journal WHERE source_id > sources.id) FROM sources WHERE sources.id IS NOT NULL)
    SELECT id FROM sources WHERE id IS NOT NULL)";

/// The dead letters of one reason, as the database answers them.
#[derive(Debug, FromQueryResult)]
struct Group {
    /// The reason's word.
    reason: String,
    /// How many.
    letters: i64,
    /// The earliest death.
    first_at: i64,
    /// The latest death.
    last_at: i64,
}

impl Group {
    /// Reads a row.
    fn read(self) -> Result<DeadGroup, Error> {
        Ok(DeadGroup {
            reason: Columns("dead").reason("reason", &self.reason)?,
            count: u64::try_from(self.letters).unwrap_or_default(),
            first_at: Moment::from_micros(self.first_at),
            last_at: Moment::from_micros(self.last_at),
        })
    }
}

#[cfg(test)]
mod tests {
    use events_proxy_core::{EventId, Moment, SourceId};

    use super::{NoPlace, Place};

    #[test]
    fn a_place_is_read_as_it_was_written_whatever_the_ids_hold() {
        for (source, event) in [("shop", "order-1"), ("a.b", "1.2"), ("ü", "…/x"), ("", "")] {
            let end = Place { received_at: Moment::from_micros(-5), source_id: SourceId::new(source), event_id: EventId::new(event) };
            assert_eq!(end.to_string().parse(), Ok(end));
        }
        for text in ["", "1", "1.9.ab", "x.1.ab", "1.1.ü"] {
            assert_eq!(text.parse::<Place>(), Err(NoPlace), "{text}");
        }
    }
}
