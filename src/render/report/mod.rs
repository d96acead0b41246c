//! One look at a node: for a terminal, and for programs.

mod findings;
mod json;
mod table;

pub use json::{incidents, json};
pub use table::table;

/// How a terminal is written to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Style {
    /// Words alone.
    Plain,
    /// Words in colours (ANSI).
    Coloured,
}
