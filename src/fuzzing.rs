//! What the fuzz targets in fuzz/ reach besides what is public: the parsers of bytes from outside, as they are (only
//! `mappings_of` is made for them). So nothing is behind a feature, and `cargo test` replays what fuzzing has found.

pub use crate::client::Origin;
pub use crate::config::{Interval, ListenAddress, TelemetryPath};
pub use crate::identity::{NameIndex, Owner};
pub use crate::snapshot::{Limit, Mapping};
pub use crate::sources::{mappings_of, parse_quantity, read_pods};
pub use crate::units::PageSize;
pub use crate::web::{Client, Site, WebConfig, answer};

/// The formats of the kernel's files.
pub mod kernel_files {
    pub use crate::sources::parse::{
        events, limit, meminfo_kilobytes, node_list, numa_stat, number, usage, vmstat,
    };
}
