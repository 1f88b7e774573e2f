//! The contents of an order.
//!
//! The host reads the document of the CRM, validates it, and passes it as an
//! [`Order`](crate::order::Order) with validated colours, opening hours, phone number and links. An
//! optional field is an `Option`; a list may be empty. Always there are an id, a locale, a name,
//! and one of `business_phone`, `business_email` and `whatsapp_phone`. The texts are untrusted
//! input: see [`files`](super::files) and [`ai_calls`](super::ai_calls) for how to use them safely.
//!
//! ```
//! use sitewright_sdk::prelude::*;
//!
//! struct Card;
//!
//! impl Template for Card {
//!     fn manifest() -> Manifest {
//!         Manifest::new("card", "0.1.0", "Name, phone number and hours.").locale("en")
//!     }
//!
//!     async fn generate(order: Order, site: Site) -> Result<()> {
//!         let mut text = format!("{}\n", order.business_name);
//!         if let Some(phone) = &order.business_phone {
//!             text.push_str(&format!("{}\n", phone.dial()));
//!         }
//!         for day in &order.business_hours.0 {
//!             for range in &day.ranges {
//!                 text.push_str(&format!("{:?} {}-{}\n", day.day, range.opens(), range.closes()));
//!             }
//!         }
//!         // A field that only some forms of the CRM have.
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
//!     "Padaria Ana\n+5519955501010\nMonday 09:00-12:00\nMonday 14:00-18:00\n\
//!      Parking: behind the house\n"
//! );
//! ```
//!
//! # Requiring an optional field
//!
//! Restrict the schema, and the host rejects other orders before the run, without any AI call:
//!
//! ```
//! use sitewright_sdk::prelude::*;
//!
//! struct Menu;
//!
//! impl Template for Menu {
//!     fn manifest() -> Manifest {
//!         Manifest::new("menu", "0.1.0", "A page with the address on top.")
//!             .locale("en")
//!             .order_schema(serde_json::json!({
//!                 "type": "object",
//!                 "required": ["business_address"],
//!             }))
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
