//! The Python and JavaScript SDKs contain the order schema as a file.

use sitewright_sdk::prelude::*;

/// `SITEWRIGHT_UPDATE_SCHEMAS=1` rewrites the files.
#[test]
fn every_sdk_has_the_current_order_schema() {
    let schema = Manifest::new("any", "0.1.0", "Any.").order_schema;
    for file in ["js/order.schema.json", "python/sitewright/order.schema.json"] {
        let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join(file);
        if std::env::var_os("SITEWRIGHT_UPDATE_SCHEMAS").is_some() {
            std::fs::write(&path, format!("{schema:#}\n")).unwrap();
        }
        let text = std::fs::read_to_string(&path).unwrap();
        let found: serde_json::Value = serde_json::from_str(&text).unwrap();
        assert_eq!(found, schema, "{file} is outdated; set SITEWRIGHT_UPDATE_SCHEMAS=1 and rerun");
    }
}
