//! What happened on the recorded nodes between the recorded commands: files put there, time passing, commands of the
//! laboratory that were not recorded. Without it the state would be another one.

use serde::Deserialize;

/// A step before a recorded command.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Step {
    /// A command on a node, which must succeed.
    Run {
        node: String,
        argv: Vec<String>,
    },
    /// A command that goes on beside the following ones.
    Background {
        node: String,
        argv: Vec<String>,
    },
    /// The reader of the background commands' output goes away.
    CloseBackground,
    /// Every background command ends by itself.
    AwaitBackground,
    Wait {
        seconds: f64,
    },
    Write {
        node: String,
        path: String,
        text: String,
    },
    Copy {
        node: String,
        from: String,
        to: String,
    },
    Offline {
        nodes: Vec<String>,
    },
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Between {
    pub before: String,
    pub why: String,
    /// Recorded commands that come first: what ran at one time is in the order in which it ended.
    #[serde(default)]
    pub first: Vec<String>,
    pub steps: Vec<Step>,
}

pub fn read() -> Vec<Between> {
    let path = format!("{}/between.json", super::recorded::FOLDER);
    let text = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{path}: {error}"));
    serde_json::from_str(&text).unwrap_or_else(|error| panic!("{path}: {error}"))
}
