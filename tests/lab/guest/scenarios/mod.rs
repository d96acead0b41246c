//! What is tried in guests.

mod gigantic;
mod kernel;
mod numa;

pub use crate::scenarios::memory;
use crate::scenarios::{Named, figures};

pub use gigantic::GIGANTIC;
pub use numa::{AT_RANDOM, NUMA};

/// On every kernel, whatever the shape.
pub fn everywhere() -> Vec<Named> {
    [figures::BOTH, kernel::EVERYWHERE].concat()
}
