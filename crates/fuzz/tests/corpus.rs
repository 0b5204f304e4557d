//! What is committed of the fuzzer's inputs, held to the same laws without a fuzzer.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use fuzz::TARGETS;

/// What is in a directory of the fuzzer's crate, in order.
fn listed(dir: &str) -> Vec<PathBuf> {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz").join(dir);
    let mut paths: Vec<PathBuf> = fs::read_dir(dir).expect("list").map(|entry| entry.expect("list").path()).collect();
    paths.sort();
    paths
}

/// The names in a directory, without what stands behind the last dot.
fn names(dir: &str) -> BTreeSet<String> {
    listed(dir).iter().map(|path| path.file_stem().expect("a name").display().to_string()).collect()
}

#[test]
fn every_target_has_a_program_and_a_corpus_of_its_name() {
    let targets: BTreeSet<String> = TARGETS.iter().map(|(name, _)| (*name).to_owned()).collect();
    assert_eq!(names("fuzz_targets"), targets);
    assert_eq!(names("corpus"), targets);
}

#[test]
fn every_input_of_the_corpus_leaves_the_laws_whole() {
    for (name, target) in TARGETS {
        let inputs = listed(&format!("corpus/{name}"));
        assert!(inputs.len() >= 3, "{name} has {} inputs", inputs.len());
        for input in inputs {
            // The harness shows this only when the next line fails.
            println!("{}", input.display());
            target(&fs::read(&input).unwrap());
        }
    }
}
