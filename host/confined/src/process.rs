//! What the kernel says about a process of this user.

use std::io;
use std::time::Duration;

/// The processor time that the process has used, of all its threads. Reads `/proc`, which does not
/// block. Resolution: 10 ms.
///
/// # Errors
/// If the process has ended and was waited for, or `/proc` cannot be read.
pub fn cpu_time(pid: u32) -> io::Result<Duration> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat"))?;
    let ticks =
        ticks(&stat).ok_or_else(|| io::Error::other("/proc/PID/stat has another format"))?;
    let per_second = rustix::param::clock_ticks_per_second().max(1);
    Ok(Duration::from_millis(ticks.saturating_mul(1_000) / per_second))
}

/// Fields 14 and 15 of `/proc/PID/stat`: `utime` and `stime`. The second field, the program's name
/// in parentheses, may hold spaces and parentheses.
fn ticks(stat: &str) -> Option<u64> {
    let (_, fields) = stat.rsplit_once(')')?;
    let mut fields = fields.split_ascii_whitespace().skip(11);
    let user: u64 = fields.next()?.parse().ok()?;
    let system: u64 = fields.next()?.parse().ok()?;
    user.checked_add(system)
}

/// The bytes of address space that the process has.
///
/// # Errors
/// If the process has ended and was waited for, or `/proc` cannot be read.
pub fn address_space(pid: u32) -> io::Result<u64> {
    let statm = std::fs::read_to_string(format!("/proc/{pid}/statm"))?;
    let pages: u64 = statm
        .split_ascii_whitespace()
        .next()
        .and_then(|pages| pages.parse().ok())
        .ok_or_else(|| io::Error::other("/proc/PID/statm has another format"))?;
    Ok(pages.saturating_mul(rustix::param::page_size() as u64))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn processor_time_is_found_behind_any_program_name() {
        let fields = "S 1 2 3 0 -1 4194560 5 6 7 8 120 34 9 10 20 0 1 0 11 12 13";
        for name in ["sh", "a b", "x) S 1 2", "(((", ") R"] {
            assert_eq!(ticks(&format!("42 ({name}) {fields}")), Some(154), "{name}");
        }
        for stat in ["", "42 (sh", "42 (sh) S 1", "42 (sh) S 1 2 3 0 -1 4194560 5 6 7 8 x 34"] {
            assert_eq!(ticks(stat), None, "{stat}");
        }
    }

    #[test]
    fn this_process_has_used_time_and_has_address_space() {
        let mut sum = 0_u64;
        while cpu_time(std::process::id()).unwrap().is_zero() {
            sum = (0..100_000).fold(sum, |sum, number| std::hint::black_box(sum ^ number));
        }
        assert!(address_space(std::process::id()).unwrap() > 1 << 20);
    }
}
