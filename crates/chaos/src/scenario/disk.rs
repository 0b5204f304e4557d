//! The spool's file system fills up: a small tmpfs, in which somebody else writes until nothing is left. Or it fails: an ext4 that
//! turns read-only, as file systems do when their disk tells errors, under files that are open for writing.

use std::fs::{self, File};
use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, ensure};
use tempfile::NamedTempFile;
use tokio::time::Instant;

use super::Scenario;
use crate::field::Field;

/// The size of the tmpfs.
const SIZE: &str = "size=24m";
/// The size of the ext4.
const IMAGE_BYTES: u64 = 64 << 20;
/// How long the spool may take to notice: its room lasts for some seconds.
const PATIENCE: Duration = Duration::from_secs(30);
/// How often is looked.
const LOOK: Duration = Duration::from_millis(100);
/// How much is left free in runs that keep a reserve.
const RESERVE: u64 = 8 << 20;

/// A mounted file system; unmounted when it is dropped.
#[derive(Debug)]
pub(crate) struct Small {
    /// Where it is mounted.
    at: PathBuf,
    /// The file that it is in; none for memory.
    _image: Option<NamedTempFile>,
}

/// Mounts the file system that a scenario's spool is on, if it has one of its own; a file for it is made in `home`.
pub(crate) fn mount(scenario: Scenario, dir: &Path, home: &Path) -> anyhow::Result<Option<Small>> {
    let full = (scenario == Scenario::DiskFull).then(|| Small::tmpfs(&place(dir))).transpose()?;
    let read_only = (scenario == Scenario::DiskReadOnly).then(|| Small::ext4(&place(dir), home)).transpose()?;
    Ok(full.or(read_only))
}

impl Small {
    /// Mounts a tmpfs.
    fn tmpfs(at: &Path) -> anyhow::Result<Self> {
        fs::create_dir_all(at).context("make a place for a small file system")?;
        let status = Command::new("mount").args(["-t", "tmpfs", "-o", SIZE, "chaos"]).arg(at).status().context("mount a tmpfs")?;
        ensure!(status.success(), "a small file system cannot be mounted: that needs root");
        Ok(Self { at: at.to_owned(), _image: None })
    }

    /// Mounts an ext4 in a file, which an error makes read-only.
    fn ext4(at: &Path, home: &Path) -> anyhow::Result<Self> {
        fs::create_dir_all(at).context("make a place for an ext4")?;
        let image = NamedTempFile::new_in(home).context("make a file for an ext4")?;
        image.as_file().set_len(IMAGE_BYTES).context("make a file for an ext4")?;
        let made = Command::new("mkfs.ext4").args(["-q", "-F"]).arg(image.path()).status();
        ensure!(made.context("run mkfs.ext4 (Debian: e2fsprogs)")?.success(), "an ext4 cannot be made");
        let status = Command::new("mount").args(["-o", "loop,errors=remount-ro"]).args([image.path(), at]).status();
        ensure!(status.context("mount an ext4")?.success(), "an ext4 cannot be mounted: that needs root and loop devices");
        Ok(Self { at: at.to_owned(), _image: Some(image) })
    }
}

impl Drop for Small {
    fn drop(&mut self) {
        // Lazily: a process that is just being killed may still hold a file.
        Command::new("umount").arg("--lazy").arg(&self.at).status().ok();
    }
}

/// Where the small file system is, in a run's directory.
pub(crate) fn place(dir: &Path) -> PathBuf {
    dir.join("small")
}

/// The settings of a spool on the file system of its own, which leaves so many bytes of it free.
pub(super) fn spool_on_it(dir: &Path, reserve: u64) -> Vec<(&'static str, String)> {
    vec![("SPOOL_DIR", place(dir).join("spool").display().to_string()), ("SPOOL_FREE_BYTES_MIN", reserve.to_string())]
}

/// The settings of one that fills up: every other run keeps no reserve, so that writes fail for want of space.
pub(super) fn small(seed: u64, dir: &Path) -> Vec<(&'static str, String)> {
    let reserve = if seed.is_multiple_of(2) { 0 } else { RESERVE };
    let mut settings = spool_on_it(dir, reserve);
    settings.push(("SPOOL_SEGMENT_BYTES", "1048576".to_owned()));
    settings
}

/// Fills the file system up, and frees it again.
pub(super) async fn full(field: &Field<'_>, lasts: Duration) -> anyhow::Result<()> {
    well(field).await?;
    let ballast = place(&field.dir).join("ballast");
    let mut file = File::create(&ballast).context("fill the disk")?;
    let block = vec![0_u8; 64 << 10];
    while file.write_all(&block).is_ok() {}
    // The last bytes too.
    while file.write_all(&[0; 512]).is_ok() {}
    // Before that it lives on the room that it has made ahead.
    let noticed = noticed(field).await;
    tokio::time::sleep(lasts).await;
    fs::remove_file(&ballast).context("free the disk")?;
    noticed.context("the disk was full")
}

/// Lets the file system find an error; what is on it can be read from then on, and no more.
pub(super) async fn read_only(field: &Field<'_>, lasts: Duration) -> anyhow::Result<()> {
    well(field).await?;
    let device = device(&field.dir)?;
    fs::write(format!("/sys/fs/ext4/{device}/trigger_fs_error"), "the disk fails").context("let the file system fail")?;
    let refused = File::create(place(&field.dir).join("probe")).err().map(|error| error.kind());
    ensure!(refused == Some(ErrorKind::ReadOnlyFilesystem), "the file system did not turn read-only: {refused:?}");
    let noticed = noticed(field).await;
    tokio::time::sleep(lasts).await;
    noticed.context("the disk turned read-only")
}

/// Makes sure that the spool takes events before its disk fails: else nothing is tested.
async fn well(field: &Field<'_>) -> anyhow::Result<()> {
    let accepted = field.figure("events_accepted_total").await.context("read how many events were accepted")?;
    let failed = field.figure("spool_failures_total").await.context("read how often the spool failed")?;
    ensure!(failed < accepted / 2.0, "the spool failed {failed} times for {accepted} events, before its disk did");
    Ok(())
}

/// Waits until the spool has noticed that it cannot write.
async fn noticed(field: &Field<'_>) -> anyhow::Result<()> {
    let until = Instant::now() + PATIENCE;
    while field.figure("spool_failures_total").await.unwrap_or_default() == 0.0 {
        ensure!(Instant::now() < until, "the spool did not notice");
        tokio::time::sleep(LOOK).await;
    }
    Ok(())
}

/// The name of the device that the small file system is on.
fn device(dir: &Path) -> anyhow::Result<String> {
    let (place, mounts) = (place(dir), fs::read_to_string("/proc/self/mounts").context("read what is mounted")?);
    let device = mounts.lines().find_map(|line| {
        let (device, rest) = line.split_once(' ')?;
        rest.split(' ').next().filter(|at| place == Path::new(at)).map(|_| device.trim_start_matches("/dev/").to_owned())
    });
    device.with_context(|| format!("find what is mounted at {}", place.display()))
}
