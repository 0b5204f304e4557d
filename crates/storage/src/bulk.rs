//! Statements over lists of rows, in few shapes.
//!
//! ```text
//! 5 rows ─▶ (VALUES (…), (…), (…), (…), (…), (NULL…), (NULL…), (NULL…)) ─▶ the statement passes over the last three
//! ```
//! A database prepares a statement for every number of rows that it sees, and keeps it. So lists are filled up to the next
//! power of two: ten statements are prepared once, instead of hundreds again and again. A list that would be filled up with
//! much goes in two statements or more.

use std::iter;
use std::sync::OnceLock;

use sea_orm::{ConnectionTrait, DbBackend, DbErr, QueryResult, Statement, Value};

use crate::value::{CHUNK_ROWS_MAX, places};

/// How many shapes there are: 1, 2, 4 and so on, up to the most rows of a statement.
const SHAPES: usize = CHUNK_ROWS_MAX.next_power_of_two().ilog2() as usize + 1;

/// Up to so many rows another statement costs more than rows of nothing.
const SMALL: usize = 16;
/// How much of a list may be rows of nothing, as a divisor.
const NOTHING: usize = 8;

/// How many of so many rows go in the next statement.
fn share(rows: usize) -> usize {
    let most = rows.min(CHUNK_ROWS_MAX);
    let shape = most.next_power_of_two();
    if most <= SMALL || shape - most <= most / NOTHING { most } else { shape / 2 }
}

/// A statement over a list of rows of `WIDTH` values each.
#[derive(Debug)]
pub(crate) struct Bulk<const WIDTH: usize> {
    /// Its text, with `{rows}` where the list goes, whose columns are `column1` and so on. It passes over rows of NULL.
    template: &'static str,
    /// Its text in each shape, for PostgreSQL and for SQLite, written when it is needed first.
    texts: [[OnceLock<String>; SHAPES]; 2],
}

impl<const WIDTH: usize> Bulk<WIDTH> {
    /// The statement of this text.
    pub(crate) const fn new(template: &'static str) -> Self {
        Self { template, texts: [const { [const { OnceLock::new() }; SHAPES] }; 2] }
    }

    /// Writes all of these rows, in as many statements as it takes.
    pub(crate) async fn write(
        &self,
        database: &impl ConnectionTrait,
        rows: impl ExactSizeIterator<Item = [Value; WIDTH]>,
    ) -> Result<(), DbErr> {
        for statement in self.statements(database.get_database_backend(), rows) {
            database.execute_raw(statement).await?;
        }
        Ok(())
    }

    /// Reads what the database says of all of these rows, in as many statements as it takes.
    pub(crate) async fn read(
        &self,
        database: &impl ConnectionTrait,
        rows: impl ExactSizeIterator<Item = [Value; WIDTH]>,
    ) -> Result<Vec<QueryResult>, DbErr> {
        let mut told = Vec::new();
        for statement in self.statements(database.get_database_backend(), rows) {
            told.extend(database.query_all_raw(statement).await?);
        }
        Ok(told)
    }

    /// The statements over these rows.
    fn statements(&self, backend: DbBackend, mut rows: impl ExactSizeIterator<Item = [Value; WIDTH]>) -> impl Iterator<Item = Statement> {
        iter::from_fn(move || {
            let next = share(rows.len());
            (next > 0).then(|| self.over(backend, rows.by_ref().take(next)))
        })
    }

    /// The statement over these rows: at least one, and at most [`CHUNK_ROWS_MAX`].
    fn over(&self, backend: DbBackend, rows: impl ExactSizeIterator<Item = [Value; WIDTH]>) -> Statement {
        let shape = rows.len().next_power_of_two();
        let mut values: Vec<Value> = Vec::with_capacity(shape * WIDTH);
        rows.for_each(|row| values.extend(row));
        // Of the types of the first row: PostgreSQL wants to know them.
        let nothing: Vec<Value> = values.iter().take(WIDTH).map(Value::as_null).collect();
        while values.len() < shape * WIDTH {
            values.extend_from_slice(&nothing);
        }
        Statement::from_sql_and_values(backend, self.text(backend, shape), values)
    }

    /// The text for so many rows, a power of two.
    fn text(&self, backend: DbBackend, shape: usize) -> &str {
        let (texts, list): (_, fn(usize, usize) -> String) = match (&self.texts, backend) {
            ([numbered, _], DbBackend::Postgres) => (numbered, |rows, width| places(1, (rows, width))),
            ([_, bare], _) => (bare, bare_places),
        };
        let place = usize::try_from(shape.ilog2()).unwrap_or_default();
        let text = texts.get(place).expect("invariant: a chunk has no more rows than the largest shape");
        text.get_or_init(|| self.template.replace("{rows}", &list(shape, WIDTH)))
    }
}

/// The places of so many rows for SQLite, which takes the time of a search for each place that has a number.
fn bare_places(rows: usize, width: usize) -> String {
    let row = format!("({})", vec!["?"; width].join(", "));
    vec![row; rows].join(", ")
}

#[cfg(test)]
mod tests {
    use sea_orm::{DbBackend, Value};

    use super::{Bulk, NOTHING, SMALL, share};
    use crate::value::CHUNK_ROWS_MAX;

    /// Names numbers.
    static NAMED: Bulk<2> = Bulk::new("SELECT * FROM (VALUES {rows}) AS told WHERE column1 IS NOT NULL");

    #[test]
    fn a_long_list_goes_in_few_statements_that_are_hardly_filled_up() {
        for rows in 1..CHUNK_ROWS_MAX * 3 {
            let (mut left, mut filled, mut statements) = (rows, 0, 0);
            while left > 0 {
                let some = share(left);
                assert!(some > 0 && some <= left.min(CHUNK_ROWS_MAX), "{some} of {left}");
                filled += some.next_power_of_two() - some;
                statements += 1;
                left -= some;
            }
            assert!(filled <= (rows / NOTHING).max(SMALL), "{filled} rows of nothing for {rows}");
            assert!(statements <= rows / CHUNK_ROWS_MAX + 7, "{statements} statements for {rows}");
        }
    }

    #[test]
    fn a_list_is_filled_up_with_rows_of_nothing_to_the_next_power_of_two() {
        let row = |number: i32| [Value::from(number), Value::from("one")];
        for (rows, list) in [(1, "($1, $2)"), (2, "($1, $2), ($3, $4)"), (3, "($1, $2), ($3, $4), ($5, $6), ($7, $8)")] {
            let text = |list: &str| format!("SELECT * FROM (VALUES {list}) AS told WHERE column1 IS NOT NULL");
            let bare: String = list.chars().filter(|char| !char.is_ascii_digit()).collect();
            assert_eq!(NAMED.over(DbBackend::Sqlite, (0..rows).map(row)).sql, text(&bare.replace('$', "?")));
            let statement = NAMED.over(DbBackend::Postgres, (0..rows).map(row));
            assert_eq!(statement.sql, text(list));
            let values = statement.values.unwrap().0;
            assert_eq!(values.len(), list.matches('$').count());
            assert_eq!(values.last(), Some(&if rows == 3 { Value::String(None) } else { Value::from("one") }));
        }
    }
}
