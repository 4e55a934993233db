//! What a bake is: its digest for the mark, and its document. The words of both are `pve::cloud_init`'s.

use sha2::{Digest, Sha256};

use crate::model::desired::Bake;

/// First 8 hex digits over all that decides what ends up in the template.
pub(crate) fn digest(bake: &Bake) -> String {
    let text = serde_json::json!({ "packages": bake.packages, "commands": bake.commands }).to_string();
    hex::encode(&Sha256::digest(text.as_bytes())[..4])
}

/// The cloud-init vendor document.
pub(crate) fn document(bake: &Bake) -> String {
    let text = serde_json::json!({ "packages": bake.packages, "runcmd": bake.commands });
    format!("#cloud-config\n{text}\n")
}
