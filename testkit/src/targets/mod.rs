//! What each target does with its bytes, and what must hold whatever they are. The targets run it on ever new
//! bytes; `tests/it/corpora.rs` runs it on the bytes that are kept in `fuzz/corpus/`.

mod flags;
mod http;
mod kernel_files;
mod kubelet;
mod mappings;
mod names;
mod node;
mod web_config;

pub use flags::flags;
pub use http::http;
pub use kernel_files::kernel_files;
pub use kubelet::kubelet;
pub use mappings::mappings;
pub use names::names;
pub use node::node;
pub use web_config::web_config;

/// What is done with some bytes; it panics where something does not hold.
pub type Target = fn(&[u8]);

/// Every target by its name, which its file in `fuzz_targets/` and its directory in `corpus/` have too.
pub const TARGETS: &[(&str, Target)] = &[
    ("flags", flags),
    ("http", http),
    ("kernel_files", kernel_files),
    ("kubelet", kubelet),
    ("mappings", mappings),
    ("names", names),
    ("node", node),
    ("web_config", web_config),
];
