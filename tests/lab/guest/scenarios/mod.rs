//! What is tried in guests.

pub use crate::scenarios::memory;
use crate::scenarios::{Named, figures};

/// On every kernel, whatever the shape.
pub const EVERYWHERE: &[Named] = figures::BOTH;
