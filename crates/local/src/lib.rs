//! Everything in one process on an embedded log and SQLite.
