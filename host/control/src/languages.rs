//! Whether the template of an order writes its language, before the order is added.

use std::sync::Arc;

use futures::future::BoxFuture;
use sitewright_intake::{InvalidOrder, Notice, OrderSnapshot, TemplateLanguages, other_language};
use sitewright_order::Locale;

/// Finds the languages that a template writes, by its name; `None` if this machine does not know
/// them.
pub type FindLanguages =
    Arc<dyn Fn(String) -> BoxFuture<'static, Option<TemplateLanguages>> + Send + Sync>;

/// What is known here about the languages of templates.
#[derive(Clone)]
pub struct Languages {
    pub find: FindLanguages,
    /// The operator's language for sites whose own language a template does not write.
    pub fallback: Option<Locale>,
}

impl Languages {
    /// What is said about an order whose language its template does not write, if the operator has a
    /// language for it. Templates that are not known here are checked by their worker.
    ///
    /// # Errors
    /// The template does not write the order's language, and there is no other one for it.
    pub async fn check(
        &self,
        order: &OrderSnapshot,
        template: &str,
    ) -> Result<Option<Notice>, InvalidOrder> {
        let Some(writes) = (self.find)(template.to_owned()).await else { return Ok(None) };
        let other = other_language(order, template, &writes, self.fallback.as_ref())?;
        Ok(other.map(|(_, notice)| notice))
    }
}
