//! Schemas that were compiled before: the orders of one template ask with the same one.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use super::json::{ReplySchema, SchemaError};

/// Schemas that are kept.
const KEPT: usize = 64;
/// Bytes of the longest schema that is kept.
const LONGEST: usize = 8 * 1024;

/// The schemas that were asked with lately: small ones, and few of them, since templates choose
/// them.
#[derive(Debug, Default)]
pub struct KnownSchemas {
    compiled: Mutex<HashMap<String, ReplySchema>>,
}

impl KnownSchemas {
    /// The compiled form of a schema's text.
    ///
    /// # Errors
    /// As [`ReplySchema::compile`], or when compiling did not end.
    pub async fn compiled(&self, text: String) -> Result<ReplySchema, SchemaError> {
        if let Some(known) = self.compiled.lock().unwrap_or_else(PoisonError::into_inner).get(&text)
        {
            return Ok(known.clone());
        }
        // Its patterns are compiled too, which takes as long as the template likes: not on the
        // runtime's threads.
        let compiling = tokio::task::spawn_blocking(move || (ReplySchema::compile(&text), text));
        let (schema, text) = compiling.await.map_err(|error| {
            SchemaError(sitewright_model::message!("the schema could not be compiled: {error}"))
        })?;
        let schema = schema?;
        // One with regular expressions may take a megabyte.
        if text.len() <= LONGEST && schema.is_quick(1) {
            let mut compiled = self.compiled.lock().unwrap_or_else(PoisonError::into_inner);
            if compiled.len() >= KEPT {
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
        let kept = |known: &KnownSchemas| known.compiled.lock().unwrap().len();
        let plain = |number: usize| format!(r#"{{"type": "object", "title": "{number}"}}"#);
        for number in [0, 1, 0] {
            let schema = known.compiled(plain(number)).await.unwrap();
            assert_eq!(schema.value()["title"], number.to_string());
        }
        assert_eq!(kept(&known), 2);
        known.compiled(r#"{"properties": {"a": {"pattern": "^a"}}}"#.to_owned()).await.unwrap();
        known.compiled("{".to_owned()).await.unwrap_err();
        assert_eq!(kept(&known), 2, "what may be large and what is no schema is not kept");
        for number in 0..3 * KEPT {
            known.compiled(plain(number)).await.unwrap();
            assert!(kept(&known) <= KEPT);
        }
    }
}
