//! Which file of a site an address leads to.

/// Where the path of an address leads on a static web server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Address {
    /// To this file.
    File(String),
    /// To this folder, whose path ends with `/`: the server redirects there.
    Folder(String),
    /// The site has no such file.
    Nothing,
}

/// Resolves a decoded path without its first `/` like a static file server: `about/` is
/// `about/index.html`, and `about` redirects to `about/`. With `clean_urls`, it is `about.html` if
/// that exists.
pub fn find_address(path: &str, clean_urls: bool, exists: impl Fn(&str) -> bool) -> Address {
    let file = match path {
        path if path.is_empty() || path.ends_with('/') => format!("{path}index.html"),
        path => path.to_owned(),
    };
    let clean = format!("{path}.html");
    if exists(&file) {
        Address::File(file)
    } else if clean_urls && exists(&clean) {
        Address::File(clean)
    } else if exists(&format!("{path}/index.html")) {
        Address::Folder(format!("{path}/"))
    } else {
        Address::Nothing
    }
}
