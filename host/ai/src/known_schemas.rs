//! The cache of compiled reply schemas. Orders of one template use the same schemas.

use std::collections::HashMap;

use parking_lot::Mutex;
use sitewright_confined::Confined;

use super::json::{ReplySchema, SchemaError};

/// Maximum number of cached schemas.
const MAX_ENTRIES: usize = 64;
/// Maximum size of a cached schema in bytes.
const MAX_ENTRY_BYTES: usize = 8 * 1024;

/// A cache of compiled schemas. Limited in number and size, because templates choose the schemas.
#[derive(Debug, Default)]
pub struct KnownSchemas {
    compiled: Mutex<HashMap<String, ReplySchema>>,
}

impl KnownSchemas {
    /// The compiled form of a schema's text, for the template `template`. If it is costly, the work
    /// is done in `confined`.
    ///
    /// # Errors
    /// Like [`ReplySchema::compile_guarded`].
    pub async fn compiled(
        &self,
        text: String,
        confined: &Confined,
        template: &str,
    ) -> Result<ReplySchema, SchemaError> {
        let known = self.compiled.lock().get(&text).cloned();
        if let Some(known) = known {
            return Ok(known.of_template(template));
        }
        let schema = ReplySchema::compile_guarded(text.clone(), confined, template).await?;
        // Schemas with regular expressions may take a megabyte.
        if text.len() <= MAX_ENTRY_BYTES && schema.is_light() {
            let mut compiled = self.compiled.lock();
            if compiled.len() >= MAX_ENTRIES {
                compiled.clear();
            }
            compiled.insert(text, schema.clone());
        }
        Ok(schema)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    #[allow(clippy::disallowed_methods, reason = "#[tokio::test] makes the runtime of a test")]
    async fn a_schema_is_compiled_once_and_no_more_are_kept_than_there_is_room_for() {
        let (known, here) = (KnownSchemas::default(), Confined::here());
        let kept = |known: &KnownSchemas| known.compiled.lock().len();
        let plain = |number: usize| format!(r#"{{"type": "object", "title": "{number}"}}"#);
        for number in [0, 1, 0] {
            let schema = known.compiled(plain(number), &here, "t").await.unwrap();
            assert_eq!(schema.value()["title"], number.to_string());
        }
        assert_eq!(kept(&known), 2);
        let patterns = r#"{"properties": {"a": {"pattern": "^a"}}}"#;
        known.compiled(patterns.to_owned(), &here, "t").await.unwrap();
        known.compiled("{".to_owned(), &here, "t").await.unwrap_err();
        assert_eq!(kept(&known), 2, "what may be large and what is no schema is not kept");
        for number in 0..3 * MAX_ENTRIES {
            known.compiled(plain(number), &here, "t").await.unwrap();
            assert!(kept(&known) <= MAX_ENTRIES);
        }
    }
}
