//! The versions of the contract, as far as the types of host functions differ between them.
//!
//! The host functions implement the newest version. An older one has the same functions with other
//! types, which are read into those of the newest, and made of them.

use wasmtime::component::{ComponentType, Lift, Lower};

use super::lift::{self, GuestMessage};
use crate::plugin::bindings::{ai_types, v0_1};

/// One version.
pub(super) trait Version: 'static {
    /// Like `0.2.0`.
    const VERSION: &'static str;
    /// Its `ai-types.message`.
    type Message: GuestMessage;
    /// Its `ai-types.completion`.
    type Completion: From<ai_types::Completion>
        + ComponentType
        + Lift
        + Lower
        + Send
        + Sync
        + 'static;

    /// The name of an interface.
    fn interface(name: &str) -> String {
        format!("sitewright:template/{name}@{}", Self::VERSION)
    }
}

/// The newest version.
pub(super) struct V0_2;

impl Version for V0_2 {
    const VERSION: &'static str = "0.2.0";
    type Message = lift::Message;
    type Completion = ai_types::Completion;
}

pub(super) struct V0_1;

impl Version for V0_1 {
    const VERSION: &'static str = "0.1.0";
    type Message = lift::Message01;
    type Completion = v0_1::sitewright::template::ai_types::Completion;
}
