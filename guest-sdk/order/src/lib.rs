//! The order, as the host and all templates use it: one flat, validated document.
//!
//! A CRM sends `{order, onboarding}` or a flat document with the input of its form. The host parses
//! it as an [`Order`] and reports all problems at once; templates receive the JSON of the
//! [`Order`]: colours and opening hours are normalized, an absent list is an empty list, and there
//! is always a locale. The JSON of an [`Order`] is a valid order document that parses as the same
//! [`Order`].
//!
//! The crate does no I/O and compiles to `wasm32-wasip2`.

mod color;
mod email;
mod hours;
mod id;
mod link;
mod locale;
mod phone;
mod problem;
mod read;

pub use color::{Color, ColorError};
pub use email::{EmailError, email_address};
pub use hours::{Day, DayHours, Hours, HoursError, Range, read_ranges};
pub use id::{IdError, check_id};
pub use link::{LinkError, MAX_LINK, web_address};
pub use locale::{Locale, LocaleError};
pub use phone::{Phone, PhoneError};
pub use problem::{Problem, child, excerpt};
pub use read::{MAX_ENTRIES, MAX_NAME, MAX_TEXT, MAX_YEARS, read, read_id};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The normalized order document.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Order {
    /// The CRM's id of the order: 1 to 64 characters of `A-Z a-z 0-9 - _ .`, not beginning or
    /// ending with `.`, and not a device name of Windows.
    #[schemars(extend("pattern" = "^[A-Za-z0-9_-]([A-Za-z0-9._-]{0,62}[A-Za-z0-9_-])?$"))]
    pub id: String,
    /// The language of the site.
    pub locale: Locale,
    /// Name of the business, as typed. Never blank.
    pub business_name: String,
    /// E-mail address for customers.
    pub business_email: String,
    /// Phone number for customers.
    pub business_phone: Phone,
    /// Whether the phone number is also on WhatsApp.
    #[serde(default)]
    pub has_whatsapp: bool,
    /// Street address; may contain line breaks.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub business_address: Option<String>,
    /// The trade of the business.
    pub niche: Niche,
    /// The trade in the customer's words. May be absent even if `niche` is `other`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub custom_niche: Option<String>,
    /// The city in which the business is located.
    pub primary_city: String,
    /// The state or region.
    pub state: String,
    /// Other places that the business serves.
    #[serde(default)]
    pub service_areas: Vec<String>,
    /// The services that the business offers, in the order of the customer. May be empty.
    #[serde(default)]
    pub services: Vec<String>,
    /// The most important service; not necessarily one of `services`.
    pub primary_service: String,
    /// The objective of the site, for example `generate_leads`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub site_objective: Option<String>,
    /// Description of the business in the customer's words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub site_description: Option<String>,
    /// Page names as the customer typed them (`Home`, `Cardápio`, `faq`). If empty, the template
    /// decides.
    #[serde(default)]
    pub selected_pages: Vec<String>,
    /// The tone of the copy.
    #[serde(default)]
    pub tone: Tone,
    /// The primary call to action.
    #[serde(default)]
    pub primary_cta: Cta,
    /// The label of the primary call to action.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cta_text: Option<String>,
    /// Primary brand colour.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub primary_color: Option<Color>,
    /// Secondary brand colour.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secondary_color: Option<Color>,
    /// Colour for highlights.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub accent_color: Option<Color>,
    /// Websites that the customer likes, as typed. They are not validated: do not use them as
    /// links.
    #[serde(default)]
    pub reference_sites: Vec<String>,
    /// Wishes about the design, in the customer's words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub design_notes: Option<String>,
    /// Opening hours; unknown if empty.
    #[serde(default)]
    pub business_hours: Hours,
    /// URL of the Facebook page, `https://…` or `http://…`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub social_facebook: Option<String>,
    /// URL of the Instagram page, `https://…` or `http://…`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub social_instagram: Option<String>,
    /// URL of the LinkedIn page, `https://…` or `http://…`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub social_linkedin: Option<String>,
    /// URL of the YouTube channel, `https://…` or `http://…`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub social_youtube: Option<String>,
    /// Testimonials of customers. Entries without a text are dropped when the order is parsed.
    #[serde(default)]
    pub testimonials: Vec<Testimonial>,
    /// URL of the reviews page, `https://…` or `http://…`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub google_reviews_link: Option<String>,
    /// The owner's story, in the customer's words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub about_owner: Option<String>,
    /// Age of the business in full years, 1 to 1,500; absent if unknown or 0.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 1_500))]
    pub years_in_business: Option<u32>,
    /// Business data of the CRM that this version does not know, unchanged. Payment data and
    /// secrets are removed.
    #[serde(default, skip_serializing_if = "serde_json::Map::is_empty")]
    pub extra: serde_json::Map<String, serde_json::Value>,
}

/// The trades that the CRM knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[allow(missing_docs, reason = "the names are self-explanatory")]
pub enum Niche {
    Restaurant,
    Lawyer,
    Dentist,
    RealEstate,
    General,
    Plumber,
    Electrician,
    Landscaping,
    Cleaning,
    /// Any other trade; see `custom_niche`.
    Other,
}

/// The tone of the copy.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[allow(missing_docs, reason = "the names are self-explanatory")]
pub enum Tone {
    #[default]
    Professional,
    Friendly,
    Premium,
}

/// A call to action: what a visitor should do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[allow(missing_docs, reason = "the names are self-explanatory")]
pub enum Cta {
    #[default]
    Call,
    Whatsapp,
    Form,
    BookOnline,
}

/// The testimonial of a customer.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Testimonial {
    /// Name of the customer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// The testimonial. Never blank.
    pub text: String,
    /// Stars, 0 to 5.
    #[schemars(range(min = 0.0, max = 5.0))]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rating: Option<f64>,
    /// Role of the customer: `Cliente`, `Homeowner`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub role: Option<String>,
}
