//! `events-proxy spool`: looks into a spool's directory that no process uses, without changing it.
//!
//! A spool is where accepted events wait for the topic. One that is damaged does not open; here is told what of it reads,
//! and what does is written out: as JSON lines to look at, or as a new spool to go on with.

use std::io::Write;
use std::path::{Path, PathBuf};

use anyhow::{Context, ensure};
use broker::Received;
use broker::log::Log;
use broker::log::offline::{self, Finding};
use clap::{Args, Subcommand};
use events_proxy_core::envelope::Record;
use events_proxy_core::hex;
use serde_json::{Value, json};

/// How many records are appended to a new spool at once.
const APPENDED: usize = 1_000;

/// `events-proxy spool`.
#[derive(Debug, Clone, Args)]
pub struct Spool {
    /// What to do.
    #[command(subcommand)]
    action: Action,
}

/// What to do with a spool.
#[derive(Debug, Clone, Subcommand)]
enum Action {
    /// Tell the files of a spool, how many records they hold, and how far they are published.
    Inspect {
        /// The spool's directory.
        dir: PathBuf,
    },
    /// Read every record; name those that cannot be read, and exit with 1 if there are any.
    Verify {
        /// The spool's directory.
        dir: PathBuf,
    },
    /// Write the records that are not published yet: as JSON lines to stdout, or to a new spool.
    Export {
        /// The spool's directory.
        dir: PathBuf,
        /// Published records too, as far as they are still there.
        #[arg(long)]
        all: bool,
        /// A directory that is empty or not there yet, for a new spool; what cannot be read goes to stdout.
        #[arg(long, value_name = "DIR")]
        into: Option<PathBuf>,
    },
}

/// What a walk found.
#[derive(Debug, Default)]
struct Sum {
    /// Records that read.
    good: u64,
    /// Records that do not.
    bad: u64,
    /// Bytes of a torn tail.
    torn: u64,
}

/// Which records are published.
struct Published {
    /// Everything before this offset.
    before: u64,
    /// And these, which passed a backlog.
    passed: std::ops::Range<u64>,
}

impl Spool {
    /// Does it; false when records cannot be read.
    ///
    /// # Errors
    /// The directory cannot be read, a process uses it, or the output cannot be written.
    pub fn run(&self, out: &mut impl Write) -> anyhow::Result<bool> {
        match &self.action {
            Action::Inspect { dir } => inspect(dir, out),
            Action::Verify { dir } => verify(dir, out),
            Action::Export { dir, all, into } => {
                ensure!(!offline::is_in_use(dir), "a process uses {}: stop it first", dir.display());
                let published = if *all { Published { before: 0, passed: 0..0 } } else { Published::read(dir)? };
                match into {
                    Some(into) => copy(dir, into, &published, out),
                    None => print(dir, &published, out),
                }
            }
        }
    }
}

impl Published {
    /// Reads the cursors of a spool; one that is not there has published nothing.
    fn read(dir: &Path) -> anyhow::Result<Self> {
        let cursors = offline::cursors(dir).with_context(|| format!("read how far {} is published", dir.display()))?;
        let at = |name: &str| cursors.iter().find(|(known, _)| known == name).map_or(0, |(_, at)| *at);
        // The log of refused records beside a spool has a cursor of another name.
        Ok(Self { before: at("published").max(at("buried")), passed: at("fresh-begin")..at("fresh-end") })
    }

    /// Says whether an offset is.
    fn has(&self, offset: u64) -> bool {
        offset < self.before || self.passed.contains(&offset)
    }
}

impl Sum {
    /// Counts a finding.
    fn count(&mut self, finding: &Finding) {
        match finding {
            Finding::Record(_) => self.good += 1,
            Finding::Unreadable { .. } => self.bad += 1,
            Finding::Hole { offsets, .. } => self.bad += offsets.1.saturating_sub(offsets.0),
            Finding::Torn { bytes } => self.torn += bytes,
        }
    }
}

/// Walks through all files of a log.
fn walk(dir: &Path, mut show: impl FnMut(&Path, Finding) -> anyhow::Result<()>) -> anyhow::Result<()> {
    for file in offline::files(dir)? {
        let mut shown = Ok(());
        offline::walk(&file, &mut |finding| {
            if shown.is_ok() {
                shown = show(&file.path, finding);
            }
        })?;
        shown?;
    }
    Ok(())
}

/// Tells what is there.
fn inspect(dir: &Path, out: &mut impl Write) -> anyhow::Result<bool> {
    let published = Published::read(dir)?;
    writeln!(
        out,
        "{}{}",
        dir.display(),
        if offline::is_in_use(dir) { "   (a process uses it: what is told is of this moment)" } else { "" }
    )?;
    let (mut bad, mut waiting) = (0, 0_u64);
    for file in offline::files(dir)? {
        let mut sum = Sum::default();
        offline::walk(&file, &mut |finding| {
            if let Finding::Record(received) = &finding
                && !published.has(received.offset)
            {
                waiting += 1;
            }
            sum.count(&finding);
        })?;
        let name = file.path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        writeln!(
            out,
            "  {name}  {:>12} bytes  {:>9} records  {:>6} unreadable  {:>8} torn bytes",
            file.bytes, sum.good, sum.bad, sum.torn
        )?;
        bad += sum.bad;
    }
    for (name, at) in offline::cursors(dir)? {
        writeln!(out, "  cursor {name} at {at}")?;
    }
    writeln!(out, "{waiting} records are not published yet, {bad} cannot be read")?;
    Ok(bad == 0)
}

/// Names what does not read.
fn verify(dir: &Path, out: &mut impl Write) -> anyhow::Result<bool> {
    let mut sum = Sum::default();
    walk(dir, |path, finding| {
        sum.count(&finding);
        match finding {
            Finding::Record(_) => {}
            Finding::Unreadable { offset, raw, reason } => {
                writeln!(out, "{}: record {offset} cannot be read ({} bytes): {reason}", path.display(), raw.len())?;
            }
            Finding::Hole { position, bytes, offsets: (from, to) } => {
                writeln!(
                    out,
                    "{}: {bytes} bytes from {position} on are damaged: records {from} to {} are lost",
                    path.display(),
                    to.saturating_sub(1)
                )?;
            }
            Finding::Torn { bytes } => {
                writeln!(out, "{}: a torn tail of {bytes} bytes, of an append that was never acknowledged", path.display())?;
            }
        }
        Ok(())
    })?;
    writeln!(out, "{} records read, {} cannot be read", sum.good, sum.bad)?;
    Ok(sum.bad == 0)
}

/// Prints records, one JSON object per line.
fn print(dir: &Path, published: &Published, out: &mut impl Write) -> anyhow::Result<bool> {
    let mut sum = Sum::default();
    walk(dir, |_, finding| {
        sum.count(&finding);
        match finding {
            Finding::Record(received) if published.has(received.offset) => Ok(()),
            Finding::Record(received) => Ok(writeln!(out, "{}", shown(&received))?),
            damaged @ (Finding::Unreadable { .. } | Finding::Hole { .. } | Finding::Torn { .. }) => tell(&damaged, out),
        }
    })?;
    Ok(sum.bad == 0)
}

/// Appends records to a new spool.
fn copy(dir: &Path, into: &Path, published: &Published, out: &mut impl Write) -> anyhow::Result<bool> {
    let new = offline::fresh(into).context("begin the new spool")?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().context("start")?;
    let (mut sum, mut some, mut copied) = (Sum::default(), Vec::new(), 0_usize);
    let mut append = |new: &Log, some: &mut Vec<Record>| -> anyhow::Result<()> {
        copied += some.len();
        runtime.block_on(new.append(std::mem::take(some))).context("write the new spool")?;
        Ok(())
    };
    walk(dir, |_, finding| {
        sum.count(&finding);
        match finding {
            Finding::Record(received) if published.has(received.offset) => {}
            Finding::Record(received) => some.push(received.record),
            damaged @ (Finding::Unreadable { .. } | Finding::Hole { .. } | Finding::Torn { .. }) => tell(&damaged, out)?,
        }
        if some.len() >= APPENDED { append(&new, &mut some) } else { Ok(()) }
    })?;
    append(&new, &mut some)?;
    writeln!(out, "{copied} records are in {}; {} could not be read", into.display(), sum.bad)?;
    Ok(sum.bad == 0)
}

/// Tells what cannot be read, as a JSON line.
fn tell(finding: &Finding, out: &mut impl Write) -> anyhow::Result<()> {
    let line = match finding {
        Finding::Record(received) => shown(received),
        Finding::Unreadable { offset, raw, reason } => json!({ "offset": offset, "unreadable": reason, "raw": hex::of(raw) }),
        Finding::Hole { offsets: (from, to), .. } => json!({ "offset": from, "unreadable": "lost", "records": to.saturating_sub(*from) }),
        Finding::Torn { .. } => return Ok(()),
    };
    Ok(writeln!(out, "{line}")?)
}

/// A record as it is shown; what is no text as hexadecimal digits.
fn shown(received: &Received) -> Value {
    let Received { offset, record } = received;
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap_or_else(|_| hex::of(bytes));
    let headers: serde_json::Map<String, Value> =
        record.headers.iter().map(|(name, value)| (name.to_owned(), text(value).into())).collect();
    let payload: Value = serde_json::from_slice(&record.payload).unwrap_or_else(|_| text(&record.payload).into());
    json!({ "offset": offset, "key": text(&record.key), "headers": headers, "payload": payload })
}
