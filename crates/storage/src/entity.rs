//! The tables as rows and columns; `crate::migration` creates them.
//!
//! Numbers as the databases hold them: moments in microseconds, offsets and partitions as BIGINT, which both have.
#![allow(
    unreachable_pub,
    clippy::missing_docs_in_private_items,
    reason = "the derive writes public items without docs; the module is private"
)]

pub(crate) mod account;
pub(crate) mod session;
pub(crate) mod refresh_token;
pub(crate) mod journal;
pub(crate) mod parked;
pub(crate) mod dead;
pub(crate) mod replay;
pub(crate) mod pace_slot;
