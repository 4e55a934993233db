//! Flags of the verbs that look and print: `validate`, `status`, `inventory`, `observe`, `doctor`, `explain`.

use std::path::PathBuf;

use clap::{Args, ValueEnum};

use super::TextOrJson;

#[derive(Args, Debug)]
pub struct Validate {
    /// How it is printed
    #[arg(long, value_enum, default_value_t = TextOrJson::Text)]
    pub format: TextOrJson,
    /// Also write GitHub annotations for the lines with problems
    #[arg(long)]
    pub github: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum StatusFormat {
    Text,
    Wide,
    Json,
}

#[derive(Args, Debug)]
pub struct Status {
    /// How it is printed
    #[arg(long, value_enum, default_value_t = StatusFormat::Text)]
    pub format: StatusFormat,
    /// Look again every few seconds until interrupted, and print it when something has changed
    #[arg(long)]
    pub watch: bool,
    /// Where the machines' host keys are kept [default: ~/.local/state/pvekube/CLUSTER/known_hosts]
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
    /// How it is printed
    #[arg(long, value_enum, default_value_t = InventoryFormat::Ansible)]
    pub format: InventoryFormat,
    /// From a saved observation (static addresses only), contacting no node
    #[arg(long, value_name = "FILE")]
    pub observed: Option<PathBuf>,
    /// Where the machines' host keys are kept [default: ~/.local/state/pvekube/CLUSTER/known_hosts]
    #[arg(long, value_name = "FILE")]
    pub known_hosts: Option<PathBuf>,
}

#[derive(Args, Debug)]
pub struct Observe {}

#[derive(Args, Debug)]
pub struct Doctor {
    /// How it is printed
    #[arg(long, value_enum, default_value_t = TextOrJson::Text)]
    pub format: TextOrJson,
}

#[derive(Args, Debug)]
pub struct Explain {
    /// A machine of the manifest, by its full name
    #[arg(value_name = "MACHINE")]
    pub machine: String,
    /// How it is printed
    #[arg(long, value_enum, default_value_t = TextOrJson::Text)]
    pub format: TextOrJson,
}
