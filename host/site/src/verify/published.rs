//! What of an order visitors should see on its site, field by field.

use serde::{Deserialize, Serialize};
use sitewright_order::{
    HoursNote, Legal, MenuItem, MenuSection, Order, Person, Phone, Photo, Place, Post, Price,
    Testimonial, child,
};

use super::unused::is_in_word;

/// Maximum number of fields of one order that are looked for. Real orders have less than 200.
pub const MAX_FIELDS: usize = 1_000;
/// Maximum characters of a text that are looked for: its beginning.
const MAX_TEXT: usize = 160;
/// Maximum characters of the label of a button that are looked for: templates cut it.
const MAX_LABEL: usize = 24;
/// The pointer of the address for forms, which an order may have from the operator.
pub(super) const FORM_ENDPOINT: &str = "/form_endpoint";

/// A field of an order that visitors should see.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PublishedField {
    /// JSON pointer (RFC 6901) into the normalized order: `/team/0/name`.
    pub pointer: String,
    /// What is looked for.
    pub value: PublishedValue,
}

/// What is looked for in the pages of a site.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", content = "value", rename_all = "snake_case")]
pub enum PublishedValue {
    /// A text that pages show. Of a text with several lines, each line.
    Text(String),
    /// An e-mail address that pages show or lead to.
    Email(String),
    /// A phone number that pages show or lead to: its digits as they are dialled.
    Phone(String),
    /// An address of the web that pages show or lead to.
    Link(String),
    /// A picture that pages show, lead to, or name for search engines.
    Picture(String),
}

/// The fields of an order that visitors should see, at most [`MAX_FIELDS`].
///
/// Not among them is what a template uses without showing it (colours, tone, wishes about the
/// design), what it says in other words (opening hours, the age of the business), and what AI
/// models make copy of (descriptions, the owner's story).
pub(super) fn published(order: &Order) -> Vec<PublishedField> {
    let Order {
        id: _,
        locale: _,
        business_name,
        business_email,
        business_phone,
        has_whatsapp: _,
        whatsapp_phone,
        emergency_phone,
        business_address,
        niche: _,
        custom_niche: _,
        primary_city,
        neighborhood: _,
        state: _,
        postal_code,
        country: _,
        service_areas,
        services,
        primary_service: _,
        prices,
        menu,
        posts,
        site_objective: _,
        site_description: _,
        site_url,
        selected_pages: _,
        tone: _,
        primary_cta: _,
        cta_text,
        booking_url,
        order_url,
        donation_url,
        menu_url,
        gift_card_url,
        form_endpoint,
        primary_color: _,
        secondary_color: _,
        accent_color: _,
        logo_url,
        photos,
        reference_sites: _,
        design_notes: _,
        business_hours: _,
        hours_notes,
        locations,
        social_facebook,
        social_instagram,
        social_linkedin,
        social_youtube,
        social_tiktok,
        social_x,
        social_threads,
        social_pinterest,
        social_telegram,
        social_tripadvisor,
        social_yelp,
        testimonials,
        google_reviews_link,
        about_owner: _,
        team,
        years_in_business: _,
        legal,
        extra: _,
        notices: _,
    } = order;
    let mut fields = Fields::default();
    fields.text("", "business_name", Some(business_name));
    fields.email("", "business_email", business_email.as_deref());
    fields.phone("", "business_phone", business_phone.as_ref());
    fields.phone("", "whatsapp_phone", whatsapp_phone.as_ref());
    fields.phone("", "emergency_phone", emergency_phone.as_ref());
    fields.text("", "business_address", business_address.as_deref());
    fields.text("", "primary_city", primary_city.as_deref());
    fields.text("", "postal_code", postal_code.as_deref());
    fields.texts("", "service_areas", service_areas);
    fields.texts("", "services", services);
    fields.each("prices", prices, Fields::price);
    fields.each("menu", menu, Fields::section);
    fields.each("posts", posts, Fields::post);
    let label = cta_text.as_deref().map(|text| beginning(text, MAX_LABEL));
    fields.add("", "cta_text", label.map(PublishedValue::Text));
    for (name, link) in [
        ("site_url", site_url),
        ("booking_url", booking_url),
        ("order_url", order_url),
        ("donation_url", donation_url),
        ("menu_url", menu_url),
        ("gift_card_url", gift_card_url),
        ("form_endpoint", form_endpoint),
        ("social_facebook", social_facebook),
        ("social_instagram", social_instagram),
        ("social_linkedin", social_linkedin),
        ("social_youtube", social_youtube),
        ("social_tiktok", social_tiktok),
        ("social_x", social_x),
        ("social_threads", social_threads),
        ("social_pinterest", social_pinterest),
        ("social_telegram", social_telegram),
        ("social_tripadvisor", social_tripadvisor),
        ("social_yelp", social_yelp),
        ("google_reviews_link", google_reviews_link),
    ] {
        let link = link.clone().map(PublishedValue::Link);
        fields.add("", name, link);
    }
    fields.picture("", "logo_url", logo_url.as_deref());
    fields.each("photos", photos, Fields::photo);
    fields.each("hours_notes", hours_notes, Fields::hours_note);
    fields.each("locations", locations, Fields::place);
    fields.each("testimonials", testimonials, Fields::testimonial);
    fields.each("team", team, Fields::person);
    fields.legal(legal);
    fields.0
}

/// The beginning of a text, at most `max` characters. The last word may be cut, and is left out; a
/// text of one longer word is that word.
pub(super) fn beginning(text: &str, max: usize) -> String {
    let Some((end, next)) = text.char_indices().nth(max) else { return text.to_owned() };
    let (kept, rest) = text.split_at(end);
    if let Some(at) = kept.rfind(char::is_whitespace) {
        return kept[..at].to_owned();
    }
    // Without spaces a word ends at a hyphen, or is one character.
    let is_between = |c: char| !is_in_word(c);
    if is_between(next) {
        return kept.to_owned();
    }
    if let Some(at) = kept.rfind(is_between) {
        let cut = kept[at..].chars().next().map_or(0, char::len_utf8);
        return kept[..at + cut].to_owned();
    }
    text[..end + rest.find(is_between).unwrap_or(rest.len())].to_owned()
}

/// The fields so far.
#[derive(Default)]
struct Fields(Vec<PublishedField>);

impl Fields {
    fn add(&mut self, at: &str, name: &str, value: Option<PublishedValue>) {
        let Some(value) = value.filter(|_| self.0.len() < MAX_FIELDS) else { return };
        self.0.push(PublishedField { pointer: child(at, name), value });
    }

    fn text(&mut self, at: &str, name: &str, text: Option<&str>) {
        let beginning = text.map(|text| beginning(text, MAX_TEXT));
        self.add(at, name, beginning.map(PublishedValue::Text));
    }

    fn texts(&mut self, at: &str, name: &str, texts: &[String]) {
        let at = child(at, name);
        for (index, text) in texts.iter().enumerate() {
            self.text(&at, &index.to_string(), Some(text));
        }
    }

    fn email(&mut self, at: &str, name: &str, email: Option<&str>) {
        self.add(at, name, email.map(|email| PublishedValue::Email(email.to_owned())));
    }

    fn phone(&mut self, at: &str, name: &str, phone: Option<&Phone>) {
        self.add(at, name, phone.map(|phone| PublishedValue::Phone(phone.digits())));
    }

    fn picture(&mut self, at: &str, name: &str, url: Option<&str>) {
        self.add(at, name, url.map(|url| PublishedValue::Picture(url.to_owned())));
    }

    /// The entries of a list, each with its pointer.
    fn each<T>(&mut self, name: &str, entries: &[T], add: impl Fn(&mut Self, &str, &T)) {
        let list = child("", name);
        for (index, entry) in entries.iter().enumerate() {
            add(self, &child(&list, index), entry);
        }
    }

    fn price(&mut self, at: &str, price: &Price) {
        let Price { name, price, duration, description, includes, group: _ } = price;
        self.text(at, "name", Some(name));
        self.text(at, "price", price.as_deref());
        self.text(at, "duration", duration.as_deref());
        self.text(at, "description", description.as_deref());
        self.texts(at, "includes", includes);
    }

    fn section(&mut self, at: &str, section: &MenuSection) {
        let MenuSection { section, items } = section;
        self.text(at, "section", section.as_deref());
        let list = child(at, "items");
        for (index, item) in items.iter().enumerate() {
            let MenuItem { name, description, price, allergens } = item;
            let at = child(&list, index);
            self.text(&at, "name", Some(name));
            self.text(&at, "description", description.as_deref());
            self.text(&at, "price", price.as_deref());
            self.texts(&at, "allergens", allergens);
        }
    }

    fn post(&mut self, at: &str, post: &Post) {
        // The day may be said in other words, and a page needs no summary.
        let Post { title, slug: _, date: _, summary: _, text, image_url, image_alt } = post;
        self.text(at, "title", Some(title));
        self.text(at, "text", Some(text));
        self.picture(at, "image_url", image_url.as_deref());
        self.text(at, "image_alt", image_alt.as_deref());
    }

    fn photo(&mut self, at: &str, photo: &Photo) {
        let Photo { url, alt } = photo;
        self.picture(at, "url", Some(url));
        self.text(at, "alt", alt.as_deref());
    }

    fn hours_note(&mut self, at: &str, note: &HoursNote) {
        // The days may be said in other words.
        let HoursNote { days: _, label: _, text } = note;
        self.text(at, "text", Some(text));
    }

    fn place(&mut self, at: &str, place: &Place) {
        let Place { name, address, city, phone, email, hours: _, hours_notes } = place;
        self.text(at, "name", name.as_deref());
        self.text(at, "address", address.as_deref());
        self.text(at, "city", city.as_deref());
        self.phone(at, "phone", phone.as_ref());
        self.email(at, "email", email.as_deref());
        let list = child(at, "hours_notes");
        for (index, note) in hours_notes.iter().enumerate() {
            self.hours_note(&child(&list, index), note);
        }
    }

    fn testimonial(&mut self, at: &str, testimonial: &Testimonial) {
        let Testimonial { name, text, rating: _, role } = testimonial;
        self.text(at, "name", name.as_deref());
        self.text(at, "text", Some(text));
        self.text(at, "role", role.as_deref());
    }

    fn person(&mut self, at: &str, person: &Person) {
        let Person { name, role, bio, photo_url } = person;
        self.text(at, "name", Some(name));
        self.text(at, "role", role.as_deref());
        self.text(at, "bio", bio.as_deref());
        self.picture(at, "photo_url", photo_url.as_deref());
    }

    fn legal(&mut self, legal: &Legal) {
        let Legal {
            legal_name,
            representative,
            vat_id,
            tax_id,
            siret,
            siren,
            ein,
            company_number,
            license_number,
        } = legal;
        for (name, text) in [
            ("legal_name", legal_name),
            ("representative", representative),
            ("vat_id", vat_id),
            ("tax_id", tax_id),
            ("siret", siret),
            ("siren", siren),
            ("ein", ein),
            ("company_number", company_number),
            ("license_number", license_number),
        ] {
            self.text("/legal", name, text.as_deref());
        }
    }
}
