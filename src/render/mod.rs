//! A view as text: metrics for Prometheus, a report for people and programs, a page. Total functions: they
//! don't read, don't decide and don't fail.

mod columns;
mod figures;
pub mod findings;
mod guard;
pub mod metrics;
pub mod page;
pub mod report;
mod tenants;
pub mod trial;
