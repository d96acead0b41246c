//! Touching huge pages, in a process of its own that may be killed for it.

pub mod child;
