//! A saved plan that was changed on purpose, digest and all: every step is held against the files and the nodes.

use pvekube::model::ids::*;
use pvekube::model::mark::{Mark, MarkSubject};
use pvekube::model::plan::*;
use pvekube::planner::unsound;

use super::build::*;

/// What a hand may do to one step.
type Forgery = fn(&mut Step);

fn marked(step: &mut Step, forge: impl Fn(&mut Mark)) {
    match &mut step.action {
        Action::Set { mark, .. }
        | Action::Clone { mark, .. }
        | Action::Destroy { mark, .. }
        | Action::Start { mark } => {
            forge(mark);
        }
        _ => {}
    }
}

fn set(step: &mut Step, key: &str, value: &str) {
    if let Action::Set { set, .. } = &mut step.action {
        set.insert(key.to_owned(), Setting::Text(value.to_owned()));
    }
}

#[test]
fn a_forged_step_is_named() {
    // Templates and machines to be made; and three workers that go.
    let making = with_machines(desired(1), 1, 1);
    let (empty, made) = (observed(1), plan(&making, &observed(1)));
    let fewer = with_machines(desired(3), 0, 3);
    let seen = settled(&with_machines(desired(3), 0, 6), 3);
    let going = plan_with(&fewer, &seen, |options| options.prune = true);
    let forgeries: [(&str, &str, Forgery); 17] = [
        ("another cluster's VM", "destroy", |step| marked(step, |mark| mark.cluster = "k8s2".into())),
        ("another machine's VM", "destroy", |step| marked(step, |mark| mark.vmid = Vmid(101))),
        ("another id", "destroy", |step| step.vmid = Vmid(101)),
        ("a VM that stays", "destroy", |step| {
            let id: MachineId = "worker-1".parse().unwrap();
            step.vmid = Vmid(101);
            step.subject = Target::Machine { name: "k8s-worker-1".into(), id: id.clone(), role: Role::Worker };
            marked(step, |mark| (mark.vmid, mark.subject) = (Vmid(101), MarkSubject::Machine(id.clone())));
        }),
        ("a command line for QEMU", "set", |step| set(step, "args", "-chardev socket,id=x")),
        ("a hook", "set", |step| set(step, "hookscript", "local:snippets/x.sh")),
        ("a foreign disk", "set", |step| set(step, "scsi1", "local-lvm:vm-500-disk-0")),
        ("another user", "set", |step| set(step, "ciuser", "root")),
        ("other keys", "set", |step| set(step, "sshkeys", "ssh-ed25519 AAAA mallory")),
        ("a disk that goes", "set", |step| {
            if let Action::Set { delete, .. } = &mut step.action {
                delete.insert("scsi0".to_owned());
            }
        }),
        ("a foreign VM's copy", "clone", |step| {
            if let Action::Clone { template, .. } = &mut step.action {
                *template = Vmid(500);
            }
        }),
        ("another image", "fetch", |step| {
            if let Action::FetchImage { url, .. } = &mut step.action {
                *url = "https://mallory.example/a.img".to_owned();
            }
        }),
        ("another path", "fetch", |step| {
            if let Action::FetchImage { path, .. } = &mut step.action {
                *path = "/etc/cron.d/x".to_owned();
            }
        }),
        ("another disk's content", "import", |step| {
            if let Action::ImportDisk { image_path, .. } = &mut step.action {
                *image_path = "/dev/sda".to_owned();
            }
        }),
        ("another file goes", "remove-image", |step| {
            if let Action::RemoveImage { path } = &mut step.action {
                *path = "/var/lib/pvekube/images/../../x.img".to_owned();
            }
        }),
        ("hardware", "create", |step| {
            if let Action::CreateTemplate { set, .. } = &mut step.action {
                set.insert("hostpci0".to_owned(), Setting::Text("01:00".to_owned()));
            }
        }),
        ("another size", "resize", |step| {
            if let Action::Resize { size_gb, .. } = &mut step.action {
                *size_gb = 9000;
            }
        }),
    ];
    for (name, verb, forge) in forgeries {
        let mut touched = 0;
        for (plan, desired, observed) in [(&made, &making, &empty), (&going, &fewer, &seen)] {
            assert_eq!(unsound(plan, desired, observed), [""; 0]);
            for at in (0..plan.steps.len()).filter(|at| plan.steps[*at].action.verb() == verb) {
                let mut forged = plan.clone();
                forge(&mut forged.steps[at]);
                if forged != *plan {
                    touched += 1;
                    assert_eq!(unsound(&forged, desired, observed).len(), 1, "{name}: {:?}", forged.steps[at]);
                }
            }
        }
        assert!(touched > 0, "{name} was never tried");
    }
}
