//! Holds a process to a share of a core and to so much memory, as a node does with a pod whose limits are its requests.
//!
//! By the kernel's control groups, of either version; that takes root.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::Context;

/// Where control groups are.
const ROOT: &str = "/sys/fs/cgroup";
/// How long the kernel reckons a share for; what a node's agent sets.
const PERIOD_US: u32 = 100_000;

/// Groups that are removed when this is dropped; their processes must have ended by then.
pub(crate) struct Confined(Vec<PathBuf>);

/// Holds a process to so many thousandths of a core, and to so much memory, page cache included.
pub(crate) fn confine(process: u32, millicores: u32, memory_mib: u32) -> anyhow::Result<Confined> {
    let (root, name) = (Path::new(ROOT), format!("events-proxy-{process}"));
    let (quota, memory) = (PERIOD_US / 1_000 * millicores, (u64::from(memory_mib) << 20).to_string());
    let groups = if root.join("cgroup.controllers").exists() {
        write(root, &[("cgroup.subtree_control", "+cpu +memory".to_owned())])?;
        vec![(root.join(name), vec![("cpu.max", format!("{quota} {PERIOD_US}")), ("memory.max", memory)])]
    } else {
        let cpu = vec![("cpu.cfs_period_us", PERIOD_US.to_string()), ("cpu.cfs_quota_us", quota.to_string())];
        vec![(root.join("cpu").join(&name), cpu), (root.join("memory").join(&name), vec![("memory.limit_in_bytes", memory)])]
    };
    let mut made = Confined(Vec::new());
    for (group, settings) in groups {
        fs::create_dir(&group).with_context(|| format!("make the control group {} (it takes root)", group.display()))?;
        made.0.push(group.clone());
        write(&group, &settings)?;
        write(&group, &[("cgroup.procs", process.to_string())])?;
    }
    Ok(made)
}

/// Sets what a group is held to.
fn write(group: &Path, settings: &[(&str, String)]) -> anyhow::Result<()> {
    for (name, value) in settings {
        let file = group.join(name);
        fs::write(&file, value).with_context(|| format!("write {value} to {}", file.display()))?;
    }
    Ok(())
}

impl Drop for Confined {
    fn drop(&mut self) {
        for group in &self.0 {
            // One that stays is empty, and holds nobody.
            drop(fs::remove_dir(group));
        }
    }
}
