//! Whether the JSON-LD of a page says something that search engines take.

use serde_json::{Map, Value};

/// Types of schema.org that are a business at a place. Search engines need its name and a way to
/// reach it.
const BUSINESSES: [&str; 66] = [
    "LocalBusiness",
    "AccountingService",
    "AnimalShelter",
    "Attorney",
    "AutoDealer",
    "AutomotiveBusiness",
    "AutoRepair",
    "Bakery",
    "BarOrPub",
    "BeautySalon",
    "BedAndBreakfast",
    "BookStore",
    "Brewery",
    "CafeOrCoffeeShop",
    "ChildCare",
    "ClothingStore",
    "DaySpa",
    "Dentist",
    "DryCleaningOrLaundry",
    "Electrician",
    "EmploymentAgency",
    "EntertainmentBusiness",
    "ExerciseGym",
    "FinancialService",
    "Florist",
    "FoodEstablishment",
    "FurnitureStore",
    "GardenStore",
    "GeneralContractor",
    "GroceryStore",
    "HairSalon",
    "HardwareStore",
    "HealthAndBeautyBusiness",
    "HomeAndConstructionBusiness",
    "Hostel",
    "Hotel",
    "HousePainter",
    "HVACBusiness",
    "IceCreamShop",
    "InsuranceAgency",
    "JewelryStore",
    "LegalService",
    "Locksmith",
    "LodgingBusiness",
    "MedicalBusiness",
    "MedicalClinic",
    "Motel",
    "MovingCompany",
    "NailSalon",
    "Notary",
    "Optician",
    "PetStore",
    "Pharmacy",
    "Physician",
    "Plumber",
    "ProfessionalService",
    "RealEstateAgent",
    "Resort",
    "Restaurant",
    "RoofingContractor",
    "SportsClub",
    "Store",
    "TattooParlor",
    "TravelAgency",
    "VeterinaryCare",
    "Winery",
];
/// Properties of which a business needs one.
const REACHED_BY: [&str; 4] = ["address", "telephone", "email", "url"];
/// Other types, each with a property without which search engines show nothing of it.
const REQUIRED: [(&str, &str); 15] = [
    ("Article", "headline"),
    ("BlogPosting", "headline"),
    ("BreadcrumbList", "itemListElement"),
    ("Course", "name"),
    ("Event", "name"),
    ("Event", "startDate"),
    ("FAQPage", "mainEntity"),
    ("ItemList", "itemListElement"),
    ("JobPosting", "title"),
    ("NewsArticle", "headline"),
    ("Organization", "name"),
    ("Person", "name"),
    ("Product", "name"),
    ("Recipe", "name"),
    ("VideoObject", "name"),
];
/// Maximum number of types of one thing that are looked at.
const MAX_KINDS: usize = 20;
/// Maximum number of things of one document that are looked at.
const MAX_THINGS: usize = 100;

/// What is wrong with a document; `None` if nothing is.
pub(super) fn problem(document: &Value) -> Option<String> {
    let (mut things, listed): (Vec<(&Map<String, Value>, bool)>, _) = match document {
        Value::Object(thing) => (vec![(thing, false)], false),
        Value::Array(things) => (things.iter().filter_map(with_no_context).collect(), true),
        _ => return Some("it is no object".to_owned()),
    };
    if things.is_empty() {
        return Some(if listed { "its list is empty" } else { "it is empty" }.to_owned());
    }
    let mut seen = 0;
    while let Some((thing, has_context)) = things.pop() {
        seen += 1;
        if seen > MAX_THINGS {
            return None;
        }
        let has_context = has_context || thing.get("@context").is_some_and(is_schema_org);
        if !has_context {
            return Some("it has no `\"@context\": \"https://schema.org\"`".to_owned());
        }
        if let Some(Value::Array(graph)) = thing.get("@graph") {
            let inner = graph.iter().filter_map(Value::as_object).take(MAX_THINGS);
            things.extend(inner.map(|thing| (thing, true)));
            continue;
        }
        if let Some(wrong) = of_thing(thing) {
            return Some(wrong);
        }
    }
    None
}

fn with_no_context(thing: &Value) -> Option<(&Map<String, Value>, bool)> {
    thing.as_object().map(|thing| (thing, false))
}

fn is_schema_org(context: &Value) -> bool {
    match context {
        Value::String(address) => address.contains("schema.org"),
        Value::Array(contexts) => contexts.iter().any(is_schema_org),
        Value::Object(context) => context.get("@vocab").is_some_and(is_schema_org),
        _ => false,
    }
}

fn of_thing(thing: &Map<String, Value>) -> Option<String> {
    let kinds: Vec<&str> = match thing.get("@type") {
        Some(Value::String(kind)) => vec![kind],
        Some(Value::Array(kinds)) => {
            kinds.iter().filter_map(Value::as_str).take(MAX_KINDS).collect()
        }
        _ => Vec::new(),
    };
    let Some(kind) = kinds.first() else {
        // A reference to a thing that is described elsewhere.
        return (!thing.contains_key("@id")).then(|| "a thing in it has no `@type`".to_owned());
    };
    let is_any =
        |known: &str| kinds.iter().any(|kind| kind.rsplit('/').next().unwrap_or(kind) == known);
    let is_business = BUSINESSES.into_iter().any(is_any);
    let has = |property: &str| thing.get(property).is_some_and(is_filled);
    if is_business && !has("name") {
        return Some(format!("its `{kind}` has no `name`"));
    }
    if is_business && !REACHED_BY.iter().any(|property| has(property)) {
        return Some(format!("its `{kind}` has neither an `address` nor a `telephone`"));
    }
    // With nothing but its type it refers to a thing that is described elsewhere.
    if thing.keys().all(|name| name.starts_with('@')) {
        return None;
    }
    let mut required = REQUIRED.into_iter();
    let (kind, property) = required.find(|&(kind, property)| is_any(kind) && !has(property))?;
    Some(format!("its `{kind}` has no `{property}`"))
}

fn is_filled(value: &Value) -> bool {
    match value {
        Value::Null => false,
        Value::String(text) => !text.trim().is_empty(),
        Value::Array(values) => values.iter().any(is_filled),
        Value::Object(fields) => fields
            .iter()
            .any(|(name, value)| !name.starts_with('@') && is_filled(value) || name == "@id"),
        Value::Bool(_) | Value::Number(_) => true,
    }
}

#[cfg(test)]
mod tests {
    use super::problem;

    #[test]
    fn a_document_has_a_context_types_and_what_a_business_needs() {
        let rows = [
            (
                r#"{"@context":"https://schema.org","@type":"Bakery","name":"B","telephone":"1"}"#,
                None,
            ),
            (r#"[{"@context":"http://schema.org/","@type":"WebSite"}]"#, None),
            (
                r#"{"@context":["https://schema.org"],"@graph":[{"@type":"WebPage"},{"@id":"x"}]}"#,
                None,
            ),
            (r#"{"@type":"Bakery","name":"B"}"#, Some("@context")),
            (r#"{"@context":"https://schema.org"}"#, Some("@type")),
            (r#"{"@context":"https://schema.org","@type":"Bakery","telephone":"1"}"#, Some("name")),
            (
                r#"{"@context":"https://schema.org","@type":["Store"],"name":"B","address":
                    {"@type":"PostalAddress","streetAddress":""}}"#,
                Some("address"),
            ),
            (r#"{"@context":"https://schema.org","@type":"Attorney","name":"B"}"#, Some("address")),
            (
                r#"{"@context":"https://schema.org","@type":"FAQPage","mainEntity":[]}"#,
                Some("mainEntity"),
            ),
            (
                r#"{"@context":"https://schema.org","@graph":[{"@type":"WebPage"},
                    {"@type":"https://schema.org/Event","name":"B"}]}"#,
                Some("startDate"),
            ),
            (r#"{"@context":"https://schema.org","@graph":[{"@type":"Person","@id":"x"}]}"#, None),
            (r#"{"@context":"https://schema.org","@type":"BlogPosting","headline":"B"}"#, None),
            (r#"[]"#, Some("empty")),
            (r#""x""#, Some("object")),
        ];
        for (json, wrong) in rows {
            let found = problem(&serde_json::from_str(json).unwrap());
            match wrong {
                None => assert_eq!(found, None, "{json}"),
                Some(part) => {
                    assert!(found.as_ref().is_some_and(|f| f.contains(part)), "{json} {found:?}")
                }
            }
        }
    }
}
