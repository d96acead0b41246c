//! One look at a node: for a terminal, and for programs.

mod findings;
mod fleet;
mod json;
mod layout;
mod lines;
mod table;

pub use fleet::{fleet_json, fleet_table};
pub use json::{incidents, json};
pub use table::table;

/// How a report is laid out, and of whom it is.
#[derive(Debug, Clone, Copy)]
pub struct Layout<'a> {
    /// With colours or without.
    pub style: Style,
    /// In columns.
    pub width: usize,
    /// Of which pods alone, ` db-0 of namespace prod`; empty where it is of all.
    pub whom: &'a str,
}

impl Default for Layout<'_> {
    /// For a terminal of which nothing is known.
    fn default() -> Self {
        Self { style: Style::Plain, width: 80, whom: "" }
    }
}

/// How a terminal is written to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Style {
    /// Words alone.
    Plain,
    /// Words in colours (ANSI).
    Coloured,
}
