//! What is tried in guests.

mod gigantic;
mod kernel;
mod numa;

pub use crate::scenarios::memory;
use crate::scenarios::{Named, figures, witness};

pub use gigantic::GIGANTIC;
pub use numa::{AT_RANDOM, NUMA};

/// On every kernel, whatever the shape.
pub fn everywhere() -> Vec<Named> {
    [figures::BOTH, kernel::EVERYWHERE, witness::EVERY_KERNEL].concat()
}
