use super::Look;
use crate::model::{desired::Desired, observed::Observed, outcome::MachineReport, plan::Plan};
pub struct StatusView<'a> {
    pub desired: &'a Desired,
    pub observed: &'a Observed,
    pub plan: &'a Plan,
    pub machines: &'a [MachineReport],
}
pub fn status_text(v: &StatusView, _: bool, _: Look) -> String {
    format!("{:#?}\n", v.machines)
}
pub fn status_json(_: &StatusView) -> String {
    String::new()
}
