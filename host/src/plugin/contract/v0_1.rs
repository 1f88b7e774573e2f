//! Version 0.1.0 of the contract.

use super::{Contract, World};

/// What the host knows of it.
pub(super) const CONTRACT: Contract = Contract {
    version: "0.1.0",
    worlds: &[World { name: "template", marks: &["ai", "generator"] }],
    brought: &[],
};
