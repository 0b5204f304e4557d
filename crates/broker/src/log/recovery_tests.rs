//! Whatever happens to the files between two openings: what was acknowledged is there, or its loss is told.

use std::fs;

use events_proxy_core::envelope::Record;
use proptest::prelude::*;

use crate::log::fake::{Closed, flip, walked, with_room};
use crate::log::frame::{HEADER_BYTES, Header, encode};
use crate::log::offline::{self, Finding};
use crate::log::recovery::{READ_BYTES, find_header};
use crate::log::{OpenError, Recovery};

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
fn a_header_is_found_also_across_the_end_of_what_is_read_at_once() {
    let first = |bytes: usize| Closed::write(1 << 20, &[(1, bytes), (1, 10)]);
    let beside = first(READ_BYTES - 200).places()[1] - (READ_BYTES - 200);
    // It is looked for from 1 on.
    for place in READ_BYTES - HEADER_BYTES..READ_BYTES + 3 {
        let closed = first(place - beside);
        assert_eq!(closed.places()[1], place, "the test puts it elsewhere");
        let file = fs::File::open(&closed.files()[0]).unwrap();
        let size = file.metadata().unwrap().len();
        let found = find_header(&file, size, (1, 0)).unwrap().map(|(header, at)| (header.base, at));
        assert_eq!(found, Some((1, place as u64)));
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
