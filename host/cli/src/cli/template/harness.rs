//! `sitewright template harness`: answers the calls of a template in a native test. Hidden: the
//! SDKs for Python and JavaScript start it.

use tokio::io::{AsyncBufReadExt as _, BufReader};

use crate::cli::confined;
use crate::cli::exit::Exit;
use crate::cli::output;
use crate::cli::setup::{Setup, SetupError};
use sitewright_author::harness::Harness;
use sitewright_http as http;
use sitewright_model::message;

/// Answer the calls of a template in a native test: questions on stdin, answers on stdout, one JSON
/// value a line. The SDKs for Python and JavaScript start it.
#[derive(Debug, clap::Args)]
pub(in crate::cli) struct Args {}

pub(super) async fn run(setup: &Setup, _: Args, _: bool) -> Result<Exit, SetupError> {
    let config = setup.config()?;
    let client = http::client()?;
    let mut harness =
        Harness::new(client, confined::children(), config.limits, config.default_locale);
    let mut questions = BufReader::new(tokio::io::stdin()).lines();
    let failed = |error| SetupError::Host(message!("the test cannot be heard any more: {error}"));
    while let Some(question) = questions.next_line().await.map_err(failed)? {
        let answer = harness.answer(&question).await.map_err(SetupError::Host)?;
        if !output::print(&format!("{answer}\n")) {
            break;
        }
    }
    Ok(Exit::Done)
}
