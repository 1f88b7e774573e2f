//! How-to pages, from the order to the site. All examples are tested.
//!
//! To start, `sitewright template new my-template` creates a project that works, and `sitewright
//! template dev --order order.json` shows its site in a browser and rebuilds it on every change.
//!
//! | page | answers |
//! |---|---|
//! | [`orders`] | What does an order contain, and how do I restrict the orders that I accept? |
//! | [`ai_calls`] | How do I get text and data from a model? |
//! | [`concurrency`] | How do I run many AI calls at the same time? |
//! | [`streaming`] | How do I report the progress of a long text? |
//! | [`files`] | How do I write pages, and include images and styles? |
//! | [`errors`] | How do I handle errors? |
//! | [`limits`] | What are the limits of a run? |
//! | [`testing`] | How do I test without a host? |
//! | [`debugging`] | How do I find out why an order failed? |

pub mod ai_calls;
pub mod concurrency;
pub mod debugging;
pub mod errors;
pub mod files;
pub mod limits;
pub mod orders;
pub mod streaming;
pub mod testing;
