//! What is remembered.
