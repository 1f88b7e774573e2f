//! A complete multi-page site for a local business.
//!
//! ```text
//! order ──> plan of pages ──> strategy (one AI call) ──> copy (one call per page) ──> files
//! ```
//!
//! - [`pages`]: the plan of pages. [`prompt`]: the AI requests. [`copy`]: the replies and how their
//!   text is cleaned.
//! - [`site`]: pure function from order and copy to files. [`views`] and `templates/`: the HTML.
//!   [`extras`] and [`app_icon`]: all other files.
//! - [`content`]: what the order says beside the copy: places, people, photos, identifiers.
//! - [`palette`], [`art`], [`drawing`], [`hours`], [`contact`], [`trade`], [`structured`],
//!   [`title`], [`header`]: parts of the pages. [`language`]: the wording.

pub mod app_icon;
pub mod art;
pub mod contact;
pub mod content;
pub mod copy;
pub mod drawing;
pub mod escape;
pub mod extras;
pub mod header;
pub mod hours;
pub mod icons;
pub mod language;
pub mod pages;
pub mod palette;
pub mod prompt;
pub mod site;
pub mod structured;
pub mod title;
pub mod trade;
mod views;

use sitewright_sdk::ai::Ask;
use sitewright_sdk::prelude::*;

use copy::{Copy, EmptyCopy, Strategy};
use pages::{Kind, Note, Page, Plan};
use site::Site as Files;

/// The template `local-business`.
#[derive(Debug, Clone, Copy)]
pub struct LocalBusiness;

impl Template for LocalBusiness {
    fn manifest() -> Manifest {
        Manifest::new(
            "local-business",
            env!("CARGO_PKG_VERSION"),
            "A complete multi-page site for a local business, in nine languages and in its own \
             colours.",
        )
        .purpose(
            prompt::STRATEGY,
            "positioning, audience and tone of the whole site; one call, before all others",
        )
        .purpose(prompt::COPYWRITING, "the text of one page; one call per page, concurrently")
        .locale("pt-BR")
        .locale("en")
        .locale("es")
        .locale("fr")
        .locale("de")
        .locale("it")
        .locale("ar")
        .locale("he")
        .locale("ja")
    }

    async fn generate(order: Order, site: Site) -> Result<()> {
        let plan = Plan::of(&order);
        let pages = u32::try_from(plan.pages.len()).unwrap_or(u32::MAX);
        progress("strategy", 0, pages + 1);
        let reply = prompt::strategy(&order)
            .reply::<Strategy>()
            .await
            .context("while deciding the strategy")?;
        let strategy =
            reply.value.tidy().map_err(|empty| unusable(&empty, reply.completion.call_id))?;

        progress("copy", 1, pages + 1);
        let copies =
            try_join_all(plan.pages.iter().map(|page| write_copy(&order, &strategy, page))).await?;

        progress("pages", pages + 1, pages + 1);
        let files = Files::new(&order, &plan, &strategy);
        for Note { code, message } in files.notes() {
            report(Diagnostic::warning(*code, message));
        }
        for (page, copy) in plan.pages.iter().zip(&copies) {
            let file = files.page(page, copy)?;
            site.write(&file.path, file.bytes)?;
        }
        for file in files.other_files()? {
            site.write(&file.path, file.bytes)?;
        }
        Ok(())
    }
}

sitewright_sdk::export!(LocalBusiness);

/// Requests the copy of one page and cleans it.
async fn write_copy(order: &Order, strategy: &Strategy, page: &Page) -> Result<Copy> {
    let ask = prompt::page(order, strategy, page);
    match page.kind {
        Kind::Home => tidy(ask, Copy::Home, order, page).await,
        Kind::About => tidy(ask, Copy::About, order, page).await,
        Kind::Services => tidy(ask, Copy::Services, order, page).await,
        Kind::Gallery => tidy(ask, Copy::Gallery, order, page).await,
        Kind::Testimonials => tidy(ask, Copy::Testimonials, order, page).await,
        Kind::Faq => tidy(ask, Copy::Faq, order, page).await,
        Kind::Pricing => tidy(ask, Copy::Pricing, order, page).await,
        Kind::Contact => tidy(ask, Copy::Contact, order, page).await,
        Kind::Custom => tidy(ask, Copy::Custom, order, page).await,
    }
}

async fn tidy<T>(ask: Ask, wrap: fn(T) -> Copy, order: &Order, page: &Page) -> Result<Copy>
where
    T: serde::de::DeserializeOwned + JsonSchema,
{
    let reply =
        ask.reply().await.with_context(|| format!("while writing the page `{}`", page.label))?;
    wrap(reply.value)
        .tidy(&page.label, &order.business_name)
        .map_err(|empty| unusable(&empty, reply.completion.call_id))
}

/// Error for a reply that fits its schema and has no text. It blames the AI call, so that a retry
/// of the order requests a new reply instead of reusing this one.
fn unusable(empty: &EmptyCopy, call_id: String) -> Error {
    Error::of(empty).with_code("empty-copy").blame(call_id)
}
