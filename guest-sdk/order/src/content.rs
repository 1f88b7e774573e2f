//! What a business publishes: prices, menus, articles, places, people, pictures and legal
//! identifiers.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{Day, Hours, Phone};

/// What something costs, in the words of the customer: a service, a plan, a package, a fee.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Price {
    /// What is sold. Never blank.
    pub name: String,
    /// The price as typed, with its currency: `from $75`, `R$ 189/mês`, `on request`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub price: Option<String>,
    /// How long it takes, as typed: `60 min`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub duration: Option<String>,
    /// What it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// What it includes.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub includes: Vec<String>,
    /// The list that it comes from: `services`, `plans`, `packages`, `fees` or `prices`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub group: Option<String>,
}

/// A section of a menu.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct MenuSection {
    /// Name of the section; absent if the menu has no sections.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub section: Option<String>,
    /// The dishes. Never empty.
    pub items: Vec<MenuItem>,
}

/// A dish of a menu.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct MenuItem {
    /// Name of the dish. Never blank.
    pub name: String,
    /// What it is made of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// The price as typed, with its currency.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub price: Option<String>,
    /// Allergens, as typed.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub allergens: Vec<String>,
}

/// An article of a blog, or a piece of news, in the customer's words.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Post {
    /// The title. Never blank.
    pub title: String,
    /// The part of its address, unlike that of any other post of the order: at most 80 lower-case
    /// letters, digits and single `-`. Made of the title if none was sent.
    #[schemars(extend("maxLength" = 80, "pattern" = "^[a-z0-9]+(-[a-z0-9]+)*$"))]
    pub slug: String,
    /// The day of its publication: `2026-03-09`. Absent if unknown; never made up.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("pattern" = "^[12][0-9]{3}-(0[1-9]|1[0-2])-(0[1-9]|[12][0-9]|3[01])$"))]
    pub date: Option<String>,
    /// What it is about, in a sentence or two.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub summary: Option<String>,
    /// The article; paragraphs are lines. Never blank.
    pub text: String,
    /// URL of its picture, `https://…` or `http://…`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub image_url: Option<String>,
    /// What the picture shows, in the customer's words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub image_alt: Option<String>,
}

/// A place where the business can be visited.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Place {
    /// Name of the place.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Street address; may contain line breaks.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub address: Option<String>,
    /// The city.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub city: Option<String>,
    /// Phone number of the place.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub phone: Option<Phone>,
    /// E-mail address of the place.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub email: Option<String>,
    /// Opening hours of the place; those of the business if empty.
    #[serde(default)]
    pub hours: Hours,
    /// What is said about the hours of the place that is not a range of times.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub hours_notes: Vec<HoursNote>,
}

/// What is said about opening hours that is not a range of times, as typed: `by appointment`, `till
/// sold out`, the hours of public holidays. To be shown beside the hours.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct HoursNote {
    /// The days that it is about. Empty if it is about none or all of them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub days: Vec<Day>,
    /// The days as typed: `samedi`, `feriados`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub label: Option<String>,
    /// The text. Never blank.
    pub text: String,
}

/// A person of the team.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Person {
    /// Name of the person. Never blank.
    pub name: String,
    /// What the person does: `Owner, colourist`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub role: Option<String>,
    /// About the person.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bio: Option<String>,
    /// URL of a photo, `https://…` or `http://…`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub photo_url: Option<String>,
}

/// A photo of the business or of its work.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Photo {
    /// URL of the photo, `https://…` or `http://…`.
    pub url: String,
    /// What it shows, in the customer's words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub alt: Option<String>,
}

/// Identifiers that the law wants to be published, as typed.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[allow(missing_docs, reason = "the names are self-explanatory")]
pub struct Legal {
    /// Name of the company or person that is responsible, if it is not the business's name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub legal_name: Option<String>,
    /// Who represents the company.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub representative: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub vat_id: Option<String>,
    /// A tax number that is not a VAT number: `CNPJ`, `NIF`, `Steuernummer`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tax_id: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub siret: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub siren: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ein: Option<String>,
    /// Number in a company or trade register, with the register: `HRB 12345, Leipzig`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub company_number: Option<String>,
    /// Licence of the trade: `CPI 3701 2018 000 031 542`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub license_number: Option<String>,
}

impl Legal {
    /// Whether nothing is known.
    pub fn is_empty(&self) -> bool {
        *self == Legal::default()
    }
}
