//! Touching huge pages, in a process of its own that may be killed for it.
//!
//! ```text
//! order   what to map, and how          child   the process that does it (the only unsafe code)
//! tenant  the child from outside        site    where we stand, and what limits us
//! counters, verdict                     own     the probe of our own cgroup      scratch  of one made for it
//!                                       trial   mapping and touching by hand
//! ```

mod child;
mod counters;
mod memory;
mod order;
mod own;
#[cfg(feature = "scratch-probe")]
pub mod scratch;
mod site;
mod tenant;
mod trial;
mod verdict;

pub use child::run as run_child;
pub use memory::memory_limits;
pub use order::{Mapping, Order};
pub use own::{Pace, check};
#[cfg(feature = "scratch-probe")]
pub use scratch::Terms;
pub use site::Site;
pub use tenant::Places;
pub use trial::{Attempt, attempt};
