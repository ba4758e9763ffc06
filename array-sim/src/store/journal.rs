//! The journal: one line of JSON for each accepted request, appended before the answer.
//!
//! A line holds all changes of its request, so a request is there as a whole or not at all. The
//! last line may be torn by a kill; it was not acknowledged then, and is dropped. When the journal
//! is opened it is written anew with the records as they are, so it does not grow for ever.

use std::fs::{self, File, OpenOptions};
use std::io::{self, BufRead, BufReader, BufWriter, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use crate::flasharray::state::{Change, State};

#[derive(Debug)]
pub(crate) struct Journal {
    path: PathBuf,
    file: File,
    length: u64,
}

impl Journal {
    /// Reads the journal in `folder`, if there is one, and compacts it.
    pub(crate) fn open(folder: &Path) -> io::Result<(Self, State)> {
        let path = folder.join("journal.jsonl");
        let state = match File::open(&path) {
            Ok(file) => replay(file, &path)?,
            Err(error) if error.kind() == io::ErrorKind::NotFound => State::default(),
            Err(error) => return Err(error),
        };
        let fresh = folder.join("journal.new");
        {
            let mut writer = BufWriter::new(File::create(&fresh)?);
            for change in state.as_changes() {
                serde_json::to_writer(&mut writer, &[change])?;
                writer.write_all(b"\n")?;
            }
            writer.flush()?;
        }
        fs::rename(&fresh, &path)?;
        let mut file = OpenOptions::new().append(true).open(&path)?;
        let length = file.seek(SeekFrom::End(0))?;
        Ok((Self { path, file, length }, state))
    }

    /// Records the changes of one request. On an error nothing of it is kept.
    pub(crate) fn append(&mut self, changes: &[Change]) -> io::Result<()> {
        let mut line = serde_json::to_vec(changes)?;
        line.push(b'\n');
        match self.file.write_all(&line) {
            Ok(()) => {
                self.length += u64::try_from(line.len()).unwrap_or_default();
                Ok(())
            }
            Err(error) => {
                // A torn line in the middle would hide what comes after it.
                self.file.set_len(self.length)?;
                Err(error)
            }
        }
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }
}

fn replay(file: File, path: &Path) -> io::Result<State> {
    let mut state = State::default();
    let mut reader = BufReader::new(file);
    let mut line = Vec::new();
    let mut number = 0_u64;
    loop {
        line.clear();
        number += 1;
        if reader.read_until(b'\n', &mut line)? == 0 {
            return Ok(state);
        }
        if line.last() != Some(&b'\n') {
            tracing::info!(path = %path.display(), "dropped the torn last line of the journal");
            return Ok(state);
        }
        let changes: Vec<Change> = serde_json::from_slice(&line).map_err(|error| {
            io::Error::new(
                io::ErrorKind::InvalidData,
                format!("{} line {number}: {error}", path.display()),
            )
        })?;
        state.apply(&changes);
    }
}
