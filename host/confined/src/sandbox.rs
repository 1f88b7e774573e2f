//! What a child may not do.
//!
//! Its limits, and the end of its parent, are kept by every kernel. Files, network and new programs
//! are refused by Landlock (Linux 5.13) and seccomp, as far as the kernel has them: a kernel without
//! is a reason to say so, not to stop. Both cover the threads that the process starts later; the
//! sandbox is entered before anything of a stranger is read.

use std::collections::BTreeMap;
use std::io;

use landlock::{
    ABI, Access as _, AccessFs, AccessNet, RestrictSelfAttr as _, Ruleset, RulesetAttr as _,
    RulesetStatus, Scope,
};
use rustix::process::{
    Pid, Resource, Rlimit, Signal, getppid, getrlimit, set_parent_process_death_signal, setrlimit,
};
use seccompiler::{
    BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter,
    SeccompRule, TargetArch,
};

/// The newest version of Landlock that is asked for. Older kernels enforce what they know.
const LANDLOCK: ABI = ABI::V8;

/// Limits that the kernel keeps for the whole life of a process. `None`: as inherited.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Limits {
    /// Seconds of processor time, of all threads together.
    pub cpu_s: Option<u64>,
    /// Bytes of private writable memory.
    pub data_bytes: Option<u64>,
    /// Bytes of a file that is written to. Pipes have no limit.
    pub file_bytes: Option<u64>,
}

/// The parts of the sandbox that this kernel does not enforce.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Missing {
    /// No Landlock.
    pub landlock: bool,
    /// No seccomp, or none for this processor.
    pub seccomp: bool,
}

impl Missing {
    pub(crate) fn to_byte(self) -> u8 {
        u8::from(self.landlock) | u8::from(self.seccomp) << 1
    }

    pub(crate) fn of_byte(byte: u8) -> Self {
        Missing { landlock: byte & 1 != 0, seccomp: byte & 2 != 0 }
    }
}

/// Lets this process end with the process `parent`, which started it, and sets its limits. No core
/// dump is written.
///
/// # Errors
/// If a limit cannot be set, or `parent` has already ended.
pub fn limit(parent: u32, limits: Limits) -> io::Result<()> {
    set_parent_process_death_signal(Some(Signal::KILL))?;
    // The parent may have ended before the call above.
    if getppid().map(Pid::as_raw_pid) != i32::try_from(parent).ok() {
        return Err(io::Error::other("the parent process has ended"));
    }
    let Limits { cpu_s, data_bytes, file_bytes } = limits;
    let limits = [
        (Resource::Cpu, cpu_s),
        (Resource::Data, data_bytes),
        (Resource::Fsize, file_bytes),
        (Resource::Core, Some(0)),
    ];
    for (resource, max) in limits {
        if let Some(max) = max {
            // An inherited limit below it stays: only root may raise one.
            let max = Some(getrlimit(resource).maximum.map_or(max, |inherited| max.min(inherited)));
            setrlimit(resource, Rlimit { current: max, maximum: max })?;
        }
    }
    Ok(())
}

/// Takes files, network and new programs from this process, for good. What is open stays open.
pub fn enter() -> Missing {
    let landlock = !restrict_files_and_network();
    Missing { landlock, seccomp: restrict_calls().is_err() }
}

/// Whether the kernel enforces it.
fn restrict_files_and_network() -> bool {
    let restrict = || {
        let ruleset = Ruleset::default()
            .handle_access(AccessFs::from_all(LANDLOCK))?
            .handle_access(AccessNet::from_all(LANDLOCK))?
            .scope(Scope::from_all(LANDLOCK))?
            .create()?;
        ruleset.all_threads(true)?.restrict_self()
    };
    restrict().is_ok_and(|status: landlock::RestrictionStatus| {
        status.ruleset != RulesetStatus::NotEnforced
    })
}

/// System calls of memory, threads, time, and reading and writing what is open. The others fail
/// with `EPERM`, so that a library that can do without goes on.
const CALLS: &[i64] = &[
    libc::SYS_brk,
    libc::SYS_clock_getres,
    libc::SYS_clock_gettime,
    libc::SYS_clock_nanosleep,
    libc::SYS_close,
    // Refused by the other filter, in the way that the C library expects.
    libc::SYS_clone3,
    libc::SYS_exit,
    libc::SYS_exit_group,
    libc::SYS_fstat,
    libc::SYS_futex,
    libc::SYS_getcpu,
    libc::SYS_getpid,
    libc::SYS_getppid,
    libc::SYS_getrandom,
    libc::SYS_getrusage,
    libc::SYS_gettid,
    libc::SYS_gettimeofday,
    libc::SYS_lseek,
    libc::SYS_madvise,
    libc::SYS_membarrier,
    libc::SYS_mremap,
    libc::SYS_munmap,
    libc::SYS_nanosleep,
    libc::SYS_ppoll,
    libc::SYS_pread64,
    libc::SYS_read,
    libc::SYS_readv,
    libc::SYS_restart_syscall,
    libc::SYS_rseq,
    libc::SYS_rt_sigaction,
    libc::SYS_rt_sigprocmask,
    libc::SYS_rt_sigreturn,
    libc::SYS_sched_getaffinity,
    libc::SYS_sched_yield,
    libc::SYS_set_robust_list,
    libc::SYS_sigaltstack,
    libc::SYS_write,
    libc::SYS_writev,
];

fn restrict_calls() -> Result<(), seccompiler::Error> {
    let arch = TargetArch::try_from(std::env::consts::ARCH)?;
    // The C library then starts threads with `clone`, whose flags a filter can read.
    let no_clone3: BpfProgram = SeccompFilter::new(
        BTreeMap::from([(libc::SYS_clone3, Vec::new())]),
        SeccompAction::Allow,
        SeccompAction::Errno(libc::ENOSYS.unsigned_abs()),
        arch,
    )?
    .try_into()?;
    let allowed: BpfProgram = SeccompFilter::new(
        allowed_calls()?,
        SeccompAction::Errno(libc::EPERM.unsigned_abs()),
        SeccompAction::Allow,
        arch,
    )?
    .try_into()?;
    // The filter of `seccomp` itself is last: nothing can be added to it.
    seccompiler::apply_filter_all_threads(&no_clone3)
        .and_then(|()| seccompiler::apply_filter_all_threads(&allowed))
}

type Rules = BTreeMap<i64, Vec<SeccompRule>>;

fn allowed_calls() -> Result<Rules, seccompiler::BackendError> {
    let mut rules: Rules = CALLS.iter().map(|call| (*call, Vec::new())).collect();
    let mut only = |call: i64, argument: u8, operator: SeccompCmpOp, value: u64| {
        let condition = SeccompCondition::new(argument, SeccompCmpArgLen::Qword, operator, value)?;
        rules.entry(call).or_default().push(SeccompRule::new(vec![condition])?);
        Ok(())
    };
    let flag = |flag: libc::c_int| u64::from(flag.unsigned_abs());
    // Threads, no processes.
    let thread = flag(libc::CLONE_THREAD);
    only(libc::SYS_clone, 0, SeccompCmpOp::MaskedEq(thread), thread)?;
    // No new code.
    let executable = flag(libc::PROT_EXEC);
    only(libc::SYS_mmap, 2, SeccompCmpOp::MaskedEq(executable), 0)?;
    only(libc::SYS_mprotect, 2, SeccompCmpOp::MaskedEq(executable), 0)?;
    // Names of threads and mappings; not the signal at the parent's end.
    only(libc::SYS_prctl, 0, SeccompCmpOp::Eq, flag(libc::PR_SET_NAME))?;
    only(libc::SYS_prctl, 0, SeccompCmpOp::Eq, flag(libc::PR_SET_VMA))?;
    // Limits can be read.
    only(libc::SYS_prlimit64, 2, SeccompCmpOp::Eq, 0)?;
    // `abort`, and no signals to others.
    only(libc::SYS_tgkill, 0, SeccompCmpOp::Eq, u64::from(std::process::id()))?;
    Ok(rules)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_missing_is_sent_as_a_byte() {
        for landlock in [false, true] {
            for seccomp in [false, true] {
                let missing = Missing { landlock, seccomp };
                assert_eq!(Missing::of_byte(missing.to_byte()), missing);
            }
        }
        assert_eq!(Missing::default().to_byte(), 0);
    }

    #[test]
    fn the_filter_is_valid_and_allows_no_way_out() {
        let rules = allowed_calls().unwrap();
        for call in [
            libc::SYS_openat,
            libc::SYS_openat2,
            libc::SYS_socket,
            libc::SYS_connect,
            libc::SYS_execve,
            libc::SYS_execveat,
            libc::SYS_kill,
            libc::SYS_ptrace,
            libc::SYS_process_vm_writev,
            libc::SYS_io_uring_setup,
            libc::SYS_ioctl,
            libc::SYS_seccomp,
            libc::SYS_setrlimit,
        ] {
            assert!(!rules.contains_key(&call), "{call}");
        }
        let arch = TargetArch::try_from(std::env::consts::ARCH).unwrap();
        let filter = SeccompFilter::new(rules, SeccompAction::Errno(1), SeccompAction::Allow, arch);
        let program: BpfProgram = filter.unwrap().try_into().unwrap();
        assert!(program.len() > CALLS.len());
    }
}
