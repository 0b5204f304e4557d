//! Replays: orders to bring dead or parked events on their way again, with who gave them, what they chose, how far they are.
//!
//! ```text
//! begin ─▶ running ─▶ done          each turn moves a few: dead ─▶ parked and due, or parked ─▶ due before its time
//!             └─────▶ cancelled     what was moved goes on, the rest stays as it was
//! ```
//! Laws: what a turn moves is in one place before it and after it, and the move is one transaction; an event that dies
//! or is parked after a replay began is not of it, so that none runs for ever; of many who want a turn at once one gets
//! it, by the database's clock. A replay's row stays: it is the audit's record.

mod turn;

use events_proxy_core::{DeadReason, EventId, Moment, SourceId, TraceContext};
use sea_orm::{ActiveValue::Set, ColumnTrait, EntityTrait, QueryFilter, QueryOrder, QuerySelect};
use serde::{Deserialize, Serialize};

use crate::entity::replay::{ActiveModel, Column, Entity, Model};
use crate::value::{Columns, bigint, bounded, moment, text};
use crate::{Answer, Error, Store};

pub use turn::{Moved, Turn};

/// What is brought on its way again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Of {
    /// Dead events.
    #[default]
    Dead,
    /// Parked events, before their time.
    Parked,
}

/// Which events a replay chooses; what is not said matches all.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Choice {
    /// Dead ones, or parked ones.
    pub of: Of,
    /// Sent by this source.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub source_id: Option<SourceId>,
    /// With this id.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub event_id: Option<EventId>,
    /// Of this kind.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Dead for this reason.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<DeadReason>,
    /// Died or parked at this moment or later.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub from: Option<Moment>,
    /// Died or parked before this moment.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub to: Option<Moment>,
}

/// How far a replay is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ReplayState {
    /// Some are to be moved.
    Running,
    /// All were moved.
    Done,
    /// The rest is not moved.
    Cancelled,
}

impl ReplayState {
    /// All states.
    pub const ALL: [Self; 3] = [Self::Running, Self::Done, Self::Cancelled];

    /// The state's word in the table and in answers.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Running => "running",
            Self::Done => "done",
            Self::Cancelled => "cancelled",
        }
    }

    /// The state of that word.
    #[must_use]
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.as_str() == word)
    }
}

/// An order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewReplay {
    /// Its id.
    pub id: String,
    /// The topic whose events are meant.
    pub topic: String,
    /// Who orders it.
    pub operator: String,
    /// What is chosen.
    pub choice: Choice,
    /// How much of the target's limit it may use, in thousandths.
    pub share_thousandths: u16,
    /// When it is ordered.
    pub begun_at: Moment,
    /// The span of the order, to which each dead event that it moves will lead; none when nobody records it.
    pub trace: Option<TraceContext>,
}

/// A replay.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Replay {
    /// Its id.
    pub id: String,
    /// The topic whose events are meant.
    pub topic: String,
    /// Who ordered it.
    pub operator: String,
    /// When.
    pub begun_at: Moment,
    /// What was chosen.
    pub choice: Choice,
    /// How much of the target's limit it may use, in thousandths.
    pub share_thousandths: u16,
    /// How far it is.
    pub state: ReplayState,
    /// How many events it chose when it began.
    pub chosen: u64,
    /// How many were moved so far.
    pub moved: u64,
    /// How many cannot be replayed, because their record is no event.
    pub skipped: u64,
    /// When it was done or cancelled.
    pub ended_at: Option<Moment>,
    /// The trace of its order, if that is recorded.
    pub trace_id: Option<String>,
}

impl Store {
    /// How many events a replay would choose now.
    ///
    /// # Errors
    /// Any [`Error`].
    pub fn count_chosen<'a>(&'a self, topic: &'a str, choice: &'a Choice) -> Answer<'a, u64> {
        Box::pin(async move { self.answer(turn::count(self.reader(), &text(topic), choice)).await })
    }

    /// Begins a replay; answers how many events it chose.
    ///
    /// # Errors
    /// Any [`Error`]; the call may be repeated with the same id.
    pub fn begin_replay<'a>(&'a self, new: &'a NewReplay) -> Answer<'a, u64> {
        Box::pin(async move {
            // What dies from now on is not of this replay: without that bound one that fails again would go round for ever.
            let choice = Choice { to: Some(new.choice.to.map_or(new.begun_at, |to| to.min(new.begun_at))), ..new.choice.clone() };
            let chosen = self.count_chosen(&new.topic, &choice).await?;
            let row = ActiveModel {
                id: Set(new.id.clone()),
                topic: Set(text(&new.topic)),
                operator: Set(text(&new.operator)),
                begun_at: Set(new.begun_at.as_micros()),
                choice: Set(choice.written()),
                share_thousandths: Set(i32::from(new.share_thousandths)),
                state: Set(ReplayState::Running.as_str().to_owned()),
                chosen: Set(bigint(chosen)),
                moved: Set(0),
                skipped: Set(0),
                seen_at: Set(i64::MIN),
                seen_partition: Set(-1),
                seen_offset: Set(-1),
                turn_at: Set(0),
                ended_at: Set(None),
                trace: Set(new.trace.as_ref().map(|trace| trace.traceparent().to_owned())),
            };
            self.write(&turn::Begin(row)).await?;
            Ok(chosen)
        })
    }

    /// The newest replays; at most 1,000, whatever the limit.
    ///
    /// # Errors
    /// Any [`Error`].
    pub fn replays(&self, limit: u32) -> Answer<'_, Vec<Replay>> {
        Box::pin(async move {
            let select = Entity::find().order_by_desc(Column::BegunAt).order_by_asc(Column::Id).limit(bounded(limit));
            let rows = self.answer(select.all(self.reader())).await?;
            rows.into_iter().map(Replay::read).collect()
        })
    }

    /// One replay.
    ///
    /// # Errors
    /// Any [`Error`].
    pub fn replay<'a>(&'a self, id: &'a str) -> Answer<'a, Option<Replay>> {
        Box::pin(async move {
            let found = self.answer(Entity::find_by_id(text(id)).one(self.reader())).await?;
            found.map(Replay::read).transpose()
        })
    }

    /// The replays that run, oldest first.
    ///
    /// # Errors
    /// Any [`Error`].
    pub fn running_replays<'a>(&'a self, topic: &'a str) -> Answer<'a, Vec<Replay>> {
        Box::pin(async move {
            let running = Entity::find().filter(Column::State.eq(ReplayState::Running.as_str())).filter(Column::Topic.eq(text(topic)));
            let rows = self.answer(running.order_by_asc(Column::BegunAt).limit(bounded(u32::MAX)).all(self.reader())).await?;
            rows.into_iter().map(Replay::read).collect()
        })
    }

    /// Cancels a replay that runs; `false` if it runs no more.
    ///
    /// # Errors
    /// Any [`Error`]; the call may be repeated.
    pub fn cancel_replay<'a>(&'a self, id: &'a str, at: Moment) -> Answer<'a, bool> {
        Box::pin(async move { self.write(&turn::Cancel { id: text(id), at }).await })
    }
}

impl Choice {
    /// The choice as the table holds it.
    fn written(&self) -> String {
        text(&serde_json::to_string(self).expect("invariant: a choice holds only text and numbers"))
    }
}

impl Replay {
    /// Reads a row.
    fn read(row: Model) -> Result<Self, Error> {
        let table = Columns("replay");
        Ok(Self {
            choice: table.sound("choice", serde_json::from_str(&row.choice).ok())?,
            share_thousandths: table.sound("share_thousandths", u16::try_from(row.share_thousandths).ok())?,
            state: table.sound("state", ReplayState::parse(&row.state))?,
            chosen: table.offset("chosen", row.chosen)?,
            moved: table.offset("moved", row.moved)?,
            skipped: table.offset("skipped", row.skipped)?,
            begun_at: Moment::from_micros(row.begun_at),
            ended_at: moment(row.ended_at),
            trace_id: row.trace.and_then(|parent| Some(TraceContext::parse(&parent, None)?.trace_id().to_owned())),
            id: row.id,
            topic: row.topic,
            operator: row.operator,
        })
    }
}
