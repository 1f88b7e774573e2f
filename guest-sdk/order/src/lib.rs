//! The order as the host and every template see it: one flat, checked document.
//!
//! A CRM sends `{order, onboarding}` or a flat document with whatever was typed into its form. The
//! host turns that into an [`Order`] once, with every problem named at once, and hands templates
//! the JSON of that: colours are colours, hours are ranges, a missing list is an empty list, and
//! there is always a locale. The JSON of an [`Order`] is itself an acceptable order document, and
//! parsing it gives the same [`Order`] again.

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

/// What a customer wants: the normalised order document.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Order {
    /// The CRM's id of the order, as text: 1 to 64 letters, digits, `-`, `_` or `.`, not beginning
    /// or ending with `.`, no device name of Windows.
    #[schemars(extend("pattern" = "^[A-Za-z0-9_-]([A-Za-z0-9._-]{0,62}[A-Za-z0-9_-])?$"))]
    pub id: String,
    /// The language the site is written in.
    pub locale: Locale,
    /// The business's name, as typed. Never blank.
    pub business_name: String,
    /// Where customers write to.
    pub business_email: String,
    /// Where customers call.
    pub business_phone: Phone,
    /// Whether the phone number also answers on WhatsApp.
    #[serde(default)]
    pub has_whatsapp: bool,
    /// Street address, may hold line breaks.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub business_address: Option<String>,
    /// The trade.
    pub niche: Niche,
    /// The trade in the customer's words. Expected when `niche` is `other`, but customers leave it
    /// out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub custom_niche: Option<String>,
    /// The city the business works from.
    pub primary_city: String,
    /// State or region.
    pub state: String,
    /// Other places served.
    #[serde(default)]
    pub service_areas: Vec<String>,
    /// What is offered, in the customer's order. May be empty.
    #[serde(default)]
    pub services: Vec<String>,
    /// What matters most; need not be one of `services`.
    pub primary_service: String,
    /// What the site is for, for example `generate_leads`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub site_objective: Option<String>,
    /// The business in the customer's words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub site_description: Option<String>,
    /// Page names as the customer typed them (`Home`, `Cardápio`, `faq`). Empty: the template
    /// decides.
    #[serde(default)]
    pub selected_pages: Vec<String>,
    /// How the copy should sound.
    #[serde(default)]
    pub tone: Tone,
    /// What a visitor should do first.
    #[serde(default)]
    pub primary_cta: Cta,
    /// The words on that button.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cta_text: Option<String>,
    /// Main brand colour.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub primary_color: Option<Color>,
    /// Second brand colour.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secondary_color: Option<Color>,
    /// Colour for highlights.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub accent_color: Option<Color>,
    /// Sites the customer likes, as typed: not checked, so never make a link of one.
    #[serde(default)]
    pub reference_sites: Vec<String>,
    /// Wishes about the looks, in the customer's words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub design_notes: Option<String>,
    /// Opening hours; no days means unknown.
    #[serde(default)]
    pub business_hours: Hours,
    /// Address of the page, `https://…` or `http://…`, as are the next three.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub social_facebook: Option<String>,
    /// See `social_facebook`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub social_instagram: Option<String>,
    /// See `social_facebook`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub social_linkedin: Option<String>,
    /// See `social_facebook`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub social_youtube: Option<String>,
    /// What customers said; entries without a text are dropped when the order is read.
    #[serde(default)]
    pub testimonials: Vec<Testimonial>,
    /// Address of the reviews page, `https://…` or `http://…`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub google_reviews_link: Option<String>,
    /// The owner's story, in the customer's words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub about_owner: Option<String>,
    /// Full years, 1 to 1,500; missing when unknown or 0.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 1_500))]
    pub years_in_business: Option<u32>,
    /// Business data of the CRM that this version does not know, as it came. Never payment data or
    /// passwords.
    #[serde(default, skip_serializing_if = "serde_json::Map::is_empty")]
    pub extra: serde_json::Map<String, serde_json::Value>,
}

/// The trades the CRM knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[allow(missing_docs, reason = "the names say it")]
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
    /// See `custom_niche`.
    Other,
}

/// How the copy should sound.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[allow(missing_docs, reason = "the names say it")]
pub enum Tone {
    #[default]
    Professional,
    Friendly,
    Premium,
}

/// What a visitor should do first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[allow(missing_docs, reason = "the names say it")]
pub enum Cta {
    #[default]
    Call,
    Whatsapp,
    Form,
    BookOnline,
}

/// What one customer said.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Testimonial {
    /// Who; may be missing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// What; never blank.
    pub text: String,
    /// Stars, 0 to 5.
    #[schemars(range(min = 0.0, max = 5.0))]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rating: Option<f64>,
    /// Who they are: `Cliente`, `Homeowner`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub role: Option<String>,
}
