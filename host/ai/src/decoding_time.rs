//! How much processor time decoding one stream may take.

use std::time::Duration;

use super::failure::AttemptFailure;
use sitewright_cpu_time::of_thread;
use sitewright_model::ai::AiErrorKind;

/// Maximum processor time for one stream. Its size bounds the work loosely: 64 MiB can be millions
/// of empty events. A reply of the usual size takes a few milliseconds.
const MAX: Duration = Duration::from_secs(10);

/// The processor time that decoding one stream has taken so far.
#[derive(Debug, Default)]
pub(super) struct DecodingTime(Duration);

impl DecodingTime {
    /// Decodes the next part of the stream.
    ///
    /// # Errors
    /// Those of `decode`, and `protocol` if the stream has taken more than 10 s of processor time.
    pub(super) fn spend<T>(
        &mut self,
        decode: impl FnOnce() -> Result<T, AttemptFailure>,
    ) -> Result<T, AttemptFailure> {
        self.spend_within(MAX, decode)
    }

    fn spend_within<T>(
        &mut self,
        max: Duration,
        decode: impl FnOnce() -> Result<T, AttemptFailure>,
    ) -> Result<T, AttemptFailure> {
        let began = of_thread();
        let decoded = decode()?;
        self.0 += of_thread().saturating_sub(began);
        if self.0 > max {
            let detail = format!(
                "its answer is a flood: reading it has taken {} ms of processor time, and {} ms \
                 are allowed",
                self.0.as_millis(),
                max.as_millis()
            );
            return Err(AttemptFailure::new(AiErrorKind::Protocol, detail));
        }
        Ok(decoded)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stream_that_takes_too_much_processor_time_in_all_ends_as_a_flood() {
        const PART: Duration = Duration::from_millis(2);
        let busy = || {
            let began = of_thread();
            while of_thread() - began < PART {}
            Ok(())
        };
        for (max, parts) in [(Duration::ZERO, 1), (PART * 3 / 2, 2), (Duration::MAX, 3)] {
            let mut time = DecodingTime::default();
            let ended: Vec<_> = (0..parts).map(|_| time.spend_within(max, busy)).collect();
            let (last, before) = ended.split_last().unwrap();
            assert!(before.iter().all(Result::is_ok), "{ended:?}");
            match last {
                Ok(()) => assert_eq!(max, Duration::MAX),
                Err(failure) => {
                    assert_eq!(failure.kind, AiErrorKind::Protocol);
                    assert!(failure.detail.contains("is a flood"), "{failure:?}");
                    assert!(max < Duration::MAX, "{failure:?}");
                }
            }
        }
    }
}
