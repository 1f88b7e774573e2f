//! The pages of the operator's console: what is known of orders, as HTML.
//!
//! | file | what it answers |
//! |---|---|
//! | `frame` | what do all pages share: who looks, which actions are offered, what was done? |
//! | `now` | is all well? |
//! | `bulk` | what would changing many orders do, and how far is it? |
//! | `confirm` | what will happen, before something that costs money or cannot be taken back? |
//! | `confirm_many` | and before that is done to many orders? |
//! | `orders`, `order` | which orders are there, and what happened to one? |
//! | `revise` | which other document does an order get, and what happens then? |
//! | `releases` | what differs between two releases, and which one do visitors see? |
//! | `failures`, `record`, `retry` | what fails, why, and what would retrying it do? |
//! | `ai` | what was spent on what, and which AI calls fail? |
//! | `template` | who has a template, how do its orders end, and does it conform? |
//! | `templates`, `settings` | what can be paused, who may do what, and who did what? |
//! | `webhooks` | who is told of orders, and what became of each delivery? |
//! | `hooks` | what did webhooks of others bring, and what became of it? |
//! | `api` | what does the description of the HTTP API say? |
//! | `entrance` | how does one log in, and what does a page say that cannot be shown? |
//! | `chart`, `text`, `escape` | charts, amounts and times, and nothing that a browser would obey |
//! | `address`, `assets` | where are pages and files? |
//!
//! **Invariant:** no I/O and no HTTP: a page is made from values and returned as text.
//!
//! **Invariant:** every value in a page passes `escape`: no template uses the filter `safe`.
//!
//! **Invariant:** no script and no style is in a page itself, so that the strictest policy permits
//! all of it; and everything works without the script.

pub mod address;
mod ai;
mod api;
pub mod assets;
mod bulk;
mod chart;
mod confirm;
mod confirm_many;
mod entrance;
mod escape;
mod failures;
mod frame;
mod hooks;
mod now;
mod order;
mod orders;
mod record;
mod releases;
mod replay;
mod retry;
mod revise;
mod settings;
mod template;
mod templates;
mod text;
mod webhooks;

pub use ai::{AiFacts, Period, ai};
pub use api::api;
pub use askama::Error;
pub use bulk::{BulkPreview, bulk_preview, bulk_progress, goes_on, selection_in_words};
pub use confirm::{
    CancelFacts, DrainFacts, HoldReleaseFacts, QueueFacts, RetryOrderFacts, cancel_order,
    drain_worker, enable_webhook, redeliver, release_breakers, release_hold, resume_queue,
    retry_order,
};
pub use entrance::{Provider, entered, login, refused};
pub use failures::{CauseFacts, FailuresFacts, Since, cause, failure, failures};
pub use frame::{Frame, Level, Note, Section, Viewer};
pub use hooks::{HooksFacts, WantedHookDeliveries, hooks};
pub use now::{MINUTES, NowFacts, Per, now};
pub use order::{EraseFacts, OrderFacts, erase, order};
pub use orders::{OrdersFacts, Wanted, orders, typed_search};
pub use releases::{ChoiceFacts, ReleasesFacts, choose, compare, releases};
pub use replay::replayed;
pub use retry::{RetryFacts, retry};
pub use revise::{ReviseFacts, ReviseStep, revise};
pub use settings::{AuditFacts, ConfigurationKey, SettingsFacts, audit, retention, settings};
pub use template::{TemplatePageFacts, template};
pub use templates::{TemplateFacts, TemplatesFacts, templates};
pub use webhooks::{DeliveryFacts, WantedDeliveries, WebhooksFacts, delivery, webhooks};

#[cfg(test)]
mod tests {
    /// See the second and third invariant.
    #[test]
    fn no_template_shows_a_value_unescaped_or_has_a_script_or_style_of_its_own() {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/templates");
        let mut read = 0;
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            let text = std::fs::read_to_string(&path).unwrap();
            for forbidden in ["|safe", "| safe", "style=", "<style", "onclick", "{% autoescape"] {
                assert!(!text.contains(forbidden), "{}: {forbidden}", path.display());
            }
            assert!(
                text.matches("<script").count() <= usize::from(path.ends_with("base.html")),
                "{}",
                path.display()
            );
            read += 1;
        }
        assert!(read >= 12, "{read}");
    }
}
