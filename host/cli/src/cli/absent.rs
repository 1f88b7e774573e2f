//! Commands of features that this build does not have: they exist, and say what is missing.

use super::setup::SetupError;
use sitewright_model::message;

/// Not part of this build: print the feature that it needs.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[arg(hide = true, trailing_var_arg = true, allow_hyphen_values = true)]
    _arguments: Vec<String>,
}

pub(super) fn error(feature: &str) -> SetupError {
    SetupError::Usage(message!(
        "this build has no feature `{feature}`: install a complete build of sitewright, or build it \
         with `--features {feature}`"
    ))
}

/// A module in the place of the one that needs the feature.
macro_rules! absent {
    ($name:ident, $feature:literal) => {
        mod $name {
            pub(super) use crate::cli::absent::Args;
            use crate::cli::exit::Exit;
            use crate::cli::setup::{Setup, SetupError};

            pub(super) async fn run(_: &Setup, _: Args, _: bool) -> Result<Exit, SetupError> {
                Err(crate::cli::absent::error($feature))
            }
        }
    };
}
pub(super) use absent;
