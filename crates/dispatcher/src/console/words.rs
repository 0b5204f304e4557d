//! Times, rates and counts as people say them, and foreign text so that people see all of it.

use std::borrow::Cow;
use std::time::Duration;

use chassis::figures::grouped;
use events_proxy_core::Moment;
use maud::{Markup, html};

/// A time in its largest units.
pub(crate) fn span(time: Duration) -> String {
    let micros = time.as_micros();
    match time.as_secs() {
        0 if micros < 1_000 => format!("{micros} µs"),
        0 if micros < 10_000 => format!("{}.{} ms", micros / 1_000, micros / 100 % 10),
        0 => format!("{} ms", time.as_millis()),
        seconds @ 1..10 => format!("{seconds}.{} s", time.subsec_millis() / 100),
        seconds @ 10..60 => format!("{seconds} s"),
        seconds @ 60..3600 => format!("{} min {} s", seconds / 60, seconds % 60),
        seconds @ 3600..86400 => format!("{} h {} min", seconds / 3600, seconds / 60 % 60),
        seconds => format!("{} d {} h", seconds / 86400, seconds / 3600 % 24),
    }
}

/// A moment as it is read, in UTC and to the millisecond; the whole of it stands behind.
pub(crate) fn clock(moment: Moment) -> Markup {
    let whole = moment.to_string();
    html! { time datetime=(whole) title=(whole) { (read(&whole)) } }
}

/// How long ago a moment was; the moment itself stands behind.
pub(crate) fn ago(moment: Moment, now: Moment) -> Markup {
    let whole = moment.to_string();
    html! { time datetime=(whole) title=(whole) { (span(now.since(moment))) " ago" } }
}

/// A moment without what is seldom read.
fn read(whole: &str) -> String {
    let Some((day, time)) = whole.trim_end_matches('Z').split_once('T') else { return whole.to_owned() };
    let (seconds, fraction) = time.split_once('.').unwrap_or((time, ""));
    format!("{day} {seconds}.{fraction:0<3.3}")
}

/// A foreign text with nothing hidden in it: codes that control a terminal, or turn the direction of what follows so that
/// `exe.jpg` is read where `gpj.exe` is written, are shown by their numbers.
pub(crate) fn plain(text: &str) -> Cow<'_, str> {
    if !text.contains(is_hidden) {
        return Cow::Borrowed(text);
    }
    let mut shown = String::with_capacity(text.len());
    for character in text.chars() {
        if is_hidden(character) {
            shown.push_str(&format!("⟨U+{:04X}⟩", u32::from(character)));
        } else {
            shown.push(character);
        }
    }
    Cow::Owned(shown)
}

/// Whether a character changes what is seen and is not seen itself.
fn is_hidden(character: char) -> bool {
    let breaks = matches!(character, '\n' | '\r' | '\t');
    let turns = matches!(character, '\u{61c}' | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{2069}' | '\u{feff}');
    turns || (character.is_control() && !breaks)
}

/// A rate with as many places as say something.
pub(crate) fn rate(rate: f64) -> String {
    if rate >= 100.0 {
        format!("{rate:.0}")
    } else if rate >= 10.0 {
        format!("{rate:.1}")
    } else {
        format!("{rate:.2}")
    }
}

/// So many of a thing.
pub(crate) fn counted(count: u64, thing: &str) -> String {
    format!("{} {thing}{}", grouped(count), if count == 1 { "" } else { "s" })
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{counted, plain, read, span};

    #[test]
    fn times_read_as_people_say_them() {
        for (millis, said) in
            [(0, "0 µs"), (2, "2.0 ms"), (250, "250 ms"), (1_500, "1.5 s"), (61_000, "1 min 1 s"), (90_000_000, "1 d 1 h")]
        {
            assert_eq!(span(Duration::from_millis(millis)), said);
        }
    }

    #[test]
    fn moments_read_to_the_millisecond() {
        assert_eq!(read("2026-11-26T17:34:55.91145Z"), "2026-11-26 17:34:55.911");
        assert_eq!(read("2026-11-26T17:34:55.5Z"), "2026-11-26 17:34:55.500");
        assert_eq!(read("2026-11-26T17:34:55Z"), "2026-11-26 17:34:55.000");
        assert_eq!(read("-99999999999999999"), "-99999999999999999");
    }

    #[test]
    fn what_hides_in_a_text_is_shown_and_all_else_stays() {
        assert_eq!(plain("\u{202e}gpj.exe\u{1b}[31m"), "⟨U+202E⟩gpj.exe⟨U+001B⟩[31m");
        assert_eq!(plain("zwei\n\tZeilen, שלום, 🙂"), "zwei\n\tZeilen, שלום, 🙂");
    }

    #[test]
    fn one_is_said_as_one() {
        assert_eq!((counted(1, "event"), counted(2, "event")), ("1 event".to_owned(), "2 events".to_owned()));
    }
}
