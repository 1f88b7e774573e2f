//! Whose site it is: the page that visitors see first shows the name of the business and a way to
//! reach it. That is the entry page, or the page of the site to which it leads by itself, perhaps
//! through others.

use std::collections::BTreeMap;

use super::problem::{Problems, Rule, shown};
use super::published::{FORM_ENDPOINT, PublishedField, PublishedValue, beginning};
use super::reference::Facts;
use super::unused::Search;
use crate::path::SitePath;
use sitewright_model::message;

/// Maximum characters of the name that are looked for: templates cut long ones.
const MAX_NAME: usize = 40;
/// Maximum number of fields that a problem names.
const MAX_NAMED: usize = 5;
const NAME: &str = "/business_name";
/// Fields of an order that are a way to reach the business, beside its networks and the phones,
/// mailboxes and addresses of its places.
const WAYS: [&str; 10] = [
    "/business_phone",
    "/business_email",
    "/business_address",
    "/whatsapp_phone",
    "/emergency_phone",
    "/booking_url",
    "/order_url",
    "/donation_url",
    FORM_ENDPOINT,
    "/google_reviews_link",
];
const NETWORKS: &str = "/social_";
const PLACES: &str = "/locations/";
const OF_PLACES: [&str; 3] = ["/phone", "/email", "/address"];

/// The search for the name of the business and the ways to reach it.
#[derive(Debug)]
pub(super) struct Owner {
    /// The name, if the order has one, and the ways.
    fields: Vec<PublishedField>,
    /// The page that visitors see first.
    page: SitePath,
    /// Is fed with that page.
    pub(super) search: Search,
    /// The search for the name with parts of words set apart. Is fed with that page.
    pub(super) names: Search,
}

impl Owner {
    /// The search for what of these fields says whose site it is.
    pub(super) fn new(fields: &[PublishedField]) -> Self {
        let fields =
            fields.iter().filter_map(|field| match (field.pointer.as_str(), &field.value) {
                (NAME, PublishedValue::Text(name)) => Some(PublishedField {
                    pointer: field.pointer.clone(),
                    value: PublishedValue::Text(beginning(name, MAX_NAME)),
                }),
                (pointer, _) => is_way(pointer).then(|| field.clone()),
            });
        let fields: Vec<PublishedField> = fields.collect();
        let (search, names) = searches(&fields);
        Owner { fields, page: SitePath::entry_page(), search, names }
    }

    /// Whether this is the page that visitors see first.
    pub(super) fn is_of(&self, file: &SitePath) -> bool {
        *file == self.page
    }

    /// Says that the page leads visitors to another page of the site, which is not read yet: they
    /// see that one in its place.
    pub(super) fn follow(&mut self, page: SitePath) {
        (self.search, self.names) = searches(&self.fields);
        self.page = page;
    }

    /// Says that not all of the page that visitors see was searched: the rest of it may say whose
    /// site it is.
    pub(super) fn forget(&mut self) {
        self.fields.clear();
    }

    /// Reports what the page lacks. `facts` are what the files of the site refer to.
    pub(super) fn report(mut self, facts: &BTreeMap<SitePath, Facts>, problems: &mut Problems) {
        let Some(of_page) = facts.get(&self.page) else { return };
        let used = self.search.used(of_page.addresses());
        let is_named = self.names.used(std::iter::empty()).contains(&true);
        let mut ways = Vec::new();
        let mut is_reached = false;
        for (field, used) in self.fields.iter().zip(used) {
            match &field.value {
                PublishedValue::Text(name) if field.pointer == NAME => {
                    if !used && !is_named {
                        let message = message!(
                            "the page does not show the name of the business, `{}`, so visitors do \
                             not see whose site it is; write it as the order has it",
                            shown(name)
                        );
                        problems.add(&self.page, Rule::WhoseSite, None, None, message);
                    }
                }
                _ => {
                    is_reached |= used;
                    ways.push(format!("`{}`", field.pointer));
                }
            }
        }
        if !is_reached && !ways.is_empty() {
            ways.truncate(MAX_NAMED);
            let message = message!(
                "the page shows no way to reach the business, and no link of it leads to one; show \
                 one of these fields of the order: {}",
                ways.join(", ")
            );
            problems.add(&self.page, Rule::WhoseSite, None, None, message);
        }
    }
}

/// The searches for the fields, and for the name alone.
fn searches(fields: &[PublishedField]) -> (Search, Search) {
    let name: Vec<PublishedField> =
        fields.iter().filter(|field| field.pointer == NAME).cloned().collect();
    (Search::new(fields), Search::of_names(&name))
}

fn is_way(pointer: &str) -> bool {
    WAYS.contains(&pointer)
        || pointer.starts_with(NETWORKS)
        || (pointer.starts_with(PLACES) && OF_PLACES.iter().any(|end| pointer.ends_with(end)))
}
