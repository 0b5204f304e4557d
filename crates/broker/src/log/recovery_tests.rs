//! Whatever happens to the files between two openings: what was acknowledged is there, or its loss is told.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use events_proxy_core::envelope::Record;
use proptest::prelude::*;
use tokio::runtime::Runtime;

use crate::FetchLimit;
use crate::log::frame::{HEADER_BYTES, Header, encode};
use crate::log::offline::{self, Finding};
use crate::log::{Log, OpenError, Options, Recovery};

/// A log that was closed: its directory, and the batches that were acknowledged, one by one.
struct Closed {
    dir: tempfile::TempDir,
    options: Options,
    batches: Vec<Vec<Record>>,
    runtime: Runtime,
}

impl Closed {
    /// Writes batches of so many records of so many bytes.
    fn write(segment_bytes: u64, shapes: &[(usize, usize)]) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let options = Options { segment_bytes, ..Options::default() };
        let log = Log::open(dir.path(), &options).unwrap();
        let mut batches = Vec::new();
        for (at, (count, size)) in shapes.iter().enumerate() {
            let record = |n| Record { key: format!("{at}/{n}").into_bytes(), payload: vec![b'#'; *size], ..Record::default() };
            let batch: Vec<Record> = (0..*count).map(record).collect();
            runtime.block_on(log.append(&batch)).unwrap();
            batches.push(batch);
        }
        Self { dir, options, batches, runtime }
    }

    fn open(&self) -> Result<Log, OpenError> {
        Log::open(self.dir.path(), &self.options)
    }

    fn files(&self) -> Vec<PathBuf> {
        let entries = fs::read_dir(self.dir.path()).unwrap().map(|entry| entry.unwrap().path());
        let mut files: Vec<PathBuf> = entries.filter(|path| path.extension().is_some_and(|extension| extension == "log")).collect();
        files.sort();
        files
    }

    /// Where each batch of the only file begins, and where the last one ends.
    fn places(&self) -> Vec<usize> {
        let mut places = vec![0];
        for batch in &self.batches {
            places.push(places.last().unwrap() + HEADER_BYTES + encode(batch).unwrap().len());
        }
        places
    }

    /// The records that can be read now, and whether the log still takes one and keeps it.
    fn read(&self) -> Vec<Record> {
        let log = self.open().unwrap();
        let after = Record { key: b"after".to_vec(), ..Record::default() };
        let offset = self.runtime.block_on(log.append([after.clone()])).unwrap();
        drop(log);
        let log = self.open().unwrap();
        let mut records = self.all(&log);
        assert_eq!((records.pop(), offset), (Some(after), records.len() as u64));
        records
    }

    fn all(&self, log: &Log) -> Vec<Record> {
        let (mut records, mut next) = (Vec::new(), 0);
        while next < log.bounds().end {
            let limit = FetchLimit { max_bytes: 3_000, max_wait: Duration::ZERO };
            let fetched = self.runtime.block_on(log.read(next, limit)).unwrap();
            assert!(fetched.next > next, "nothing is read at {next}");
            records.extend(fetched.records.into_iter().map(|received| received.record));
            next = fetched.next;
        }
        records
    }

    fn acknowledged(&self, batches: usize) -> Vec<Record> {
        self.batches[..batches].concat()
    }
}

/// What a file holds that has room ahead, which nobody gave back.
fn with_room(bytes: &[u8], room: usize) -> Vec<u8> {
    [bytes, &vec![0; room]].concat()
}

fn flip(path: &Path, byte: usize) {
    let mut bytes = fs::read(path).unwrap();
    bytes[byte] ^= 0x10;
    fs::write(path, bytes).unwrap();
}

#[test]
fn a_last_batch_cut_at_any_byte_is_dropped_whole_and_nothing_else() {
    let closed = Closed::write(1 << 20, &[(2, 30), (1, 0), (3, 20)]);
    let path = closed.files()[0].clone();
    let bytes = fs::read(&path).unwrap();
    let places = closed.places();
    assert_eq!(places.last(), Some(&bytes.len()));
    for (cut, room) in (places[2]..bytes.len()).flat_map(|cut| [(cut, 0), (cut, 1_000)]) {
        fs::write(&path, with_room(&bytes[..cut], room)).unwrap();
        // Zeros that are missing where zeros follow are not missing.
        let whole = room > 0 && bytes[cut..].iter().all(|byte| *byte == 0);
        let torn = bytes[places[2]..cut].iter().rposition(|byte| *byte != 0).map_or(0, |last| last as u64 + 1);
        let expected = if whole { Recovery { records: 6, torn_bytes: 0 } } else { Recovery { records: 3, torn_bytes: torn } };
        assert_eq!(walked(&closed).3, expected.torn_bytes, "a walk tells another torn tail, cut at {cut}, with room of {room}");
        assert_eq!(closed.open().unwrap().recovery(), expected, "cut at {cut}, with room of {room}");
        assert_eq!(closed.read(), closed.acknowledged(if whole { 3 } else { 2 }), "cut at {cut}, with room of {room}");
    }
}

#[test]
fn a_last_batch_of_which_blocks_never_reached_the_disk_is_dropped() {
    let closed = Closed::write(1 << 20, &[(2, 30), (3, 20)]);
    let path = closed.files()[0].clone();
    let bytes = fs::read(&path).unwrap();
    let start = closed.places()[1];
    for hole in [start..start + 10, start..bytes.len(), start + 40..start + 60, bytes.len() - 5..bytes.len()] {
        let mut holed = bytes.clone();
        holed[hole.clone()].fill(0);
        fs::write(&path, holed).unwrap();
        assert_eq!(closed.read(), closed.acknowledged(1), "hole at {hole:?}");
    }
}

#[test]
fn any_flipped_byte_before_the_last_batch_refuses_to_open_and_says_where() {
    let closed = Closed::write(1 << 20, &[(2, 5), (3, 5), (1, 5)]);
    let path = closed.files()[0].clone();
    let (places, exact) = (closed.places(), fs::read(closed.files().remove(0)).unwrap());
    for (byte, room) in (0..places[2]).flat_map(|byte| [(byte, 0), (byte, 1_000)]) {
        fs::write(&path, with_room(&exact, room)).unwrap();
        flip(&path, byte);
        let (start, count) = if byte < places[1] { (places[0], 2) } else { (places[1], 3) };
        match closed.open() {
            Err(OpenError::Damaged { file, position, records }) => {
                assert_eq!((&file, position, records), (&path, start as u64, count), "byte {byte}");
            }
            other => panic!("byte {byte} was flipped: {other:?}"),
        }
        flip(&path, byte);
    }
    assert_eq!(closed.read(), closed.acknowledged(3));
}

#[test]
fn a_flipped_byte_of_the_last_batch_tears_it_whether_room_follows_or_not() {
    let closed = Closed::write(1 << 20, &[(2, 5), (3, 5)]);
    let path = closed.files()[0].clone();
    let (places, exact) = (closed.places(), fs::read(closed.files().remove(0)).unwrap());
    for (byte, room) in (places[1]..places[2]).flat_map(|byte| [(byte, 0), (byte, 1_000)]) {
        fs::write(&path, with_room(&exact, room)).unwrap();
        flip(&path, byte);
        assert_eq!(closed.read(), closed.acknowledged(1), "byte {byte} was flipped, with room of {room}");
    }
}

#[test]
fn room_that_nobody_gave_back_is_nothing_and_is_written_into() {
    let closed = Closed::write(1 << 20, &[(2, 5), (3, 0)]);
    let path = closed.files()[0].clone();
    let exact = fs::read(&path).unwrap();
    assert_eq!(exact.last(), Some(&0), "a batch may end in zeros itself");
    for room in [1, HEADER_BYTES - 1, HEADER_BYTES, 1_000, 600_000] {
        fs::write(&path, with_room(&exact, room)).unwrap();
        assert_eq!(walked(&closed), ((0..5).collect(), Vec::new(), 0, 0), "{room}");
        let log = closed.open().unwrap();
        assert_eq!(log.recovery(), Recovery { records: 5, torn_bytes: 0 }, "{room}");
        drop(log);
        assert_eq!(closed.read(), closed.acknowledged(2), "{room}");
    }
    fs::write(&path, with_room(&exact, 1_000)).unwrap();
    let listed = offline::files(closed.dir.path()).unwrap();
    fs::write(&path, &exact).unwrap();
    let mut records = 0;
    offline::walk(&listed[0], &mut |finding| records += usize::from(matches!(finding, Finding::Record(_)))).unwrap();
    assert_eq!(records, 5, "room that was given back between a look at the file and the walk");
    fs::write(&path, vec![0; 1_000]).unwrap();
    assert_eq!(closed.read(), [], "the room of a file whose first batch never came");
}

#[test]
fn damage_at_the_end_of_an_earlier_file_is_no_torn_tail() {
    let closed = Closed::write(150, &[(1, 100), (1, 100), (1, 100)]);
    let files = closed.files();
    assert_eq!(files.len(), 3);
    let bytes = fs::read(&files[1]).unwrap();
    for cut in [0, 10, bytes.len() - 1] {
        fs::write(&files[1], &bytes[..cut]).unwrap();
        let refused = closed.open();
        let told = matches!(&refused, Err(OpenError::Damaged { file, position: 0, records: 1 }) if *file == files[1]);
        assert!(told, "cut at {cut}: {refused:?}");
    }
    let message = closed.open().unwrap_err().to_string();
    assert!(message.contains("00000000000000000001.log is damaged at byte 0: 1 acknowledged"), "{message}");
}

#[test]
fn a_missing_or_swapped_file_refuses_to_open() {
    let closed = Closed::write(150, &[(1, 100), (2, 100), (1, 100)]);
    let files = closed.files();
    let (second, third) = (fs::read(&files[1]).unwrap(), fs::read(&files[2]).unwrap());
    fs::remove_file(&files[1]).unwrap();
    assert!(matches!(closed.open(), Err(OpenError::Damaged { records: 2, .. })));
    fs::write(&files[1], &second).unwrap();
    fs::write(&files[2], &second).unwrap();
    assert!(matches!(closed.open(), Err(OpenError::Damaged { .. })));
    fs::write(&files[2], &third).unwrap();
    assert_eq!(closed.read(), closed.acknowledged(3));
}

#[test]
fn the_leftovers_of_a_failed_write_are_not_read_once_a_later_file_seals_them() {
    let closed = Closed::write(1 << 20, &[(2, 30), (3, 20)]);
    let path = closed.files()[0].clone();
    let end = closed.places()[2];
    let unacknowledged = encode(&[Record { key: b"never acknowledged".to_vec(), ..Record::default() }]).unwrap();
    let header = Header { len: u32::try_from(unacknowledged.len()).unwrap(), count: 1, base: 5 };
    let bytes = [fs::read(&path).unwrap(), header.encode(end as u64), unacknowledged].concat();
    for cut in end..=bytes.len() {
        fs::write(&path, &bytes[..cut]).unwrap();
        fs::write(closed.dir.path().join("00000000000000000005.log"), b"").unwrap();
        assert_eq!(closed.read(), closed.acknowledged(2), "leftovers of {} bytes", cut - end);
    }
}

#[test]
fn a_sender_cannot_make_a_torn_tail_look_like_damage() {
    let inner = encode(&[Record::default()]).unwrap();
    let forged: Vec<u8> = (0..40).flat_map(|at| Header { len: 30, count: 1, base: 50 }.encode(at)).chain(inner).collect();
    let closed = Closed::write(1 << 20, &[(1, 30)]);
    let log = closed.open().unwrap();
    closed.runtime.block_on(log.append([Record { payload: forged, ..Record::default() }])).unwrap();
    drop(log);
    let path = closed.files()[0].clone();
    flip(&path, closed.places()[1]);
    assert_eq!(closed.read(), closed.acknowledged(1));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn after_any_cut_of_the_last_file_whole_batches_are_left(
        shapes in proptest::collection::vec((1_usize..6, 0_usize..400), 1..14),
        segment_bytes in 200_u64..4_000,
        (cut, room) in (any::<prop::sample::Index>(), prop_oneof![Just(0), 1_usize..2_000]),
    ) {
        let closed = Closed::write(segment_bytes, &shapes);
        let path = closed.files().pop().unwrap();
        let bytes = fs::read(&path).unwrap();
        fs::write(&path, with_room(&bytes[..cut.index(bytes.len() + 1)], room)).unwrap();
        let records = closed.read();
        let whole = (0..=shapes.len()).find(|batches| closed.acknowledged(*batches) == records);
        prop_assert!(whole.is_some(), "{} records are no number of whole batches", records.len());
    }

    #[test]
    fn after_any_flipped_byte_nothing_false_is_read(
        shapes in proptest::collection::vec((1_usize..6, 0_usize..400), 1..14),
        segment_bytes in 200_u64..4_000,
        (file, byte) in any::<(prop::sample::Index, prop::sample::Index)>(),
        room in prop_oneof![Just(0), 1_usize..2_000],
    ) {
        let closed = Closed::write(segment_bytes, &shapes);
        let files = closed.files();
        let path = &files[file.index(files.len())];
        let exact = fs::read(path).unwrap();
        fs::write(path, with_room(&exact, room)).unwrap();
        flip(path, byte.index(exact.len()));
        match closed.open() {
            Err(OpenError::Damaged { file, .. }) => prop_assert_eq!(&file, path),
            Err(other) => prop_assert!(false, "{}", other),
            Ok(log) => prop_assert_eq!(closed.all(&log), closed.acknowledged(shapes.len() - 1)),
        }
    }
}

/// What a walk through all files finds: readable offsets, unreadable ones, lost offsets, torn bytes.
fn walked(closed: &Closed) -> (Vec<u64>, Vec<u64>, u64, u64) {
    let (mut good, mut bad, mut lost, mut torn) = (Vec::new(), Vec::new(), 0, 0);
    for file in offline::files(closed.dir.path()).unwrap() {
        offline::walk(&file, &mut |finding| match finding {
            Finding::Record(received) => good.push(received.offset),
            Finding::Unreadable { offset, .. } => bad.push(offset),
            Finding::Hole { offsets, .. } => lost += offsets.1 - offsets.0,
            Finding::Torn { bytes } => torn += bytes,
        })
        .unwrap();
    }
    (good, bad, lost, torn)
}

#[test]
fn a_walk_reads_on_behind_any_damage_and_accounts_for_every_record() {
    let closed = Closed::write(900, &[(2, 100), (3, 100), (1, 100), (4, 100), (2, 100)]);
    assert!(closed.files().len() > 1);
    for path in closed.files() {
        let exact = fs::read(&path).unwrap();
        fs::write(&path, with_room(&exact, 500)).unwrap();
        for byte in 0..exact.len() {
            flip(&path, byte);
            let (good, bad, lost, torn) = walked(&closed);
            flip(&path, byte);
            let of_last = if torn > 0 { 2 } else { 0 };
            assert_eq!(good.len() + bad.len() + usize::try_from(lost).unwrap() + of_last, 12, "{} byte {byte}", path.display());
            assert!(good.len() >= 8, "one flipped byte costs one batch at most: {good:?}");
        }
    }
    assert_eq!(walked(&closed), ((0..12).collect(), Vec::new(), 0, 0));
}

#[test]
fn a_record_that_rots_alone_is_named_with_its_bytes() {
    let closed = Closed::write(1 << 20, &[(3, 50), (1, 10)]);
    let path = closed.files()[0].clone();
    flip(&path, closed.places()[1] - 5);
    let mut named = Vec::new();
    for file in offline::files(closed.dir.path()).unwrap() {
        offline::walk(&file, &mut |finding| {
            if let Finding::Unreadable { offset, raw, .. } = finding {
                named.push((offset, raw.len()));
            }
        })
        .unwrap();
    }
    assert_eq!(named, [(2, 56)]);
}

/// Everything that a walk through all files shows, in words.
fn shown(closed: &Closed) -> String {
    let mut shown = Vec::new();
    for file in offline::files(closed.dir.path()).unwrap() {
        offline::walk(&file, &mut |finding| {
            shown.push(match finding {
                Finding::Record(received) => received.offset.to_string(),
                Finding::Unreadable { offset, .. } => format!("unreadable {offset}"),
                Finding::Hole { position, bytes, offsets: (from, to) } => format!("hole at {position} of {bytes} for {from}..{to}"),
                Finding::Torn { bytes } => format!("torn {bytes}"),
            });
        })
        .unwrap();
    }
    shown.join(", ")
}

#[test]
fn a_walk_tells_damage_from_a_torn_tail_and_where_it_lies() {
    let closed = Closed::write(200, &[(1, 50), (1, 50), (1, 50), (1, 50)]);
    let (files, batch) = (closed.files(), closed.places()[1]);
    assert_eq!((files.len(), batch, shown(&closed)), (2, 88, "0, 1, 2, 3".to_owned()));
    for (file, byte, expected) in [
        (0, 40, "unreadable 0, 1, 2, 3"),
        (0, 5, "hole at 0 of 88 for 0..1, 1, 2, 3"),
        // Of bytes in which nothing reads, zeros at the end are taken for room.
        (0, 88 + 5, "0, hole at 88 of 87 for 1..2, 2, 3"),
        (1, 40, "0, 1, unreadable 2, 3"),
        (1, 5, "0, 1, hole at 0 of 88 for 2..3, 3"),
        (1, 88 + 40, "0, 1, 2, torn 87"),
        (1, 88 + 5, "0, 1, 2, torn 87"),
    ] {
        flip(&files[file], byte);
        assert_eq!(shown(&closed), expected, "byte {byte} of file {file} is flipped");
        flip(&files[file], byte);
    }
    for (file, len, expected) in [
        (0, 88, "0, hole at 88 of 0 for 1..2, 2, 3"),
        (0, 88 + 10, "0, hole at 88 of 9 for 1..2, 2, 3"),
        (0, 88 + 24, "0, hole at 88 of 24 for 1..2, 2, 3"),
        (1, 88, "0, 1, 2"),
        (1, 88 + 10, "0, 1, 2, torn 9"),
        (1, 88 + 30, "0, 1, 2, torn 30"),
    ] {
        let whole = fs::read(&files[file]).unwrap();
        fs::write(&files[file], &whole[..len]).unwrap();
        assert_eq!(shown(&closed), expected, "file {file} is cut to {len} bytes");
        fs::write(&files[file], whole).unwrap();
    }
    let closed = Closed::write(1 << 20, &[(1, 50), (1, 50), (1, 50)]);
    flip(&closed.files()[0], 88 + 5);
    assert_eq!(shown(&closed), "0, hole at 88 of 88 for 1..2, 2");
}

#[test]
fn a_walk_reads_a_batch_before_which_others_are_missing() {
    let closed = Closed::write(200, &[(1, 50), (1, 50), (1, 50), (1, 50)]);
    let files = closed.files();
    fs::rename(&files[1], &files[0]).unwrap();
    assert_eq!(shown(&closed), "hole at 0 of 0 for 0..2, 2, 3");
    let whole = fs::read(&files[0]).unwrap();
    fs::write(&files[0], &whole[..60]).unwrap();
    assert_eq!(shown(&closed), "hole at 0 of 0 for 0..2, torn 60");
}

#[test]
fn a_bare_header_of_a_later_batch_is_damage_and_of_the_next_one_a_torn_tail() {
    let closed = Closed::write(1 << 20, &[(1, 30)]);
    let (path, end) = (closed.files()[0].clone(), closed.places()[1]);
    let good = fs::read(&path).unwrap();
    let bare = |base| [good.clone(), Header { len: 30, count: 1, base }.encode(end as u64)].concat();
    fs::write(&path, bare(5)).unwrap();
    assert!(matches!(closed.open(), Err(OpenError::Damaged { position, records: 4, .. }) if position == end as u64));
    fs::write(&path, bare(1)).unwrap();
    assert_eq!(closed.read(), closed.acknowledged(1));
}
