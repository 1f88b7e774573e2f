//! What the customer wants.
//!
//! The host reads the CRM's document, checks it whole, and hands it over as an
//! [`Order`](crate::order::Order): colours are colours, hours are hours, a phone number can be
//! dialled. A field that may be missing is an `Option`; a list may be empty. Nothing of it has to
//! be checked again, and all of it was written by strangers: see [`files`](super::files) and
//! [`asking`](super::asking) for what that means.
//!
//! ```
//! use sitewright_sdk::prelude::*;
//!
//! struct Card;
//!
//! impl Template for Card {
//!     fn manifest() -> Manifest {
//!         Manifest::new("card", "0.1.0", "Name, number and hours, as text.").locale("en")
//!     }
//!
//!     async fn generate(order: Order, site: Site) -> Result<()> {
//!         let mut text = format!("{}\n{}\n", order.business_name, order.business_phone.dial());
//!         for day in &order.business_hours.0 {
//!             for range in &day.ranges {
//!                 text.push_str(&format!("{:?} {}-{}\n", day.day, range.opens(), range.closes()));
//!             }
//!         }
//!         // What only the premium form of the CRM asks for.
//!         if let Some(parking) = order.extra.get("parking").and_then(|value| value.as_str()) {
//!             text.push_str(&format!("Parking: {parking}\n"));
//!         }
//!         site.write("card.txt", text)?;
//!         Ok(())
//!     }
//! }
//!
//! let mut order = testing::sample_order();
//! order["business_hours"] = serde_json::json!({ "monday": "9:00-12:00, 14:00-18:00" });
//! order["parking"] = "behind the house".into();
//! let run = testing::Harness::new().run::<Card>(order);
//! run.result.as_ref().unwrap();
//! assert_eq!(
//!     run.text("card.txt"),
//!     "Padaria Ana\n+5519955501010\nMonday 09:00-12:00\nMonday 14:00-18:00\nParking: behind the house\n"
//! );
//! ```
//!
//! # Orders that a template cannot do without some field
//!
//! Narrow the schema, and the host refuses other orders before a run begins and before a model is
//! paid:
//!
//! ```
//! use sitewright_sdk::prelude::*;
//!
//! struct Menu;
//!
//! impl Template for Menu {
//!     fn manifest() -> Manifest {
//!         Manifest::new("menu", "0.1.0", "A page with the address large on top.").locale("en").order_schema(
//!             serde_json::json!({ "type": "object", "required": ["business_address"] }),
//!         )
//!     }
//!
//!     async fn generate(_order: Order, _site: Site) -> Result<()> {
//!         Ok(())
//!     }
//! }
//!
//! let error = testing::Harness::new().run::<Menu>(testing::sample_order()).result.unwrap_err();
//! assert_eq!(error.code(), "invalid-order");
//! assert!(error.causes()[0].contains("business_address"), "{error:?}");
//! ```
