//! What is counted and told of operators' sign-ins.

use std::net::IpAddr;

use chassis::metrics::Registry;
use opentelemetry::metrics::Counter;

use super::families::{FAMILIES, SIGNED_IN};

/// How a sign-in ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum SignIn {
    /// With a token.
    Opened,
    /// Unknown name or wrong secret.
    Refused,
    /// Not judged: too many before it failed.
    LockedOut,
    /// Not judged: too many wait for a bcrypt.
    Busy,
    /// The token could not be made.
    Failed,
    /// Its caller went away.
    GivenUp,
}

impl SignIn {
    /// All of them.
    pub(super) const ALL: [Self; 6] = [Self::Opened, Self::Refused, Self::LockedOut, Self::Busy, Self::Failed, Self::GivenUp];

    /// Its word in labels.
    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Self::Opened => "opened",
            Self::Refused => "refused",
            Self::LockedOut => "locked_out",
            Self::Busy => "busy",
            Self::Failed => "failed",
            Self::GivenUp => "given_up",
        }
    }
}

/// Counts sign-ins.
#[derive(Debug)]
pub(crate) struct SignIns(Counter<u64>);

impl SignIns {
    /// Makes the instrument.
    pub(crate) fn new(registry: &Registry) -> Self {
        Self(registry.meter(FAMILIES).counter("operator.sign.ins"))
    }

    /// A sign-in ended.
    pub(crate) fn ended(&self, outcome: SignIn) {
        self.0.add(1, &[SIGNED_IN.is(outcome.as_str())]);
    }

    /// A sign-in was refused. The name is that of an operator, or none: what else is typed in its place may be a secret.
    pub(crate) fn refused(&self, name: Option<&str>, address: IpAddr) {
        self.ended(SignIn::Refused);
        tracing::warn!(operator = name, client.address = %address, "a sign-in was refused: the name or the secret is wrong");
    }
}
