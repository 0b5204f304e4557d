//! The ways in which the target fails when told to.

use super::Options;

/// A way to fail an admitted request. Every one uses up a place of the limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Failure {
    /// Status 500; nothing is processed.
    ServerError,
    /// Status 200 with a GraphQL error of code `INTERNAL_SERVER_ERROR`; nothing is processed.
    GraphqlError,
    /// The event is processed, but the answer comes late.
    Slow,
    /// The connection is closed without an answer; nothing is processed.
    Closed,
    /// The event is processed, but the connection is closed without an answer.
    Lost,
    /// Status 200 with a GraphQL error of code `BAD_USER_INPUT`: trying again is no use.
    Refused,
}

impl Failure {
    /// Those after which another try may succeed.
    pub const TRANSIENT: [Self; 5] = [Self::ServerError, Self::GraphqlError, Self::Slow, Self::Closed, Self::Lost];
    /// Every one, with its name in settings.
    pub const NAMES: [(&str, Self); 6] = [
        ("server_error", Self::ServerError),
        ("graphql_error", Self::GraphqlError),
        ("slow", Self::Slow),
        ("closed", Self::Closed),
        ("lost", Self::Lost),
        ("refused", Self::Refused),
    ];

    /// Draws whether and how a request fails.
    pub(super) fn draw(options: &Options) -> Option<Self> {
        if !rand::random_bool(options.failure_share) || options.failures.is_empty() {
            return None;
        }
        options.failures.get(rand::random_range(0..options.failures.len())).copied()
    }
}
