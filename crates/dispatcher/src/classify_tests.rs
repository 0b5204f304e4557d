//! The table of answers, row by row.

use std::time::Duration;

use events_proxy_core::Outcome::{self, Delivered, Refused, Throttled, Unavailable, Unknown};

use super::{Answer, Body, Error, THROTTLED, UNAVAILABLE, classify};

/// How an answer of this status and body comes out.
fn outcome(status: u16, body: Body) -> Outcome {
    classify(Answer::Http { status, retry_after: None, reset: None, body }).outcome
}

/// Errors without data, one of each code.
fn errors(codes: &[&str]) -> Body {
    Body::Errors { errors: codes.iter().map(|code| error(code)).collect(), with_data: false }
}

/// One error of this code, with data.
fn partial(code: &str) -> Body {
    Body::Errors { errors: vec![error(code)], with_data: true }
}

/// An error of this code.
fn error(code: &str) -> Error {
    Error { code: Some(code.to_owned()), message: "no".to_owned(), ..Error::default() }
}

/// A page that is no GraphQL.
fn html() -> Body {
    Body::Other("<html>".to_owned())
}

/// The data of another event.
fn other_event() -> Body {
    Body::OtherEvent("e-2".to_owned())
}

#[test]
fn the_table_of_bodies_that_come_with_success() {
    for (body, expected) in [
        (Body::Data, Delivered),
        (other_event(), Unknown),
        (html(), Unknown),
        (Body::Other(String::new()), Unknown),
        (errors(&[]), Unknown),
        (errors(&["BAD_USER_INPUT"]), Refused),
        (errors(&["GRAPHQL_VALIDATION_FAILED"]), Refused),
        (errors(&["THROTTLED"]), Throttled),
        (errors(&["INTERNAL_SERVER_ERROR"]), Unavailable),
        (errors(&["UNAUTHENTICATED"]), Unavailable),
        (errors(&["BAD_USER_INPUT", "INTERNAL_SERVER_ERROR"]), Unavailable),
        (errors(&["INTERNAL_SERVER_ERROR", "THROTTLED"]), Throttled),
        (partial("BAD_USER_INPUT"), Unknown),
        (partial("INTERNAL_SERVER_ERROR"), Unknown),
        (partial("THROTTLED"), Throttled),
    ] {
        for status in [200, 201, 299] {
            assert_eq!(outcome(status, body.clone()), expected, "{status} {body:?}");
        }
    }
}

#[test]
fn the_table_of_statuses_that_say_no_more_than_themselves() {
    for (statuses, expected) in [
        (&[429, 420][..], Throttled),
        (&[300, 301, 302, 303, 304, 307, 308], Unavailable),
        (&[401, 402, 403, 404, 405, 406, 407, 410, 415, 421, 426], Unavailable),
        (&[408, 409, 423, 424, 425], Unavailable),
        (&[400, 411, 413, 414, 416, 422, 431, 451, 499], Refused),
        (&[500, 501, 503, 505, 507, 511, 529, 599], Unavailable),
        (&[502, 504, 520, 524], Unknown),
        (&[0, 100, 101, 199, 600, 999], Unknown),
    ] {
        for status in statuses {
            assert_eq!(outcome(*status, html()), expected, "{status}");
        }
    }
}

#[test]
fn the_table_of_statuses_whose_body_knows_more() {
    for (status, body, expected) in [
        (400, errors(&["GRAPHQL_VALIDATION_FAILED"]), Refused),
        (400, errors(&["INTERNAL_SERVER_ERROR"]), Unavailable),
        (422, errors(&["RATE_LIMITED"]), Throttled),
        (400, partial("BAD_USER_INPUT"), Unknown),
        (400, Body::Data, Refused),
        (400, other_event(), Refused),
        (401, errors(&["BAD_USER_INPUT"]), Unavailable),
        (409, errors(&["BAD_USER_INPUT"]), Unavailable),
        (429, errors(&["BAD_USER_INPUT"]), Throttled),
        (429, Body::Data, Throttled),
        (503, errors(&["THROTTLED"]), Throttled),
        (503, errors(&["BAD_USER_INPUT"]), Unavailable),
        (503, Body::Data, Unavailable),
        (503, other_event(), Unavailable),
        (502, errors(&["INTERNAL_SERVER_ERROR"]), Unknown),
    ] {
        assert_eq!(outcome(status, body.clone()), expected, "{status} {body:?}");
    }
}

#[test]
fn every_status_has_a_row_and_only_success_with_data_alone_delivers() {
    for status in 0..=999 {
        for body in [Body::Data, other_event(), html(), errors(&[]), errors(&["BAD_USER_INPUT"]), partial("BAD_USER_INPUT")] {
            let delivered = (200..300).contains(&status) && body == Body::Data;
            assert_eq!(outcome(status, body.clone()) == Delivered, delivered, "{status} {body:?}");
        }
    }
}

#[test]
fn every_known_code_is_judged_wherever_it_stands() {
    for (codes, expected) in [(&THROTTLED[..], Throttled), (&UNAVAILABLE[..], Unavailable)] {
        for code in codes {
            assert_eq!(outcome(200, errors(&["SOMETHING", code])), expected, "{code}");
        }
    }
}

#[test]
fn an_error_without_a_code_is_judged_by_the_status_it_carries() {
    for (status, expected) in
        [(Some(429), Throttled), (Some(503), Unavailable), (Some(504), Unavailable), (Some(422), Refused), (None, Refused)]
    {
        let body = Body::Errors { errors: vec![Error { status, message: "no".to_owned(), ..Error::default() }], with_data: false };
        assert_eq!(outcome(200, body), expected, "{status:?}");
    }
}

#[test]
fn without_an_answer_it_counts_whether_the_request_can_have_arrived() {
    assert_eq!(classify(Answer::NotConnected("refused".to_owned())).outcome, Unavailable);
    assert_eq!(classify(Answer::NoAnswer("timed out".to_owned())).outcome, Unknown);
}

#[test]
fn what_the_headers_ask_for_goes_before_what_the_error_asks_for() {
    let two = Some(Duration::from_secs(2));
    let body = Body::Errors { errors: vec![Error { retry_after: two, ..error("THROTTLED") }], with_data: false };
    let asked = |retry_after| classify(Answer::Http { status: 200, retry_after, reset: None, body: body.clone() }).retry_after;
    assert_eq!((asked(None), asked(Some(Duration::from_secs(9)))), (two, Some(Duration::from_secs(9))));
}

#[test]
fn what_the_limits_fields_tell_is_a_wait_where_the_limit_is_in_the_way() {
    let reset = Some(Duration::from_secs(40));
    let asked = |status, retry_after| classify(Answer::Http { status, retry_after, reset, body: Body::Other(String::new()) }).retry_after;
    assert_eq!(asked(429, None), reset);
    assert_eq!(asked(429, Some(Duration::from_secs(2))), Some(Duration::from_secs(2)));
    assert_eq!((asked(500, None), asked(503, None)), (None, None), "the limit is not what failed");
    assert_eq!(asked(503, Some(Duration::from_secs(2))), Some(Duration::from_secs(2)));
}

#[test]
fn what_was_said_is_kept_in_bounds_and_nothing_of_a_delivery() {
    assert_eq!(classify(Answer::Http { status: 200, retry_after: None, reset: None, body: Body::Data }).detail, "");
    let long = classify(Answer::Http { status: 500, retry_after: None, reset: None, body: Body::Other("é".repeat(10_000)) });
    assert_eq!((long.detail.chars().count(), long.status), (500, Some(500)));
    let refused = classify(Answer::Http { status: 200, retry_after: None, reset: None, body: errors(&["BAD_USER_INPUT"]) });
    assert_eq!(refused.detail, "BAD_USER_INPUT: no");
    let other =
        |id: &str| classify(Answer::Http { status: 200, retry_after: None, reset: None, body: Body::OtherEvent(id.to_owned()) }).detail;
    assert_eq!(other("e-2\n\u{202e}"), r#"status 200 with the data of another event: "e-2\n\u{202e}""#);
    assert_eq!(other(&"\u{202e}".repeat(200)).chars().count(), 500);
}
