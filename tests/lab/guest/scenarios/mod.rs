//! What is tried in guests.

use crate::scenarios::{Named, figures, witness};

/// On every kernel, whatever the shape.
pub fn everywhere() -> Vec<Named> {
    [figures::BOTH, witness::EVERY_KERNEL].concat()
}

/// On kernels whose age is all that matters.
pub const OF_AGES: &[Named] = witness::EVERY_KERNEL;
