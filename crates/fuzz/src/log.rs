//! A log whose files are damaged after it was closed: what it reads then is what was written, or it does not open.
//!
//! ```text
//! a COUNT SIZE           appends a batch
//! f FILE PLACE BITS      changes a byte          c FILE PLACE          cuts a file
//! z FILE PLACE COUNT     fills with zeros        x FILE COUNT BYTES…   puts bytes behind a file's end
//! r FILE                 removes a file          s FILE FILE           puts one file in another's place
//! ```

use std::fs;
use std::path::{Path, PathBuf};

use broker::log::OpenError;
use events_proxy_core::envelope::Record;

use crate::bytes::Bytes;
use crate::shelf::{all, open, scratch, wait, walk};

/// The most batches that are written for an input.
const BATCHES_MAX: usize = 12;

/// What is written, and what is done to it.
///
/// # Panics
/// When a law is broken.
pub fn log(input: &[u8]) {
    let mut program = Bytes(input);
    let dir = scratch();
    let written = write(dir.path(), &mut program);
    let mut harm = false;
    while let Some(order) = program.next() {
        harm |= damage(dir.path(), order, &mut program);
    }
    let walked = walk(dir.path());
    for (offset, record) in &walked.records {
        let same = record.as_ref().is_none_or(|record| place(*offset).and_then(|at| written.get(at)) == Some(record));
        assert!(same, "a walk shows another record at {offset} than was written");
    }
    match open(dir.path()) {
        Ok(opened) => {
            let read = all(&opened);
            let (recovery, bounds) = (opened.recovery(), opened.bounds());
            for (offset, record) in &read {
                let was = place(*offset).and_then(|at| written.get(at));
                assert!(record.is_some() && record.as_ref() == was, "another record stands at {offset} than was written");
            }
            assert_eq!(recovery.records, bounds.end - bounds.earliest);
            assert!(harm || read.len() == written.len(), "{} of {} records are left of an unharmed log", read.len(), written.len());
            drop(opened);
            again(dir.path(), &read);
        }
        Err(OpenError::Damaged { .. }) => {
            assert!(harm, "an unharmed log does not open");
            assert!(matches!(open(dir.path()), Err(OpenError::Damaged { .. })), "damage is gone by itself");
        }
        Err(other) => unreachable!("law: a log's files can be read: {other}"),
    }
}

/// Opening once more finds the same, nothing torn, and the log takes another record.
pub(crate) fn again(dir: &Path, before: &std::collections::BTreeMap<u64, Option<Record>>) {
    let log = open(dir).expect("law: what opened once opens again");
    assert_eq!(log.recovery().torn_bytes, 0, "a tail is torn again");
    assert_eq!(&all(&log), before, "a second recovery reads differently");
    let end = log.bounds().end;
    let after = Record { key: b"after".to_vec(), ..Record::default() };
    assert_eq!(wait(log.append([after.clone()])).expect("law: a log that opens takes records"), end);
    assert_eq!(all(&log).get(&end), Some(&Some(after)));
}

/// An offset as a place in what was written.
fn place(offset: u64) -> Option<usize> {
    usize::try_from(offset).ok()
}

/// Writes the batches with which a program begins; answers all their records.
fn write(dir: &Path, program: &mut Bytes<'_>) -> Vec<Record> {
    let log = open(dir).expect("open an empty log");
    let mut written = Vec::new();
    for batch in 0..BATCHES_MAX {
        let Some(rest) = program.0.strip_prefix(b"a") else { break };
        program.0 = rest;
        let (count, size) = (program.small() % 4 + 1, program.small());
        let record = |at: usize| Record { key: format!("{batch}/{at}").into_bytes(), payload: vec![b'#'; size], ..Record::default() };
        let records: Vec<Record> = (0..count).map(record).collect();
        wait(log.append(&records)).expect("append to a log on a sound disk");
        written.extend(records);
    }
    written
}

/// Does one thing to the files; says whether it may have changed anything.
fn damage(dir: &Path, order: u8, program: &mut Bytes<'_>) -> bool {
    let Some(path) = file(dir, program.small()) else { return false };
    let mut bytes = fs::read(&path).expect("read a file");
    match order {
        b'f' => {
            let (place, bits) = (program.number(), program.small());
            let len = bytes.len().max(1);
            if let (Some(byte), Ok(bits)) = (bytes.get_mut(place % len), u8::try_from(bits)) {
                *byte ^= bits;
            }
        }
        b'c' => bytes.truncate(program.number() % (bytes.len() + 1)),
        b'z' => {
            let (place, count) = (program.number() % (bytes.len() + 1), program.small());
            bytes.iter_mut().skip(place).take(count).for_each(|byte| *byte = 0);
        }
        b'x' => {
            let count = program.small();
            bytes.extend(program.take(count));
        }
        b'r' => {
            fs::remove_file(&path).expect("remove a file");
            return true;
        }
        b's' => {
            let other = file(dir, program.small()).expect("law: there is a file");
            bytes = fs::read(other).expect("read a file");
        }
        _ => return false,
    }
    fs::write(&path, bytes).expect("write a file");
    true
}

/// One of the files.
fn file(dir: &Path, at: usize) -> Option<PathBuf> {
    let entries = fs::read_dir(dir).expect("list the files").filter_map(|entry| Some(entry.ok()?.path()));
    let mut files: Vec<PathBuf> = entries.filter(|path| path.extension().is_some_and(|extension| extension == "log")).collect();
    files.sort();
    files.get(at.checked_rem(files.len())?).cloned()
}
