//! The report: one look at a node, as a table for a terminal or as JSON for programs.

mod json;
mod table;

pub use json::json;
pub use table::table;
