//! The cache of compiled reply schemas. Orders of one template use the same schemas.

use std::collections::HashMap;

use parking_lot::Mutex;

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
    /// The compiled form of a schema's text.
    ///
    /// # Errors
    /// Like [`ReplySchema::compile`]; or compiling was aborted.
    pub async fn compiled(&self, text: String) -> Result<ReplySchema, SchemaError> {
        if let Some(known) = self.compiled.lock().get(&text) {
            return Ok(known.clone());
        }
        // On a blocking thread, because compiling a template's patterns may take long.
        let compiling = tokio::task::spawn_blocking(move || (ReplySchema::compile(&text), text));
        let (schema, text) = compiling.await.map_err(|error| {
            SchemaError(sitewright_model::message!("the schema could not be compiled: {error}"))
        })?;
        let schema = schema?;
        // Schemas with regular expressions may take a megabyte.
        if text.len() <= MAX_ENTRY_BYTES && schema.is_quick(1) {
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
        let known = KnownSchemas::default();
        let kept = |known: &KnownSchemas| known.compiled.lock().len();
        let plain = |number: usize| format!(r#"{{"type": "object", "title": "{number}"}}"#);
        for number in [0, 1, 0] {
            let schema = known.compiled(plain(number)).await.unwrap();
            assert_eq!(schema.value()["title"], number.to_string());
        }
        assert_eq!(kept(&known), 2);
        known.compiled(r#"{"properties": {"a": {"pattern": "^a"}}}"#.to_owned()).await.unwrap();
        known.compiled("{".to_owned()).await.unwrap_err();
        assert_eq!(kept(&known), 2, "what may be large and what is no schema is not kept");
        for number in 0..3 * MAX_ENTRIES {
            known.compiled(plain(number)).await.unwrap();
            assert!(kept(&known) <= MAX_ENTRIES);
        }
    }
}
