//! Broken planners, and plans that the executor does not carry out as they are.

use pvekube::model::desired::{Address, Desired, Strategy};
use pvekube::model::ids::Vmid;
use pvekube::model::plan::{Action, HazardKind, Plan, Step, StepId, Target};
use pvekube::planner::PlanOptions;

use super::Mutation;

impl Mutation {
    /// What the planner takes for the wish.
    pub fn wish(self, desired: &mut Desired, options: &mut PlanOptions) {
        match self {
            Mutation::ForgetsAMachine => drop(desired.machines.pop()),
            Mutation::PlacesOnTheFullest => {
                desired.placement = match desired.placement {
                    Strategy::Pack => Strategy::Memory,
                    Strategy::VmCount | Strategy::Memory => Strategy::Pack,
                };
            }
            Mutation::NumbersByPosition => {
                for (position, machine) in desired.machines.iter_mut().enumerate() {
                    if let Address::Static { address, .. } = &mut machine.network.ipv4 {
                        *address = format!("10.0.0.{}/24", 40 + position).parse().expect("an address");
                    }
                }
            }
            Mutation::AcceptsEverything => options.accept = HazardKind::ALL.into_iter().collect(),
            _ => {}
        }
    }

    /// What the planner makes of it.
    pub fn plan(self, plan: &mut Plan, desired: &Desired) {
        match self {
            Mutation::PlansByOrder => {
                plan.nodes.sort_by_key(|used| desired.nodes.iter().position(|node| node.name == used.node));
            }
            Mutation::PlansForPlansSake if !plan.has_changes() => plan.steps.push(Step {
                id: StepId(1),
                needs: Vec::new(),
                node: desired.nodes[0].name.clone(),
                subject: Target::Template { name: desired.template.name.clone() },
                vmid: desired.template.id,
                action: Action::RemoveImage { path: "/var/lib/pvekube/images/old".into() },
                storage: None,
                estimate_s: 1,
                disruption: None,
            }),
            _ => {}
        }
    }

    /// What the executor is given in place of the plan that was shown.
    pub fn execution(self, plan: &mut Plan) {
        if matches!(self, Mutation::RebootsMastersTogether | Mutation::IgnoresNeeds) {
            // Machines no longer wait for each other.
            let own: Vec<(StepId, Vmid)> = plan.steps.iter().map(|step| (step.id, step.vmid)).collect();
            for step in &mut plan.steps {
                let vmid = step.vmid;
                step.needs.retain(|need| own.contains(&(*need, vmid)));
            }
        }
    }
}
