//! The guide: from an order to a site, one question a page. Every example runs.
//!
//! New here? `sitewright template new my-template` makes a project that works, and `sitewright
//! template dev --order order.json` shows its site in a browser while you change it. These pages
//! say what you can put into it.
//!
//! | page | its question |
//! |---|---|
//! | [`orders`] | what does the customer want, and which orders do I accept? |
//! | [`asking`] | how do I get text and data from a model? |
//! | [`at_once`] | how do I ask for many things at the same time? |
//! | [`reading_along`] | how do I show that a long text is coming? |
//! | [`files`] | how do I write pages, and ship images and styles? |
//! | [`errors`] | what do I do when something goes wrong? |
//! | [`limits`] | what may a run use? |
//! | [`testing`] | how do I test without a host? |
//! | [`debugging`] | an order of a customer has failed: why? |

pub mod asking;
pub mod at_once;
pub mod debugging;
pub mod errors;
pub mod files;
pub mod limits;
pub mod orders;
pub mod reading_along;
pub mod testing;
