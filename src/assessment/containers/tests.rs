//! Containers, merged.
