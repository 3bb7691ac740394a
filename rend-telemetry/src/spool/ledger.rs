//! The ledger: which segments are delivered, and how many events each run lost.

use std::collections::BTreeSet;

use super::names::{Kind, parse_name};
use super::segment::{self, Frame};
use super::{FILE_BYTES_MAX, LEDGER_BYTES_MAX, RUNS_MAX, Run, Spool};
use crate::files::{FilesError, SegmentFiles};

/// The file that is written to now.
#[derive(Debug)]
pub(super) struct Ledger {
    pub(super) name: String,
    pub(super) bytes: u64,
}

impl<F: SegmentFiles> Spool<F> {
    pub(super) fn write_ledger(&mut self) -> Result<(), FilesError> {
        if let Some(ledger) = &mut self.ledger
            && ledger.bytes < LEDGER_BYTES_MAX
        {
            let mut bytes = Vec::new();
            self.unwritten.iter().for_each(|frame| frame.write(&mut bytes));
            let written = self.files.append(&ledger.name, &bytes).and_then(|()| self.files.sync(&ledger.name));
            ledger.bytes += bytes.len() as u64;
            if written.is_ok() {
                self.unwritten.clear();
            } else {
                let torn = self.ledger.take().map(|ledger| ledger.name);
                self.old_ledgers.extend(torn);
            }
            return written;
        }
        let mut bytes = Vec::new();
        for no in self.delivered.keys() {
            Frame::Acked { file_no: *no }.write(&mut bytes);
        }
        for (boot, run) in &self.runs {
            let total = self.dropped_total(*boot);
            Frame::Dropped { boot: *boot, node: run.node.clone(), total, told: run.told }.write(&mut bytes);
        }
        let name = format!("{:016x}.ledger", self.take_no());
        let written = self.files.append(&name, &bytes).and_then(|()| self.files.sync(&name));
        if let Err(error) = written {
            self.old_ledgers.insert(name);
            // Removing the half-written one makes room; failing that, it is removed with the other old ones.
            return Err(error);
        }
        self.unwritten.clear();
        self.old_ledgers.extend(self.ledger.take().map(|ledger| ledger.name));
        self.ledger = Some(Ledger { name, bytes: bytes.len() as u64 });
        while let Some(old) = self.old_ledgers.first() {
            self.files.remove(old)?;
            self.old_ledgers.pop_first();
        }
        Ok(())
    }

    pub(super) fn forget_settled_runs(&mut self) {
        let here = self.boot;
        self.runs.retain(|boot, run| *boot == here || run.dropped > run.told);
        while self.runs.len() > RUNS_MAX {
            let Some(oldest) = self.runs.keys().copied().find(|boot| *boot != here) else { return };
            self.runs.remove(&oldest);
        }
    }

    pub(super) fn read_ledgers(&mut self, found: &[(String, u64)]) -> Result<BTreeSet<u64>, FilesError> {
        let mut acked = BTreeSet::new();
        for (name, _) in found {
            let Some((_, Kind::Ledger)) = parse_name(name) else { continue };
            self.old_ledgers.insert(name.clone());
            let Some(bytes) = self.files.read(name, FILE_BYTES_MAX)? else { continue };
            for frame in segment::read(&bytes).frames {
                match frame {
                    Frame::Acked { file_no } => {
                        self.next_no = self.next_no.max(file_no.saturating_add(1));
                        acked.insert(file_no);
                    }
                    Frame::Dropped { boot, node, total, told } => {
                        let run = self.runs.entry(boot).or_insert(Run { node, dropped: 0, told: 0 });
                        run.dropped = run.dropped.max(total);
                        run.told = run.told.max(told);
                    }
                    Frame::Header { .. } | Frame::Event(_) => {}
                }
            }
        }
        self.forget_settled_runs();
        Ok(acked)
    }
}
