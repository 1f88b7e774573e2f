//! Which failures are the world's and not the order's: the provider refused every request for a
//! reason that another order would meet as well, or nothing could be sent.

use std::time::Duration;

use sitewright_ai::opens_breakers;
use sitewright_jobs::HoldCause;
use sitewright_model::ai::{AiErrorKind, Attempt, AttemptOutcome, Limit, OpenFor};
use sitewright_model::failure::{FailureKind, FailureRecord};
use sitewright_model::message;
use sitewright_model::message::Message;

/// A fault of a route.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Fault {
    pub(super) cause: HoldCause,
    /// The purpose of the call that met it.
    pub(super) purpose: String,
    /// Who else meets it.
    pub(super) met_by: MetBy,
    /// What happened and what to do.
    pub(super) message: Message,
    /// Time that the provider asked to wait before the next request. Not that for which a circuit
    /// breaker is open: probes pass it.
    pub(super) not_before: Duration,
}

/// Whose orders meet a fault, as far as is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum MetBy {
    /// All that need the route.
    All,
    /// Those of the same tenant: the circuit breakers are open for their calls only.
    Tenant,
    /// Those that wait for the hold whose probe the order is.
    OfProbe,
}

/// The fault of the world that this failure is.
pub(super) fn of(record: &FailureRecord) -> Option<Fault> {
    match record.kind {
        FailureKind::Ai => {
            let ai = record.ai.as_ref()?;
            let cause = match ai.kind {
                AiErrorKind::NoRoute => HoldCause::NoRoute,
                _ => cause_of(&ai.attempts)?,
            };
            let rejected = ai.attempts.last().is_some_and(|attempt| attempt.opened_by.is_some());
            let asked_for = ai.retry_after_ms.filter(|_| !rejected);
            let not_before = asked_for.map_or(0, |ms| u64::from(ms.get()));
            Some(Fault {
                cause,
                purpose: ai.purpose.clone(),
                met_by: met_by(cause, &ai.attempts),
                message: ai.in_full().into_owned(),
                not_before: Duration::from_millis(not_before),
            })
        }
        // The template made another failure of it, or went on without the reply.
        FailureKind::TemplateError
        | FailureKind::Panic
        | FailureKind::Trap
        | FailureKind::OutputRejected => record.ai_calls.iter().find_map(|call| {
            let cause = cause_of(&call.attempts)?;
            let message = call.attempts.last().and_then(|attempt| attempt.message.clone());
            Some(Fault {
                cause,
                purpose: call.purpose.clone(),
                met_by: met_by(cause, &call.attempts),
                message: message.unwrap_or_else(|| message!("its provider refused a request")),
                not_before: Duration::ZERO,
            })
        }),
        FailureKind::InvalidOrder
        | FailureKind::TemplateLoad
        | FailureKind::CpuLimit
        | FailureKind::MemoryLimit
        | FailureKind::OutputLimit
        | FailureKind::CallLimit
        | FailureKind::Deadline
        | FailureKind::Cancelled
        | FailureKind::Crashed
        | FailureKind::Host => None,
    }
}

/// Whether nothing was sent because circuit breakers were open: what opened them is recorded
/// already, unless a worker met it when it checked its providers, or another call of the order has.
pub(super) fn is_unsent(record: &FailureRecord) -> bool {
    let is_rejected =
        |attempt: &Attempt| attempt.opened_by.as_ref().is_some_and(|opened| !opened.of_probe);
    record.kind == FailureKind::Ai
        && record
            .ai
            .as_ref()
            .is_some_and(|ai| !ai.attempts.is_empty() && ai.attempts.iter().all(is_rejected))
        && !has_failed_call(record)
}

/// Whether a circuit breaker rejected the call that ended the attempt, while another call of the
/// order was sent and failed: the provider fails, whichever of the two ended first.
pub(super) fn is_partly_unsent(record: &FailureRecord) -> bool {
    let last = record.ai.as_ref().and_then(|ai| ai.attempts.last());
    record.kind == FailureKind::Ai
        && last.is_some_and(|last| last.opened_by.is_some())
        && has_failed_call(record)
}

/// Whether a circuit breaker of each candidate rejects the calls of all orders: those of several
/// tenants have failed in a row, or with a failure that every call would have met. If the call that
/// ended the attempt was sent, another one of its purpose shows it.
pub(super) fn is_open_for_all(record: &FailureRecord) -> bool {
    let is_open = |one: &&Attempt| {
        one.opened_by.as_ref().is_some_and(|opened| opened.open_for == OpenFor::All)
    };
    let are_open = |attempts: &[Attempt]| {
        let last = last_of_each(attempts);
        !last.is_empty() && last.iter().all(is_open)
    };
    let Some(ai) = record.ai.as_ref().filter(|_| record.kind == FailureKind::Ai) else {
        return false;
    };
    let mut beside = record.ai_calls.iter().filter(|call| call.purpose == ai.purpose);
    are_open(&ai.attempts)
        || (ai.attempts.last().is_some_and(has_failed)
            && beside.any(|call| are_open(&call.attempts)))
}

/// Whether an attempt was sent and failed in a way that opens circuit breakers.
fn has_failed(one: &Attempt) -> bool {
    let AttemptOutcome::Failed(kind) = one.outcome else { return false };
    opens_breakers(kind) && !one.not_sent
}

/// Whether a call was sent and failed in a way that opens circuit breakers.
fn has_failed_call(record: &FailureRecord) -> bool {
    record.ai_calls.iter().any(|call| {
        let is_answered = call.attempts.iter().any(|one| one.outcome == AttemptOutcome::Succeeded);
        !is_answered && call.attempts.iter().any(has_failed)
    })
}

/// Whether the order waits because a budget of the day was used up: nothing was sent, no circuit
/// breaker was open, and the call had time left.
pub(super) fn is_put_off(record: &FailureRecord) -> bool {
    let last = record.ai.as_ref().and_then(|ai| ai.attempts.last());
    record.kind == FailureKind::Ai
        && last.is_some_and(|last| {
            last.outcome == AttemptOutcome::Failed(AiErrorKind::RateLimited)
                && last.not_sent
                && last.opened_by.is_none()
                && last.limit.is_none()
                && last.status.is_none()
        })
}

/// Whether a provider answered a call of such a purpose, well or badly: the route itself works.
pub(super) fn has_answer(record: &FailureRecord, purpose: impl Fn(&str) -> bool) -> bool {
    let of_calls = record.ai_calls.iter().map(|call| (&call.purpose, &call.attempts));
    let of_error = record.ai.iter().map(|ai| (&ai.purpose, &ai.attempts));
    of_calls.chain(of_error).filter(|(of, _)| purpose(of)).any(|(_, attempts)| {
        attempts.iter().any(|attempt| match attempt.outcome {
            AttemptOutcome::Succeeded => true,
            AttemptOutcome::Failed(kind) => matches!(
                kind,
                AiErrorKind::Truncated
                    | AiErrorKind::Empty
                    | AiErrorKind::Malformed
                    | AiErrorKind::SchemaMismatch
                    | AiErrorKind::ContentFiltered
                    | AiErrorKind::ContextTooLong
                    | AiErrorKind::InvalidRequest
            ),
        })
    })
}

/// Who else meets a fault that was met in these attempts. A breaker that is open for the calls of
/// one tenant says nothing of those of others.
fn met_by(cause: HoldCause, attempts: &[Attempt]) -> MetBy {
    let mut opened = attempts.iter().filter_map(|attempt| attempt.opened_by.as_ref());
    let is_of_tenant = opened.any(|opened| opened.open_for == OpenFor::Tenant);
    if cause == HoldCause::Unreachable && is_of_tenant { MetBy::Tenant } else { MetBy::All }
}

/// Why all candidates of a call failed, if one of them did so for a reason that is not the order's.
/// A rate limit has its own wait, and what only this order's calls met may be its own.
fn cause_of(attempts: &[Attempt]) -> Option<HoldCause> {
    let last = last_of_each(attempts);
    if last.is_empty() || last.iter().any(|one| one.outcome == AttemptOutcome::Succeeded) {
        return None;
    }
    if last.iter().any(|one| one.outcome == AttemptOutcome::Failed(AiErrorKind::RateLimited)) {
        return None;
    }
    let refused = last.iter().find_map(|one| match one.outcome {
        AttemptOutcome::Failed(AiErrorKind::Auth) => Some(HoldCause::Auth),
        AttemptOutcome::Failed(AiErrorKind::Permission) => Some(HoldCause::Permission),
        AttemptOutcome::Failed(AiErrorKind::QuotaExhausted) => Some(HoldCause::Quota),
        // A script without a rule has no status: the order's request is what it does not know.
        AttemptOutcome::Failed(AiErrorKind::NotFound) if one.status.is_some() => {
            Some(HoldCause::NotFound)
        }
        _ => None,
    });
    let unreachable = || {
        let is_unreachable = |one: &&Attempt| match one.outcome {
            AttemptOutcome::Failed(AiErrorKind::Connection) => one.not_sent,
            AttemptOutcome::Failed(AiErrorKind::Timeout) => one.limit == Some(Limit::Connect),
            // A redirect, a bot check, a proxy: something in front of the provider answered.
            AttemptOutcome::Failed(AiErrorKind::Protocol) => {
                let opened = one.opened_by.as_ref().and_then(|opened| opened.status);
                one.status.is_some_and(answers_all_so)
                    || opened.is_some_and(|status| !(200..300).contains(&status))
            }
            _ => false,
        };
        let is_own = |one: &&Attempt| {
            one.opened_by.as_ref().is_some_and(|opened| opened.open_for == OpenFor::Order)
        };
        let is_known = last.iter().all(is_unreachable) && !last.iter().any(is_own);
        is_known.then_some(HoldCause::Unreachable)
    };
    refused.or_else(unreachable)
}

/// The last attempt at each candidate of a call.
fn last_of_each(attempts: &[Attempt]) -> Vec<&Attempt> {
    let mut last: Vec<&Attempt> = Vec::new();
    for attempt in attempts {
        last.retain(|one| one.provider != attempt.provider || one.model != attempt.model);
        last.push(attempt);
    }
    last
}

/// The fault that this failure may be: something in front of the provider refused a request, and it
/// is not known whether it refuses all. The order is attempted again. If all are refused, the
/// circuit breaker is open by then, which holds the route; if only this one is, its attempts end it.
pub(super) fn unclear(record: &FailureRecord) -> Option<Fault> {
    let (purpose, message) = match record.kind {
        FailureKind::Ai => {
            let ai = record.ai.as_ref().filter(|ai| is_refused_in_front(&ai.attempts))?;
            (&ai.purpose, Some(ai.message.clone()))
        }
        // As in `of`.
        FailureKind::TemplateError
        | FailureKind::Panic
        | FailureKind::Trap
        | FailureKind::OutputRejected => {
            let call = record.ai_calls.iter().find(|call| is_refused_in_front(&call.attempts))?;
            (&call.purpose, call.attempts.last().and_then(|attempt| attempt.message.clone()))
        }
        _ => return None,
    };
    Some(Fault {
        cause: HoldCause::Unreachable,
        purpose: purpose.clone(),
        met_by: MetBy::OfProbe,
        message: message.unwrap_or_else(|| message!("its provider refused a request")),
        not_before: Duration::ZERO,
    })
}

/// As [`of`], of an order that was perhaps let through as a probe: `is_probe` tells of which
/// purposes. What is unclear of another order is what the route is held for.
pub(super) fn of_probe(record: &FailureRecord, is_probe: impl Fn(&str) -> bool) -> Option<Fault> {
    of(record).or_else(|| unclear(record).filter(|fault| is_probe(&fault.purpose)))
}

/// Whether a provider may have such a cause with the words or the size of one order only: it refuses
/// permission for a prompt, or the credit that is left is too small for it. Such an order must not
/// hold a route that works for others: it is attempted again, and its attempts end it.
pub(super) fn may_be_of_one_order(cause: HoldCause) -> bool {
    match cause {
        HoldCause::Permission | HoldCause::Quota => true,
        HoldCause::Auth
        | HoldCause::NotFound
        | HoldCause::NoRoute
        | HoldCause::Unreachable
        | HoldCause::Circuit
        | HoldCause::Missing
        | HoldCause::Operator => false,
    }
}

/// Whether the failure says nothing of the template or the route: the order is wrong, somebody
/// cancelled it, or a provider would not answer these words, or so many.
pub(super) fn is_of_the_order(record: &FailureRecord) -> bool {
    match record.kind {
        FailureKind::InvalidOrder | FailureKind::Cancelled => true,
        FailureKind::Ai => record.ai.as_ref().is_some_and(|ai| {
            matches!(ai.kind, AiErrorKind::ContentFiltered | AiErrorKind::ContextTooLong)
        }),
        _ => false,
    }
}

/// Whether something in front of the provider refused the last attempt at a call.
fn is_refused_in_front(attempts: &[Attempt]) -> bool {
    attempts.last().is_some_and(|last| {
        last.outcome == AttemptOutcome::Failed(AiErrorKind::Protocol)
            && last.status.is_some_and(|status| !(200..300).contains(&status))
    })
}

/// Whether what answers with this status in front of the provider answers every request so. Another
/// one, as 403, may be a firewall's that refuses the words of one request: one order could hold up
/// all others with it. When several requests have met it, their circuit breaker is open.
fn answers_all_so(status: u16) -> bool {
    matches!(status, 300..=399 | 401 | 404 | 405 | 407 | 421 | 426 | 500..=599)
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroU32;

    use sitewright_model::ai::{AiError, BreakerOpened, Usage};
    use sitewright_model::failure::{AiCallTries, OfAttempt};

    use super::*;

    fn attempt(provider: &str, outcome: AttemptOutcome, status: Option<u16>) -> Attempt {
        Attempt {
            provider: provider.to_owned(),
            model: "m".to_owned(),
            started_ms: 0,
            status,
            request_id: None,
            body_excerpt: None,
            waited_ms: 0,
            backoff_ms: 0,
            asked_again: false,
            hedge: false,
            batch: false,
            end_unsaid: false,
            not_sent: false,
            opened_by: None,
            connect_ms: None,
            first_byte_ms: None,
            first_token_ms: None,
            duration_ms: 0,
            limit: None,
            outcome,
            message: None,
            problems: Vec::new(),
            usage: Usage::default(),
            cost_usd: None,
            estimated: None,
        }
    }

    /// An attempt that a breaker rejected, which is open for these calls.
    fn rejected(kind: AiErrorKind, open_for: OpenFor) -> Attempt {
        Attempt {
            not_sent: true,
            opened_by: Some(Box::new(BreakerOpened {
                status: Some(403),
                message: message!("a bot check stands before this address"),
                words: None,
                of_probe: false,
                open_for,
            })),
            ..attempt("a", AttemptOutcome::Failed(kind), None)
        }
    }

    #[test]
    fn a_breaker_that_is_open_for_one_tenant_holds_its_orders_only() {
        use AiErrorKind as Kind;
        let unconnected = Attempt {
            not_sent: true,
            ..attempt("b", AttemptOutcome::Failed(Kind::Connection), None)
        };
        let refused = attempt("b", AttemptOutcome::Failed(Kind::Auth), Some(401));
        for (what, attempts, expected) in [
            ("nobody can connect", vec![unconnected.clone()], Some(MetBy::All)),
            ("it is open for all", vec![rejected(Kind::Protocol, OpenFor::All)], Some(MetBy::All)),
            (
                "it is open for the tenant",
                vec![rejected(Kind::Protocol, OpenFor::Tenant)],
                Some(MetBy::Tenant),
            ),
            (
                "so it is, and the other candidate cannot be reached",
                vec![rejected(Kind::Connection, OpenFor::Tenant), unconnected],
                Some(MetBy::Tenant),
            ),
            (
                "so it is, and the other one refuses the key",
                vec![rejected(Kind::Connection, OpenFor::Tenant), refused],
                Some(MetBy::All),
            ),
            ("it is open for the order", vec![rejected(Kind::Protocol, OpenFor::Order)], None),
        ] {
            let mut record = failed_call();
            let message = message!("the call failed");
            let kind = Kind::Connection;
            let error = AiError::before_any_attempt(None, "copywriting", kind, message);
            record.ai = Some(AiError { attempts, ..error });
            assert_eq!(of(&record).map(|fault| fault.met_by), expected, "{what}");
        }
    }

    #[test]
    fn what_is_not_the_orders_fault_is_held_for() {
        use AiErrorKind as Kind;
        use HoldCause as Cause;
        let failed =
            |provider, kind, status| attempt(provider, AttemptOutcome::Failed(kind), Some(status));
        let unsent = |provider, kind| Attempt {
            not_sent: true,
            ..attempt(provider, AttemptOutcome::Failed(kind), None)
        };
        let rows: Vec<(Vec<Attempt>, Option<Cause>)> = vec![
            (vec![], None),
            (vec![failed("a", Kind::Auth, 401)], Some(Cause::Auth)),
            (vec![failed("a", Kind::Permission, 403)], Some(Cause::Permission)),
            (vec![failed("a", Kind::QuotaExhausted, 402)], Some(Cause::Quota)),
            (vec![failed("a", Kind::NotFound, 404)], Some(Cause::NotFound)),
            (vec![attempt("a", AttemptOutcome::Failed(Kind::NotFound), None)], None),
            (vec![unsent("a", Kind::Auth)], Some(Cause::Auth)),
            (vec![unsent("a", Kind::Connection)], Some(Cause::Unreachable)),
            (vec![failed("a", Kind::Connection, 200)], None),
            (vec![failed("a", Kind::Protocol, 403)], None),
            (vec![failed("a", Kind::Protocol, 407)], Some(Cause::Unreachable)),
            (vec![failed("a", Kind::Protocol, 302)], Some(Cause::Unreachable)),
            (vec![failed("a", Kind::Protocol, 200)], None),
            (vec![unsent("a", Kind::Protocol)], None),
            (
                vec![Attempt {
                    opened_by: Some(Box::new(BreakerOpened {
                        status: Some(403),
                        message: message!("a bot check stands before this address"),
                        words: None,
                        of_probe: false,
                        open_for: OpenFor::All,
                    })),
                    ..unsent("a", Kind::Protocol)
                }],
                Some(Cause::Unreachable),
            ),
            (vec![rejected(Kind::Connection, OpenFor::All)], Some(Cause::Unreachable)),
            (vec![rejected(Kind::Connection, OpenFor::Tenant)], Some(Cause::Unreachable)),
            (vec![rejected(Kind::Connection, OpenFor::Order)], None),
            (vec![rejected(Kind::Protocol, OpenFor::Order)], None),
            (vec![failed("a", Kind::Protocol, 403), failed("b", Kind::Overloaded, 503)], None),
            (vec![unsent("a", Kind::Overloaded)], None),
            (vec![failed("a", Kind::Overloaded, 503)], None),
            (vec![failed("a", Kind::InvalidRequest, 400)], None),
            // The other candidate's refusal is about the order: without the fault it might not
            // have been asked.
            (
                vec![failed("a", Kind::Auth, 401), failed("b", Kind::ContentFiltered, 200)],
                Some(Cause::Auth),
            ),
            (vec![failed("a", Kind::Auth, 401), failed("b", Kind::RateLimited, 429)], None),
            (
                vec![
                    failed("a", Kind::Auth, 401),
                    attempt("b", AttemptOutcome::Succeeded, Some(200)),
                ],
                None,
            ),
            // Only the last attempt at each candidate tells.
            (vec![failed("a", Kind::Auth, 401), failed("a", Kind::Overloaded, 503)], None),
            (vec![unsent("a", Kind::Connection), failed("b", Kind::Overloaded, 503)], None),
        ];
        for (attempts, cause) in rows {
            assert_eq!(cause_of(&attempts), cause, "{attempts:?}");
        }
    }

    #[test]
    fn operators_read_what_opened_a_breaker() {
        let unsent = message!("nothing was sent: see `sitewright queue stats`");
        let rejected = Attempt {
            message: Some(unsent.clone()),
            ..rejected(AiErrorKind::Protocol, OpenFor::All)
        };
        let refused = message!("the spare provider refused its key, and quotes: {unsent}");
        let spare = Attempt {
            message: Some(refused.clone()),
            ..attempt("spare", AttemptOutcome::Failed(AiErrorKind::Auth), Some(401))
        };
        let opened = "a bot check stands before this address";
        for (kind, last, attempts, expected) in [
            (AiErrorKind::Protocol, &unsent, vec![rejected.clone()], opened.to_owned()),
            (
                AiErrorKind::Protocol,
                &unsent,
                vec![spare.clone(), rejected.clone()],
                format!("every attempt failed; the last: {opened}; before it `spare`: auth"),
            ),
            // What was sent is quoted as it is, whatever it says.
            (
                AiErrorKind::Auth,
                &refused,
                vec![rejected.clone(), spare],
                format!("every attempt failed; the last: {refused}; before it `a`: protocol"),
            ),
            // The budget ended the call, and not what the breaker rejected.
            (AiErrorKind::BudgetExceeded, &refused, vec![rejected], refused.to_string()),
        ] {
            let before = &attempts[..attempts.len() - 1];
            let message = AiError::message_of(last, before);
            let error = AiError::before_any_attempt(None, "copywriting", kind, message);
            let mut record = failed_call();
            record.ai = Some(AiError { attempts, ..error });
            let says = of(&record).map(|fault| fault.message.as_str().to_owned());
            assert_eq!(says, Some(expected), "{kind:?}");
        }
    }

    #[test]
    fn what_a_breaker_rejects_is_told_from_what_was_sent() {
        use AiErrorKind as Kind;
        let open = |open_for| rejected(Kind::Overloaded, open_for);
        let spare = Attempt { provider: "spare".to_owned(), ..open(OpenFor::All) };
        let sent = attempt("a", AttemptOutcome::Failed(Kind::Overloaded), Some(503));
        let refused = attempt("a", AttemptOutcome::Failed(Kind::InvalidRequest), Some(400));
        let answered = attempt("a", AttemptOutcome::Succeeded, Some(200));
        // The attempts at the call that ended the attempt, and those at another call. Whether
        // nothing was sent, whether only the other call was, and whether nobody's calls are.
        type Row = (&'static str, Vec<Attempt>, Vec<Attempt>, [bool; 3]);
        let rows: [Row; 10] = [
            ("for all", vec![open(OpenFor::All)], vec![], [true, false, true]),
            ("for a tenant", vec![open(OpenFor::Tenant)], vec![], [true, false, false]),
            ("for an order", vec![open(OpenFor::Order)], vec![], [true, false, false]),
            (
                "of all candidates",
                vec![open(OpenFor::All), spare.clone()],
                vec![],
                [true, false, true],
            ),
            ("of one", vec![open(OpenFor::Tenant), spare], vec![], [true, false, false]),
            ("opened by it", vec![sent.clone(), open(OpenFor::All)], vec![], [false, false, true]),
            (
                "another call is the probe",
                vec![open(OpenFor::All)],
                vec![sent.clone()],
                [false, true, true],
            ),
            (
                "it is the probe, and another call is rejected",
                vec![sent.clone()],
                vec![open(OpenFor::All)],
                [false, false, true],
            ),
            (
                "its request is refused, and another call is rejected",
                vec![refused.clone()],
                vec![open(OpenFor::All)],
                [false, false, false],
            ),
            (
                "another call is answered, and a third one refused",
                vec![open(OpenFor::All)],
                vec![refused, sent, answered],
                [true, false, true],
            ),
        ];
        for (what, attempts, other, expected) in rows {
            let mut record = failed_call();
            let message = message!("the call failed");
            let error = AiError::before_any_attempt(None, "copywriting", Kind::Overloaded, message);
            record.ai = Some(AiError { attempts, ..error });
            record.ai_calls = vec![AiCallTries {
                call_id: "c".to_owned(),
                purpose: "copywriting".to_owned(),
                replayed: false,
                cached: false,
                attempts: other,
            }];
            let is_so = [is_unsent(&record), is_partly_unsent(&record), is_open_for_all(&record)];
            assert_eq!(is_so, expected, "{what}");
        }
    }

    #[test]
    fn a_provider_moves_the_probe_of_its_hold_and_a_breaker_does_not() {
        let refused = attempt("a", AttemptOutcome::Failed(AiErrorKind::Auth), Some(401));
        let rejected = Attempt {
            not_sent: true,
            status: None,
            opened_by: Some(Box::new(BreakerOpened {
                status: Some(401),
                message: message!("the key is not known"),
                words: None,
                of_probe: false,
                open_for: OpenFor::All,
            })),
            ..refused.clone()
        };
        for (what, attempts, seconds) in [
            ("the provider asks for it", vec![refused.clone()], 30),
            ("a breaker is open", vec![rejected.clone()], 0),
            ("the last one is asked", vec![rejected.clone(), refused.clone()], 30),
            ("the last one is not asked", vec![refused, rejected], 0),
        ] {
            let mut record = failed_call();
            let message = message!("the call failed");
            let error =
                AiError::before_any_attempt(None, "copywriting", AiErrorKind::Auth, message);
            let retry_after_ms = NonZeroU32::new(30_000);
            record.ai = Some(AiError { attempts, retry_after_ms, ..error });
            let fault = of(&record).expect(what);
            assert_eq!(fault.not_before, Duration::from_secs(seconds), "{what}");
        }
    }

    #[test]
    fn a_refusal_that_may_be_of_one_order_is_told_from_one_of_all() {
        use AiErrorKind as Kind;
        let failed =
            |provider, kind, status| attempt(provider, AttemptOutcome::Failed(kind), Some(status));
        let unsent = |provider, kind| Attempt {
            not_sent: true,
            ..attempt(provider, AttemptOutcome::Failed(kind), None)
        };
        for (attempts, expected) in [
            (vec![failed("a", Kind::Permission, 403)], true),
            (vec![failed("a", Kind::QuotaExhausted, 402)], true),
            (vec![failed("a", Kind::Auth, 401)], false),
            (vec![failed("a", Kind::NotFound, 404)], false),
            (vec![unsent("a", Kind::Connection)], false),
        ] {
            let cause = cause_of(&attempts).unwrap();
            assert_eq!(may_be_of_one_order(cause), expected, "{attempts:?}");
        }
    }

    #[test]
    fn an_order_that_the_budget_of_a_day_puts_off_is_known() {
        use AiErrorKind as Kind;
        let failed = |kind, status| attempt("a", AttemptOutcome::Failed(kind), status);
        let unsent = |kind| Attempt { not_sent: true, ..failed(kind, None) };
        let no_permit = Attempt { limit: Some(Limit::Deadline), ..unsent(Kind::RateLimited) };
        for (what, attempts, is_so) in [
            ("the budget", vec![unsent(Kind::RateLimited)], true),
            ("nothing", vec![], false),
            ("a provider", vec![failed(Kind::RateLimited, Some(429))], false),
            ("the limiter", vec![no_permit], false),
            ("a breaker", vec![unsent(Kind::Overloaded)], false),
            (
                "the budget, after a provider",
                vec![failed(Kind::Overloaded, Some(503)), unsent(Kind::RateLimited)],
                true,
            ),
        ] {
            let mut record = failed_call();
            let message = message!("the call failed");
            let error =
                AiError::before_any_attempt(None, "copywriting", Kind::RateLimited, message);
            record.ai = Some(AiError { attempts, ..error });
            assert_eq!(is_put_off(&record), is_so, "{what}");
            let stored = serde_json::to_value(&record).unwrap();
            let read: FailureRecord = serde_json::from_value(stored).unwrap();
            assert_eq!(is_put_off(&read), is_so, "{what}, as it is stored");
        }
    }

    fn failed_call() -> FailureRecord {
        FailureRecord::without_run(
            FailureKind::Ai,
            message!("the call failed"),
            OfAttempt {
                order: "o".to_owned(),
                job: None,
                attempt: "a".to_owned(),
                trace_id: String::new(),
                template: "flora".to_owned(),
                config_version: String::new(),
            },
        )
    }

    #[test]
    fn what_may_be_the_orders_fault_is_attempted_again() {
        use AiErrorKind as Kind;
        let failed = |kind, status| attempt("a", AttemptOutcome::Failed(kind), Some(status));
        for (attempts, is_unclear) in [
            (vec![], false),
            (vec![failed(Kind::Protocol, 403)], true),
            (vec![failed(Kind::Protocol, 406)], true),
            (vec![failed(Kind::Overloaded, 503), failed(Kind::Protocol, 400)], true),
            (vec![failed(Kind::Protocol, 200)], false),
            (vec![attempt("a", AttemptOutcome::Failed(Kind::Protocol), None)], false),
            (vec![failed(Kind::InvalidRequest, 400)], false),
            (vec![failed(Kind::Protocol, 403), failed(Kind::ContentFiltered, 200)], false),
        ] {
            let mut record = failed_call();
            let kind = Kind::Protocol;
            let message = message!("the call failed");
            let mut error = AiError::before_any_attempt(None, "copywriting", kind, message);
            error.attempts.clone_from(&attempts);
            record.ai = Some(error);
            assert_eq!(unclear(&record).is_some(), is_unclear, "{attempts:?}");
            assert_eq!(of_probe(&record, |_| false), None, "{attempts:?}");
            let again = of_probe(&record, |purpose| purpose == "copywriting");
            let met_by = again.map(|fault| fault.met_by);
            let expected = is_unclear.then_some(MetBy::OfProbe);
            assert_eq!(met_by, expected, "a probe uses no attempt: {attempts:?}");
        }
    }
}
