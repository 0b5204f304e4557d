//! The database of the simulation: the lease tables with the laws that the storage's conformance suite proves of real ones.

use std::collections::BTreeMap;

use storage::{Holding, Standing};

/// A partition's row.
#[derive(Debug, Clone, Default)]
pub(super) struct Row {
    /// Whose it is.
    pub(super) owner: Option<String>,
    /// Its epoch.
    pub(super) epoch: u64,
    /// When its lease ends.
    pub(super) expires_at: u64,
    /// Where to go on from.
    pub(super) next_offset: u64,
}

/// The tables.
#[derive(Debug)]
pub(super) struct Database {
    /// How long a lease lasts.
    pub(super) ttl: u64,
    /// Partitions.
    pub(super) rows: Vec<Row>,
    /// Members: when they expire, and whether they stop.
    pub(super) members: BTreeMap<String, (u64, bool)>,
}

impl Database {
    /// A beat, at the database's own time.
    pub(super) fn beat(&mut self, now: u64, member: &str, first: bool, draining: bool) -> Standing {
        self.members.insert(member.to_owned(), (now + self.ttl, draining));
        let living: Vec<&String> =
            self.members.iter().filter(|(_, (until, draining))| *until > now && !draining).map(|(id, _)| id).collect();
        let (members, partitions) = (living.len(), self.rows.len());
        let rank = living.iter().position(|id| *id == member);
        let quota = rank.map_or(0, |rank| partitions / members + usize::from(rank < partitions % members));
        let mut owned = 0;
        for row in self.rows.iter_mut().filter(|row| row.owner.as_deref() == Some(member)) {
            row.epoch += u64::from(first);
            row.expires_at = now + self.ttl;
            owned += 1;
        }
        for row in self.rows.iter_mut().filter(|row| row.expires_at <= now).take(quota.saturating_sub(owned)) {
            *row = Row { owner: Some(member.to_owned()), epoch: row.epoch + 1, expires_at: now + self.ttl, next_offset: row.next_offset };
        }
        let numbered = (0..).zip(&self.rows).filter(|(_, row)| row.owner.as_deref() == Some(member));
        let holding = |(partition, Row { epoch, next_offset, .. }): (u32, &Row)| Holding {
            partition,
            epoch: *epoch,
            next_offset: *next_offset,
            high_watermark: *next_offset,
        };
        let held = numbered.map(holding).collect();
        Standing { quota: u32::try_from(quota).unwrap(), members: u32::try_from(members).unwrap(), held, unsettled: 0 }
    }

    /// A partition is given back.
    pub(super) fn release(&mut self, member: &str, partition: u32, epoch: u64) {
        let row = &mut self.rows[partition as usize];
        if row.owner.as_deref() == Some(member) && row.epoch == epoch {
            (row.owner, row.expires_at) = (None, 0);
        }
    }

    /// A commit; `false` when it is fenced.
    pub(super) fn commit(&mut self, member: &str, (partition, epoch): (u32, u64), next_offset: u64) -> bool {
        let row = &mut self.rows[partition as usize];
        let ours = row.owner.as_deref() == Some(member) && row.epoch == epoch;
        if ours {
            row.next_offset = row.next_offset.max(next_offset);
        }
        ours
    }
}
