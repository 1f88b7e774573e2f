//! The order, as the host and all templates use it: one flat, validated document.
//!
//! A CRM sends `{order, onboarding}` or a flat document with the input of its form. [`read`] reads
//! it tolerantly as an [`Order`]: few fields are required, what a value means counts, and a value
//! that cannot be used is left out with a [`Notice`] that names it. Templates receive the JSON of
//! the [`Order`]: colours and opening hours are normalized, an absent list is an empty list, and
//! there is always a locale. The JSON of an [`Order`] is a valid order document that parses as the
//! same [`Order`].
//!
//! | file | question |
//! |---|---|
//! | `read/` | which fields are there, what is required, what is dropped with which notice? |
//! | `text`, `markup` | which characters and tags of a text are removed, which entities decoded? |
//! | `hours/` | what do days and times mean, in which languages? |
//! | `phone`, `email`, `link`, `color`, `locale`, `country`, `id` | what does one value mean? |
//! | `date` | which day does a text mean? |
//! | `content` | what does a business publish? |
//!
//! The crate does no I/O and compiles to `wasm32-wasip2`. Templates compile it, so it has tables of
//! its own where a library would bring megabytes. What needs such a library - the number plans of
//! all countries, the language of a text - is done by the host (`host/intake`), once.

mod color;
mod content;
mod country;
mod date;
mod email;
mod hours;
mod id;
mod link;
mod locale;
mod markup;
mod notice;
mod phone;
mod problem;
mod read;
mod text;

pub use color::{Color, ColorError};
pub use content::{HoursNote, Legal, MenuItem, MenuSection, Person, Photo, Place, Post, Price};
pub use country::{country_code, country_languages, main_language};
pub use email::{EmailError, email_address, read_email};
pub use hours::{Day, DayHours, Hours, HoursError, Range, read_ranges};
pub use id::{IdError, check_id, folder_id};
pub use link::{LinkError, MAX_LINK, profile_address, web_address};
pub use locale::{Locale, LocaleError};
pub use notice::{MAX_NOTICES, Notice, NoticeLevel};
pub use phone::{Phone, PhoneError, WrittenPhone};
pub use problem::{Problem, child, excerpt};
pub use read::{
    Document, MAX_ENTRIES, MAX_NAME, MAX_TEXT, MAX_YEARS, Refusal, read, read_id, read_strictly,
};

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
    /// E-mail address for customers. At least one of `business_email`, `business_phone` and
    /// `whatsapp_phone` is there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub business_email: Option<String>,
    /// Phone number for customers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub business_phone: Option<Phone>,
    /// Whether the phone number is also on WhatsApp.
    #[serde(default)]
    pub has_whatsapp: bool,
    /// Number on WhatsApp, if it is not `business_phone`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub whatsapp_phone: Option<Phone>,
    /// Number for emergencies.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub emergency_phone: Option<Phone>,
    /// Street address; may contain line breaks.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub business_address: Option<String>,
    /// The trade of the business; `general` if unknown.
    #[serde(default)]
    pub niche: Niche,
    /// The trade in the customer's words. May be absent even if `niche` is `other`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub custom_niche: Option<String>,
    /// The city in which the business is located.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub primary_city: Option<String>,
    /// The part of the city.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub neighborhood: Option<String>,
    /// The state or region.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub state: Option<String>,
    /// Postal code, as typed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub postal_code: Option<String>,
    /// The country, as its two-letter code (ISO 3166-1): `BR`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("pattern" = "^[A-Z]{2}$"))]
    pub country: Option<String>,
    /// Other places that the business serves.
    #[serde(default)]
    pub service_areas: Vec<String>,
    /// The services that the business offers, in the order of the customer. May be empty.
    #[serde(default)]
    pub services: Vec<String>,
    /// The most important service; not necessarily one of `services`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub primary_service: Option<String>,
    /// What is sold, with prices: services, plans, packages, fees.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub prices: Vec<Price>,
    /// The menu.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub menu: Vec<MenuSection>,
    /// The articles of a blog, or news, in the order in which they were sent.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub posts: Vec<Post>,
    /// The objective of the site, for example `generate_leads`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub site_objective: Option<String>,
    /// Description of the business in the customer's words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub site_description: Option<String>,
    /// Address of the finished site, `https://…` or `http://…`: for canonical links and the
    /// sitemap.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub site_url: Option<String>,
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
    /// Where visitors book, `https://…` or `http://…`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub booking_url: Option<String>,
    /// Where visitors order, `https://…` or `http://…`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub order_url: Option<String>,
    /// Where visitors donate, `https://…` or `http://…`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub donation_url: Option<String>,
    /// The menu on another site, `https://…` or `http://…`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub menu_url: Option<String>,
    /// Where visitors buy vouchers, `https://…` or `http://…`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gift_card_url: Option<String>,
    /// Where a form of the site posts to, `https://…` or `http://…`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub form_endpoint: Option<String>,
    /// Primary brand colour.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub primary_color: Option<Color>,
    /// Secondary brand colour.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secondary_color: Option<Color>,
    /// Colour for highlights.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub accent_color: Option<Color>,
    /// URL of the logo, `https://…` or `http://…`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub logo_url: Option<String>,
    /// Photos of the business and of its work.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub photos: Vec<Photo>,
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
    /// What is said about the opening hours that is not a range of times, to be shown beside them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub hours_notes: Vec<HoursNote>,
    /// The places of a business that has several.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub locations: Vec<Place>,
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
    /// URL of the TikTok page, `https://…` or `http://…`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub social_tiktok: Option<String>,
    /// URL of the page on X, `https://…` or `http://…`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub social_x: Option<String>,
    /// URL of the page on Threads, `https://…` or `http://…`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub social_threads: Option<String>,
    /// URL of the Pinterest page, `https://…` or `http://…`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub social_pinterest: Option<String>,
    /// URL of the Telegram channel, `https://…` or `http://…`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub social_telegram: Option<String>,
    /// URL of the page on Tripadvisor, `https://…` or `http://…`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub social_tripadvisor: Option<String>,
    /// URL of the page on Yelp, `https://…` or `http://…`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub social_yelp: Option<String>,
    /// Testimonials of customers. Entries without a text are dropped when the order is parsed.
    #[serde(default)]
    pub testimonials: Vec<Testimonial>,
    /// URL of the reviews page, `https://…` or `http://…`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub google_reviews_link: Option<String>,
    /// The owner's story, in the customer's words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub about_owner: Option<String>,
    /// The people of the business.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub team: Vec<Person>,
    /// Age of the business in full years, 1 to 1,500; absent if unknown or 0.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 1_500))]
    pub years_in_business: Option<u32>,
    /// Identifiers that the law wants to be published.
    #[serde(default, skip_serializing_if = "Legal::is_empty")]
    pub legal: Legal,
    /// Business data of the CRM that this version does not know, unchanged. Payment data and
    /// secrets are removed.
    #[serde(default, skip_serializing_if = "serde_json::Map::is_empty")]
    pub extra: serde_json::Map<String, serde_json::Value>,
    /// What was done to the document that was sent, in the order of its fields; at most
    /// [`MAX_NOTICES`]. Stored with the order, and not given to templates.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(skip)]
    pub notices: Vec<Notice>,
}

impl Order {
    /// The document that templates get, as JSON: all fields but `notices`.
    ///
    /// # Errors
    /// serde_json's; an order of the reader has none.
    pub fn for_templates(&self) -> serde_json::Result<serde_json::Value> {
        let mut document = serde_json::to_value(self)?;
        if let Some(fields) = document.as_object_mut() {
            fields.remove("notices");
        }
        Ok(document)
    }
}

/// The trades that the CRM knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[allow(missing_docs, reason = "the names are self-explanatory")]
pub enum Niche {
    Restaurant,
    Lawyer,
    Dentist,
    RealEstate,
    #[default]
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
