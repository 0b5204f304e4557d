//! The steps that bring a database to the tables this version needs. A step that was released is never changed.
//!
//! All pending steps run in one transaction, one process at a time: SQLite's write lock and, on PostgreSQL, an
//! advisory lock see to that. Names are spelled out here, so that a step stays what it was when entities move on.
//! Steps that this version does not know are a later one's, which only adds: a process that was rolled back, or starts
//! anew in the middle of an upgrade, works beside them.

mod balance;
mod columns;
mod disabling;
mod first;
mod ownership;
mod replay;
mod replay_trace;
mod pace;

use std::collections::HashSet;
use std::time::Duration;

use sea_orm::sea_query::{Expr, Func, Query};
use sea_orm::{ConnectionTrait, DatabaseTransaction, DbBackend, DbErr, EntityTrait};
use sea_orm_migration::{MigrationTrait, MigratorTrait, seaql_migrations};

use crate::store::Transact;
use crate::{Error, Store};

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
        ]
    }
}

impl Transact for Steps {
    type Outcome = ();

    async fn run(&self, transaction: &DatabaseTransaction) -> Result<(), DbErr> {
        if transaction.get_database_backend() == DbBackend::Postgres {
            transaction.execute_unprepared("SET LOCAL statement_timeout = 0").await?;
            let lock = Query::select().expr(Func::cust("pg_advisory_xact_lock").arg(Expr::val(LOCK))).take();
            transaction.query_one(&lock).await?;
        }
        if Self::are_done(transaction).await? { Ok(()) } else { Self::up(transaction, None).await }
    }
}

impl Steps {
    /// Whether every step of this version is done.
    async fn are_done(transaction: &DatabaseTransaction) -> Result<bool, DbErr> {
        Self::install(transaction).await?;
        let done = seaql_migrations::Entity::find().all(transaction).await?;
        let done: HashSet<String> = done.into_iter().map(|step| step.version).collect();
        Ok(Self::migrations().iter().all(|step| done.contains(step.name())))
    }
}

impl Store {
    /// Brings the database's tables to what this version needs; does nothing when they are so already.
    ///
    /// # Errors
    /// [`Error`]; the tables are then as they were before.
    pub async fn migrate(&self) -> Result<(), Error> {
        self.write_within(MIGRATION_MAX, &Steps).await
    }
}
