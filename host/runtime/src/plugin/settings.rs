//! The operator's settings for templates.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

/// Limits of core dumps: `[coredump]`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
#[derive(schemars::JsonSchema)]
pub struct CoreDumpLimits {
    /// Maximum bytes of a dump, and maximum memory of a guest that is dumped. Default 64 MiB.
    pub max_bytes: u64,
    /// Dumps kept of all orders together; older ones are deleted first. Default 10.
    pub keep: usize,
}

impl Default for CoreDumpLimits {
    fn default() -> Self {
        CoreDumpLimits { max_bytes: 64 << 20, keep: 10 }
    }
}

/// Settings of one template: `[template.NAME]`, where the name is that of its file.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TemplateSetting {
    /// Its source folder, for the source lines around a frame. Default none.
    pub source: Option<PathBuf>,
    /// Whether a core dump is kept of a stopped guest. Default no.
    pub coredump: bool,
}

/// Settings of all templates.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TemplateSettings {
    /// Settings by template name.
    pub by_name: BTreeMap<String, TemplateSetting>,
    /// Settings of every template, as set by flags. They win over those by name.
    pub of_all: TemplateSetting,
    pub coredump: CoreDumpLimits,
    /// Whether the state of every stopped guest is kept until the stack of its interpreter has been
    /// read, so that a failure by a limit names the line of an author in Python. It costs each trap
    /// a millisecond or more. Default no; commands of authors and replays set it.
    pub read_stacks: bool,
}

impl TemplateSettings {
    /// The settings of the template in `file`.
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
