//! The page before many orders are queued again or cancelled: those of a cause, or those that a
//! filter selects.

use sitewright_jobs::Hold;

use super::confirm::remarks_of_holds;
use super::frame::Frame;
use super::text::{count, counted};

/// How many orders at a time such a change is made of, and what stops it.
pub(crate) const IN_BACKGROUND: &str =
    "It goes on in the background, some hundred orders at a time, and can be stopped in between.";

#[derive(askama::Template)]
#[template(path = "confirm_many.html")]
pub(crate) struct ManyPage<'a> {
    pub(crate) f: &'a Frame,
    /// Address and name of the list that the subject is in.
    pub(crate) section: (&'static str, &'static str),
    /// The page that the question came from, and what the orders have in common.
    pub(crate) back: String,
    pub(crate) subject: String,
    /// What is done, in a sentence and at its beginning.
    pub(crate) verb: (&'static str, &'static str),
    /// `3 orders`, and their number alone.
    pub(crate) orders: String,
    pub(crate) count: String,
    /// Why there is nothing to do, and the words of the link back; then nothing is asked.
    pub(crate) nothing: Option<&'static str>,
    pub(crate) go_back: &'static str,
    /// Kind and message of the failure, of a cause; otherwise the orders are named by `states`.
    pub(crate) cause: Option<(&'a str, String)>,
    /// States and numbers of the orders.
    pub(crate) states: Vec<(&'static str, String)>,
    pub(crate) points: Vec<String>,
    pub(crate) remarks: Vec<String>,
    pub(crate) note: Option<&'static str>,
    pub(crate) action: String,
    pub(crate) fields: Vec<(&'static str, String)>,
    pub(crate) class: &'static str,
    /// Addresses and ids of orders, and the number of those that are not listed.
    pub(crate) shown: Vec<(String, &'a str)>,
    pub(crate) more: usize,
}

/// What happens if these orders are queued again behind those that are `queued`.
pub(crate) fn points_of_retry(number: i64, queued: i64) -> Vec<String> {
    vec![
        format!(
            "{} queued again with all attempts, behind {} that are queued.",
            counted(number, "order is", "orders are"),
            count(queued)
        ),
        "AI replies that are not to blame are used again; the others are asked and paid for again."
            .to_owned(),
        "Releases that visitors see stay until a new one is made.".to_owned(),
    ]
}

/// Why orders that are queued again may not be made at once.
pub(crate) fn remarks_of_retry(is_paused: bool, workers: usize, holds: &[Hold]) -> Vec<String> {
    let mut remarks = Vec::new();
    if is_paused {
        remarks.push("The queue is paused: they wait until it is resumed.".to_owned());
    }
    if workers == 0 {
        remarks.push("No worker runs: they wait until one is started.".to_owned());
    }
    remarks.extend(remarks_of_holds(holds));
    remarks
}
