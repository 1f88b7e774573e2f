//! Failure records: fingerprints, faces, schema.

mod groups;
mod render;
mod schema;
mod version_1;
