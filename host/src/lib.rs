//! Sitewright turns website orders into finished websites: sandboxed wasm templates make the pages, AI models write the
//! copy, and whatever goes wrong leaves one complete record.

pub mod message;
pub mod order;
pub mod schema;
