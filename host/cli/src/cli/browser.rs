//! `--browser`: the browser in which a command looks at the sites that it makes.

use std::path::PathBuf;
use std::sync::Arc;

use super::setup::SetupError;
use crate::config::Config;
use sitewright_site::Viewer;

#[derive(Debug, Clone, Default, clap::Args)]
pub(super) struct BrowserArgs {
    /// Also look at the pages in a headless Chromium: what sticks out at widths of 360, 390 and
    /// 1440 pixels, errors of scripts, missing files, accessibility (axe-core). PATH is its program
    /// [default: the key `browser` of the configuration, else the first in PATH].
    #[arg(long, value_name = "PATH", require_equals = true)]
    browser: Option<Option<PathBuf>>,
}

impl BrowserArgs {
    /// Starts the browser if it is wanted.
    ///
    /// # Errors
    /// If there is none, which is wrong usage, or it does not start.
    pub(super) async fn open(&self, config: &Config) -> Result<OpenBrowser, SetupError> {
        match &self.browser {
            None => Ok(OpenBrowser(None)),
            Some(named) => OpenBrowser::start(named.as_deref(), config).await,
        }
    }
}

#[cfg(feature = "browser")]
mod with_browser {
    use std::path::Path;

    use super::*;
    use crate::cli::output;
    use sitewright_browser::{Browser, BrowserError, find};
    use sitewright_model::message;

    /// A browser that runs, if it is wanted.
    pub(in crate::cli) struct OpenBrowser(pub(super) Option<Arc<Browser>>);

    impl OpenBrowser {
        pub(super) async fn start(
            named: Option<&Path>,
            config: &Config,
        ) -> Result<Self, SetupError> {
            let named = named.map(|path| (path, "--browser"));
            let named = named.or(config.browser.as_deref().map(|path| (path, "the key `browser`")));
            let program = find(named, std::env::var_os("PATH").as_deref())
                .map_err(|error| SetupError::Usage(message!("cannot look at pages: {error}")))?;
            let started = Browser::start(&program).await;
            let browser = started.map_err(|BrowserError(message)| SetupError::Host(message))?;
            if !browser.is_sandboxed() {
                output::complain(
                    "the browser runs without its sandbox, because this program runs as root\n",
                );
            }
            Ok(OpenBrowser(Some(Arc::new(browser))))
        }

        /// Looks at sites with it.
        pub(in crate::cli) fn viewer(&self) -> Option<Arc<dyn Viewer>> {
            self.0.clone().map(|browser| browser as Arc<dyn Viewer>)
        }

        /// Ends it, with all its processes and files.
        pub(in crate::cli) async fn close(self) {
            if let Some(browser) = self.0 {
                browser.close().await;
            }
        }
    }
}

#[cfg(not(feature = "browser"))]
mod with_browser {
    use std::convert::Infallible;
    use std::path::Path;

    use super::*;

    /// No browser: this build has none.
    pub(in crate::cli) struct OpenBrowser(pub(super) Option<Infallible>);

    impl OpenBrowser {
        pub(super) async fn start(_: Option<&Path>, _: &Config) -> Result<Self, SetupError> {
            Err(crate::cli::absent::error("browser"))
        }

        pub(in crate::cli) fn viewer(&self) -> Option<Arc<dyn Viewer>> {
            self.0.map(|never| match never {})
        }

        pub(in crate::cli) async fn close(self) {}
    }
}

pub(super) use with_browser::OpenBrowser;
