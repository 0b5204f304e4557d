//! What the topic dropped before it was read: ranges of offsets, counted among the dead, for nothing else is left of them.

use sea_orm::{ConnectionTrait, DatabaseTransaction, DbErr};

use crate::commit::Expired;
use crate::lease::statement;
use crate::value::{bigint, text};
use crate::{Answer, Store};

impl Store {
    /// How many records of a topic its retention took before they were read.
    ///
    /// # Errors
    /// Any [`Error`].
    pub fn expired<'a>(&'a self, topic: &'a str) -> Answer<'a, u64> {
        Box::pin(async move {
            const SUM: &str = "SELECT CAST(COALESCE(SUM(end_offset - first_offset), 0) AS BIGINT) FROM expired WHERE topic = $1";
            let select = statement(self.reader().get_database_backend(), SUM, vec![text(topic).into()]);
            let sum = self.answer(async { self.reader().query_one_raw(select).await?.map_or(Ok(0_i64), |row| row.try_get_by_index(0)) });
            Ok(u64::try_from(sum.await?).unwrap_or_default())
        })
    }
}

/// Records ranges. One that is told again, longer, grows: the topic went on dropping before the first telling was stored.
pub(crate) async fn record(transaction: &DatabaseTransaction, topic: &str, partition: u32, ranges: &[Expired]) -> Result<(), DbErr> {
    const INSERT: &str = r#"INSERT INTO expired (topic, "partition", first_offset, end_offset, found_at) VALUES ($1, $2, $3, $4, $5)
        ON CONFLICT (topic, "partition", first_offset) DO UPDATE SET end_offset = excluded.end_offset
        WHERE excluded.end_offset > expired.end_offset"#;
    for range in ranges {
        let place = [topic.into(), i64::from(partition).into(), bigint(range.first).into(), bigint(range.end).into()];
        let values = place.into_iter().chain([range.found_at.as_micros().into()]).collect();
        transaction.execute_raw(statement(transaction.get_database_backend(), INSERT, values)).await?;
    }
    Ok(())
}
