use crate::model::outcome::Outcome;
use crate::model::plan::Plan;
pub fn svg(_: &Plan, _: &Outcome) -> String {
    String::new()
}
