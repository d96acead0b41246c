//! Tests that need no root and no huge pages: whole machines as text files, the command, the server, the tree.

#[path = "../harness/mod.rs"]
mod harness;
mod machine;
mod goldens;
mod laws;
mod command;
mod agent;
mod server;

