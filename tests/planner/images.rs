//! Images on nodes: fetched once, kept or removed, their digests and the space that they need.

use pvekube::model::ids::*;
use pvekube::model::observed::*;
use pvekube::model::plan::*;

use super::build::*;
use super::templates::one_worker;

#[test]
fn an_unknown_digest_matters_only_where_a_template_is_needed() {
    let mut observed = observed(1);
    observed.upstream = Upstream::Unknown { reason: "404".into() };
    let needed = plan(&one_worker(1), &observed);
    assert_eq!(failed(&needed), ["digest-unknown"]);
    assert!(needed.steps.is_empty());
    put_template(&mut observed, "pve1", 9000);
    assert_eq!(failed(&plan(&one_worker(1), &observed)), Vec::<&str>::new());
}

#[test]
fn an_image_on_the_node_is_not_fetched_again_and_kept_when_asked() {
    let mut desired = one_worker(1);
    desired.template.keep_images = true;
    let mut observed = observed(1);
    facts(&mut observed, "pve1").images.insert(digest('a'), 700 << 20);
    let plan = plan(&desired, &observed);
    let verbs: Vec<&str> = plan.steps.iter().map(|step| step.action.verb()).collect();
    assert_eq!(verbs[..5], ["create", "import", "set", "resize", "template"]);
    assert!(!verbs.contains(&"remove-image"));
}

#[test]
fn missing_programs_and_space_for_the_image_are_seen() {
    let mut observed = observed(1);
    facts(&mut observed, "pve1").missing_programs.insert("wget".into());
    facts(&mut observed, "pve1").image_space_bytes = Some(1 << 30);
    assert_eq!(failed(&plan(&one_worker(1), &observed)), ["image-space", "program-missing"]);
}

#[test]
fn an_image_file_that_an_earlier_run_left_is_removed() {
    let mut desired = with_machines(desired(2), 0, 0);
    let mut observed = observed(2);
    put_template(&mut observed, "pve1", 9000);
    put_template(&mut observed, "pve2", 9001);
    let image = observed.realms.values().flat_map(|realm| realm.guests.values());
    let image = image.filter_map(|guest| guest.vm()?.mark()?.image).next().unwrap();
    let removes = |observed: &Observed, end: &str| {
        let left = plan(&with_machines(super::build::desired(2), 0, 0), observed);
        assert_eq!(lines(&left), ["resume ubuntu-2204-cloud-template pve2 9001"]);
        let [Step { action: Action::RemoveImage { path }, .. }] = &left.steps[..] else { panic!("{:?}", left.steps) };
        assert!(path.ends_with(&format!("{image}{end}")), "{path}");
    };
    facts(&mut observed, "pve2").image_parts.insert(image.clone());
    removes(&observed, ".img.part");
    facts(&mut observed, "pve2").images.insert(image.clone(), 600 << 20);
    removes(&observed, ".img");
    facts(&mut observed, "pve2").image_parts.clear();
    // Somebody else works with it, or it is meant to stay.
    let live = OperationSeen {
        name: OperationName::new("other-100-fetch-0f"),
        cluster: ClusterName::new("other"),
        vmid: Vmid(100),
        verb: "fetch".to_owned(),
        live: true,
        exit: None,
        tail: Vec::new(),
    };
    facts(&mut observed, "pve2").operations.push(live);
    assert!(!plan(&desired, &observed).has_changes());
    facts(&mut observed, "pve2").operations.clear();
    desired.template.keep_images = true;
    assert!(!plan(&desired, &observed).has_changes());
}

/// Another cluster of pvekube may be about to need it, so it is only told of.
#[test]
fn an_image_that_no_template_was_made_from_is_reported() {
    let desired = with_machines(desired(1), 0, 1);
    let mut observed = settled(&desired, 1);
    facts(&mut observed, "pve1").images.insert(digest('e'), 700 << 20);
    let told = plan(&desired, &observed);
    assert!(!told.has_changes());
    let found = notes(&told, "unclaimed-image");
    assert!(matches!(found.as_slice(), [text] if text.contains("rm /var/lib/pvekube/images/sha256-eeee")), "{found:?}");
    // Somebody's template names it, or somebody works there, or images are to stay.
    let claims: [fn(&mut pvekube::model::desired::Desired, &mut Observed); 3] = [
        |_, observed| {
            let mut other = config(&[("name", "other"), ("template", "1")]);
            other.description = format!("pvekube/1 cluster=other template vmid=9500 image={}", digest('e'));
            put(observed, "pve1", 9500, other, false);
        },
        |_, observed| facts(observed, "pve1").operations.push(operation(9500, "fetch")),
        |desired, _| desired.template.keep_images = true,
    ];
    for claim in claims {
        let (mut desired, mut observed) = (desired.clone(), observed.clone());
        claim(&mut desired, &mut observed);
        assert_eq!(notes(&plan(&desired, &observed), "unclaimed-image"), [""; 0]);
    }
}
