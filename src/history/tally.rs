//! Two tallies made one.

use super::{Fault, RefusedEnds, Tally};

impl Tally {
    /// Both together: failures added, the greater peak, the later failure.
    pub fn with(self, other: Self) -> Self {
        Self {
            failures: self.failures.saturating_add(other.failures),
            peak: self.peak.max(other.peak),
            last_failure: self.last_failure.max(other.last_failure),
            refusals: self.refusals.with(other.refusals),
            fault: Fault::later(self.fault, other.fault),
            peak_reserved: self.peak_reserved.max(other.peak_reserved),
            refused_ends: RefusedEnds::with(self.refused_ends, other.refused_ends),
        }
    }
}
