//! What xtask prints. Everything goes to stderr, beside cargo's own output, so that stdout belongs
//! to the program that was asked for.

use std::time::Duration;

/// Prints one line.
#[expect(clippy::print_stderr, reason = "the only place where xtask prints")]
pub(crate) fn line(text: &str) {
    eprintln!("{text}");
}

/// Prints the heading of a step: an empty line and a mark that is easy to find in cargo's output.
pub(crate) fn heading(name: &str) {
    line(&format!("\n==> {name}"));
}

/// Formats a duration: `0.4 s`, `12.3 s`, `3 min 05 s`.
pub(crate) fn duration(duration: Duration) -> String {
    let tenths = (duration.as_millis() + 50) / 100;
    if tenths < 600 {
        return format!("{}.{} s", tenths / 10, tenths % 10);
    }
    let seconds = (duration.as_millis() + 500) / 1000;
    format!("{} min {:02} s", seconds / 60, seconds % 60)
}

/// Formats a size in binary units: `812 B`, `14.2 KiB`, `3.1 MiB`.
pub(crate) fn size(bytes: u64) -> String {
    match bytes {
        0..1024 => format!("{bytes} B"),
        1024..1_048_576 => format!("{}.{} KiB", bytes / 1024, bytes % 1024 * 10 / 1024),
        _ => format!("{}.{} MiB", bytes / 1_048_576, bytes % 1_048_576 * 10 / 1_048_576),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_rounded_to_tenths_and_above_a_minute_to_seconds() {
        for (millis, text) in [
            (0, "0.0 s"),
            (49, "0.0 s"),
            (50, "0.1 s"),
            (12_340, "12.3 s"),
            (59_949, "59.9 s"),
            (59_950, "1 min 00 s"),
            (185_000, "3 min 05 s"),
            (3_600_000, "60 min 00 s"),
        ] {
            assert_eq!(duration(Duration::from_millis(millis)), text, "{millis} ms");
        }
    }

    #[test]
    fn sizes_change_unit_at_1024() {
        for (bytes, text) in [
            (0, "0 B"),
            (1023, "1023 B"),
            (1024, "1.0 KiB"),
            (1_048_575, "1023.9 KiB"),
            (3_250_585, "3.0 MiB"),
        ] {
            assert_eq!(size(bytes), text);
        }
    }
}
