//! The mark: our one line in a VM's description, which alone decides what is ours.
//!
//! `pvekube/1 cluster=k8s machine=worker-3 vmid=113 image=sha256-ab12…` or
//! `pvekube/1 cluster=k8s template vmid=9000 image=sha256-ab12… recipe=1f2e3d4c`.
//! It names its own VMID: a copy of it in a clone or a restored backup has another one and is foreign (style.md §3.5 note a).

use std::fmt;

use serde::{Deserialize, Serialize};

use super::ids::{ClusterName, ImageDigest, MachineId, Vmid};

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Mark {
    pub cluster: ClusterName,
    pub subject: MarkSubject,
    pub vmid: Vmid,
    /// The image the disk came from; absent on adopted VMs.
    pub image: Option<ImageDigest>,
    /// First 8 hex digits of the bake recipe's digest; templates, and machines cloned from a baked one.
    pub recipe: Option<String>,
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum MarkSubject {
    Machine(MachineId),
    Template,
}

impl fmt::Display for Mark {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "pvekube/1 cluster={}", self.cluster)?;
        match &self.subject {
            MarkSubject::Machine(id) => write!(f, " machine={id}")?,
            MarkSubject::Template => write!(f, " template")?,
        }
        write!(f, " vmid={}", self.vmid)?;
        if let Some(image) = &self.image {
            write!(f, " image={image}")?;
        }
        if let Some(recipe) = &self.recipe {
            write!(f, " recipe={recipe}")?;
        }
        Ok(())
    }
}

impl Mark {
    /// Finds the mark in a VM's description. More than one line that starts as a mark, or a malformed one, is no mark:
    /// what can't be read for certain is not ours.
    pub fn find(description: &str) -> Option<Mark> {
        let mut lines = description.lines().map(str::trim).filter(|line| line.starts_with("pvekube/"));
        let only = lines.next()?;
        if lines.next().is_some() { None } else { Self::parse(only) }
    }

    fn parse(line: &str) -> Option<Mark> {
        let mut cluster = None;
        let mut subject = None;
        let mut vmid = None;
        let mut image = None;
        let mut recipe = None;
        let mut words = line.split(' ').filter(|word| !word.is_empty());
        if words.next() != Some("pvekube/1") {
            return None;
        }
        for word in words {
            let fresh = match word.split_once('=') {
                Some(("cluster", value)) => cluster.replace(ClusterName::new(value)).is_none(),
                Some(("machine", value)) => subject.replace(MarkSubject::Machine(value.parse().ok()?)).is_none(),
                None if word == "template" => subject.replace(MarkSubject::Template).is_none(),
                Some(("vmid", value)) => vmid.replace(Vmid(plain_number(value)?)).is_none(),
                Some(("image", value)) => image.replace(value.parse().ok()?).is_none(),
                Some(("recipe", value)) if value.bytes().all(|byte| byte.is_ascii_hexdigit()) => {
                    recipe.replace(value.to_owned()).is_none()
                }
                Some(("recipe", _)) => return None,
                // A later pvekube may add words: they don't make the mark unreadable.
                Some(_) => true,
                None => false,
            };
            if !fresh {
                return None;
            }
        }
        Some(Mark { cluster: cluster?, subject: subject?, vmid: vmid?, image, recipe })
    }

    /// The description with this mark in place of an earlier one; the text around it is kept.
    pub fn put_into(&self, description: &str) -> String {
        let mut placed = false;
        let mut lines: Vec<String> = Vec::new();
        for line in description.lines() {
            if line.trim().starts_with("pvekube/") {
                if !placed {
                    lines.push(self.to_string());
                    placed = true;
                }
            } else {
                lines.push(line.to_owned());
            }
        }
        if !placed {
            lines.push(self.to_string());
        }
        lines.join("\n")
    }

    /// The description without any mark; the text around it is kept.
    pub fn take_out_of(description: &str) -> String {
        description.lines().filter(|line| !line.trim().starts_with("pvekube/")).collect::<Vec<_>>().join("\n")
    }
}

/// As we write it: neither `+113` nor `0113`.
fn plain_number(text: &str) -> Option<u32> {
    text.parse::<u32>().ok().filter(|number| number.to_string() == text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mark_is_read_as_it_is_written_or_not_at_all() {
        let mark = "pvekube/1 cluster=k8s machine=gpu-3 vmid=113 recipe=1f2e3d4c";
        assert_eq!(Mark::find(&format!("rack 4\n{mark}\n")).map(|mark| mark.to_string()).as_deref(), Some(mark));
        assert!(Mark::find(&format!("{mark} from=later")).is_some(), "words of a later version");
        for (word, other) in [
            ("vmid=113", "vmid=+113"),
            ("vmid=113", "vmid=0113"),
            ("vmid=113", "vmid=113 vmid=114"),
            ("gpu-3", "gpu-03"),
            ("gpu-3", "g\u{1b}u-3"),
            ("recipe=1f2e3d4c", "recipe=\u{9b}2J"),
            (" vmid=113", ""),
            ("pvekube/1", "pvekube/2"),
        ] {
            assert_eq!(Mark::find(&mark.replace(word, other)), None, "{other:?}");
        }
        assert_eq!(Mark::find(&format!("{mark}\n{mark}")), None, "two of them");
    }
}
