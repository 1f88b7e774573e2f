//! Handling errors.
//!
//! Propagate errors with `?`. It converts any error to one that has all causes, the location in
//! your source, and the AI calls that caused it, so that a retry of the order sends only those
//! again. Add what the template was doing with [`context`](crate::Context::context). The host
//! discards the files of a failed run; the customer keeps the previous site.
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
//!         Manifest::new("price-list", "0.1.0", "A page with prices.")
//!             .purpose("code", "prices")
//!             .purpose("copywriting", "a motto")
//!             .locale("en")
//!     }
//!
//!     async fn generate(order: Order, site: Site) -> Result<()> {
//!         // The motto is optional: report its absence and continue.
//!         let motto = match ai::ask("copywriting").user("A motto.").text().await {
//!             Ok(motto) => motto,
//!             Err(error) if error.kind == AiErrorKind::ContentFiltered => {
//!                 report(
//!                     Diagnostic::warning("no-motto", "the site has no motto").because(&error),
//!                 );
//!                 String::new()
//!             }
//!             Err(error) => return Err(Error::from(error).context("while writing the motto")),
//!         };
//!         let prices = ai::ask("code").user("Prices?").reply::<Prices>();
//!         let reply = prices.await.context("while asking for prices")?;
//!         // The reply is valid against the schema but unusable: fail and blame the call.
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
//! A panic fails the run too: the failure record has its message and location, but no causes.
//! Integer overflows, which release builds do not detect, panic in `sitewright template dev`: it
//! builds with debug assertions.
