//! What an error means to the caller. The one place that decides it.
//!
//! A refusal convicts the batch: its records will be parked as undeliverable. So only what the broker says of the
//! records themselves is one; missing rights, a wrong clock or too few replicas say nothing about them, and wait.

use rskafka::client::error::{Error as Cause, ProtocolError, RequestError};

use super::Error;

/// What an error means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    /// The batch has too many bytes.
    TooLarge,
    /// The records can never be taken.
    Refused,
    /// The offset does not exist.
    OutOfRange,
    /// The answer came whole, but holds something that cannot be read.
    Undecodable,
    /// All else: the link is not to be trusted any more; build it anew and ask again.
    Trouble,
}

/// Judges an error.
pub(super) fn judge(error: &Error) -> Verdict {
    let cause = match error {
        Error::Broker(cause) => cause.as_ref(),
        Error::NoPartition => return Verdict::Refused,
        Error::NoRecord => return Verdict::Undecodable,
        Error::Late | Error::Down(_) | Error::Connect(_) | Error::Tls(_) | Error::NoTopic { .. } | Error::Partitions { .. } => {
            return Verdict::Trouble;
        }
    };
    if let Cause::ServerError { protocol_error, .. } = cause {
        return said(*protocol_error);
    }
    if is_undecodable(cause) { Verdict::Undecodable } else { Verdict::Trouble }
}

/// Judges what the broker said.
fn said(error: ProtocolError) -> Verdict {
    if matches!(error, ProtocolError::MessageTooLarge | ProtocolError::RecordListTooLarge) {
        Verdict::TooLarge
    } else if matches!(error, ProtocolError::InvalidRecord) {
        Verdict::Refused
    } else if matches!(error, ProtocolError::OffsetOutOfRange) {
        Verdict::OutOfRange
    } else {
        Verdict::Trouble
    }
}

/// Says whether an answer arrived whole and yet could not be read, as with a header whose value is null.
///
/// A compression that we were not built for is none of these: every record would seem unreadable, one after the
/// other, where the topic's settings are wrong. rskafka tells it by its text alone.
fn is_undecodable(cause: &Cause) -> bool {
    let unread = matches!(
        cause,
        Cause::InvalidResponse(_)
            | Cause::Request(RequestError::ReadError(_) | RequestError::ReadVersionedError(_) | RequestError::TooMuchData { .. })
    );
    unread && !cause.to_string().contains("Unimplemented compression")
}

#[cfg(test)]
mod tests {
    use rskafka::client::error::{Error as Cause, ProtocolError, RequestError};

    use super::{Error, Verdict, judge, said};

    #[test]
    fn only_what_the_broker_says_of_the_records_convicts_them() {
        let table = [
            (ProtocolError::MessageTooLarge, Verdict::TooLarge),
            (ProtocolError::RecordListTooLarge, Verdict::TooLarge),
            (ProtocolError::InvalidRecord, Verdict::Refused),
            (ProtocolError::OffsetOutOfRange, Verdict::OutOfRange),
            (ProtocolError::TopicAuthorizationFailed, Verdict::Trouble),
            (ProtocolError::CorruptMessage, Verdict::Trouble),
            (ProtocolError::InvalidTimestamp, Verdict::Trouble),
            (ProtocolError::NotEnoughReplicas, Verdict::Trouble),
            (ProtocolError::NotLeaderOrFollower, Verdict::Trouble),
            (ProtocolError::UnknownTopicOrPartition, Verdict::Trouble),
            (ProtocolError::Unknown(9_999), Verdict::Trouble),
        ];
        for (error, verdict) in table {
            assert_eq!(said(error), verdict, "{error}");
        }
    }

    #[test]
    fn a_broken_connection_is_not_an_unreadable_record() {
        let broken = Cause::Request(RequestError::IO(std::io::ErrorKind::ConnectionReset.into()));
        assert_eq!(judge(&Error::broker(broken)), Verdict::Trouble);
        assert_eq!(judge(&Error::Late), Verdict::Trouble);
        assert_eq!(judge(&Error::broker(Cause::InvalidResponse("Not a valid timestamp".to_owned()))), Verdict::Undecodable);
        assert_eq!(judge(&Error::broker(Cause::InvalidResponse("Unimplemented compression: Zstd".to_owned()))), Verdict::Trouble);
    }
}
