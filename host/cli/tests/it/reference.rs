//! The generated pages of the documentation are those that this program prints.
#![allow(clippy::unwrap_used, reason = "a test's helper functions fail the test")]

use std::path::Path;
use std::process::Command;

#[test]
fn the_reference_is_current() {
    for page in ["cli", "configuration"] {
        let mut command = Command::new(env!("CARGO_BIN_EXE_sitewright"));
        // Defaults that come from variables would be shown.
        for (name, _) in std::env::vars_os()
            .filter(|(name, _)| name.to_string_lossy().starts_with("SITEWRIGHT_"))
        {
            command.env_remove(name);
        }
        let output = command.args(["reference", page]).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let file = Path::new(env!("CARGO_MANIFEST_DIR"))
            .join(format!("../../docs/src/reference/{page}.md"));
        let stored = std::fs::read_to_string(&file).unwrap();
        assert!(
            stored == String::from_utf8_lossy(&output.stdout),
            "{0} is not what the program prints; make it anew with\n  cargo run -p sitewright -- \
             reference {page} > docs/src/reference/{page}.md",
            file.display()
        );
    }
}
