//! Reads the recordings.

use serde::Deserialize;

/// One recorded command.
#[derive(Clone, Debug, Deserialize)]
pub struct Recorded {
    pub id: String,
    pub node: String,
    pub argv: Vec<String>,
    pub stdin: Option<String>,
    pub exit: i32,
    pub stdout: String,
    pub stderr: String,
    #[serde(default)]
    pub via: Option<serde_json::Value>,
}

pub const FOLDER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/transcripts");

/// The commands of a file, in order.
pub fn read(file: &str) -> Vec<Recorded> {
    let path = format!("{FOLDER}/{file}.jsonl");
    let text = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{path}: {error}"));
    text.lines().map(|line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{path}: {error}"))).collect()
}
