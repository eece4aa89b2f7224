//! What is wrong with a configuration, and what is worth saying about it.

use std::fmt;

/// One thing that is wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// The key (`server.port`), variable or file.
    pub key: String,
    /// Where its value came from; `None` where there is no value.
    pub source: Option<String>,
    /// What is wrong, and where possible what would be right. Never the value of a secret.
    pub message: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.key, self.message)?;
        match &self.source {
            Some(source) => write!(f, " (from {source})"),
            None => Ok(()),
        }
    }
}

/// The configuration cannot be used. All of what is wrong with it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Invalid(pub Vec<Problem>);

impl fmt::Display for Invalid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let count = self.0.len();
        write!(
            f,
            "the configuration has {count} problem{}:",
            if count == 1 { "" } else { "s" }
        )?;
        self.0.iter().try_for_each(|problem| write!(f, "\n  {problem}"))
    }
}

impl std::error::Error for Invalid {}

/// Something that is not wrong, and that whoever runs the server should know.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Note {
    /// Whether it should be seen even where only warnings are.
    pub is_warning: bool,
    /// What there is to know.
    pub message: String,
}

/// What came up while reading.
#[derive(Debug, Default)]
pub(super) struct Findings {
    pub(super) problems: Vec<Problem>,
    pub(super) notes: Vec<Note>,
}

impl Findings {
    pub(super) fn problem(&mut self, key: impl Into<String>, source: Option<String>, message: impl Into<String>) {
        self.problems.push(Problem {
            key: key.into(),
            source,
            message: message.into(),
        });
    }

    pub(super) fn warn(&mut self, message: impl Into<String>) {
        self.notes.push(Note {
            is_warning: true,
            message: message.into(),
        });
    }

    pub(super) fn inform(&mut self, message: impl Into<String>) {
        self.notes.push(Note {
            is_warning: false,
            message: message.into(),
        });
    }
}
