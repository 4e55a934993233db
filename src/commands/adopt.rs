//! `pvekube adopt` and `disown`: the mark into a VM's Notes, or out of them; nothing else of the VM is touched.

use super::run::{self, Approval};
use super::session::{self, Session};
use super::{Stop, identity, look, planning};
use crate::cli::{Adopt, Disown, Global, TextOrJson};
use crate::error::{Exit, Fault};
use crate::execute::{self, NotesOf};
use crate::model::desired::Machine;
use crate::model::ids::{NodeName, RealmId, Vmid};
use crate::model::mark::{Mark, MarkSubject};
use crate::model::observed::{Guest, Observed, Realm, Vm};
use crate::model::vm_config::VmConfig;
use crate::planner::{self, PlanOptions};
use crate::remote::Remote as _;
use crate::render::text::{PlanView, plan_text};
use crate::ui::Ui;

pub async fn adopt(ui: &Ui, global: &Global, args: &Adopt) -> Result<Exit, Stop> {
    let approval = if args.auto_approve { Approval::Given } else { Approval::Ask };
    run::can_approve(ui, approval, TextOrJson::Text)?;
    let session = session::open(global)?;
    let done = take(ui, &session, args, approval).await;
    session.nodes.close().await;
    done
}

async fn take(ui: &Ui, session: &Session, args: &Adopt, approval: Approval) -> Result<Exit, Stop> {
    let desired = &session.loaded.desired;
    let machine = wanted(session, "adopt", &args.machine)?;
    let observed = look::look(ui, session).await?;
    let vmid = Vmid(args.vmid);
    refuse_second(session, &observed, machine, vmid)?;
    let (realm, node, vm, config) = the_vm(&observed, vmid)?;
    refuse_strange(vm, config, machine)?;
    let mark = Mark {
        cluster: desired.cluster.clone(),
        subject: MarkSubject::Machine(machine.id.clone()),
        vmid,
        image: None,
        recipe: None,
    };
    let text = mark.put_into(&config.description);
    ui.data(&format!(
        "VM {vmid} ({}) on {node} becomes {}: this line goes into its Notes, the rest of them stays:\n  {mark}\n\nA plan would then do this:\n",
        config.get("name").unwrap_or("no name"),
        machine.name
    ))?;
    show_plan_after(ui, session, &observed, &realm, vmid, &text, machine)?;
    let of = NotesOf { node: &node, vmid, cluster: &desired.cluster, config };
    write(ui, session, approval, of, &text, "Do you want to adopt this VM?").await?;
    ui.data(&format!("{} is adopted. Next: pvekube plan\n", machine.name))?;
    Ok(Exit::Success)
}

pub async fn disown(ui: &Ui, global: &Global, args: &Disown) -> Result<Exit, Stop> {
    let approval = if args.auto_approve { Approval::Given } else { Approval::Ask };
    run::can_approve(ui, approval, TextOrJson::Text)?;
    let session = session::open(global)?;
    let done = give_up(ui, &session, args, approval).await;
    session.nodes.close().await;
    done
}

/// By name, also of machines that the manifest doesn't list any more.
async fn give_up(ui: &Ui, session: &Session, args: &Disown, approval: Approval) -> Result<Exit, Stop> {
    let cluster = &session.loaded.desired.cluster;
    let observed = look::look(ui, session).await?;
    let found = observed.managed(cluster).find_map(|(_, _, vm, mark)| match &mark.subject {
        MarkSubject::Machine(id) if id.name(cluster).as_str() == args.machine => Some(vm.vmid),
        MarkSubject::Machine(_) | MarkSubject::Template => None,
    });
    let Some(vmid) = found else {
        return Err(Fault::new(
            "unknown-machine",
            format!("no VM carries the mark of {} (on the nodes that answered)", args.machine),
            "see what there is: pvekube status",
        )
        .into());
    };
    let (_, node, _, config) = the_vm(&observed, vmid)?;
    let text = Mark::take_out_of(&config.description);
    ui.data(&format!(
        "The mark goes out of the Notes of VM {vmid} ({}) on {node}; the VM stays as it is.\n",
        args.machine
    ))?;
    let of = NotesOf { node: &node, vmid, cluster, config };
    write(ui, session, approval, of, &text, "Do you want to disown this VM?").await?;
    ui.data(&format!("{} is not managed any more; pvekube leaves VM {vmid} alone.\n", args.machine))?;
    if session.loaded.desired.machines.iter().any(|machine| machine.name.as_str() == args.machine) {
        // Until then its name is taken, and no plan can go on.
        ui.talk(&format!("The manifest still lists it. Next: pvekube remove {} --no-apply", args.machine));
    }
    Ok(Exit::Success)
}

fn wanted<'a>(session: &'a Session, verb: &str, name: &str) -> Result<&'a Machine, Fault> {
    let desired = &session.loaded.desired;
    desired
        .machines
        .iter()
        .find(|machine| machine.name.as_str() == name)
        .ok_or_else(|| planning::unknown_machine(verb, name, desired))
}

/// The machine exists already, under another id.
fn refuse_second(session: &Session, observed: &Observed, machine: &Machine, vmid: Vmid) -> Result<(), Fault> {
    let subject = MarkSubject::Machine(machine.id.clone());
    let other = observed.managed(&session.loaded.desired.cluster).find(|(_, _, _, mark)| mark.subject == subject);
    match other {
        Some((_, _, vm, _)) if vm.vmid == vmid => Err(Fault::new(
            "adopt",
            format!("VM {vmid} is {} already", machine.name),
            "nothing to do; see: pvekube plan",
        )),
        Some((_, _, vm, _)) => Err(Fault::new(
            "adopt",
            format!("{} exists already: VM {}", machine.name, vm.vmid),
            format!("take that one's mark away first: pvekube disown {}", machine.name),
        )),
        None => Ok(()),
    }
}

/// The one VM of this id, with a readable config, on a configured node.
fn the_vm(observed: &Observed, vmid: Vmid) -> Result<(RealmId, NodeName, &Vm, &VmConfig), Fault> {
    let found: Vec<(&RealmId, &Realm, &Vm)> = observed.vms().filter(|(_, _, vm)| vm.vmid == vmid).collect();
    let (realm_id, realm, vm) = match found.as_slice() {
        [] => {
            let container =
                observed.realms.values().any(|realm| matches!(realm.guests.get(&vmid), Some(Guest::Container(_))));
            let what = if container { "is a container, not a VM" } else { "does not exist on the nodes that answered" };
            return Err(Fault::new(
                "adopt",
                format!("VM {vmid} {what}"),
                "look up the VMID in the Proxmox web interface",
            ));
        }
        [one] => *one,
        several => {
            let realms = several.iter().map(|(id, _, _)| id.as_str()).collect::<Vec<_>>().join(", ");
            return Err(Fault::new(
                "adopt",
                format!("VM {vmid} exists {} times: in {realms}", several.len()),
                "list only the nodes of one of them in the config for this command",
            ));
        }
    };
    let node = realm.members.get(&vm.node).and_then(|member| member.node.clone()).ok_or_else(|| {
        Fault::new(
            "adopt",
            format!("VM {vmid} is on {}, which the config doesn't list", vm.node),
            "add that node to proxmox_nodes",
        )
    })?;
    let config = vm.config.as_ref().ok_or_else(|| {
        Fault::new("adopt", format!("the config of VM {vmid} can't be read"), "look at it on the node: qm config VMID")
    })?;
    Ok((realm_id.clone(), node, vm, config))
}

fn refuse_strange(vm: &Vm, config: &VmConfig, machine: &Machine) -> Result<(), Fault> {
    let refuse = |reason: String, next: &str| Err(Fault::new("adopt", reason, next));
    if config.is_template() {
        return refuse(format!("VM {} is a template", vm.vmid), "clone it first, or name another VM");
    }
    if let Some(lock) = config.lock() {
        return refuse(format!("VM {} is locked ({lock})", vm.vmid), "wait until that is over");
    }
    if let Some(mark) = vm.mark() {
        return refuse(
            format!("VM {} belongs to cluster \"{}\": {mark}", vm.vmid, mark.cluster),
            "disown it there first: pvekube disown",
        );
    }
    match vm.name() {
        Some(name) if name == machine.name.as_str() => Ok(()),
        name => refuse(
            format!("VM {} is called {}, not {}", vm.vmid, name.unwrap_or("nothing"), machine.name),
            "rename it first, so that nobody is surprised: qm set VMID --name NAME",
        ),
    }
}

/// What the planner says once the mark is there.
fn show_plan_after(
    ui: &Ui,
    session: &Session,
    observed: &Observed,
    realm: &RealmId,
    vmid: Vmid,
    notes: &str,
    machine: &Machine,
) -> Result<(), Fault> {
    let mut after = observed.clone();
    let guest = after.realms.get_mut(realm).and_then(|realm| realm.guests.get_mut(&vmid));
    if let Some(Guest::Vm(vm)) = guest
        && let Some(config) = &mut vm.config
    {
        notes.clone_into(&mut config.description);
    }
    let options = PlanOptions { only: [machine.name.clone()].into(), ..PlanOptions::default() };
    let plan = planner::plan(&session.loaded.desired, &after, &options);
    ui.data(&plan_text(&PlanView { sandbox: session.sandbox.is_some(), ..PlanView::new(&plan, ui.look()) }))
}

async fn write(
    ui: &Ui,
    session: &Session,
    approval: Approval,
    of: NotesOf<'_>,
    text: &str,
    question: &str,
) -> Result<(), Stop> {
    if approval == Approval::Ask && !ui.confirm(question, "Only its Notes are changed.").await {
        return Err(Fault::new("cancelled", "nothing was changed", "run it again and answer yes").into());
    }
    execute::write_notes(&*session.nodes, of, text, identity::seed()).await.map_err(|failure| {
        let mut fault = Fault::new("notes-not-written", failure.summary, failure.next);
        fault.detail = failure.evidence;
        Stop::from(fault)
    })
}
