//! `site.write`: writes one file of the site into the run's staging area.

use super::diagnostics::cut;
use super::run_trace::OutputLimit;
use super::state::GuestState;
use crate::plugin::bindings::site;
use sitewright_model::failure::{Ended, NewCall, TrailOutcome};
use sitewright_site::{PathError, SiteLimit, WriteError};

impl site::Host for GuestState {
    async fn write(
        &mut self,
        path: String,
        bytes: Vec<u8>,
    ) -> wasmtime::Result<Result<(), site::WriteError>> {
        let args = format!("{} ({} bytes)", cut(&path, 200).escape_debug(), bytes.len());
        let length = bytes.len() as u64;
        let entry = self.trace.begin(NewCall {
            call: "site.write",
            args,
            bytes: Some(length),
            ..NewCall::default()
        });
        let Some(staging) = self.site.clone() else {
            let message = "`describe` must not write files".to_owned();
            self.trace.end(entry, refused(&message));
            return Ok(Err(site::WriteError { kind: site::WriteErrorKind::Other, message }));
        };
        let outcome = match staging.write_async(&path, bytes).await {
            Ok(stored) => Ok(stored),
            Err(error) => {
                let message = error.to_string();
                let kind = match error {
                    WriteError::InvalidPath(wrong) => {
                        if matches!(wrong, PathError::TooLong { .. }) {
                            self.trace.output_limited(OutputLimit {
                                limit: SiteLimit::PathBytes,
                                message: message.clone(),
                            });
                        }
                        site::WriteErrorKind::InvalidPath
                    }
                    WriteError::Conflict(_) => site::WriteErrorKind::Conflict,
                    WriteError::Limit(hit) => {
                        self.trace.output_limited(OutputLimit {
                            limit: hit.limit,
                            message: message.clone(),
                        });
                        site::WriteErrorKind::Limit
                    }
                    WriteError::Closed(_) => site::WriteErrorKind::Other,
                    // The guest cannot help it: the run ends as a failure of the host, not of the
                    // template.
                    WriteError::Storage(error) => {
                        self.trace.end(entry, TrailOutcome::Error(message));
                        return Err(wasmtime::Error::new(error));
                    }
                };
                Err(site::WriteError { kind, message })
            }
        };
        let ended = match &outcome {
            Ok(stored) => Ended {
                digest: stored.sha256.get(..12).map(str::to_owned),
                ..Ended::from(TrailOutcome::Ok)
            },
            Err(error) => refused(&error.message),
        };
        self.trace.end(entry, ended);
        Ok(outcome.map(drop))
    }
}

fn refused(message: &str) -> Ended {
    Ended { refused: true, ..Ended::from(TrailOutcome::Error(message.to_owned())) }
}
