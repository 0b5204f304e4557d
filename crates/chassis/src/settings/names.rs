//! Which variables of the environment are meant for us, and what a misspelt one was meant to be.
//!
//! Kubernetes puts the addresses of services into every pod's environment: a service named `target-service` gives
//! `TARGET_SERVICE_PORT_80_TCP_ADDR` and more. They are nobody's mistake.

/// How the names of our variables start, where a name in the environment is likely to be ours. `OPERATOR_` is not among them: a terminal
/// has `OPERATOR_SECRET`, which is no setting.
const FAMILIES: [&str; 18] = [
    "AUTH_",
    "QUEUE_",
    "RATE_LIMIT_",
    "LOOK_UP_",
    "CLIENT_IP_",
    "SOURCE_SERVICE_",
    "PROXY_SERVICE_",
    "TARGET_SERVICE_",
    "USER_REPOSITORY_",
    "GRAPHQL_CLIENT_",
    "ACCEPT_",
    "SPOOL_",
    "JOURNAL_",
    "DELIVERY_",
    "DISPATCH_",
    "CONSOLE_",
    "EVENT_",
    "EVENTS_PROXY_",
];

/// Says whether a variable belongs to us by its name, so that it must be known.
pub(super) fn is_ours(name: &str) -> bool {
    FAMILIES.iter().any(|family| name.starts_with(family)) && name != super::FILE_VARIABLE && !is_service_link(name)
}

/// Says whether Kubernetes made the name: `*_SERVICE_HOST`, `*_SERVICE_PORT*`, `*_PORT`, `*_PORT_<n>_<protocol>*`.
fn is_service_link(name: &str) -> bool {
    let numbered = |rest: &str| {
        let (number, rest) = rest.split_once('_').unwrap_or((rest, ""));
        let protocol = ["TCP", "UDP", "SCTP"].iter().any(|protocol| rest.starts_with(protocol));
        protocol && !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit())
    };
    name.ends_with("_SERVICE_HOST")
        || name.ends_with("_SERVICE_PORT")
        || name.contains("_SERVICE_PORT_")
        || name.ends_with("_PORT")
        || name.match_indices("_PORT_").any(|(at, part)| name.get(at + part.len()..).is_some_and(numbered))
}

/// The known name that is nearest to a misspelt one, if any is near: a third of its letters may differ, or two.
pub(super) fn nearest<'a>(misspelt: &str, known: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let misspelt = misspelt.to_lowercase();
    let (distance, name) = known.map(|name| (distance(&misspelt, name), name)).min()?;
    (distance <= (misspelt.len() / 3).max(2)).then_some(name)
}

/// The edit distance of two names, in bytes: insertions, deletions and replacements (Wagner–Fischer, one row kept).
fn distance(left: &str, right: &str) -> usize {
    let mut row: Vec<usize> = (0..=right.len()).collect();
    for (above, byte) in left.bytes().enumerate() {
        let mut diagonal = above;
        let mut beside = above + 1;
        for (cell, other) in row.iter_mut().skip(1).zip(right.bytes()) {
            let replaced = diagonal + usize::from(byte != other);
            diagonal = *cell;
            beside = replaced.min(beside + 1).min(diagonal + 1);
            *cell = beside;
        }
        if let Some(first) = row.first_mut() {
            *first = above + 1;
        }
    }
    row.last().copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::{distance, is_ours, nearest};

    #[test]
    fn the_distance_counts_edits() {
        for (left, right, edits) in
            [("", "", 0), ("", "abc", 3), ("abc", "", 3), ("kitten", "sitting", 3), ("abc", "abc", 0), ("ab", "ba", 2)]
        {
            assert_eq!(distance(left, right), edits, "{left} {right}");
        }
    }

    #[test]
    fn what_kubernetes_puts_into_a_pod_is_not_ours() {
        for name in [
            "EVENTS_PROXY_SERVICE_HOST",
            "EVENTS_PROXY_SERVICE_PORT",
            "EVENTS_PROXY_SERVICE_PORT_HTTP",
            "EVENTS_PROXY_PORT",
            "EVENTS_PROXY_INGEST_PORT_4000_TCP",
            "TARGET_SERVICE_PORT_80_TCP_ADDR",
            "QUEUE_PORT_9092_TCP_PROTO",
        ] {
            assert!(!is_ours(name), "{name}");
        }
    }

    #[test]
    fn a_family_is_ours_and_the_rest_is_not() {
        for name in ["QUEUE_TYP", "DELIVERY_ATTEMPT_MAX", "TARGET_SERVICE_URL", "EVENTS_PROXY_CONFIGS"] {
            assert!(is_ours(name), "{name}");
        }
        for name in ["DISPATCH_LEASE_TTL", "LOOK_UP_RATE_LIMIT_INTERVAL", "CONSOLE_MASKED_FIELD", "CLIENT_IP_HEADERS"] {
            assert!(is_ours(name), "{name}");
        }
        for name in
            ["PATH", "HOME", "EVENTS_PROXY_CONFIG", "KUBERNETES_PORT", "OPERATOR_SECRET", "DISPATCHER_PORT", "CONSOLE_PORT_443_TCP_ADDR"]
        {
            assert!(!is_ours(name), "{name}");
        }
    }

    #[test]
    fn a_name_far_from_all_is_near_none() {
        assert_eq!(nearest("QUEUE_TYP", ["port", "queue_type"].into_iter()), Some("queue_type"));
        assert_eq!(nearest("QUEUE_WHATEVER_ELSE", ["port", "queue_type"].into_iter()), None);
    }
}
