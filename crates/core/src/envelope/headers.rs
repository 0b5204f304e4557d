//! The headers of a record, in one piece of memory: every stage copies them, and seven small maps of strings an event are felt.
//!
//! ```text
//! entry    name length u32 | value length u32 | name | value      in the order of the names, each name once
//! ```

use std::collections::BTreeMap;
use std::fmt;

use serde::de::{MapAccess, Visitor};
use serde::ser::SerializeMap;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::raw;

/// Names with values, in the order of the names. Serialized it is a map of text to bytes.
#[derive(Clone, PartialEq, Eq, Default)]
pub struct Headers(Vec<u8>);

impl Headers {
    /// None yet, with room for entries of so many bytes.
    #[must_use]
    pub fn with_room(bytes: usize) -> Self {
        Self(Vec::with_capacity(bytes))
    }

    /// How many there are; goes through all.
    #[must_use]
    pub fn len(&self) -> usize {
        self.iter().count()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// All of them.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &[u8])> {
        Entries(&self.0)
    }

    /// The value of a name.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&[u8]> {
        self.place(name).1
    }

    /// Sets the value of a name, in place of the one that it may have.
    pub fn set(&mut self, name: &str, value: &[u8]) {
        let (at, before) = self.place(name);
        let end = before.map_or(at, |before| at + ENTRY_BYTES + name.len() + before.len());
        if at == self.0.len() {
            self.push(name, value);
        } else {
            self.0.splice(at..end, lengths(name, value).iter().chain(name.as_bytes()).chain(value).copied());
        }
    }

    /// Removes a name, and tells the value that it had.
    pub fn remove(&mut self, name: &str) -> Option<Vec<u8>> {
        let (at, found) = self.place(name);
        let value = found?.to_vec();
        self.0.drain(at..at + ENTRY_BYTES + name.len() + value.len());
        Some(value)
    }

    /// Puts a name behind all others.
    fn push(&mut self, name: &str, value: &[u8]) {
        self.0.extend_from_slice(&lengths(name, value));
        self.0.extend_from_slice(name.as_bytes());
        self.0.extend_from_slice(value);
    }

    /// Where a name stands or would, and its value if it does.
    fn place(&self, name: &str) -> (usize, Option<&[u8]>) {
        let mut entries = Entries(&self.0);
        loop {
            let at = self.0.len() - entries.0.len();
            match entries.next() {
                Some((other, _)) if other < name => {}
                Some((other, value)) => return (at, (other == name).then_some(value)),
                None => return (at, None),
            }
        }
    }
}

/// What the headers of most events fit into, in bytes.
pub(super) const HEADERS_BYTES: usize = 384;

/// What stands before a name and its value, in bytes.
const ENTRY_BYTES: usize = 8;

/// Writes what stands before a name and its value.
fn lengths(name: &str, value: &[u8]) -> [u8; ENTRY_BYTES] {
    let wide = |len: usize| u32::try_from(len).expect("invariant: no bound in this product lets a header be of 4 GiB").to_le_bytes();
    let ([a, b, c, d], [e, f, g, h]) = (wide(name.len()), wide(value.len()));
    [a, b, c, d, e, f, g, h]
}

/// The entries from one on. [`Headers`] alone writes them, so none is broken or cut off.
struct Entries<'a>(&'a [u8]);

impl<'a> Iterator for Entries<'a> {
    type Item = (&'a str, &'a [u8]);

    fn next(&mut self) -> Option<Self::Item> {
        let (name, rest) = self.0.split_first_chunk::<4>()?;
        let (value, rest) = rest.split_first_chunk::<4>()?;
        let size = |bytes: &[u8; 4]| usize::try_from(u32::from_le_bytes(*bytes)).ok();
        let (name, rest) = rest.split_at_checked(size(name)?)?;
        let (value, rest) = rest.split_at_checked(size(value)?)?;
        self.0 = rest;
        Some((std::str::from_utf8(name).ok()?, value))
    }
}

impl fmt::Debug for Headers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self.iter().map(|(name, value)| (name, value.len()))).finish()
    }
}

impl<N: AsRef<str>, V: AsRef<[u8]>> FromIterator<(N, V)> for Headers {
    /// Of a name that comes twice the later value counts.
    fn from_iter<I: IntoIterator<Item = (N, V)>>(pairs: I) -> Self {
        let mut gathered = Gathered::default();
        for pair in pairs {
            gathered.take(pair);
        }
        gathered.whole()
    }
}

/// Headers that come one by one. Anybody may write to a topic: to set a hundred thousand names, each behind all that are there
/// and before one, goes through all of them each time.
struct Gathered<N, V> {
    /// Those that came in order.
    headers: Headers,
    /// Where the last of them begins.
    last: usize,
    /// Those that did not. A name among them is before the last of the others, and stays so: of its values the latest is here.
    rest: Vec<(N, V)>,
}

impl<N, V> Default for Gathered<N, V> {
    fn default() -> Self {
        Self { headers: Headers::default(), last: 0, rest: Vec::new() }
    }
}

impl<N: AsRef<str>, V: AsRef<[u8]>> Gathered<N, V> {
    /// Takes the next one.
    fn take(&mut self, (name, value): (N, V)) {
        let headers = &mut self.headers.0;
        let last = Entries(headers.get(self.last..).unwrap_or_default()).next();
        if last.is_none_or(|(last, _)| last < name.as_ref()) {
            if headers.is_empty() {
                headers.reserve(HEADERS_BYTES);
            }
            self.last = headers.len();
            self.headers.push(name.as_ref(), value.as_ref());
        } else {
            self.rest.push((name, value));
        }
    }

    /// All of them, in order.
    fn whole(self) -> Headers {
        if self.rest.is_empty() {
            return self.headers;
        }
        let mut all: BTreeMap<&str, &[u8]> = self.headers.iter().collect();
        all.extend(self.rest.iter().map(|(name, value)| (name.as_ref(), value.as_ref())));
        let mut headers = Headers::with_room(self.headers.0.len());
        for (name, value) in all {
            headers.push(name, value);
        }
        headers
    }
}

impl Serialize for Headers {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(self.len()))?;
        for (name, value) in self.iter() {
            map.serialize_entry(name, &Value(value))?;
        }
        map.end()
    }
}

/// A value as it is written.
#[derive(Serialize)]
struct Value<'a>(#[serde(serialize_with = "raw::serialize")] &'a [u8]);

impl<'de> Deserialize<'de> for Headers {
    /// Reads from a format that lends text and bytes, as the log's does.
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(Reading)
    }
}

/// Reads a map of text to bytes.
struct Reading;

impl<'de> Visitor<'de> for Reading {
    type Value = Headers;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a map of text to bytes")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Headers, A::Error> {
        let mut gathered = Gathered::default();
        while let Some(pair) = map.next_entry::<&str, &[u8]>()? {
            gathered.take(pair);
        }
        Ok(gathered.whole())
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::Headers;

    /// What is done to headers.
    #[derive(Debug, Clone)]
    enum Step {
        /// A name is set.
        Set(String, Vec<u8>),
        /// A name is removed.
        Remove(String),
    }

    fn step() -> impl Strategy<Value = Step> {
        let value = proptest::collection::vec(any::<u8>(), 0..6);
        prop_oneof![("[a-d]{0,2}", value).prop_map(|(name, value)| Step::Set(name, value)), "[a-d]{0,2}".prop_map(Step::Remove)]
    }

    fn as_map(headers: &Headers) -> BTreeMap<String, Vec<u8>> {
        headers.iter().map(|(name, value)| (name.to_owned(), value.to_vec())).collect()
    }

    proptest! {
        #[test]
        fn headers_are_what_a_map_would_be(steps in proptest::collection::vec(step(), 0..40)) {
            let (mut headers, mut map) = (Headers::default(), BTreeMap::new());
            for step in steps {
                match step {
                    Step::Set(name, value) => {
                        headers.set(&name, &value);
                        map.insert(name, value);
                    }
                    Step::Remove(name) => prop_assert_eq!(headers.remove(&name), map.remove(&name)),
                }
                prop_assert_eq!((headers.len(), headers.is_empty()), (map.len(), map.is_empty()));
                prop_assert!(headers.iter().map(|(name, _)| name).eq(map.keys()), "{headers:?} and {map:?}");
                prop_assert_eq!(&as_map(&headers), &map);
                // However they came to be: what is the same map is equal.
                prop_assert_eq!(&map.iter().collect::<Headers>(), &headers);
            }
        }

        #[test]
        fn pairs_in_any_order_are_read_and_written_as_a_map_is(
            pairs in proptest::collection::vec((".{0,3}", proptest::collection::vec(any::<u8>(), 0..4)), 0..12),
        ) {
            let map: BTreeMap<String, Vec<u8>> = pairs.iter().cloned().collect();
            let headers: Headers = pairs.iter().map(|(name, value)| (name, value)).collect();
            prop_assert_eq!(as_map(&headers), map.clone());
            let written = postcard::to_stdvec(&headers).unwrap();
            prop_assert_eq!(&written, &postcard::to_stdvec(&map).unwrap());
            prop_assert_eq!(&postcard::from_bytes::<Headers>(&written).unwrap(), &headers);
            // A writer of another kind need not sort, and may repeat itself.
            let foreign = postcard::to_stdvec(&pairs).unwrap();
            prop_assert_eq!(postcard::from_bytes::<Headers>(&foreign).unwrap(), headers);
        }
    }

    #[test]
    fn names_in_the_worst_order_cost_a_sort_and_no_more() {
        // Set one by one, these are fifty thousand million looks at a name: this test would not end.
        let numbers = || std::iter::once(999_999).chain(0..300_000);
        let headers: Headers = numbers().map(|number| (format!("{number:06}"), b"v")).collect();
        assert_eq!((headers.len(), headers.iter().next()), (300_001, Some(("000000", b"v".as_slice()))));
    }

    #[test]
    fn what_is_shown_are_names_and_sizes_and_a_mistake_says_what_was_expected() {
        let headers: Headers = [("traceparent", "00"), ("a", "s3cret")].into_iter().collect();
        assert_eq!(format!("{headers:?}"), r#"{"a": 6, "traceparent": 2}"#);
        let error = serde_json::from_str::<Headers>("3").unwrap_err().to_string();
        assert!(error.contains("expected a map of text to bytes"), "{error}");
    }
}
