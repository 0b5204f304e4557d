//! Each setting of the dispatcher that is refused, and what is said of it.

use chassis::settings::Settings as Layers;

use super::Settings;

/// Reads these settings; the mistakes in words, none when they are good.
fn read(pairs: &[(&str, &str)]) -> (Option<Settings>, String) {
    let mut reader = Layers::from_pairs(pairs.iter().copied()).reader();
    let read = Settings::read(&mut reader);
    let mistakes = reader.finish().err().map(|mistakes| mistakes.to_string()).unwrap_or_default();
    assert_eq!(read.is_none(), !mistakes.is_empty(), "{mistakes}");
    (read, mistakes)
}

#[test]
fn what_we_say_to_the_target_is_shown_nowhere() {
    let pairs = [("TARGET_SERVICE_AUTHORIZATION", "Bearer a-word-that-opens")];
    let (settings, _) = read(&pairs);
    let shown = format!("{settings:?} {:?} {}", Layers::from_pairs(pairs), Layers::from_pairs(pairs).explain());
    assert!(shown.contains("Sensitive") && shown.contains("***") && !shown.contains("a-word-that-opens"), "{shown}");
    for wrong in ["Bearer a-word\nthat-opens", "Bearer a-word-that-opens\u{7f}"] {
        let (_, mistakes) = read(&[("TARGET_SERVICE_AUTHORIZATION", wrong)]);
        assert!(mistakes.contains("TARGET_SERVICE_AUTHORIZATION") && mistakes.contains("header"), "{mistakes}");
        assert!(!mistakes.contains("opens"), "{mistakes}");
    }
}

#[test]
fn a_target_is_not_told_two_users() {
    let url = ("TARGET_SERVICE_GRAPHQL_URL", "http://me:hidden@localhost:4001/graphql");
    assert_eq!(read(&[url]).1, "");
    let (_, mistakes) = read(&[url, ("TARGET_SERVICE_AUTHORIZATION", "Bearer a-word-that-opens")]);
    assert!(mistakes.contains("TARGET_SERVICE_AUTHORIZATION (environment) must not be set beside a user"), "{mistakes}");
    assert!(!mistakes.contains("hidden") && !mistakes.contains("opens"), "{mistakes}");
}
