//! What is written to the pipes between the host and a child.
//!
//! All numbers are little-endian. The child begins with [`HELLO`] and a byte that says which parts
//! of its sandbox are missing. Then, for each job: the host writes a [`JobHeader`], the task's name
//! and the input; the child writes an [`AnswerHeader`] and the answer.

use std::time::Duration;

/// Maximum bytes of an answer.
pub const MAX_ANSWER_BYTES: usize = 64 << 20;

/// The first bytes of a child, with the version of the protocol.
pub(crate) const HELLO: &[u8; 22] = b"sitewright-confined-1\n";
/// Bytes of a [`JobHeader`].
pub(crate) const JOB_BYTES: usize = 9;
/// Bytes of an [`AnswerHeader`].
pub(crate) const ANSWER_BYTES: usize = 17;

/// Announces a job.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct JobHeader {
    pub(crate) name_bytes: u8,
    pub(crate) input_bytes: u64,
}

/// How a job ended in the child.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Status {
    /// An answer follows.
    Answered,
    /// There is no task of that name; nothing follows.
    UnknownTask,
    /// The answer has more than [`MAX_ANSWER_BYTES`]: its length is in the header, nothing follows.
    TooLarge,
}

/// Announces an answer.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct AnswerHeader {
    pub(crate) status: Status,
    /// Processor time of the child since it started.
    pub(crate) cpu: Duration,
    pub(crate) answer_bytes: u64,
}

impl JobHeader {
    pub(crate) fn encode(&self) -> [u8; JOB_BYTES] {
        let mut bytes = [0; JOB_BYTES];
        bytes[0] = self.name_bytes;
        bytes[1..].copy_from_slice(&self.input_bytes.to_le_bytes());
        bytes
    }

    pub(crate) fn decode(bytes: [u8; JOB_BYTES]) -> Self {
        let [name_bytes, length @ ..] = bytes;
        JobHeader { name_bytes, input_bytes: u64::from_le_bytes(length) }
    }
}

impl AnswerHeader {
    pub(crate) fn encode(&self) -> [u8; ANSWER_BYTES] {
        let mut bytes = [0; ANSWER_BYTES];
        bytes[0] = match self.status {
            Status::Answered => 0,
            Status::UnknownTask => 1,
            Status::TooLarge => 2,
        };
        let cpu = u64::try_from(self.cpu.as_nanos()).unwrap_or(u64::MAX);
        bytes[1..9].copy_from_slice(&cpu.to_le_bytes());
        bytes[9..].copy_from_slice(&self.answer_bytes.to_le_bytes());
        bytes
    }

    /// `None` if these are not the bytes of a header, or an answer is announced that is too large.
    pub(crate) fn decode(bytes: [u8; ANSWER_BYTES]) -> Option<Self> {
        let status = match bytes[0] {
            0 => Status::Answered,
            1 => Status::UnknownTask,
            2 => Status::TooLarge,
            _ => return None,
        };
        let number = |at: usize| {
            let mut number = [0; 8];
            number.copy_from_slice(&bytes[at..at + 8]);
            u64::from_le_bytes(number)
        };
        let (cpu, answer_bytes) = (Duration::from_nanos(number(1)), number(9));
        if status == Status::Answered && answer_bytes > MAX_ANSWER_BYTES as u64 {
            return None;
        }
        Some(AnswerHeader { status, cpu, answer_bytes })
    }
}

/// Whether an answer of `bytes` may be sent; the reason if not.
pub(crate) fn fits(bytes: usize) -> Result<(), String> {
    match bytes <= MAX_ANSWER_BYTES {
        true => Ok(()),
        false => Err(too_large(bytes as u64)),
    }
}

pub(crate) fn too_large(bytes: u64) -> String {
    format!("its answer has {bytes} bytes; at most {MAX_ANSWER_BYTES} are allowed")
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn a_job_header_is_read_as_it_was_written(name_bytes: u8, input_bytes: u64) {
            let header = JobHeader { name_bytes, input_bytes };
            prop_assert_eq!(JobHeader::decode(header.encode()), header);
        }

        #[test]
        fn any_answer_header_is_refused_or_read_as_it_was_written(bytes: [u8; ANSWER_BYTES]) {
            if let Some(header) = AnswerHeader::decode(bytes) {
                prop_assert_eq!(header.encode(), bytes);
            }
        }
    }

    #[test]
    fn an_answer_may_have_its_maximum_and_no_byte_more() {
        let header = |answer_bytes| AnswerHeader {
            status: Status::Answered,
            cpu: Duration::from_millis(3),
            answer_bytes,
        };
        let max = MAX_ANSWER_BYTES as u64;
        assert_eq!(AnswerHeader::decode(header(max).encode()), Some(header(max)));
        assert_eq!(AnswerHeader::decode(header(max + 1).encode()), None);
        assert!(fits(MAX_ANSWER_BYTES).is_ok());
        assert!(fits(MAX_ANSWER_BYTES + 1).is_err());
    }
}
