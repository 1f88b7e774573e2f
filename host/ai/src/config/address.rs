//! Base URLs, as operators write them.

use url::Url;

use sitewright_model::message;
use sitewright_model::message::Message;

/// The URL of an endpoint of an API. The base may end with a slash, and may already contain the
/// path; a query (Azure's `api-version`) is kept.
pub(crate) fn endpoint(base_url: &str, path: &str) -> Result<Url, Message> {
    let mut url = base(base_url, "https://api.openai.com/v1")?;
    let base = url.path().trim_end_matches('/');
    let base = base.strip_suffix(path).map_or(base, |base| base.trim_end_matches('/'));
    let full = format!("{base}/{path}");
    url.set_path(&full);
    Ok(url)
}

/// The base URL of an API's endpoints. `example` is used in error messages.
pub(crate) fn base(base_url: &str, example: &str) -> Result<Url, Message> {
    let mut url = Url::parse(base_url.trim()).map_err(|error| {
        message!("the text {base_url:?} is not a URL ({error}); write it like {example}")
    })?;
    if !url.username().is_empty() || url.password().is_some() {
        // The message must not contain the text, which has the credentials.
        return Err(message!(
            "the URL holds a user name or password; give the key with api_key_env, api_key_file or \
             api_key_command instead"
        ));
    }
    if !matches!(url.scheme(), "http" | "https") || url.host_str().is_none_or(str::is_empty) {
        return Err(message!(
            "the text {base_url:?} is not an http or https URL; write it like {example}"
        ));
    }
    url.set_fragment(None);
    Ok(url)
}
