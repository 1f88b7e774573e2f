//! What xtask itself says. All of it goes to stderr, beside cargo's own output, so that stdout
//! belongs to the program that was asked for.

use std::time::Duration;

/// One line.
#[expect(clippy::print_stderr, reason = "the one place where xtask talks")]
pub(crate) fn line(text: &str) {
    eprintln!("{text}");
}

/// The beginning of a step: an empty line and a mark, so that it is found in cargo's output.
pub(crate) fn step(name: &str) {
    line(&format!("\n==> {name}"));
}

/// A duration for people: `0.4 s`, `12.3 s`, `3 min 05 s`.
pub(crate) fn duration(duration: Duration) -> String {
    let tenths = (duration.as_millis() + 50) / 100;
    if tenths < 600 {
        return format!("{}.{} s", tenths / 10, tenths % 10);
    }
    let seconds = (duration.as_millis() + 500) / 1000;
    format!("{} min {:02} s", seconds / 60, seconds % 60)
}

/// A size for people, in binary units: `812 B`, `14.2 KiB`, `3.1 MiB`.
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
    fn durations_read_well_at_their_edges() {
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
    fn sizes_read_well_at_their_edges() {
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
