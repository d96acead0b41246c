//! The fuzz targets, and what they have from the tests.

pub mod targets;

#[allow(dead_code, reason = "a part of it is used here")]
#[path = "../../tests/harness/exposition.rs"]
mod exposition;
#[allow(dead_code, reason = "a part of it is used here")]
#[path = "../../tests/it/machine.rs"]
mod machine;

/// As the tests name it.
mod harness {
    pub(crate) use crate::exposition;
}
