//! The five example orders become five websites.

use sitewright_tests::{ORDERS, Workbench, order, root, template};

fn bench() -> Workbench {
    let rules =
        std::fs::read_to_string(root().join("plugins/local-business/demo/ai.toml")).unwrap();
    Workbench::scripted(&rules, "")
}

#[test]
fn f5_each_of_the_five_orders_becomes_a_site_that_passes_its_checks() {
    let bench = bench();
    for name in ORDERS {
        let done = bench.generate(&template("local-business"), &order(name));
        let report = done.json();
        assert_eq!(done.code, 0, "{name}: {}", done.stdout);
        assert_eq!(report["outcome"], "released", "{name}");
        let current = report["release"]["current"].as_str().unwrap();
        let page = std::fs::read_to_string(format!("{current}/index.html")).unwrap();
        assert!(page.contains("<html lang"), "{name}");
        for file in report["files"].as_array().unwrap() {
            let written =
                std::fs::metadata(format!("{current}/{}", file["path"].as_str().unwrap())).unwrap();
            assert_eq!(written.len(), file["size"].as_u64().unwrap(), "{name}: {file}");
        }
    }
}
