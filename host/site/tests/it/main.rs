//! Sites through their public surface: paths, staging, verification, releases, stores.

mod path;
mod release;
mod s3_server;
mod staging;
mod store;
mod support;
mod verify;
