//! What a walk shows of files that nobody has open, whatever happened to them.

use std::fs;

use crate::log::fake::{Closed, flip, walked, with_room};
use crate::log::offline::{self, Finding};

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
    for (byte, expected) in [(88 + 5, "0, hole at 88 of 88 for 1..2, 2"), (88 + 40, "0, unreadable 1, 2")] {
        flip(&closed.files()[0], byte);
        assert_eq!(shown(&closed), expected, "byte {byte} is flipped");
        flip(&closed.files()[0], byte);
    }
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
