//! What an operator sets for a template.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

/// How large core dumps may be and how many stay: `[coredump]`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
#[derive(schemars::JsonSchema)]
pub struct CoreDumpLimits {
    /// Largest dump that is kept, and most memory of a guest that is dumped.
    pub max_bytes: u64,
    /// Newest dumps that stay, those of all orders together.
    pub keep: usize,
}

impl Default for CoreDumpLimits {
    fn default() -> Self {
        CoreDumpLimits { max_bytes: 64 << 20, keep: 10 }
    }
}

/// What is set for one template: `[template.NAME]`, where the name is that of its file.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TemplateSetting {
    /// Where its source lies, for the lines around a frame.
    pub source: Option<PathBuf>,
    /// Whether a dump is kept of a guest that was stopped.
    pub coredump: bool,
}

/// What is set for all templates.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TemplateSettings {
    /// For each by its name.
    pub by_name: BTreeMap<String, TemplateSetting>,
    /// For those that are not named: what flags ask for.
    pub of_all: TemplateSetting,
    /// For all dumps.
    pub coredump: CoreDumpLimits,
}

impl TemplateSettings {
    /// What holds for the template in `file`.
    pub fn of(&self, file: &Path) -> TemplateSetting {
        let named =
            file.file_stem().and_then(|stem| self.by_name.get(stem.to_string_lossy().as_ref()));
        let named = named.cloned().unwrap_or_default();
        TemplateSetting {
            source: self.of_all.source.clone().or(named.source),
            coredump: self.of_all.coredump || named.coredump,
        }
    }
}
