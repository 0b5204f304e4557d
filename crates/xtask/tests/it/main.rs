//! What `cargo xtask` answers.

use std::process::Command;

/// Runs it with these words; tells whether it went well, and what it wrote.
#[cfg(test)]
fn run(words: &[&str]) -> (bool, String) {
    let output = Command::new(env!("CARGO_BIN_EXE_xtask")).args(words).output().unwrap();
    (output.status.success(), String::from_utf8([output.stdout, output.stderr].concat()).unwrap())
}

#[test]
fn who_asks_for_what_it_cannot_is_told_what_it_can() {
    for words in [&["chekc"][..], &[]] {
        let (well, told) = run(words);
        assert!(!well && told.contains("check, reference, figures, commands"), "{told}");
    }
    let (well, told) = run(&["commands", "kubectl"]);
    assert!(!well && told.contains("events-proxy, ingest"), "{told}");
}

#[test]
fn figures_and_commands_of_the_documents_are_printed() {
    let (well, told) = run(&["figures"]);
    assert!(well && told.contains("files that open with `//!`, in percent: 100\n"), "{told}");
    let (well, told) = run(&["commands", "events-proxy"]);
    assert!(
        well && told.lines().any(|line| line.starts_with("docs/operations/orders.md:") && line.contains("\treplay\tbegin\t")),
        "{told}"
    );
}
