//! The limits of a replay: an attempt that somebody else recorded gets no more than this host
//! allows.

use serde_json::Value;

use super::subject::Origin;
use sitewright_model::message;
use sitewright_model::message::Message;
use sitewright_runtime::plugin::Limits;

/// The limits of a replay, and those that were lowered.
#[derive(Debug)]
pub(super) struct ReplayLimits {
    pub(super) limits: Limits,
    /// For the report; `None` if the replay has the recorded limits.
    pub(super) note: Option<String>,
}

/// The limits of a replay. An attempt of this host gets the recorded ones, so that it happens
/// again after the configuration was changed, and the compiler's of today. Of any other, each limit is the smaller one of the
/// recorded limit and `ours`.
///
/// # Errors
/// If limits cannot be compared, which is a bug.
pub(super) fn of_replay(
    recorded: &Limits,
    ours: &Limits,
    origin: Origin,
) -> Result<ReplayLimits, Message> {
    if !origin.is_untrusted() {
        // Those of the compiler change nothing that the guest does, and an older recording lacks
        // some of them.
        let limits = Limits {
            compile_ms: ours.compile_ms,
            compile_memory_bytes: ours.compile_memory_bytes,
            artifact_bytes: ours.artifact_bytes,
            ..recorded.clone()
        };
        return Ok(ReplayLimits { limits, note: None });
    }
    // As values, so that a limit that is added later is compared too.
    let fields = |limits: &Limits| match serde_json::to_value(limits) {
        Ok(Value::Object(fields)) => Ok(fields),
        Ok(_) => Err(message!("limits are no object; this is a bug of the host")),
        Err(error) => {
            Err(message!("limits cannot be compared: {error}; this is a bug of the host"))
        }
    };
    let (mut lowest, recorded) = (fields(ours)?, fields(recorded)?);
    let mut lowered = Vec::new();
    for (key, recorded) in recorded {
        let (Some(ours), Some(recorded)) = (lowest.get_mut(&key), recorded.as_u64()) else {
            continue;
        };
        match ours.as_u64() {
            Some(max) if recorded > max => {
                lowered.push(format!("`{key}` {max} (recorded: {recorded})"))
            }
            _ => *ours = Value::from(recorded),
        }
    }
    let limits = serde_json::from_value(Value::Object(lowest)).map_err(|error| {
        message!("limits cannot be compared: {error}; this is a bug of the host")
    })?;
    let note = (!lowered.is_empty()).then(|| {
        format!(
            "The replay has this host's limits, which are below the recorded ones: {}. To allow \
             more, raise them in `[limits]` of the configuration.",
            lowered.join(", ")
        )
    });
    Ok(ReplayLimits { limits, note })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Limits whose keys all have this value, with changes.
    fn all(value: u64, changes: &[(&str, u64)]) -> Limits {
        let mut fields = serde_json::to_value(Limits::default()).unwrap();
        for field in fields.as_object_mut().unwrap().values_mut() {
            *field = Value::from(value);
        }
        for (key, value) in changes {
            fields[*key] = Value::from(*value);
        }
        serde_json::from_value(fields).unwrap()
    }

    #[test]
    fn an_attempt_of_this_host_has_its_recorded_limits() {
        let ours = Limits::default();
        let replay = of_replay(&all(u64::MAX, &[]), &ours, Origin::Host).unwrap();
        let of_the_compiler = [
            ("compile_ms", ours.compile_ms),
            ("compile_memory_bytes", ours.compile_memory_bytes),
            ("artifact_bytes", ours.artifact_bytes),
        ];
        assert_eq!((replay.limits, replay.note), (all(u64::MAX, &of_the_compiler), None));
    }

    #[test]
    fn any_other_attempt_has_the_lower_ones() {
        let ours = Limits::default();
        for origin in [Origin::Bundle, Origin::RecordFile] {
            let replay = of_replay(&all(u64::MAX, &[]), &ours, origin).unwrap();
            assert_eq!(replay.limits, ours);
            let note = replay.note.unwrap();
            assert!(note.contains("`cpu_ms` 10000 (recorded: 18446744073709551615)"), "{note}");
            let replay = of_replay(&all(1, &[("cpu_ms", 10_001)]), &ours, origin).unwrap();
            assert_eq!(replay.limits, all(1, &[("cpu_ms", 10_000)]));
            let replay = of_replay(&ours, &ours, origin).unwrap();
            assert_eq!((replay.limits, replay.note), (ours.clone(), None));
        }
    }

    proptest! {
        #[test]
        fn no_limit_is_above_either(recorded in any::<u64>(), ours in any::<u64>()) {
            let replay = of_replay(&all(recorded, &[]), &all(ours, &[]), Origin::Bundle).unwrap();
            prop_assert_eq!(replay.limits, all(recorded.min(ours), &[]));
            prop_assert_eq!(replay.note.is_some(), recorded > ours);
        }
    }
}
