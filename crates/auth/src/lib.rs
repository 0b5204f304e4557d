//! Who may call: passwords, access tokens, sessions.
//!
//! ```text
//! log in   id + secret ──▶ password ──▶ session ──▶ access token (minutes, no I/O to verify) + refresh token (once)
//! refresh  refresh token ─────────────▶ session ──▶ the next pair
//! call     access token ──▶ access ──▶ who calls
//! ```
//! Nothing here reads a clock: every judgement is made against the `now` that it is given; [`lockout`] alone measures time, for it
//! remembers for an hour at most. What must be remembered lies behind the port in [`store`].

pub mod store;
pub mod password;
pub mod access;
pub mod session;
pub mod operator;
pub mod lockout;
mod random;

#[cfg(test)]
mod fake;
