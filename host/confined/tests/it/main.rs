//! Children that do what they may not.

mod pool;
mod tasks;
