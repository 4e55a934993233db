//! The command line: clap types whose doc comments are the help.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};

use crate::model::plan::HazardKind;

/// Makes a Proxmox VE cluster hold exactly the Kubernetes VMs that a manifest asks for.
///
/// `config.yaml` says where and how (nodes, SSH, template, sizes), `cluster.yaml` what machines are wanted. No agent, no
/// API token, no state file: OpenSSH and the node's own tools.
#[derive(Debug, Parser)]
#[command(name = "pvekube", version, max_term_width = 100, disable_help_subcommand = true)]
#[command(after_help = "\
Examples:
  pvekube apply --sandbox            try it: three simulated nodes, no Proxmox needed
  pvekube init --node pve1.lan       write config.yaml and cluster.yaml for your cluster
  pvekube plan                       what would change, and why
  pvekube apply                      make it so, after you said yes

Exit codes: 0 done, 1 error or refused, 2 changes (only with plan --detailed-exitcode) or not all ready (status),
130 interrupted.")]
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
    #[command(
        after_help = "Examples:\n  pvekube validate\n  pvekube validate --github     annotate the lines of a pull request"
    )]
    Validate(Validate),
    /// Show what would change, and why; changes nothing
    #[command(after_help = "\
Examples:
  pvekube plan
  pvekube plan --detailed-exitcode            exit 2 when there is something to do
  pvekube plan --out plan.json                save it; `pvekube apply plan.json` does exactly that
  pvekube plan --format markdown              a pull-request comment
  pvekube plan --observed observed.json       no access to any node needed
  pvekube plan --without-node pve2            what if pve2 were gone?")]
    Plan(Box<Plan>),
    /// Make it so: show the plan, ask, run it
    #[command(after_help = "\
Examples:
  pvekube apply                               shows the plan; only `yes` goes on
  pvekube apply --auto-approve                no question (CI)
  pvekube apply plan.json                     exactly the saved plan, or a refusal that says what moved
  pvekube apply --expect 3f2a…                only if the plan still has this digest
  pvekube apply --sandbox --auto-approve      on simulated nodes")]
    Apply(Box<Apply>),
    /// Show the machines: node, VMID, address, readiness, drift
    #[command(
        after_help = "Examples:\n  pvekube status\n  pvekube status --watch\n\nExit codes: 0 all ready, 2 not all."
    )]
    Status(Status),
    /// Print the machines for other tools: Ansible, ssh_config, /etc/hosts, JSON
    #[command(after_help = "\
Examples:
  pvekube inventory --format ansible > inventory.yaml
  pvekube inventory --format ssh-config >> ~/.ssh/config")]
    Inventory(Inventory),
    /// Print what the nodes answered, as JSON for `plan --observed`
    #[command(after_help = "Examples:\n  pvekube observe > observed.json\n  pvekube plan --observed observed.json")]
    Observe(Observe),
    /// Run every check on every node, green and red
    #[command(after_help = "Examples:\n  pvekube doctor")]
    Doctor(Doctor),
    /// Say why a machine is on this node, with this id, address and template
    #[command(after_help = "Examples:\n  pvekube explain k8s-worker-3")]
    Explain(Explain),
    /// Delete everything of this cluster (everything with its mark); templates only with --templates
    ///
    /// `remove` takes one machine out of the manifest; `apply --prune` deletes what the manifest no longer lists;
    /// `destroy` deletes everything of this cluster.
    #[command(
        after_help = "Examples:\n  pvekube destroy\n  pvekube destroy --templates --accept delete-masters,break-quorum,many-deletes"
    )]
    Destroy(Box<Destroy>),
    /// Write config.yaml and cluster.yaml for your nodes; never overwrites
    #[command(
        after_help = "Examples:\n  pvekube init --node pve1.lan\n  pvekube init --node root@pve1.lan --key ~/.ssh/pve.key --ssh-public-key ~/.ssh/id_ed25519.pub"
    )]
    Init(Init),
    /// Add machines of a role to the manifest, then apply just them
    #[command(after_help = "\
Examples:
  pvekube create --role worker --size small
  pvekube create --role worker --size small --network static --ip 10.0.0.31/24 --gateway 10.0.0.1 --dns 10.0.0.1")]
    Create(Box<Create>),
    /// Set how many machines a pool has, in the manifest, then apply
    #[command(after_help = "Examples:\n  pvekube scale workers=5")]
    Scale(Scale),
    /// Take a machine out of the manifest and delete it, just it
    ///
    /// `remove` takes one machine out of the manifest; `apply --prune` deletes what the manifest no longer lists;
    /// `destroy` deletes everything of this cluster.
    #[command(after_help = "Examples:\n  pvekube remove k8s-worker-2")]
    Remove(Remove),
    /// Take an existing VM into management by writing the mark into its Notes
    #[command(after_help = "Examples:\n  pvekube adopt k8s-worker-3 --vmid 113")]
    Adopt(Adopt),
    /// Take the mark away: the VM stays, pvekube leaves it alone from then on
    #[command(after_help = "Examples:\n  pvekube disown k8s-worker-3")]
    Disown(Disown),
    /// See who holds the apply lock
    Lock(LockVerb),
    /// The simulated nodes of --sandbox
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

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum PlanFormat {
    Text,
    Json,
    Markdown,
}

#[derive(Args, Debug)]
pub struct Validate {
    #[arg(long, value_enum, default_value_t = TextOrJson::Text)]
    pub format: TextOrJson,
    /// Also write GitHub annotations for the lines with problems
    #[arg(long)]
    pub github: bool,
}

/// What a plan covers; the same on `plan` and `apply`.
#[derive(Args, Clone, Debug, Default, PartialEq, Eq)]
pub struct Planning {
    /// Delete machines that the manifest no longer lists
    #[arg(long, help_heading = "Planning")]
    pub prune: bool,
    /// Plan these machines only (with the templates that they need)
    #[arg(long, value_name = "NAME", num_args = 1.., value_delimiter = ',', help_heading = "Planning")]
    pub only: Vec<String>,
    /// Delete these machines and make them again, one at a time
    #[arg(long, value_name = "NAME", num_args = 1.., value_delimiter = ',', help_heading = "Planning")]
    pub replace: Vec<String>,
    /// Replace every machine that was made from an older image, one at a time
    #[arg(long, help_heading = "Planning")]
    pub replace_outdated: bool,
    /// Plan as if this node were gone
    #[arg(long, value_name = "NODE", help_heading = "Planning")]
    pub without_node: Option<String>,
    /// Accept a hazard by name
    #[arg(long, value_name = "HAZARD", num_args = 1.., value_delimiter = ',', value_parser = hazard, help_heading = "Planning")]
    pub accept: Vec<HazardKind>,
}

fn hazard(text: &str) -> Result<HazardKind, String> {
    HazardKind::ALL
        .into_iter()
        .find(|kind| kind.flag() == text)
        .ok_or_else(|| format!("no such hazard; they are {}", HazardKind::ALL.map(HazardKind::flag).join(", ")))
}

#[derive(Args, Debug)]
pub struct Plan {
    #[arg(long, value_enum, default_value_t = PlanFormat::Text)]
    pub format: PlanFormat,
    /// Save the plan to FILE for `apply FILE`
    #[arg(long, value_name = "FILE")]
    pub out: Option<PathBuf>,
    /// Exit 2 when there are changes, 0 when there are none
    #[arg(long)]
    pub detailed_exitcode: bool,
    /// Plan from a saved observation, contacting no node
    #[arg(long, value_name = "FILE")]
    pub observed: Option<PathBuf>,
    /// Write annotations, $GITHUB_STEP_SUMMARY and $GITHUB_OUTPUT
    #[arg(long)]
    pub github: bool,
    #[command(flatten)]
    pub planning: Planning,
}

#[derive(Args, Debug)]
pub struct Apply {
    /// A plan saved with `plan --out`
    #[arg(value_name = "PLAN")]
    pub plan: Option<PathBuf>,
    /// Don't ask
    #[arg(long)]
    pub auto_approve: bool,
    /// Apply only if the plan's digest begins with this (at least 12 digits)
    #[arg(long, value_name = "DIGEST")]
    pub expect: Option<String>,
    #[command(flatten)]
    pub running: Running,
    #[command(flatten)]
    pub planning: Planning,
}

/// How a plan is run.
#[derive(Args, Clone, Debug)]
pub struct Running {
    #[arg(long, value_enum, default_value_t = TextOrJson::Text)]
    pub format: TextOrJson,
    /// Leave after start, without waiting for readiness
    #[arg(long)]
    pub no_wait: bool,
    /// Wait for another apply's lock, or a VM's backup, this long: 30s, 10m, 1h
    #[arg(long, value_name = "TIME", default_value = "0s", value_parser = duration)]
    pub lock_timeout: std::time::Duration,
    /// Don't run the config's hooks
    #[arg(long)]
    pub no_hooks: bool,
    /// Write the Ansible inventory of all machines to FILE afterwards
    #[arg(long, value_name = "FILE")]
    pub inventory: Option<PathBuf>,
    /// Write a picture of the run (SVG)
    #[arg(long, value_name = "FILE")]
    pub timeline: Option<PathBuf>,
    /// Where the machines' host keys are kept [default: ~/.local/state/pvekube/CLUSTER/known_hosts]
    #[arg(long, value_name = "FILE")]
    pub known_hosts: Option<PathBuf>,
}

/// `30s`, `10m`, `1h`: a number and a unit.
fn duration(text: &str) -> Result<std::time::Duration, String> {
    let bad = || format!("`{text}` is not a number and a unit, such as 30s, 10m or 1h");
    let split = text.find(|c: char| !c.is_ascii_digit()).ok_or_else(bad)?;
    let number: u64 = text[..split].parse().map_err(|_| bad())?;
    let unit = match &text[split..] {
        "s" => 1,
        "m" => 60,
        "h" => 3600,
        _ => return Err(bad()),
    };
    number.checked_mul(unit).map(std::time::Duration::from_secs).ok_or_else(bad)
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum StatusFormat {
    Text,
    Wide,
    Json,
}

#[derive(Args, Debug)]
pub struct Status {
    #[arg(long, value_enum, default_value_t = StatusFormat::Text)]
    pub format: StatusFormat,
    /// Look again every few seconds until interrupted
    #[arg(long)]
    pub watch: bool,
    #[arg(long, value_name = "FILE")]
    pub known_hosts: Option<PathBuf>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum InventoryFormat {
    Ansible,
    SshConfig,
    Hosts,
    Json,
}

#[derive(Args, Debug)]
pub struct Inventory {
    #[arg(long, value_enum, default_value_t = InventoryFormat::Ansible)]
    pub format: InventoryFormat,
    /// From a saved observation (static addresses only), contacting no node
    #[arg(long, value_name = "FILE")]
    pub observed: Option<PathBuf>,
    #[arg(long, value_name = "FILE")]
    pub known_hosts: Option<PathBuf>,
}

#[derive(Args, Debug)]
pub struct Observe {}

#[derive(Args, Debug)]
pub struct Doctor {
    #[arg(long, value_enum, default_value_t = TextOrJson::Text)]
    pub format: TextOrJson,
}

#[derive(Args, Debug)]
pub struct Explain {
    /// A machine of the manifest, by its full name
    #[arg(value_name = "MACHINE")]
    pub machine: String,
    #[arg(long, value_enum, default_value_t = TextOrJson::Text)]
    pub format: TextOrJson,
}

#[derive(Args, Debug)]
pub struct Destroy {
    /// Also this cluster's templates
    #[arg(long)]
    pub templates: bool,
    /// Don't ask
    #[arg(long)]
    pub auto_approve: bool,
    /// Accept a hazard by name
    #[arg(long, value_name = "HAZARD", num_args = 1.., value_delimiter = ',', value_parser = hazard)]
    pub accept: Vec<HazardKind>,
    #[command(flatten)]
    pub running: Running,
}

#[derive(Args, Debug)]
pub struct Init {
    /// A Proxmox node: HOST or USER@HOST; the others of its cluster are found
    #[arg(long, value_name = "HOST")]
    pub node: Option<String>,
    /// Private key for the nodes
    #[arg(long, value_name = "FILE")]
    pub key: Option<PathBuf>,
    /// Public key to put into the machines
    #[arg(long, value_name = "FILE")]
    pub ssh_public_key: Option<PathBuf>,
    /// Accept the nodes' unknown host keys (ssh's accept-new)
    #[arg(long)]
    pub accept_new_host_keys: bool,
    /// Name of the Kubernetes cluster
    #[arg(long, value_name = "NAME", default_value = "k8s")]
    pub cluster: String,
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub masters: u32,
    #[arg(long, value_name = "N", default_value_t = 2)]
    pub workers: u32,
    /// Storage for the machines' disks, when there are several
    #[arg(long, value_name = "NAME")]
    pub storage: Option<String>,
    /// Bridge for the machines, when there are several
    #[arg(long, value_name = "NAME")]
    pub bridge: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum RoleArg {
    Master,
    Worker,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum NetworkArg {
    Dhcp,
    Static,
}

#[derive(Args, Debug)]
pub struct Create {
    #[arg(long, value_enum)]
    pub role: RoleArg,
    /// A size of `vm_sizes` [default: the pool's]
    #[arg(long, value_name = "SIZE")]
    pub size: Option<String>,
    #[arg(long, value_name = "N")]
    pub cpus: Option<u32>,
    #[arg(long, value_name = "MB")]
    pub memory: Option<u64>,
    #[arg(long, value_name = "GB")]
    pub disk: Option<u64>,
    #[arg(long, value_enum)]
    pub network: Option<NetworkArg>,
    /// Address with prefix length: 10.0.0.31/24
    #[arg(long, value_name = "CIDR")]
    pub ip: Option<String>,
    #[arg(long, value_name = "IP")]
    pub gateway: Option<String>,
    #[arg(long, value_name = "IP", num_args = 1.., value_delimiter = ',')]
    pub dns: Vec<String>,
    #[arg(long, value_name = "N")]
    pub vmid: Option<u32>,
    /// Pin to a node
    #[arg(long, value_name = "NAME")]
    pub node: Option<String>,
    /// How many
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub count: u32,
    #[command(flatten)]
    pub edit: Edit,
}

/// Verbs that edit the manifest and then apply.
#[derive(Args, Clone, Debug)]
pub struct Edit {
    /// Don't ask
    #[arg(long)]
    pub auto_approve: bool,
    /// Edit the manifest only; apply later
    #[arg(long)]
    pub no_apply: bool,
    #[arg(long, value_name = "HAZARD", num_args = 1.., value_delimiter = ',', value_parser = hazard)]
    pub accept: Vec<HazardKind>,
    #[command(flatten)]
    pub running: Running,
}

#[derive(Args, Debug)]
pub struct Scale {
    /// POOL=COUNT: masters=3, workers=5, or a pool of `pools:`
    #[arg(value_name = "POOL=COUNT", required = true)]
    pub pools: Vec<String>,
    #[command(flatten)]
    pub edit: Edit,
}

#[derive(Args, Debug)]
pub struct Remove {
    #[arg(value_name = "MACHINE")]
    pub machine: String,
    #[command(flatten)]
    pub edit: Edit,
}

#[derive(Args, Debug)]
pub struct Adopt {
    /// A machine of the manifest
    #[arg(value_name = "MACHINE")]
    pub machine: String,
    #[arg(long, value_name = "N")]
    pub vmid: u32,
    #[arg(long)]
    pub auto_approve: bool,
}

#[derive(Args, Debug)]
pub struct Disown {
    #[arg(value_name = "MACHINE")]
    pub machine: String,
    #[arg(long)]
    pub auto_approve: bool,
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
    #[arg(value_enum)]
    pub shell: clap_complete::Shell,
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_well_formed() {
        Cli::command().debug_assert();
    }

    #[test]
    fn durations_need_a_unit() {
        assert_eq!(duration("10m"), Ok(std::time::Duration::from_secs(600)));
        for bad in ["", "10", "m", "10d", "-1s", "99999999999999999999s", "18446744073709551615h"] {
            assert!(duration(bad).is_err(), "{bad}");
        }
    }
}
