//! Names of fields in other languages, as questions, and with what CRMs and forms add to them.

use serde_json::{Value, json};
use sitewright_order::{Day, Document};

use crate::support::read;

/// A flat order with these fields, and without a business name.
fn document<'n>(fields: impl IntoIterator<Item = (&'n str, Value)>) -> Value {
    let mut document = json!({"id": 7, "locale": "en", "business_email": "a@alpha.fr"});
    for (name, value) in fields {
        document[name] = value;
    }
    document
}

#[test]
fn names_of_fields_are_in_a_language() {
    let table: &[(&[&str], Option<&str>)] = &[
        (&["Firmenname", "Branche", "Land"], Some("de")),
        (&["Bedrijfsnaam", "Branche", "Land"], Some("nl")),
        (&["Nome da empresa", "Estado", "Ramo"], Some("pt")),
        (&["Nombre empresa", "Localidad"], Some("es")),
        (&["Adresse", "Telefon"], Some("de")),
        // Names that mean no other field.
        (&["Strasse", "Steuernummer"], Some("de")),
        (&["Branche", "Land"], None),
        (&["Estado", "phone"], None),
        (&["business_name", "phone", "services"], None),
    ];
    for (names, expected) in table {
        let document = document(names.iter().map(|name| (*name, json!("x"))));
        assert_eq!(Document::open(&document).language_of_names(), *expected, "{names:?}");
    }
}

/// The language that an order names decides what a short name of a day means, then that of the
/// names of its fields.
#[test]
fn the_names_of_fields_are_asked_after_the_locale() {
    for (locale, day) in [("en", Day::Tuesday), ("fr", Day::Sunday)] {
        let document = document([
            ("locale", json!(locale)),
            ("Firmenname", json!("Alpha")),
            ("Branche", json!("x")),
            ("hours", json!({"Di": "9-17"})),
        ]);
        let order = read(&document).unwrap();
        assert_eq!(order.business_hours.0[0].day, day, "{locale}: {:?}", order.notices);
    }
}

#[test]
fn names_in_other_words_mean_their_field() {
    let table = [
        ("What is your business name?", "/business_name", json!("Alpha")),
        ("Whats your business name", "/business_name", json!("Alpha")),
        ("Nome da empresa", "/business_name", json!("Alpha")),
        ("nome attività", "/business_name", json!("Alpha")),
        ("Nom de l'entreprise *", "/business_name", json!("Alpha")),
        ("q3_businessName", "/business_name", json!("Alpha")),
        ("Business_Name__c", "/business_name", json!("Alpha")),
        ("Which services do you offer?", "/services", json!(["Cakes"])),
        ("services", "/services", json!(["Cakes"])),
        ("Tem WhatsApp?", "/has_whatsapp", json!(true)),
        ("WhatsApp Number", "/whatsapp_phone", json!("+44 20 7946 0123")),
        ("Business_Phone__c", "/business_phone", json!("+44 20 7946 0123")),
        ("Öffnungszeiten", "/business_hours/0/day", json!("monday")),
        ("Horário de funcionamento", "/business_hours/0/day", json!("monday")),
        ("Instagram handle", "/social_instagram", json!("https://www.instagram.com/alpha")),
        ("Your brand colour", "/primary_color", json!("#663300")),
    ];
    for (name, pointer, expected) in table {
        let value = match pointer {
            "/business_hours/0/day" => json!("Mon 9-17"),
            _ => expected.clone(),
        };
        let mut document = document([(name, value)]);
        if pointer != "/business_name" {
            document["business_name"] = json!("Alpha");
        }
        let order = read(&document).unwrap_or_else(|problems| panic!("{name}: {problems:#?}"));
        let order = serde_json::to_value(&order).unwrap();
        assert_eq!(order.pointer(pointer), Some(&expected), "{name}: {order:#}");
    }
    // The name of the person who fills in the form, and what no field is called.
    for name in ["What is your name?", "q1", "zzz"] {
        let problems = read(&document([(name, json!("Alpha"))])).unwrap_err();
        assert_eq!(problems[0].pointer, "/business_name", "{name}: {problems:?}");
    }
}
