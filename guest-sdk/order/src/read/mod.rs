//! Parsing of the documents of a CRM as an [`Order`].

mod extra;
mod fields;
mod hours;
mod shape;

use serde_json::Value;

use self::fields::Fields;
use self::shape::Shape;
use crate::{Locale, Order, Problem, Testimonial, check_id, child, excerpt};

/// Maximum number of entries in a list: services, places, pages, testimonials, reference sites.
pub const MAX_ENTRIES: usize = 200;
/// Maximum length of a name or a short text, in characters.
pub const MAX_NAME: usize = 300;
/// Maximum length of a long text, in characters.
pub const MAX_TEXT: usize = 20_000;
/// Maximum age of a business, in years. The oldest known one is younger.
pub const MAX_YEARS: u32 = 1_500;

/// Parses an order document: the CRM's `{order, onboarding}`, the flat form (the fields of
/// [`Order`] at the top level), or the JSON of an [`Order`], which yields the same [`Order`].
///
/// `null` and blank optional texts count as absent; testimonials without a text are dropped; all
/// other texts are kept unchanged. Unknown fields are kept in [`Order::extra`], except secrets,
/// payment data and the CRM's bookkeeping. `default_locale` applies if the document has no locale.
///
/// # Errors
/// All problems, in the order of the fields of [`Order`]; never an empty list.
pub fn read(document: &Value, default_locale: &Locale) -> Result<Order, Vec<Problem>> {
    let shape = Shape::of(document)?;
    let mut problems = shape.problems;
    let id = read_id(document).map_err(|problem| problems.push(problem)).ok();
    let locale = shape::locale(&shape.locales, default_locale, &mut problems);
    let Some(business) = shape.business else { return Err(problems) };
    let mut f = Fields::new(business, problems);
    // Fields of the order, not of the business: already parsed.
    f.skip(["id", "locale"]);

    let order = (|| {
        let business_name = f.required_text("business_name", "the business's name", MAX_NAME);
        let business_email = f.email("business_email");
        let business_phone = f.phone("business_phone");
        let has_whatsapp = f.flag("has_whatsapp");
        let business_address = f.text("business_address", MAX_TEXT);
        let niche = f.required_choice("niche");
        let custom_niche = f.text("custom_niche", MAX_NAME);
        let primary_city =
            f.required_text("primary_city", "the city the business works from", MAX_NAME);
        let state = f.required_text("state", "the state or region", MAX_NAME);
        let service_areas = f.texts("service_areas", MAX_NAME);
        let services =
            f.required_texts("services", "the list of what is offered (it may be empty)", MAX_NAME);
        let primary_service =
            f.required_text("primary_service", "what matters most of what is offered", MAX_NAME);
        let site_objective = f.text("site_objective", MAX_NAME);
        let site_description = f.text("site_description", MAX_TEXT);
        let selected_pages = f.texts("selected_pages", MAX_NAME);
        let tone = f.choice("tone");
        let primary_cta = f.choice("primary_cta");
        let cta_text = f.text("cta_text", MAX_NAME);
        let primary_color = f.parsed("primary_color");
        let secondary_color = f.parsed("secondary_color");
        let accent_color = f.parsed("accent_color");
        let reference_sites = f.texts("reference_sites", crate::MAX_LINK);
        let design_notes = f.text("design_notes", MAX_TEXT);
        let business_hours = hours::read(&mut f, "business_hours");
        let social_facebook = f.link("social_facebook");
        let social_instagram = f.link("social_instagram");
        let social_linkedin = f.link("social_linkedin");
        let social_youtube = f.link("social_youtube");
        let testimonials = testimonials(&mut f);
        let google_reviews_link = f.link("google_reviews_link");
        let about_owner = f.text("about_owner", MAX_TEXT);
        let years_in_business = f.years("years_in_business");
        let extra = extra::read(&mut f);
        Some(Order {
            id: id?,
            locale: locale?,
            business_name: business_name?,
            business_email: business_email?,
            business_phone: business_phone?,
            has_whatsapp,
            business_address,
            niche: niche?,
            custom_niche,
            primary_city: primary_city?,
            state: state?,
            service_areas,
            services: services?,
            primary_service: primary_service?,
            site_objective,
            site_description,
            selected_pages,
            tone: tone.unwrap_or_default(),
            primary_cta: primary_cta.unwrap_or_default(),
            cta_text,
            primary_color,
            secondary_color,
            accent_color,
            reference_sites,
            design_notes,
            business_hours,
            social_facebook,
            social_instagram,
            social_linkedin,
            social_youtube,
            testimonials,
            google_reviews_link,
            about_owner,
            years_in_business,
            extra,
        })
    })();
    let problems = f.into_problems();
    match order {
        Some(order) if problems.is_empty() => Ok(order),
        // A missing required field has added a problem.
        _ => Err(problems),
    }
}

/// Parses only the id, to identify an order whose document is invalid.
///
/// # Errors
/// The problem with the id: where it is expected and what it must look like.
pub fn read_id(document: &Value) -> Result<String, Problem> {
    let pointers = ["/order/id", "/id"];
    let is_crm = shape::is_crm(document);
    let expected = if is_crm { "/order/id" } else { "/id" };
    // A CRM may send the id next to `order` and `onboarding`; a flat document has no `order`.
    let found =
        pointers.iter().filter(|pointer| is_crm || **pointer == expected).find_map(|pointer| {
            Some((*pointer, document.pointer(pointer).filter(|value| !value.is_null())?))
        });
    let Some((pointer, value)) = found else {
        let message = "the order's id is missing; it must be a number, or a text like `2026-0117`";
        return Err(Problem::new(expected, message));
    };
    let id = match value {
        Value::String(text) => text.clone(),
        Value::Number(number) if number.is_i64() || number.is_u64() => number.to_string(),
        other => {
            let message = format!("must be a whole number or a text, but is {}", excerpt(other));
            return Err(Problem::new(pointer, message));
        }
    };
    check_id(&id).map_err(|wrong| Problem::new(pointer, wrong.to_string()))?;
    Ok(id)
}

/// The testimonials that have a text.
fn testimonials(f: &mut Fields<'_>) -> Vec<Testimonial> {
    let Some((list_at, entries)) = f.list("testimonials") else { return Vec::new() };
    let mut testimonials = Vec::new();
    for (index, entry) in entries.iter().enumerate() {
        let at = child(&list_at, index);
        match entry {
            Value::Null => {}
            Value::Object(fields) => f.below(at, fields, |f| {
                let name = f.text("name", MAX_NAME);
                let text = f.text("text", MAX_TEXT);
                let rating = f.rating("rating");
                let role = f.text("role", MAX_NAME);
                testimonials.extend(text.map(|text| Testimonial { name, text, rating, role }));
            }),
            other => {
                f.problem(at, format!("must be an object with `text`, but is {}", excerpt(other)))
            }
        }
    }
    testimonials
}
