//! The laws of the pace on real time, alike for a process that has the limit for itself and for several that share it in
//! a real PostgreSQL. The judge is the simulated target's own record of arrivals.
//!
//! Tests run one at a time. How late the machine wakes a timer is measured while they run: what it took away is not asked
//! for, and a failure tells it. The limit itself is never loosened. PostgreSQL is found by TEST_DATABASE_URL, which
//! `make test` sets; without it the tests that need it fail.
#![cfg(test)]

mod ground;
mod load;
mod machine;
mod alone;
mod shared;
