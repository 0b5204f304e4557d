//! Moves partitions' offsets forward, and counts how the records ended that they pass.

use std::collections::HashSet;

use sea_orm::{ConnectionTrait, DatabaseTransaction, DbBackend, DbErr, Value};

use super::{Commit, Progress};
use crate::Passed;
use crate::lease::statement;
use crate::value::{CHUNK_ROWS_MAX, bigint, places, text};

/// What a partition's row is told in [`UPDATE`]: as many columns as a row of its values has.
const TOLD: usize = 9;
/// Moves offsets. A commit that is written a second time finds the offset where it moved it, and counts nothing.
const UPDATE: &str = r#"UPDATE dispatch_partition SET
    passed_delivered = passed_delivered + CASE WHEN next_offset < told.column4 THEN told.column5 ELSE 0 END,
    passed_parked = passed_parked + CASE WHEN next_offset < told.column4 THEN told.column6 ELSE 0 END,
    passed_dead = passed_dead + CASE WHEN next_offset < told.column4 THEN told.column7 ELSE 0 END,
    passed_repeated = passed_repeated + CASE WHEN next_offset < told.column4 THEN told.column8 ELSE 0 END,
    passed_expired = passed_expired + CASE WHEN next_offset < told.column4 THEN told.column9 ELSE 0 END,
    next_offset = CASE WHEN next_offset < told.column4 THEN told.column4 ELSE next_offset END
    FROM (VALUES {rows}) AS told
    WHERE topic = $1 AND "partition" = told.column1 AND owner = told.column2 AND epoch = told.column3 RETURNING "partition", epoch"#;

/// Advances commits of one topic; says of each whether its partition is its own, or it tells what is true whoever says it.
pub(super) async fn advance(transaction: &DatabaseTransaction, topic: &str, commits: &[&Commit]) -> Result<Vec<bool>, DbErr> {
    let mut told: Vec<(i64, &Progress)> =
        commits.iter().filter_map(|commit| Some((i64::from(commit.partition), commit.progress.as_ref()?))).collect();
    told.sort_unstable_by_key(|(partition, _)| *partition);
    let mut ours = HashSet::new();
    for chunk in told.chunks(CHUNK_ROWS_MAX) {
        lock(transaction, topic, chunk).await?;
        let mut values: Vec<Value> = vec![topic.into()];
        for (partition, progress) in chunk {
            let Passed { delivered, parked, dead, repeated, expired } = progress.passed;
            values.extend([Value::from(*partition), text(&progress.member).into(), bigint(progress.epoch).into()]);
            let counts = [progress.next_offset.unwrap_or_default(), delivered, parked, dead, repeated, expired];
            values.extend(counts.map(|count| bigint(count).into()));
        }
        let update = UPDATE.replace("{rows}", &places(2, (chunk.len(), TOLD)));
        for row in transaction.query_all_raw(statement(transaction.get_database_backend(), &update, values)).await? {
            ours.insert((row.try_get_by_index::<i64>(0)?, row.try_get_by_index::<i64>(1)?));
        }
    }
    let is_ours = |commit: &&Commit| {
        commit.progress.as_ref().is_none_or(|progress| ours.contains(&(i64::from(commit.partition), bigint(progress.epoch))))
    };
    Ok(commits.iter().map(is_ours).collect())
}

/// Locks what is ours of these partitions, in their order, as a beat does: the two would wait for each other otherwise. What is
/// another's by now is left alone. SQLite has one writer.
async fn lock(transaction: &DatabaseTransaction, topic: &str, told: &[(i64, &Progress)]) -> Result<(), DbErr> {
    const LOCK: &str = r#"SELECT 1 FROM dispatch_partition held
        JOIN (VALUES {rows}) AS told ON held."partition" = told.column1 AND held.owner = told.column2 AND held.epoch = told.column3
        WHERE held.topic = $1 ORDER BY held."partition" FOR UPDATE OF held"#;
    if told.len() < 2 || transaction.get_database_backend() != DbBackend::Postgres {
        return Ok(());
    }
    let mut values: Vec<Value> = vec![topic.into()];
    for (partition, progress) in told {
        values.extend([Value::from(*partition), text(&progress.member).into(), bigint(progress.epoch).into()]);
    }
    let select = LOCK.replace("{rows}", &places(2, (told.len(), 3)));
    transaction.query_all_raw(statement(DbBackend::Postgres, &select, values)).await.map(drop)
}
