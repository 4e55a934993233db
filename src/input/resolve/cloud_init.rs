//! `cloud_init` → what every machine's cloud-init gets.

use crate::input::config::{CloudInitSection, Config};
use crate::input::problem::{Faults, Problem, shown};
use crate::input::problem_id::ProblemId;
use crate::input::resolve::{Inputs, path, values};
use crate::input::ssh_key::{self, PublicKey};
use crate::model::desired::CloudInit;

/// `None`: wrong, and noted.
pub(super) fn resolve(config: &Config, inputs: &Inputs<'_>, faults: &mut Faults) -> Option<CloudInit> {
    let at = config.cloud_init.get()?;
    let section = &at.value;
    let keys = keys(section, inputs, faults);
    let nothing_given = section.ssh_public_key.is_absent()
        && section.ssh_public_key_file.is_absent()
        && (section.ssh_public_keys.is_absent() || values(&section.ssh_public_keys).count() == 0)
        && !section.ssh_public_keys.is_bad();
    if nothing_given {
        let message = "`cloud_init` gives no SSH key: nobody could log in to the machines".to_owned();
        let problem = Problem::new(ProblemId::NoSshKey, at.key, message);
        faults.add(
            problem.help("add `ssh_public_key_file: ~/.ssh/id_ed25519.pub`, or `ssh_public_key: \"ssh-ed25519 …\"`"),
        );
        return None;
    }
    let mut lines: Vec<PublicKey> = Vec::new();
    for key in keys? {
        if lines.iter().all(|known| known.identity != key.identity) {
            lines.push(key);
        }
    }
    Some(CloudInit {
        user: section.user.0.clone(),
        ssh_keys: lines.iter().map(|key| format!("{}\n", key.line)).collect(),
        nameservers: section.nameserver.get().into_iter().flat_map(|list| &list.0).map(|ip| ip.to_string()).collect(),
        searchdomain: section.searchdomain.get().map(|domain| domain.0.clone()),
        upgrade_packages: section.upgrade_packages.value,
    })
}

/// All keys of the three settings, in that order.
fn keys(section: &CloudInitSection, inputs: &Inputs<'_>, faults: &mut Faults) -> Option<Vec<PublicKey>> {
    let from_file = keys_of_file(section, inputs, faults);
    if section.ssh_public_key.is_bad() || section.ssh_public_keys.is_bad() {
        return None;
    }
    let inline = section.ssh_public_key.get().into_iter().chain(values(&section.ssh_public_keys));
    // Read from the file they were checked already.
    let mut keys: Vec<PublicKey> = inline.filter_map(|key| ssh_key::check(&key.0).ok()).collect();
    keys.extend(from_file?);
    Some(keys)
}

fn keys_of_file(section: &CloudInitSection, inputs: &Inputs<'_>, faults: &mut Faults) -> Option<Vec<PublicKey>> {
    let Some(file) = path(&section.ssh_public_key_file, inputs, faults)? else {
        return Some(Vec::new());
    };
    let span = section.ssh_public_key_file.get()?.span;
    let name = shown(&file.display().to_string());
    let text = match (inputs.env.read_file)(&file) {
        Ok(text) => text,
        Err(error) => {
            let problem = Problem::new(ProblemId::SshKeyFile, span, format!("`{name}` can't be read: {error}"));
            faults.add(problem.help("correct the path, or make a key pair with `ssh-keygen -t ed25519`"));
            return None;
        }
    };
    match ssh_key::check_file(&text) {
        Ok(keys) if keys.is_empty() => {
            let problem = Problem::new(ProblemId::SshKeyFile, span, format!("`{name}` holds no key"));
            faults.add(problem.help("name a `.pub` file"));
            None
        }
        Ok(keys) => Some(keys),
        Err(bad) => {
            let problem = Problem::new(bad.id, span, format!("in `{name}`: {}", bad.message));
            faults.add(problem.help(bad.help));
            None
        }
    }
}
