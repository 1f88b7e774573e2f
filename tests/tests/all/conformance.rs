//! The command `conformance`.
