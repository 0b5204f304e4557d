//! How what we say becomes what a column holds, and back.
//!
//! Text never holds a NUL: PostgreSQL refuses it, so U+FFFD stands in its place on both databases. Numbers beyond
//! BIGINT do not occur (an offset would have to be above 9·10^18) and stay at its end.

use events_proxy_core::envelope::{Headers, Record};
use events_proxy_core::{Attempt, DeadReason, Moment};

use crate::Error;

/// The most rows of one statement: at 17 columns each that is a quarter of SQLite's variables and an eighth of PostgreSQL's.
pub(crate) const CHUNK_ROWS_MAX: usize = 500;

/// The places of so many rows of so many values each, for a list of them, from the value of that number on: `($2, $3), ($4, $5)`. Both
/// databases name the columns of such a list `column1`, `column2` and so on.
pub(crate) fn places(first: usize, (rows, width): (usize, usize)) -> String {
    let row = |row: usize| {
        let places: Vec<String> = (first + row * width..).take(width).map(|place| format!("${place}")).collect();
        format!("({})", places.join(", "))
    };
    (0..rows).map(row).collect::<Vec<_>>().join(", ")
}

/// A day in microseconds.
pub(crate) const DAY_MICROS: i64 = 86_400_000_000;

/// The most parked or dead rows that are answered at once: each holds a record, of some 50 kB at most.
const ANSWER_ROWS_MAX: u32 = 1_000;

/// A limit that keeps an answer bounded.
pub(crate) fn bounded(limit: u32) -> u64 {
    u64::from(limit.min(ANSWER_ROWS_MAX))
}

/// Text without NUL.
pub(crate) fn text(text: &str) -> String {
    text.replace('\0', "\u{fffd}")
}

/// An unsigned number as BIGINT.
pub(crate) fn bigint(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

/// The day of a moment, counted from 1970.
pub(crate) fn day(moment: Moment) -> i64 {
    moment.as_micros().div_euclid(DAY_MICROS)
}

/// Attempts as a JSON array.
pub(crate) fn attempts(attempts: &[Attempt]) -> String {
    let clean: Vec<Attempt> = attempts.iter().map(|attempt| Attempt { detail: text(&attempt.detail), ..attempt.clone() }).collect();
    serde_json::to_string(&clean).expect("invariant: attempts hold only numbers and text")
}

/// Headers in postcard.
pub(crate) fn headers(headers: &Headers) -> Vec<u8> {
    postcard::to_stdvec(headers).expect("invariant: headers are a map of text to bytes, both of known length")
}

/// Reads one table's columns back.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Columns(pub(crate) &'static str);

impl Columns {
    /// The value, or the error that names the column.
    pub(crate) fn sound<T>(self, column: &'static str, value: Option<T>) -> Result<T, Error> {
        value.ok_or(Error::Corrupt { table: self.0, column })
    }

    /// A partition.
    pub(crate) fn partition(self, number: i64) -> Result<u32, Error> {
        self.sound("partition", u32::try_from(number).ok())
    }

    /// An offset.
    pub(crate) fn offset(self, column: &'static str, number: i64) -> Result<u64, Error> {
        self.sound(column, u64::try_from(number).ok())
    }

    /// Attempts.
    pub(crate) fn attempts(self, json: &str) -> Result<Vec<Attempt>, Error> {
        self.sound("attempts", serde_json::from_str(json).ok())
    }

    /// A reason.
    pub(crate) fn reason(self, column: &'static str, word: &str) -> Result<DeadReason, Error> {
        self.sound(column, DeadReason::parse(word))
    }

    /// A record's headers.
    pub(crate) fn headers(self, stored: &[u8]) -> Result<Headers, Error> {
        self.sound("record_headers", postcard::from_bytes(stored).ok())
    }

    /// A record.
    pub(crate) fn record(self, key: Vec<u8>, payload: Vec<u8>, headers: &[u8]) -> Result<Record, Error> {
        Ok(Record { key, payload, headers: self.headers(headers)? })
    }
}

/// A moment that may be missing.
pub(crate) fn moment(micros: Option<i64>) -> Option<Moment> {
    micros.map(Moment::from_micros)
}
