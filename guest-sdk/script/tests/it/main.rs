//! Tests of the script: which rule matches, what it answers, which scripts are rejected.

mod rules;
