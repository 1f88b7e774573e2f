//! The published schema of the report.

mod schema;
