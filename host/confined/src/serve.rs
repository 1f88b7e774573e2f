//! The main function of a child.

use std::fs::File;
use std::io::{self, Read as _, Write as _};
use std::os::fd::AsFd as _;
use std::process::ExitCode;
use std::time::Duration;

use crate::Task;
use crate::frame::{self, AnswerHeader, HELLO, JOB_BYTES, JobHeader, Status};
use crate::sandbox;

/// The subcommand of the program that [`serve`]s.
pub const SUBCOMMAND: &str = "confined";
/// Followed by the process id of the host.
pub(crate) const PARENT: &str = "--parent";

/// Maximum bytes that a child writes to stderr.
const STDERR_BYTES: u64 = 64 << 10;
/// Answers up to this length are written together with their header.
const SMALL_BYTES: usize = 64 << 10;
/// Exit code of a child that cannot begin; stderr says why.
pub(crate) const UNABLE: u8 = 11;

/// The main function of a child: does the jobs from stdin and answers on stdout, until stdin ends.
/// It reads the parent's process id from the command line: `PROGRAM confined --parent PID`. Call it
/// before the program starts a thread: the sandbox is for the calling thread and those that it
/// starts.
pub fn serve(tasks: &[&Task]) -> ExitCode {
    match try_serve(tasks) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // If stderr cannot be written to, the exit code is all there is.
            drop(io::stderr().lock().write_all(error.to_string().as_bytes()));
            ExitCode::from(UNABLE)
        }
    }
}

fn try_serve(tasks: &[&Task]) -> io::Result<()> {
    let parent = parent(std::env::args().skip(2))
        .ok_or_else(|| io::Error::other("this subcommand is for `sitewright` itself"))?;
    let limits = sandbox::Limits { file_bytes: Some(STDERR_BYTES), ..Default::default() };
    sandbox::limit(parent, limits)
        .map_err(|error| io::Error::other(format!("no limits: {error}")))?;
    // Files without buffers: the frames are the buffers.
    let mut input = File::from(io::stdin().as_fd().try_clone_to_owned()?);
    let mut output = File::from(io::stdout().as_fd().try_clone_to_owned()?);
    let missing = sandbox::enter();
    let mut hello = HELLO.to_vec();
    hello.push(missing.to_byte());
    output.write_all(&hello)?;
    while let Some((name, bytes)) = read_job(&mut input)? {
        let task = tasks.iter().find(|task| task.name.as_bytes() == name);
        let answer = task.map(|task| (task.run)(&bytes));
        drop(bytes);
        let status = match &answer {
            None => Status::UnknownTask,
            Some(answer) if frame::fits(answer.len()).is_err() => Status::TooLarge,
            Some(_) => Status::Answered,
        };
        let answer = answer.unwrap_or_default();
        let header =
            AnswerHeader { status, cpu: cpu_time(), answer_bytes: answer.len() as u64 }.encode();
        match status {
            // One write, unless the copy would count against the job's memory.
            Status::Answered if answer.len() <= SMALL_BYTES => {
                output.write_all(&[&header, answer.as_slice()].concat())?;
            }
            Status::Answered => {
                output.write_all(&header)?;
                output.write_all(&answer)?;
            }
            Status::UnknownTask | Status::TooLarge => output.write_all(&header)?,
        }
    }
    Ok(())
}

fn parent(mut arguments: impl Iterator<Item = String>) -> Option<u32> {
    let flag = arguments.next()?;
    let pid = arguments.next()?.parse().ok()?;
    (flag == PARENT && arguments.next().is_none()).then_some(pid)
}

/// A task's name and its input; `None` if stdin has ended.
fn read_job(input: &mut File) -> io::Result<Option<(Vec<u8>, Vec<u8>)>> {
    let mut header = [0; JOB_BYTES];
    // Between two jobs the end is the way to stop.
    if input.read(&mut header[..1])? == 0 {
        return Ok(None);
    }
    input.read_exact(&mut header[1..])?;
    let header = JobHeader::decode(header);
    let mut name = vec![0; usize::from(header.name_bytes)];
    input.read_exact(&mut name)?;
    let length = usize::try_from(header.input_bytes).map_err(io::Error::other)?;
    let mut bytes = vec![0; length];
    input.read_exact(&mut bytes)?;
    Ok(Some((name, bytes)))
}

/// Processor time of this process since it started.
fn cpu_time() -> Duration {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
    let seconds = u64::try_from(time.tv_sec).unwrap_or_default();
    Duration::new(seconds, u32::try_from(time.tv_nsec).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_names_the_parent_and_nothing_else() {
        let rows: [(&[&str], Option<u32>); 6] = [
            (&["--parent", "12"], Some(12)),
            (&[], None),
            (&["--parent"], None),
            (&["--parent", "x"], None),
            (&["--child", "12"], None),
            (&["--parent", "12", "more"], None),
        ];
        for (arguments, expected) in rows {
            let read = parent(arguments.iter().map(|argument| (*argument).to_owned()));
            assert_eq!(read, expected, "{arguments:?}");
        }
    }
}
