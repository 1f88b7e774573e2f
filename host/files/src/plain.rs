//! Regular files within their limit, at paths that the operator named.

use std::fs::File;
use std::io::Read as _;
use std::path::Path;

use rustix::fs::{FileType, Mode, OFlags, Stat};

use super::error::{FileError, FileProblem, Limit};

/// Flags of every `open` here. Opening a FIFO would wait for a writer without `NONBLOCK`, and
/// opening a terminal could make it the controlling one without `NOCTTY`.
pub(super) const FLAGS: OFlags =
    OFlags::RDONLY.union(OFlags::CLOEXEC).union(OFlags::NONBLOCK).union(OFlags::NOCTTY);

/// Opens a regular file of at most `limit` bytes. Links are followed: the operator named the path.
/// Blocking, but never waits for a FIFO or a device.
///
/// # Errors
/// If there is no such file, it is not a regular one, or it is larger.
pub fn open(path: &Path, limit: Limit) -> Result<File, FileError> {
    // Before it is opened, because opening some devices has effects.
    let opened = rustix::fs::stat(path)
        .map_err(io)
        .and_then(|stat| checked(&stat, limit))
        .and_then(|()| rustix::fs::open(path, FLAGS, Mode::empty()).map_err(io))
        .and_then(|file| regular(File::from(file), limit));
    opened.map_err(|problem| FileError { path: path.to_owned(), problem })
}

/// Reads a regular file of at most `limit` bytes; see [`open`].
///
/// # Errors
/// As [`open`], and if reading fails.
pub fn read(path: &Path, limit: Limit) -> Result<Vec<u8>, FileError> {
    let file = open(path, limit)?;
    content(file, limit).map_err(|problem| FileError { path: path.to_owned(), problem })
}

/// Reads a text file of at most `limit` bytes; see [`open`].
///
/// # Errors
/// As [`read`], and if it is not UTF-8.
pub fn read_text(path: &Path, limit: Limit) -> Result<String, FileError> {
    text(read(path, limit)?).map_err(|problem| FileError { path: path.to_owned(), problem })
}

/// The open file, if it is a regular one within its limit.
pub(super) fn regular(file: File, limit: Limit) -> Result<File, FileProblem> {
    checked(&rustix::fs::fstat(&file).map_err(io)?, limit)?;
    Ok(file)
}

/// Checks metadata of a file that is about to be opened, or was opened.
pub(super) fn checked(stat: &Stat, limit: Limit) -> Result<(), FileProblem> {
    let kind = FileType::from_raw_mode(stat.st_mode);
    if kind != FileType::RegularFile {
        return Err(FileProblem::NotAFile(name_of(kind)));
    }
    if u64::try_from(stat.st_size).unwrap_or(0) > limit.bytes {
        return Err(FileProblem::TooLarge(limit));
    }
    Ok(())
}

/// The content of an open file. One that grows while it is read is refused too.
pub(super) fn content(file: File, limit: Limit) -> Result<Vec<u8>, FileProblem> {
    let size = file.metadata()?.len().min(limit.bytes);
    let mut bytes = Vec::with_capacity(usize::try_from(size).unwrap_or_default());
    file.take(limit.bytes.saturating_add(1)).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > limit.bytes {
        return Err(FileProblem::TooLarge(limit));
    }
    Ok(bytes)
}

pub(super) fn text(bytes: Vec<u8>) -> Result<String, FileProblem> {
    String::from_utf8(bytes).map_err(|_| FileProblem::NotText)
}

pub(super) fn name_of(kind: FileType) -> &'static str {
    match kind {
        FileType::RegularFile => "a regular file",
        FileType::Directory => "a folder",
        FileType::Symlink => "a symbolic link",
        FileType::Fifo => "a FIFO",
        FileType::Socket => "a socket",
        FileType::CharacterDevice | FileType::BlockDevice => "a device",
        FileType::Unknown => "a file of an unknown kind",
    }
}

pub(super) fn io(error: rustix::io::Errno) -> FileProblem {
    FileProblem::Io(error.into())
}
