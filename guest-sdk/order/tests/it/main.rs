//! Tests of the order: which documents are read, and what is reported about the others.

mod crm_habits;
mod lenient;
mod problems;
mod round_trip;
mod shipped_orders;
mod support;
mod tolerant;
