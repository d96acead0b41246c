//! Tests that need no root and no huge pages: whole machines as text files, the command, the server, the tree.

#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::exit,
    clippy::string_slice,
    reason = "a test may fail loudly"
)]

use testkit as harness;
use testkit::machine;

mod goldens;
mod cases;
mod healthy;
mod laws;
mod child;
mod closed_logs;
mod corpora;
mod command;
mod demo;
mod events;
mod faults;
mod from;
mod manual;
mod report;
mod terminal;
mod agent;
mod alerts;
mod dashboards;
mod guard;
mod kubelet;
mod mappings;
mod page;
mod reader;
mod refused;
mod server;
mod web_config;
mod tidy;
