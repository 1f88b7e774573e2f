//! What an order that waits shows of its hold.

use super::{HoldCause, NewHold};

impl NewHold {
    /// What the orders that wait for it show.
    pub(crate) fn shown(&self) -> String {
        let id = self.id.to_string();
        let reason = self.reason.as_str();
        shown(&id, self.cause.into(), reason, self.fingerprint.as_deref())
    }
}

/// What an order that waits for the hold with this row shows. The reason of a hold may quote the
/// failure of another tenant's order (what its provider said, a text of its page), so only
/// operators see it. What an operator wrote is meant for the orders, and that a template is missing
/// quotes none.
pub(crate) fn shown(id: &str, cause: &str, reason: &str, fingerprint: Option<&str>) -> String {
    let why = match cause.parse::<HoldCause>() {
        Ok(HoldCause::Operator | HoldCause::Missing) => return reason.to_owned(),
        Ok(HoldCause::Auth) => "the provider refuses its key",
        Ok(HoldCause::Permission) => "the provider does not permit its key to use the model",
        Ok(HoldCause::Quota) => "the account at the provider has no credit left",
        Ok(HoldCause::NotFound) => "the provider does not know the model or the address",
        Ok(HoldCause::NoRoute) => "the configuration has no route for the purpose",
        Ok(HoldCause::Unreachable) => "the provider cannot be reached",
        Ok(HoldCause::Circuit) => "almost all attempts end with the same failure",
        // Of a later version.
        Err(_) => "its cause is not known to this version",
    };
    let group = fingerprint.map(|group| format!(", group {group}")).unwrap_or_default();
    format!("waits for the hold `{id}` ({cause}{group}): {why}; `sitewright queue stats` says more")
}

/// What an order shows that waits for a hold which was released: whatever the hold was set for, it
/// is no reason any more.
pub(crate) fn over(id: &str) -> String {
    format!("the hold `{id}` is over: a worker claims the order soon")
}

#[cfg(test)]
mod tests {
    use sitewright_model::message;

    use super::super::{HoldId, HoldKind, Probing};
    use super::*;

    #[test]
    fn only_what_an_operator_wrote_or_names_a_template_is_shown_in_its_words() {
        use HoldCause::*;
        for (cause, shows_reason) in [
            (Auth, false),
            (Permission, false),
            (Quota, false),
            (NotFound, false),
            (NoRoute, false),
            (Unreachable, false),
            (Circuit, false),
            (Missing, true),
            (Operator, true),
        ] {
            let hold = NewHold {
                id: HoldId::new(HoldKind::Route, "default"),
                cause,
                reason: message!("the prompt named Ms Okafor"),
                fingerprint: Some("5f1c".to_owned()),
                probing: Probing::Never,
            };
            let shown = hold.shown();
            assert_eq!(shown.contains("Okafor"), shows_reason, "{shown}");
            for part in ["`route:default`", <&str>::from(cause), "5f1c", "`sitewright queue stats`"]
            {
                assert_eq!(shown.contains(part), !shows_reason, "{part}: {shown}");
            }
        }
        let later = shown("route:default", "a_later_one", "Ms Okafor", None);
        assert!(later.contains("a_later_one") && !later.contains("Okafor"), "{later}");
    }
}
