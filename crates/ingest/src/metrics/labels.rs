//! The closed sets of labels.

use broker::log::AppendError;

/// Which durable path took an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Way {
    /// The fsynced spool.
    Spool,
    /// The topic, straight.
    Broker,
    /// The spool, and then the topic.
    Both,
}

impl Way {
    /// All ways, in the order of their declaration.
    pub(crate) const ALL: [Self; 3] = [Self::Spool, Self::Broker, Self::Both];

    /// Its label.
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Spool => "spool",
            Self::Broker => "broker",
            Self::Both => "both",
        }
    }
}

/// How a soft wait for the topic ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Waited {
    /// The topic has the event.
    Acked,
    /// It did not say so in time.
    Late,
    /// Nobody waited: the partition was known to be in trouble.
    Skipped,
}

impl Waited {
    /// All of them.
    pub(crate) const ALL: [Self; 3] = [Self::Acked, Self::Late, Self::Skipped];

    /// Its label.
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Acked => "acked",
            Self::Late => "late",
            Self::Skipped => "skipped",
        }
    }
}

/// Why the spool did not take an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum SpoolFault {
    /// It holds as much as it may.
    Full,
    /// Its file system is nearly full.
    LowSpace,
    /// As much as may wait for the disk already does.
    Busy,
    /// The event is too large for it.
    TooLarge,
    /// The disk failed.
    Failed,
    /// It is closed.
    Closed,
    /// It did not answer in time; the event may land nevertheless.
    Late,
}

impl SpoolFault {
    /// All of them.
    pub(crate) const ALL: [Self; 7] = [Self::Full, Self::LowSpace, Self::Busy, Self::TooLarge, Self::Failed, Self::Closed, Self::Late];

    /// The fault of a failed append.
    pub(crate) const fn of(error: &AppendError) -> Self {
        match error {
            AppendError::Full => Self::Full,
            AppendError::LowSpace => Self::LowSpace,
            AppendError::Busy => Self::Busy,
            AppendError::TooLarge => Self::TooLarge,
            AppendError::Failed(_) => Self::Failed,
            AppendError::Closed => Self::Closed,
        }
    }

    /// Its label.
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Full => "full",
            Self::LowSpace => "low_space",
            Self::Busy => "busy",
            Self::TooLarge => "too_large",
            Self::Failed => "failed",
            Self::Closed => "closed",
            Self::Late => "late",
        }
    }
}

/// How a log-in ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum LogIn {
    /// With a session.
    Opened,
    /// Unknown account or wrong secret.
    Refused,
    /// Not judged: too many before it failed.
    LockedOut,
    /// Not judged: the address asks too often.
    TooMany,
    /// Not judged: too many wait for a bcrypt.
    Busy,
    /// The storage did not answer.
    Unavailable,
    /// At the deadline, or its caller went away.
    GivenUp,
}

impl LogIn {
    /// All of them.
    pub(crate) const ALL: [Self; 7] =
        [Self::Opened, Self::Refused, Self::LockedOut, Self::TooMany, Self::Busy, Self::Unavailable, Self::GivenUp];

    /// Its label.
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Opened => "opened",
            Self::Refused => "refused",
            Self::LockedOut => "locked_out",
            Self::TooMany => "too_many",
            Self::Busy => "busy",
            Self::Unavailable => "unavailable",
            Self::GivenUp => "given_up",
        }
    }
}

/// How a refresh ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Refreshed {
    /// With the next pair of tokens.
    Rotated,
    /// No such token.
    Unknown,
    /// The token's time is over.
    Expired,
    /// The token was spent, or its session over; now it is.
    Reused,
    /// The session is of another address.
    OtherAddress,
    /// Not judged: the address asks too often.
    TooMany,
    /// The storage did not answer.
    Unavailable,
    /// At the deadline.
    GivenUp,
}

impl Refreshed {
    /// All of them.
    pub(crate) const ALL: [Self; 8] =
        [Self::Rotated, Self::Unknown, Self::Expired, Self::Reused, Self::OtherAddress, Self::TooMany, Self::Unavailable, Self::GivenUp];

    /// Its label.
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Rotated => "rotated",
            Self::Unknown => "unknown",
            Self::Expired => "expired",
            Self::Reused => "reused",
            Self::OtherAddress => "other_address",
            Self::TooMany => "too_many",
            Self::Unavailable => "unavailable",
            Self::GivenUp => "given_up",
        }
    }
}
