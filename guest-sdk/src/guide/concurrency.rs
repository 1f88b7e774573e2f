//! Many AI calls at the same time.
//!
//! An AI call takes seconds, and a template can have many in flight. Run calls that do not depend
//! on each other concurrently: [`try_join!`](crate::try_join) for a few different calls,
//! [`try_join_all`](crate::try_join_all) for a list. A template has one thread; calls run in the
//! host. The first error cancels the other calls.
//!
//! ```
//! use sitewright_sdk::prelude::*;
//!
//! struct Services;
//!
//! async fn blurb(service: &str) -> Result<String> {
//!     let text = ai::ask("copywriting")
//!         .user("One sentence for this service.")
//!         .data("service", service)
//!         .text()
//!         .await;
//!     text.context(format!("while writing about {service:?}"))
//! }
//!
//! impl Template for Services {
//!     fn manifest() -> Manifest {
//!         Manifest::new("services", "0.1.0", "One sentence a service.")
//!             .purpose("copywriting", "a sentence")
//!             .locale("en")
//!     }
//!
//!     async fn generate(order: Order, site: Site) -> Result<()> {
//!         let headline = async { Ok(ai::ask("copywriting").user("A headline.").text().await?) };
//!         let blurbs = try_join_all(order.services.iter().map(|service| blurb(service)));
//!         let (headline, blurbs): (String, Vec<String>) = try_join!(headline, blurbs)?;
//!         // The results have the order of the calls.
//!         site.write("index.txt", format!("{headline}\n{}", blurbs.join("\n")))?;
//!         Ok(())
//!     }
//! }
//!
//! let run = testing::Harness::scripted(
//!     r#"
//!     [[rule]]
//!     contains = ["Bolos"]
//!     answer = { text = "Cakes." }
//!
//!     [[rule]]
//!     contains = ["One sentence"]
//!     answer = { text = "Bread." }
//!
//!     [[rule]]
//!     answer = { text = "Fresh" }
//! "#,
//! )
//! .run::<Services>(testing::sample_order());
//! run.result.as_ref().unwrap();
//! assert_eq!(run.text("index.txt"), "Fresh\nBread.\nCakes.");
//! assert_eq!(run.most_calls_at_once, 3);
//! ```
//!
//! The default limit of a run is 64 calls, and an order can have 200 services: put several into one
//! call.
//!
//! ```
//! # let services: Vec<String> = (0..200).map(|n| format!("Service {n}")).collect();
//! let calls: Vec<String> = services.chunks(20).map(|chunk| chunk.join("\n")).collect();
//! assert_eq!(calls.len(), 10);
//! ```
