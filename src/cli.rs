//! The command line: clap types whose doc comments are the help.

mod edit;
mod look;
mod parse;
mod plan;

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};

pub use edit::{Adopt, Create, Disown, Edit, Init, NetworkArg, Remove, RoleArg, Scale};
pub use look::{Doctor, Explain, Inventory, InventoryFormat, Observe, Status, StatusFormat, Validate};
pub use plan::{Apply, Destroy, Plan, PlanFormat, Planning, Running};

/// Makes a Proxmox VE cluster hold exactly the Kubernetes VMs that a manifest asks for.
///
/// `config.yaml` says where and how (nodes, SSH, template, sizes), `cluster.yaml` what machines are wanted. No agent, no
/// API token, no state file: OpenSSH and the node's own tools.
#[derive(Debug, Parser)]
#[command(name = "pvekube", version, max_term_width = 100, disable_help_subcommand = true)]
#[command(after_help = "\
Examples:
  pvekube apply --sandbox            try it, on simulated nodes
  pvekube init --node pve1.lan       write both files for your own nodes
  pvekube plan                       what would change, and why
  pvekube apply                      make it so, after you said yes

Three ways to delete:
  remove NAME      takes one machine out of the manifest, and deletes it
  apply --prune    deletes what the manifest no longer lists
  destroy          deletes everything of this cluster

Exit codes:
  0      done, or nothing to do
  1      an error, a refusal, a cancelled apply, a machine that is not ready
  2      changes (plan --detailed-exitcode), or not all is ready (status)
  130    interrupted")]
pub struct Cli {
    #[command(flatten)]
    pub global: Global,
    #[command(subcommand)]
    pub verb: Verb,
}

#[derive(Args, Clone, Debug)]
pub struct Global {
    /// The operator's file: nodes, SSH, template, sizes [default: ./config.yaml]
    #[arg(long, value_name = "FILE", global = true, env = "PVEKUBE_CONFIG", help_heading = "Everywhere")]
    pub config: Option<PathBuf>,
    /// What machines are wanted [default: ./cluster.yaml]
    #[arg(long, value_name = "FILE", global = true, env = "PVEKUBE_MANIFEST", help_heading = "Everywhere")]
    pub manifest: Option<PathBuf>,
    /// Work on simulated nodes, kept in DIR [default: .pvekube-sandbox]; with no files of your own, the built-in
    /// examples are used
    #[arg(
        long,
        value_name = "DIR",
        global = true,
        num_args = 0..=1,
        require_equals = true,
        default_missing_value = ".pvekube-sandbox",
        help_heading = "Everywhere"
    )]
    pub sandbox: Option<PathBuf>,
    /// Colour: auto follows the terminal, NO_COLOR and CLICOLOR_FORCE
    #[arg(long, value_name = "WHEN", global = true, value_enum, default_value_t = ColorWhen::Auto, help_heading = "Everywhere")]
    pub color: ColorWhen,
    /// Log to stderr every change on a node with its time and exit; twice: every read too. RUST_LOG, where set, wins
    #[arg(short, long, global = true, action = clap::ArgAction::Count, help_heading = "Everywhere")]
    pub verbose: u8,
    /// Only results, warnings and errors
    #[arg(short, long, global = true, help_heading = "Everywhere")]
    pub quiet: bool,
    /// Write the log, at its most verbose, to FILE
    #[arg(long, value_name = "FILE", global = true, help_heading = "Everywhere")]
    pub log_file: Option<PathBuf>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum ColorWhen {
    Auto,
    Always,
    Never,
}

#[derive(Debug, Subcommand)]
pub enum Verb {
    /// Check config and manifest; contacts nothing
    #[command(after_help = "\
Examples:
  pvekube validate
  pvekube validate --github     annotate the lines of a pull request

Exit codes: 0 no problem, 1 problems.")]
    Validate(Validate),
    /// Show what would change, and why; changes nothing
    #[command(after_help = "\
Examples:
  pvekube plan
  pvekube plan --detailed-exitcode         exit 2 when there is something to do
  pvekube plan --out plan.json             save it for: pvekube apply plan.json
  pvekube plan --format markdown           a pull-request comment
  pvekube plan --observed observed.json    no access to any node needed
  pvekube plan --without-node pve2         what if pve2 were gone?

Exit codes: 0 planned, 1 an error or a failed check, 2 changes (with
--detailed-exitcode).")]
    Plan(Box<Plan>),
    /// Make it so: show the plan, ask, run it
    #[command(after_help = "\
Examples:
  pvekube apply                               asks; only `yes` goes on
  pvekube apply --auto-approve                no question (CI)
  pvekube apply plan.json                     exactly the saved plan
  pvekube apply --expect 3f2a…                only the plan with this digest
  pvekube apply --sandbox --auto-approve      on simulated nodes

Exit codes: 0 all done and ready, or nothing to do; 1 an error, a refusal,
cancelled, or not ready; 130 interrupted.")]
    Apply(Box<Apply>),
    /// Show the machines: node, VMID, address, readiness, drift
    #[command(
        after_help = "Examples:\n  pvekube status\n  pvekube status --watch\n\nExit codes: 0 all machines of the manifest are ready, 2 not all.\nMachines that the manifest no longer lists are shown and don't count."
    )]
    Status(Status),
    /// Print the machines for other tools: Ansible, ssh_config, /etc/hosts, JSON
    #[command(after_help = "\
Examples:
  pvekube inventory --format ansible > inventory.yaml
  pvekube inventory --format ssh-config > ssh_config
  ssh -F ssh_config k8s-master-1
  pvekube inventory --format hosts            a block for /etc/hosts")]
    Inventory(Inventory),
    /// Print what the nodes answered, as JSON for `plan --observed`
    #[command(after_help = "Examples:\n  pvekube observe > observed.json\n  pvekube plan --observed observed.json")]
    Observe(Observe),
    /// Run every check on every node, green and red
    #[command(after_help = "Examples:\n  pvekube doctor\n\nExit codes: 0 no check failed, 1 some did.")]
    Doctor(Doctor),
    /// Say why a machine is on this node, with this id, address and template
    #[command(after_help = "Examples:\n  pvekube explain k8s-worker-3")]
    Explain(Explain),
    /// Delete everything of this cluster (everything with its mark); templates only with --templates
    #[command(after_help = "\
Examples:
  pvekube destroy
  pvekube destroy --templates --accept delete-masters,break-quorum,many-deletes

To delete less: `remove NAME` takes one machine out of the manifest, and
deletes it; `apply --prune` deletes what the manifest no longer lists.")]
    Destroy(Box<Destroy>),
    /// Write config.yaml and cluster.yaml for your nodes; never overwrites
    #[command(after_help = "\
Examples:
  pvekube init                      asks for what it needs
  pvekube init --node pve1.lan      asks nothing, finds what is there
  pvekube init --node root@pve1.lan --key ~/.ssh/pve.key --masters 3")]
    Init(Init),
    /// Add machines of a role to the manifest, then apply just them
    #[command(after_help = "\
Examples:
  pvekube create --role worker
  pvekube create --role worker --size large --count 2
  pvekube create --role worker --network static \\\n      --ip 10.0.0.31/24 --gateway 10.0.0.1")]
    Create(Box<Create>),
    /// Set how many machines a pool has, in the manifest, then apply
    #[command(after_help = "\
Examples:
  pvekube scale workers=5
  pvekube scale masters=3 workers=5

New machines take the lowest free numbers. With fewer, those with the highest
are deleted.")]
    Scale(Scale),
    /// Take a machine out of the manifest and delete it, just it
    #[command(after_help = "\
Examples:
  pvekube remove k8s-worker-2
  pvekube remove k8s-master-3 --accept delete-masters

To delete more: `apply --prune` deletes what the manifest no longer lists;
`destroy` deletes everything of this cluster.")]
    Remove(Remove),
    /// Take an existing VM into management by writing the mark into its Notes
    #[command(after_help = "Examples:\n  pvekube adopt k8s-worker-3 --vmid 113     a VM that already has this name")]
    Adopt(Adopt),
    /// Take the mark away: the VM stays, pvekube leaves it alone from then on
    #[command(after_help = "Examples:\n  pvekube disown k8s-worker-3")]
    Disown(Disown),
    /// See who holds the apply lock
    #[command(after_help = "Examples:\n  pvekube lock show")]
    Lock(LockVerb),
    /// The simulated nodes of --sandbox
    #[command(
        after_help = "Examples:\n  pvekube sandbox reset\n  pvekube sandbox reset DIR      those of --sandbox=DIR"
    )]
    Sandbox(SandboxVerb),
    /// Print the JSON Schema of a file format
    #[command(after_help = "Examples:\n  pvekube schema cluster > cluster.schema.json")]
    Schema(Schema),
    /// Write the man pages
    #[command(after_help = "Examples:\n  pvekube man --out /usr/local/share/man/man1")]
    Man(Man),
    /// Print a shell completion script
    #[command(after_help = "Examples:\n  pvekube completions bash > /etc/bash_completion.d/pvekube")]
    Completions(Completions),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum TextOrJson {
    Text,
    Json,
}

#[derive(Args, Debug)]
pub struct LockVerb {
    #[command(subcommand)]
    pub verb: LockCommand,
}

#[derive(Debug, Subcommand)]
pub enum LockCommand {
    /// Who holds it, from where, since when, on each node
    Show,
}

#[derive(Args, Debug)]
pub struct SandboxVerb {
    #[command(subcommand)]
    pub verb: SandboxCommand,
}

#[derive(Debug, Subcommand)]
pub enum SandboxCommand {
    /// Remove the simulated nodes and their state
    Reset {
        /// Where they are kept
        #[arg(value_name = "DIR", default_value = ".pvekube-sandbox")]
        dir: PathBuf,
    },
    /// A stand-in for one of a node's programs, for tests behind a real sshd
    #[command(hide = true)]
    Tool {
        #[arg(long)]
        dir: PathBuf,
        #[arg(long)]
        node: String,
        #[arg(last = true, required = true)]
        argv: Vec<String>,
    },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum SchemaOf {
    Config,
    Cluster,
    Plan,
}

#[derive(Args, Debug)]
pub struct Schema {
    /// Which file
    #[arg(value_enum)]
    pub of: SchemaOf,
}

#[derive(Args, Debug)]
pub struct Man {
    /// An existing folder
    #[arg(long, value_name = "DIR")]
    pub out: PathBuf,
}

#[derive(Args, Debug)]
pub struct Completions {
    /// Which shell
    #[arg(value_enum)]
    pub shell: clap_complete::Shell,
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_is_well_formed() {
        Cli::command().debug_assert();
    }

    /// Examples and the like are laid out for a terminal of 80 columns.
    #[test]
    fn examples_are_never_wrapped() {
        let mut commands = vec![Cli::command()];
        while let Some(command) = commands.pop() {
            let after = command.get_after_help().map(ToString::to_string).unwrap_or_default();
            for line in after.lines() {
                assert!(line.chars().count() <= 79, "{}: {line}", command.get_name());
            }
            commands.extend(command.get_subcommands().cloned());
        }
    }

    /// The flag's help names them all.
    #[test]
    fn hazards_are_named() {
        let apply = Cli::command().find_subcommand("apply").unwrap().clone();
        let accept = apply.get_arguments().find(|argument| argument.get_id() == "accept").unwrap();
        let help = accept.get_help().unwrap().to_string();
        let names = crate::model::plan::HazardKind::ALL.map(crate::model::plan::HazardKind::flag).join(", ");
        assert!(help.ends_with(&names), "{help}");
    }
}
