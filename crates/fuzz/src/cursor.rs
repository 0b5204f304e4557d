//! The place where a page of a search ended, as a text that comes back from anybody.

use storage::Place;

/// A cursor.
///
/// # Panics
/// When a law is broken.
pub fn cursor(input: &[u8]) {
    let Ok(text) = std::str::from_utf8(input) else { return };
    let Ok(place) = text.parse::<Place>() else { return };
    assert!(text.ends_with(&format!(".{}{}", place.source_id, place.event_id)), "the ids are not those of the text");
    assert_eq!(place.to_string().parse(), Ok(place), "a place is read differently from how it was written");
}
