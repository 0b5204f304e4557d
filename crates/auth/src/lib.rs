//! Who may call: passwords, access tokens, sessions.
//!
//! Nothing here reads a clock: every judgement is made against the `now` that it is given.

pub mod password;
