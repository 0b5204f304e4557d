//! Judges one command of a document: whether what it names exists. What is wrong is told with what to do.

use super::known::Known;
use super::shell::Simple;
use crate::COMMANDS;

/// Programs of others that documents may call; what they are told is not looked at.
const OTHERS: [&str; 23] = [
    "kubectl",
    "terraform",
    "docker",
    "psql",
    "kafka-acls.sh",
    "pg_dump",
    "openssl",
    "htpasswd",
    "git",
    "gh",
    "cosign",
    "cd",
    "echo",
    "eval",
    "sed",
    "tee",
    "true",
    "promtool",
    "rustup",
    "node",
    "go",
    "python3",
    "java",
];
/// What cargo can do here.
const CARGO: [&str; 11] = ["build", "run", "test", "bench", "fmt", "clippy", "doc", "install", "deny", "xtask", "llvm-cov"];
/// Programs of ours that have a command line; a test of the crate `local` asks each whether it takes what the documents say.
pub(super) const OURS: [&str; 2] = ["events-proxy", "ingest"];
/// Where files of this repository are.
const TREES: [&str; 5] = ["infra/", "charts/", "crates/", "docs/", ".ci/"];

/// What is wrong with a command.
pub(super) fn judge(command: &Simple, known: &Known) -> Vec<String> {
    let mut wrong: Vec<String> = command.words.iter().filter_map(|word| missing(word, known)).collect();
    let assigned = command.words.iter().take_while(|word| assignment(word).is_some()).count();
    let Some((program, words)) = command.words.get(assigned..).and_then(<[String]>::split_first) else {
        wrong.extend(settings(&command.words, known));
        return wrong;
    };
    wrong.extend(settings(command.words.get(..assigned).unwrap_or_default(), known));
    match program.as_str() {
        "export" => wrong.extend(settings(words, known)),
        "make" => wrong.extend(make(words, known)),
        "cargo" => wrong.extend(cargo(words, known)),
        "curl" => wrong.extend(curl(words, known)),
        "helm" => wrong.extend(helm(words, known)),
        "dispatcher" if !words.is_empty() => wrong.push("dispatcher takes no arguments: it is told by its settings".to_owned()),
        path if TREES.iter().any(|tree| path.starts_with(tree)) => wrong.extend(script(path, known)),
        other if OTHERS.contains(&other) || OURS.contains(&other) || other == "dispatcher" => {}
        other => wrong.push(format!("`{other}` is no program that a reader has: correct it, or add it to xtask's commands/judge.rs")),
    }
    wrong
}

/// What a command tells a program of ours; nothing where it is another's.
pub(super) fn told<'c>(command: &'c Simple, program: &str) -> Option<&'c [String]> {
    let assigned = command.words.iter().take_while(|word| assignment(word).is_some()).count();
    let (first, words) = command.words.get(assigned..)?.split_first()?;
    if first == program {
        return Some(words);
    }
    // `cargo run` runs `events-proxy` where nothing else is named.
    let is_run = first == "cargo" && words.first().is_some_and(|task| task == "run");
    let named =
        words.iter().zip(words.iter().skip(1)).find(|(option, _)| matches!(option.as_str(), "-p" | "--package" | "--bin" | "--example"));
    let named = named.map_or("events-proxy", |(_, name)| name.as_str());
    let arguments = words.iter().position(|word| word == "--").and_then(|at| words.get(at.saturating_add(1)..)).unwrap_or_default();
    (is_run && named == program).then_some(arguments)
}

/// The name of an assignment.
pub(super) fn assignment(word: &str) -> Option<&str> {
    let (name, _) = word.split_once('=')?;
    let begins = name.starts_with(|first: char| first.is_ascii_alphabetic() || first == '_');
    (begins && name.chars().all(|letter| letter.is_ascii_alphanumeric() || letter == '_')).then_some(name)
}

/// Assigned names that look like settings and are none. A name of one word is a variable of the shell.
fn settings(words: &[String], known: &Known) -> Vec<String> {
    let names = words.iter().filter_map(|word| assignment(word)).filter(|name| name.contains('_') && name.to_uppercase() == **name);
    names
        .filter(|name| !known.setting(name))
        .map(|name| format!("there is no setting {name}: see crates/chassis/src/defaults.toml"))
        .collect()
}

/// A file of this repository that is not there.
fn missing(word: &str, known: &Known) -> Option<String> {
    // A `::` leads to a test, which is another check's.
    let named = TREES.iter().any(|tree| word.starts_with(tree)) && !word.contains(['…', '*', '$']) && !word.contains("::");
    (named && !known.root.join(word).exists()).then(|| format!("{word} does not exist: correct the path"))
}

/// A script that cannot be run.
fn script(path: &str, known: &Known) -> Option<String> {
    use std::os::unix::fs::PermissionsExt;
    let file = std::fs::metadata(known.root.join(path)).ok()?;
    (file.is_file() && file.permissions().mode() & 0o111 == 0).then(|| format!("{path} is not executable: chmod +x"))
}

/// Targets and variables that the Makefile does not have.
fn make(words: &[String], known: &Known) -> Vec<String> {
    let judged = words.iter().filter(|word| !word.starts_with('-')).filter_map(|word| match assignment(word) {
        Some(name) => (!known.variable(name)).then(|| format!("the Makefile reads no {name}")),
        None => (!known.target(word)).then(|| format!("make has no target {word}; `make` lists them")),
    });
    judged.collect()
}

/// What cargo cannot do, or what it names and is not there.
fn cargo(words: &[String], known: &Known) -> Vec<String> {
    let words: Vec<&str> = words.iter().map(String::as_str).take_while(|word| *word != "--").collect();
    let Some((task, rest)) = words.split_first() else { return Vec::new() };
    if !CARGO.contains(task) {
        return vec![format!("`cargo {task}` is nothing that this repository uses; there are: {}", CARGO.join(", "))];
    }
    let command = rest.first().copied().unwrap_or_default();
    if *task == "xtask" && !COMMANDS.contains(&command) {
        return vec![format!("xtask has no command {command}; there are: {}", COMMANDS.join(", "))];
    }
    let pairs = rest.iter().zip(rest.iter().skip(1));
    pairs
        .filter(|(option, name)| !known.has(option, name))
        .map(|(option, name)| format!("the workspace has no {} {name}", option.trim_start_matches('-')))
        .collect()
}

/// A path that no server of ours has.
fn curl(words: &[String], known: &Known) -> Vec<String> {
    let urls = words.iter().map(|word| word.trim_start_matches("http://").trim_start_matches("https://"));
    let ours = urls.filter(|url| url.starts_with("localhost") || url.starts_with("127.0.0.1"));
    let paths = ours.map(|url| url.split('?').next().unwrap_or(url)).map(|url| url.find('/').and_then(|at| url.get(at..)).unwrap_or("/"));
    let unknown = paths.filter(|path| !known.path(path));
    unknown.map(|path| format!("nothing answers at {path}: see docs/api.md, and /operator/openapi.json")).collect()
}

/// Values that the chart does not have.
fn helm(words: &[String], known: &Known) -> Vec<String> {
    let sets = words
        .iter()
        .zip(words.iter().skip(1))
        .filter(|(option, _)| matches!(option.as_str(), "--set" | "--set-string" | "--set-json" | "--set-file"));
    let keys = sets.flat_map(|(_, pairs)| pairs.split(',')).filter_map(|pair| pair.split_once('=')).map(|(key, _)| key);
    keys.filter(|key| !known.value(key)).map(|key| format!("the chart has no value {key}: see charts/events-proxy/values.yaml")).collect()
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::{Known, judge, told};
    use crate::commands::shell;

    /// What is wrong with each of these lines, by the repository's own files.
    fn wrong(text: &str) -> Vec<String> {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().nth(2).unwrap();
        let known = Known::read(root).unwrap();
        shell::commands(text, 1).iter().flat_map(|command| judge(command, &known)).collect()
    }

    #[test]
    fn what_exists_is_let_pass() {
        let good = "make test\nmake bench PARTS=\"accept deliver\" SEEDS=3\ncargo xtask check\ncargo run --release --package ingest --bin events-proxy -- --bin x
cargo build --example bench\ninfra/check/run scripts\nexport QUEUE_TYPE=Kafka TOKEN=$(openssl rand -hex 32)\nPORT=1 EVENTS_PROXY_CONFIG=x events-proxy --nothing
curl -s 'localhost:4000/api/events/order-1?a=b' | sed s/a/b/\nAUTH_ID=a node docs/clients/source.ts\ncurl http://localhost:4100/health/ready\ncurl localhost:4200/operator/events/a/b
helm upgrade a b --set ingest.replicas=3,settings.log_filter=warn\nkubectl get pods\nterraform apply\ndispatcher";
        assert_eq!(wrong(good), Vec::<String>::new());
    }

    #[test]
    fn what_a_program_of_ours_is_told_is_found_however_it_is_run() {
        for (text, program, words) in [
            ("PORT=1 events-proxy limit 3", "events-proxy", Some("limit 3")),
            ("cargo run --release -- --no-source", "events-proxy", Some("--no-source")),
            ("cargo run --package ingest &", "ingest", Some("")),
            ("cargo run --package ingest", "events-proxy", None),
            ("helm upgrade events-proxy charts/events-proxy", "events-proxy", None),
        ] {
            let command = shell::commands(text, 1).remove(0);
            assert_eq!(told(&command, program).map(|words| words.join(" ")).as_deref(), words, "{text}");
        }
    }

    #[test]
    fn what_does_not_exist_is_told() {
        for (bad, told) in [
            ("make tset", "make has no target tset"),
            ("make run PRATS=x", "reads no PRATS"),
            ("cargo xtask chekc", "xtask has no command chekc"),
            ("cargo frobnicate", "nothing that this repository uses"),
            ("cargo run --bin nothing", "no bin nothing"),
            ("cargo run --example nothing", "no example nothing"),
            ("cargo test --package nothing", "no package nothing"),
            ("infra/check/nothing", "infra/check/nothing does not exist"),
            ("infra/check/schemathesis.toml", "is not executable"),
            ("export QUEUE_TPYE=Kafka", "no setting QUEUE_TPYE"),
            ("QUEUE_TPYE=Kafka ingest", "no setting QUEUE_TPYE"),
            ("QUEUE_TPYE=Kafka", "no setting QUEUE_TPYE"),
            ("x=$(curl -s localhost:4000/api/nothing)", "nothing answers at /api/nothing"),
            ("curl localhost:4100/health/nothing", "nothing answers at /health/nothing"),
            ("helm upgrade a b --set ingest.nothing=3", "no value ingest.nothing"),
            ("helm install a charts/nothing", "charts/nothing does not exist"),
            ("go run docs/clients/nothing.go", "docs/clients/nothing.go does not exist"),
            ("dispatcher migrate", "takes no arguments"),
            ("kubeclt get pods", "`kubeclt` is no program"),
        ] {
            let all = wrong(bad);
            assert!(all.iter().any(|one| one.contains(told)), "`{bad}`: {all:?}");
        }
    }
}
