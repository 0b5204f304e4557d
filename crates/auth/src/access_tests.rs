//! Access tokens: which one is taken, and why every other one is not.

use std::time::Duration;

use events_proxy_core::{Moment, SourceId};
use jsonwebtoken::errors::Error;
use jsonwebtoken::{Algorithm, EncodingKey, Header, encode};
use proptest::prelude::*;
use secrecy::SecretString;
use serde_json::{Value, json};

use super::hs256::install;
use super::{Caller, Keys, LEEWAY, NotIssued, Rejected, TOKEN_BYTES_MAX};

const SECRET: &str = "Zk3vQ9xT1mB7nR5pL2wY8cD4fG6hJ0sA";
/// `{"alg":"none","typ":"JWT"}`
const HEADER_NONE: &str = "eyJhbGciOiJub25lIiwidHlwIjoiSldUIn0";
/// `{"alg":"RS256","typ":"JWT"}`
const HEADER_RS256: &str = "eyJhbGciOiJSUzI1NiIsInR5cCI6IkpXVCJ9";
/// The claims of [`claims`], and their tokens by [`SECRET`], as Python's hmac makes them: header and signature.
const PAYLOAD: &str = "eyJzdWIiOiJzaG9wIiwic2lkIjoic2Vzc2lvbi0xIiwiaWF0IjoxMDAwMDAwLCJleHAiOjEwMDAwNjAsImlzcyI6ImV2ZW50cy1wcm94eSIsImF1ZCI6ImV2ZW50cy1wcm94eS1hcGkifQ";
const HS256: (&str, &str) = ("eyJ0eXAiOiJKV1QiLCJhbGciOiJIUzI1NiJ9", "I0d565p52urLdSOv4Cs2xOvq0LT7-vCGXPmXWjeN-_0");
const HS384: (&str, &str) = ("eyJ0eXAiOiJKV1QiLCJhbGciOiJIUzM4NCJ9", "fe6EBJzhrgPULdTxLkGH7nDzh7q72c1s1i_9apoqNrpseZK_2MtKD7rg-2DFzvry");
const HS512: (&str, &str) =
    ("eyJ0eXAiOiJKV1QiLCJhbGciOiJIUzUxMiJ9", "b5hmVjEkxvT_6G0FmsAnvapvF6pQSLFBl4d127MvD5_N3b2bPAxOeKKlnFwGSHgksYRYTPGwqA2EdSGk_V7vqQ");
const LIFETIME: Duration = Duration::from_secs(60);

/// Long past: a judgement by the system's clock would find every token here expired.
fn now() -> Moment {
    Moment::from_micros(1_000_000_250_000)
}

fn keys() -> Keys {
    keys_with(SECRET, "events-proxy", "events-proxy-api")
}

fn keys_with(secret: &str, issuer: &str, audience: &str) -> Keys {
    Keys::new(&SecretString::from(secret), issuer, audience, LIFETIME)
}

fn token() -> String {
    keys().issue(&SourceId::new("shop"), "session-1", now()).unwrap().token
}

/// The claims of a good token, for changing.
fn claims() -> Value {
    json!({"sub": "shop", "sid": "session-1", "iat": 1_000_000, "exp": 1_000_060, "iss": "events-proxy", "aud": "events-proxy-api"})
}

/// Signs claims with our secret.
fn signed(claims: &Value) -> String {
    signed_as(Header::new(Algorithm::HS256), claims).unwrap()
}

/// Signs claims with our secret, under a header.
fn signed_as(header: Header, claims: &Value) -> Result<String, Error> {
    install();
    encode(&header, claims, &EncodingKey::from_secret(SECRET.as_bytes()))
}

/// A good token's three parts.
fn parts() -> [String; 3] {
    let token = token();
    let mut parts = token.split('.').map(str::to_owned);
    [parts.next().unwrap(), parts.next().unwrap(), parts.next().unwrap()]
}

fn rejected(token: &str) -> Option<Rejected> {
    keys().verify(token, now()).err()
}

#[test]
fn a_token_of_ours_says_who_calls() {
    let caller = Caller { source_id: SourceId::new("shop"), session_id: "session-1".to_owned() };
    assert_eq!(keys().verify(&token(), now()), Ok(caller.clone()));
    assert_eq!(keys().verify(&signed(&claims()), now()), Ok(caller.clone()));
    let (header, signature) = HS256;
    assert_eq!(keys().verify(&format!("{header}.{PAYLOAD}.{signature}"), now()), Ok(caller), "somebody else's HS256");
}

#[test]
fn a_token_expires_by_the_given_clock_when_its_second_and_the_leeway_are_over() {
    let issued = keys().issue(&SourceId::new("shop"), "session-1", now()).unwrap();
    assert_eq!(issued.expires_at, Moment::from_micros(1_000_060_000_000));
    let end = issued.expires_at.plus(LEEWAY);
    assert!(keys().verify(&issued.token, Moment::from_micros(end.as_micros() - 1)).is_ok());
    for late in [end, end.plus(LIFETIME), Moment::from_micros(i64::MAX)] {
        assert_eq!(keys().verify(&issued.token, late), Err(Rejected::Expired), "{late}");
    }
    assert!(keys().verify(&issued.token, Moment::from_micros(0)).is_ok(), "a replica whose clock is behind takes it too");
}

#[test]
fn another_algorithm_is_not_taken_even_with_our_secret() {
    for (header, signature) in [HS384, HS512] {
        assert_eq!(rejected(&format!("{header}.{PAYLOAD}.{signature}")), Some(Rejected::WrongAlgorithm), "{header}");
    }
    for algorithm in [Algorithm::HS384, Algorithm::HS512, Algorithm::RS256, Algorithm::ES256, Algorithm::EdDSA] {
        assert!(signed_as(Header::new(algorithm), &claims()).is_err(), "{algorithm:?} is there to sign with");
    }
    let [_, payload, signature] = parts();
    assert_eq!(rejected(&format!("{HEADER_RS256}.{payload}.{signature}")), Some(Rejected::WrongAlgorithm));
    for unsigned in [format!("{HEADER_NONE}.{payload}."), format!("{HEADER_NONE}.{payload}.{signature}")] {
        assert_eq!(rejected(&unsigned), Some(Rejected::Malformed), "{unsigned}");
    }
}

#[test]
fn a_token_of_another_secret_is_forged() {
    for secret in ["Zk3vQ9xT1mB7nR5pL2wY8cD4fG6hJ0sB", ""] {
        let foreign = keys_with(secret, "events-proxy", "events-proxy-api").issue(&SourceId::new("shop"), "session-1", now()).unwrap();
        assert_eq!(rejected(&foreign.token), Some(Rejected::Forged));
    }
}

#[test]
fn a_token_from_elsewhere_or_for_others_is_not_taken() {
    let issue = |issuer, audience| keys_with(SECRET, issuer, audience).issue(&SourceId::new("shop"), "session-1", now()).unwrap().token;
    assert_eq!(rejected(&issue("other", "events-proxy-api")), Some(Rejected::WrongIssuer));
    assert_eq!(rejected(&issue("events-proxy", "other")), Some(Rejected::WrongAudience));
    assert_eq!(rejected(&issue("", "events-proxy-api")), Some(Rejected::WrongIssuer));
    assert_eq!(rejected(&issue("Events-Proxy", "events-proxy-api")), Some(Rejected::WrongIssuer), "names are compared to the letter");
}

#[test]
fn every_claim_is_needed() {
    for name in ["sub", "sid", "exp", "iss", "aud"] {
        let mut claims = claims();
        claims.as_object_mut().unwrap().remove(name);
        assert_eq!(rejected(&signed(&claims)), Some(Rejected::Incomplete), "without {name}");
        claims[name] = Value::Null;
        assert_eq!(rejected(&signed(&claims)), Some(Rejected::Incomplete), "{name} is null");
    }
    for name in ["sub", "sid"] {
        let mut claims = claims();
        claims[name] = json!("");
        assert_eq!(rejected(&signed(&claims)), Some(Rejected::Incomplete), "{name} is empty");
    }
}

#[test]
fn a_claim_of_another_type_is_not_taken() {
    for (name, value) in [
        ("exp", json!("1000060")),
        ("exp", json!(-1)),
        ("exp", json!(1_000_060.5)),
        ("exp", json!(u64::MAX)),
        ("exp", json!(true)),
        ("sub", json!(7)),
        ("sid", json!(["session-1"])),
        ("iss", json!(7)),
        ("iss", json!({})),
        ("aud", json!(7)),
        ("aud", json!([])),
    ] {
        let mut claims = claims();
        claims[name] = value.clone();
        let verdict = rejected(&signed(&claims));
        assert!(verdict.is_some(), "{name} {value} was taken");
    }
    for claims in [json!([]), json!("text"), json!(null), json!(7)] {
        assert_eq!(rejected(&signed(&claims)), Some(Rejected::Malformed), "{claims}");
    }
}

#[test]
fn the_end_of_time_overflows_nothing() {
    let mut claims = claims();
    claims["exp"] = json!(i64::MAX);
    assert!(keys().verify(&signed(&claims), now()).is_ok());
    let eternal = Keys::new(&SecretString::from(SECRET), "events-proxy", "events-proxy-api", Duration::MAX);
    let issued = eternal.issue(&SourceId::new("shop"), "session-1", now()).unwrap();
    assert!(keys().verify(&issued.token, now()).is_ok());
}

#[test]
fn any_changed_character_spoils_a_token() {
    let token = token();
    for at in 0..token.len() {
        let mut bytes = token.clone().into_bytes();
        bytes[at] = if bytes[at] == b'A' { b'B' } else { b'A' };
        let tampered = String::from_utf8(bytes).unwrap();
        assert!(rejected(&tampered).is_some(), "character {at}");
    }
    let [header, payload, signature] = parts();
    let other = signed(&json!({"sub": "other"}));
    let foreign_payload = other.split('.').nth(1).unwrap();
    assert_eq!(rejected(&format!("{header}.{foreign_payload}.{signature}")), Some(Rejected::Forged));
    assert_eq!(rejected(&format!("{header}.{payload}.")), Some(Rejected::Forged));
    assert_eq!(rejected(&format!("{header}.{payload}.{}", signature.split_at(20).0)), Some(Rejected::Forged));
}

#[test]
fn what_is_no_token_is_malformed() {
    let [header, payload, signature] = parts();
    let token = token();
    for text in [
        "",
        ".",
        "..",
        "...",
        "a.b.c",
        "Bearer",
        "\0",
        "ä.ö.ü",
        &header,
        &format!("{header}.{payload}"),
        &format!("{token}.{signature}"),
        &format!("{token}="),
        &format!("{token}\n"),
        &format!(" {token}"),
        &format!("Bearer {token}"),
    ] {
        assert_eq!(rejected(text), Some(Rejected::Malformed), "{text:?}");
    }
}

#[test]
fn a_token_longer_than_the_bound_is_neither_looked_at_nor_issued() {
    for length in [TOKEN_BYTES_MAX + 1, 1 << 20] {
        assert_eq!(rejected(&"A".repeat(length)), Some(Rejected::Malformed));
    }
    let mut claims = claims();
    claims["padding"] = json!("x".repeat(TOKEN_BYTES_MAX));
    assert_eq!(rejected(&signed(&claims)), Some(Rejected::Malformed), "ours, but too long");
    let long = SourceId::new("x".repeat(TOKEN_BYTES_MAX));
    assert!(matches!(keys().issue(&long, "session-1", now()), Err(NotIssued::TooLong)));
}

#[test]
fn neither_the_secret_nor_the_token_is_shown() {
    let issued = keys().issue(&SourceId::new("shop"), "session-1", now()).unwrap();
    let shown = format!("{:?} {:?}", keys(), issued);
    assert!(!shown.contains(SECRET) && !shown.contains(&issued.token), "{shown}");
    assert!(shown.contains("events-proxy-api"), "{shown}");
}

#[test]
fn reasons_have_words_of_their_own() {
    let mut words = Rejected::ALL.map(Rejected::as_str).to_vec();
    words.sort_unstable();
    words.dedup();
    assert_eq!(words.len(), Rejected::ALL.len());
}

proptest! {
    #[test]
    fn arbitrary_text_is_rejected_without_a_panic(text in any::<String>(), micros in any::<i64>()) {
        prop_assert!(keys().verify(&text, Moment::from_micros(micros)).is_err());
    }

    #[test]
    fn arbitrary_parts_are_rejected_without_a_panic(parts in proptest::collection::vec("[A-Za-z0-9_=-]{0,80}", 0..5), micros in any::<i64>()) {
        let text = parts.join(".");
        prop_assert!(keys().verify(&text, Moment::from_micros(micros)).is_err());
        let behind_our_header = format!("{}.{}", self::parts()[0], text);
        prop_assert!(keys().verify(&behind_our_header, Moment::from_micros(micros)).is_err());
    }

    #[test]
    fn claims_signed_by_us_are_judged_without_a_panic(exp in any::<i64>(), sub in any::<String>(), aud in any::<String>(), micros in any::<i64>()) {
        let mut claims = claims();
        claims["exp"] = json!(exp);
        claims["sub"] = json!(sub);
        let now = Moment::from_micros(micros);
        let verdict = keys().verify(&signed(&claims), now);
        if let Ok(caller) = verdict {
            prop_assert_eq!(caller.source_id.as_str(), sub);
            prop_assert!(i128::from(micros) < (i128::from(exp) + 5) * 1_000_000);
        }
        claims["aud"] = json!(aud);
        prop_assert!(keys().verify(&signed(&claims), now).is_err());
    }

    #[test]
    fn what_is_issued_is_taken_until_it_expires(sub in "\\PC{1,128}", sid in "\\PC{1,64}", seconds in 0i64..4_000_000_000, later in 0u64..200) {
        let now = Moment::from_micros(seconds * 1_000_000);
        let source_id = SourceId::new(sub);
        let issued = keys().issue(&source_id, &sid, now).unwrap();
        let verdict = keys().verify(&issued.token, now.plus(Duration::from_secs(later)));
        let expected = if later < 65 { Ok(Caller { source_id, session_id: sid }) } else { Err(Rejected::Expired) };
        prop_assert_eq!(verdict, expected);
    }
}

#[test]
fn keys_are_changed_in_three_steps_and_no_token_is_refused_on_the_way() {
    let (old, new) = (SecretString::from(SECRET), SecretString::from("aT5hX0rQ8vN3kM6zJ1cW9bE4yU7oI2pL"));
    let with = |first: &SecretString, second| Keys::new(first, "events-proxy", "events-proxy-api", LIFETIME).accepting(second);
    let steps = [with(&old, None), with(&old, Some(&new)), with(&new, Some(&old)), with(&new, None)];
    let tokens: Vec<String> = steps.iter().map(|keys| keys.issue(&SourceId::new("shop"), "session-1", now()).unwrap().token).collect();
    // While a step rolls, pods of it and of the one before meet each other's tokens.
    for (pair, signed) in steps.windows(2).zip(tokens.windows(2)) {
        for (keys, token) in [(&pair[0], &signed[1]), (&pair[1], &signed[0])] {
            assert_eq!(keys.verify(token, now()).unwrap().source_id.as_str(), "shop");
        }
    }
    assert_eq!(steps[3].verify(&tokens[0], now()), Err(Rejected::Forged), "the old key is out");
    assert_eq!(steps[0].verify(&tokens[2], now()), Err(Rejected::Forged), "the new key was not in yet");
}

#[test]
fn a_token_that_names_the_second_key_is_measured_by_it_and_one_that_names_none_by_the_first() {
    let (first, second) = (SecretString::from(SECRET), SecretString::from("aT5hX0rQ8vN3kM6zJ1cW9bE4yU7oI2pL"));
    let keys = keys().accepting(Some(&second));
    let named = |kid: Option<String>, secret: &SecretString| {
        let key = EncodingKey::from_secret(secrecy::ExposeSecret::expose_secret(secret).as_bytes());
        encode(&Header { kid, ..Header::new(Algorithm::HS256) }, &claims(), &key).unwrap()
    };
    for (kid, secret, expected) in [
        (None, &first, Ok(())),
        (Some("unknown".to_owned()), &first, Ok(())),
        (Some(super::kid(&second)), &second, Ok(())),
        (None, &second, Err(Rejected::Forged)),
        (Some(super::kid(&first)), &second, Err(Rejected::Forged)),
        (Some(super::kid(&second)), &first, Err(Rejected::Forged)),
    ] {
        assert_eq!(keys.verify(&named(kid.clone(), secret), now()).map(drop), expected, "{kid:?}");
    }
}
