//! When something goes wrong.
//!
//! `?` is the answer nearly always. It turns any error into one that keeps all causes, the line in
//! your source, and the AI calls it comes from, so that a retry of the order asks only those again.
//! Say what you were doing with [`context`](crate::Context::context). Half a site is worth nothing:
//! the host throws away what was written, and the customer keeps the site they had.
//!
//! ```
//! use sitewright_sdk::prelude::*;
//!
//! #[derive(Deserialize, JsonSchema)]
//! #[serde(crate = "sitewright_sdk::serde")]
//! #[schemars(crate = "sitewright_sdk::schemars")]
//! struct Prices {
//!     /// In the customer's currency.
//!     prices: Vec<f64>,
//! }
//!
//! struct PriceList;
//!
//! impl Template for PriceList {
//!     fn manifest() -> Manifest {
//!         Manifest::new("price-list", "0.1.0", "What it costs.").purpose("code", "prices").purpose("copywriting", "a motto").locale("en")
//!     }
//!
//!     async fn generate(order: Order, site: Site) -> Result<()> {
//!         // What one can do without: tell the operator, and go on.
//!         let motto = match ai::ask("copywriting").user("A motto.").text().await {
//!             Ok(motto) => motto,
//!             Err(error) if error.kind == AiErrorKind::ContentFiltered => {
//!                 report(Diagnostic::warning("no-motto", "the site has no motto").because(&error));
//!                 String::new()
//!             }
//!             Err(error) => return Err(Error::from(error).context("while writing the motto")),
//!         };
//!         let reply = ai::ask("code").user("Prices?").reply::<Prices>().await.context("while asking for prices")?;
//!         // A reply that the schema accepts and nobody can use: an error of our own, and the call to blame.
//!         if reply.value.prices.len() != order.services.len() {
//!             return Err(Error::new("prices-missing", "there is not one price for each service")
//!                 .blame(reply.completion.call_id)
//!                 .attribute("services", order.services.len()));
//!         }
//!         site.write("prices.txt", format!("{motto}{:?}", reply.value.prices))?;
//!         Ok(())
//!     }
//! }
//!
//! let run = testing::Harness::scripted(r#"
//!     [[rule]]
//!     purpose = "copywriting"
//!     answer = { fault = { refused = true } }
//!
//!     [[rule]]
//!     answer = { json = { prices = [1.5] } }
//! "#).run::<PriceList>(testing::sample_order());
//! assert_eq!(run.reports[0].code, "no-motto");
//! let error = run.result.unwrap_err();
//! assert_eq!((error.code(), error.ai_calls()), ("prices-missing", &["call-2".to_owned()][..]));
//! assert!(error.location().file().ends_with(".rs"));
//! ```
//!
//! A panic is a failure too: its message and its line reach the record, but none of the causes. An
//! arithmetic mistake that release builds let pass is found by `sitewright template dev`, which
//! builds with the checks of a debug build.
