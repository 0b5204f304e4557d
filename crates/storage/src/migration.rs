//! The steps that bring a database to the tables this version needs. A step that was released is never changed.
//!
//! All pending steps run in one transaction, one process at a time: SQLite's write lock and, on PostgreSQL, an
//! advisory lock see to that. Names are spelled out here, so that a step stays what it was when entities move on.

mod balance;
mod columns;
mod disabling;
mod ended_sessions;
mod failing;
mod first;
mod names;
mod ownership;
mod replay;
mod replay_trace;
mod pace;
mod short_names;

use std::collections::HashSet;
use std::time::Duration;

use sea_orm::sea_query::{Expr, Func, Query};
use sea_orm::{ConnectionTrait, DatabaseTransaction, DbBackend, DbErr};
use sea_orm_migration::{Migration, MigrationTrait, MigratorTrait};

use crate::store::Transact;
use crate::{Answer, Store};

/// How long the steps may take, waiting for another process that runs them included.
const MIGRATION_MAX: Duration = Duration::from_secs(300);
/// The advisory lock that a migrating process holds: "events" in ASCII.
const LOCK: i64 = 0x65_76_65_6e_74_73;

/// All steps in order.
struct Steps;

#[async_trait::async_trait]
impl MigratorTrait for Steps {
    fn migrations() -> Vec<Box<dyn MigrationTrait>> {
        vec![
            Box::new(first::Step),
            Box::new(ownership::Step),
            Box::new(replay::Step),
            Box::new(pace::Step),
            Box::new(disabling::Step),
            Box::new(balance::Step),
            Box::new(replay_trace::Step),
            Box::new(names::Step),
            Box::new(failing::Step),
            Box::new(short_names::Step),
            Box::new(ended_sessions::Step),
        ]
    }

    /// Those of ours that the database lacks. One that it has and we don't know is a newer version's: it only adds, and a process of
    /// this version goes on beside it, during a roll and after a rollback. The library would refuse.
    async fn get_pending_migrations<C: ConnectionTrait>(db: &C) -> Result<Vec<Migration>, DbErr> {
        let done: HashSet<String> = Self::get_migration_models(db).await?.into_iter().map(|step| step.version).collect();
        Ok(Self::get_migration_files().into_iter().filter(|step| !done.contains(step.name())).collect())
    }
}

impl Transact for Steps {
    type Outcome = usize;

    async fn run(&self, transaction: &DatabaseTransaction) -> Result<usize, DbErr> {
        if transaction.get_database_backend() == DbBackend::Postgres {
            transaction.execute_unprepared("SET LOCAL statement_timeout = 0").await?;
            let lock = Query::select().expr(Func::cust("pg_advisory_xact_lock").arg(Expr::val(LOCK))).take();
            transaction.query_one(&lock).await?;
        }
        let pending = Self::get_pending_migrations(transaction).await?.len();
        Self::up(transaction, None).await.map(|()| pending)
    }
}

impl Store {
    /// Brings the database's tables to what this version needs, and tells how many steps that took; none when they are so already.
    ///
    /// # Errors
    /// [`Error`]; the tables are then as they were before.
    pub fn migrate(&self) -> Answer<'_, usize> {
        Box::pin(async move { self.write_within(MIGRATION_MAX, &Steps).await })
    }
}
