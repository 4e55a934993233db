//! What planning has to say beside the changes: checks and notes, collected as they come up and sorted at the end.

use crate::model::desired::Place;
use crate::model::ids::MachineName;
use crate::model::plan::{Check, Note, Verdict};

#[derive(Debug, Default)]
pub(crate) struct Report {
    checks: Vec<Check>,
    notes: Vec<Note>,
}

impl Report {
    /// Blocks apply.
    pub(crate) fn fail(
        &mut self,
        id: &'static str,
        about: impl ToString,
        message: impl Into<String>,
        hint: impl Into<String>,
        place: Option<&Place>,
    ) {
        self.add(Verdict::Failed, id, about, message.into(), hint.into(), place);
    }

    pub(crate) fn warn(
        &mut self,
        id: &'static str,
        about: impl ToString,
        message: impl Into<String>,
        hint: impl Into<String>,
        place: Option<&Place>,
    ) {
        self.add(Verdict::Warning, id, about, message.into(), hint.into(), place);
    }

    /// Something could not be told; what depends on it is held back.
    pub(crate) fn unknown(
        &mut self,
        id: &'static str,
        about: impl ToString,
        message: impl Into<String>,
        hint: impl Into<String>,
        place: Option<&Place>,
    ) {
        self.add(Verdict::Unknown, id, about, message.into(), hint.into(), place);
    }

    pub(crate) fn pass(&mut self, id: &'static str, about: impl ToString, message: impl Into<String>) {
        self.add(Verdict::Passed, id, about, message.into(), String::new(), None);
    }

    fn add(
        &mut self,
        verdict: Verdict,
        id: &'static str,
        about: impl ToString,
        message: String,
        hint: String,
        place: Option<&Place>,
    ) {
        debug_assert!(super::CHECKS.iter().any(|known| known.id == id), "check `{id}` is not in CHECKS");
        let check =
            Check { id: id.to_owned(), verdict, about: about.to_string(), message, hint, place: place.cloned() };
        if !self.checks.contains(&check) {
            self.checks.push(check);
        }
    }

    pub(crate) fn note(&mut self, id: &'static str, machine: Option<&MachineName>, text: impl Into<String>) {
        self.notes.push(Note { id: id.to_owned(), text: text.into(), machine: machine.cloned() });
    }

    /// Checks with failed ones first, then by id and subject; notes by id, machine and text.
    pub(crate) fn finish(mut self) -> (Vec<Check>, Vec<Note>) {
        self.checks
            .sort_by(|a, b| (a.verdict, &a.id, &a.about, &a.message).cmp(&(b.verdict, &b.id, &b.about, &b.message)));
        self.notes.sort_by(|a, b| (&a.id, &a.machine, &a.text).cmp(&(&b.id, &b.machine, &b.text)));
        self.notes.dedup();
        (self.checks, self.notes)
    }
}
