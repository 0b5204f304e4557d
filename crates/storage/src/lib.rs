//! What must be remembered: accounts, sessions, journal, parked and dead events, who owns which partition, slots.
//!
//! One [`Store`] on SQLite or PostgreSQL, chosen by URL; both run the same statements. Nothing here is on the
//! accept path: a database that is away delays what is told about events, never the events.
//!
//! Laws: a journal row only moves forward, whoever writes and in whatever order, except that a replay takes
//! `dead` back to `parked`; a [`Commit`] is written whole or not at all; every call except a rotation may be repeated after an
//! error; every wait has a bound.

mod error;
mod value;
mod bulk;
mod entity;
mod migration;
mod store;
mod account;
mod balance;
mod session;
mod journal;
mod lease;
mod commit;
mod expired;
mod parked;
mod dead;
mod replay;
mod search;
mod pace;

pub use account::{Account, Change, Listed};
pub use balance::{Astray, Balance, Passed, Why};
pub use commit::{Commit, End, Expired, Progress, Settled, Undecodable};
pub use dead::{DeadKind, DeadRow};
pub use error::Error;
pub use journal::{Counts, Cursor, JournalRow, PAGE_ROWS_MAX, Page, PublishedRow, Query};
pub use lease::{Beat, Holding, Member, PartitionRow, Standing};
pub use pace::{Asked, Limit, PAUSE_MAX, Reserved};
pub use parked::{Due, ParkedRow, Waiting};
pub use replay::{Choice, Moved, NewReplay, Of, Replay, ReplayState, Turn};
pub use search::{DeadGroup, Found, NoPlace, Place, Search};
pub use session::{NewSession, Rotated, RotatedSession, Rotation};
pub use store::{Answer, Options, Store, file, is_guarded};
