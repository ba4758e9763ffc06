//! What a check found: where, what, and what to do about it.

use std::fmt;
use std::path::{Path, PathBuf};

use serde::Serialize;

/// How bad a problem is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum Severity {
    /// The configuration is not used.
    Error,
    /// The configuration is used; something in it has no effect, or should be better.
    Warning,
}

impl Severity {
    /// The word that people see.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Error => "error",
            Self::Warning => "warning",
        }
    }
}

/// One finding. No field ever holds a secret.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Problem {
    /// How bad it is.
    pub severity: Severity,
    /// Line, from 1; `None` for what does not stand in the file.
    pub line: Option<usize>,
    /// Column in characters, from 1.
    pub column: Option<usize>,
    /// The key's path, `FlashArrays[0].Labels`; empty for the file as a whole.
    pub path: String,
    /// What is wrong.
    pub message: String,
    /// What to do about it.
    pub advice: String,
}

impl Problem {
    /// A problem without a position in the file.
    #[must_use]
    pub fn outside_file(
        severity: Severity,
        path: impl Into<String>,
        message: impl Into<String>,
        advice: impl Into<String>,
    ) -> Self {
        Self {
            severity,
            line: None,
            column: None,
            path: path.into(),
            message: message.into(),
            advice: advice.into(),
        }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let (Some(line), Some(column)) = (self.line, self.column) {
            write!(f, "line {line}, column {column}: ")?;
        }
        if !self.path.is_empty() {
            write!(f, "{}: ", self.path)?;
        }
        write!(f, "{}; {}", self.message, self.advice)
    }
}

/// All findings about one file, in the order of the file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Report {
    /// Version of this report's own format, for programs that read it.
    pub format: u32,
    /// The file that was checked.
    pub file: PathBuf,
    /// Whether the file can be used: no errors.
    pub valid: bool,
    /// Findings, errors and warnings.
    pub problems: Vec<Problem>,
}

impl Report {
    /// Sorts by position, what has none last.
    #[must_use]
    pub fn new(file: &Path, mut problems: Vec<Problem>) -> Self {
        problems.sort_by_key(|problem| {
            (
                problem.line.unwrap_or(usize::MAX),
                problem.column,
                problem.severity,
            )
        });
        let valid = problems
            .iter()
            .all(|problem| problem.severity != Severity::Error);
        Self {
            format: 1,
            file: file.to_path_buf(),
            valid,
            problems,
        }
    }

    /// The number of findings of that severity.
    #[must_use]
    pub fn count(&self, severity: Severity) -> usize {
        self.problems
            .iter()
            .filter(|problem| problem.severity == severity)
            .count()
    }
}

impl fmt::Display for Report {
    /// A table for people: a summary line, then two lines a finding.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let errors = counted(self.count(Severity::Error), "error");
        let warnings = counted(self.count(Severity::Warning), "warning");
        writeln!(f, "{}: {errors}, {warnings}", self.file.display())?;
        let positions: Vec<String> = self.problems.iter().map(position).collect();
        let width = positions.iter().map(String::len).max().unwrap_or(0);
        for (problem, at) in self.problems.iter().zip(&positions) {
            let severity = problem.severity.as_str();
            let path = if problem.path.is_empty() {
                "(file)"
            } else {
                &problem.path
            };
            writeln!(
                f,
                "  {severity:<7}  {at:>width$}  {path}: {}",
                problem.message
            )?;
            writeln!(f, "  {:<7}  {:>width$}    -> {}", "", "", problem.advice)?;
        }
        Ok(())
    }
}

fn position(problem: &Problem) -> String {
    match (problem.line, problem.column) {
        (Some(line), Some(column)) => format!("{line}:{column}"),
        _ => "-".to_owned(),
    }
}

fn counted(count: usize, noun: &str) -> String {
    let plural = if count == 1 { "" } else { "s" };
    format!("{count} {noun}{plural}")
}
