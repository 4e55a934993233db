//! The API paths that the sandbox has.

use super::super::api::Values;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Section {
    Cluster,
    Node,
    Guest,
}

/// One handler. `{name}` parts of its pattern become parameters.
#[derive(Debug)]
pub struct Endpoint {
    pub verb: &'static str,
    pub pattern: &'static str,
    pub section: Section,
    pub name: &'static str,
    pub options: &'static str,
    pub vm_options: bool,
}

/// A handler with the parameters that its path had.
#[derive(Debug)]
pub struct Found {
    pub endpoint: &'static Endpoint,
    pub parameters: Values,
}

const fn on(
    section: Section,
    verb: &'static str,
    pattern: &'static str,
    name: &'static str,
    options: &'static str,
) -> Endpoint {
    Endpoint { verb, pattern, section, name, options, vm_options: false }
}

const CLONE: &str = "newid text:vmid;name text:dns-name;description text:any;pool text:pool;snapname text:snapshot;\
    storage text:storage;format enum:raw|qcow2|vmdk;full bool;target text:any;bwlimit int:0";
const SET: &str = "delete text:keys;revert text:keys;digest text:any;force bool;skiplock bool;background_delay int:1:30;\
    import-working-storage text:storage";
const CREATE: &str = "vmid text:vmid;archive text:any;storage text:storage;force bool;unique bool;bwlimit int:0;start bool;\
    pool text:pool;live-restore bool;ha-managed bool;import-working-storage text:storage";

use Section::{Cluster, Guest, Node};

const ENDPOINTS: &[Endpoint] = &[
    on(Cluster, "get", "/version", "version", ""),
    on(Cluster, "get", "/nodes", "nodes", ""),
    on(Cluster, "get", "/storage", "storages", "type text:any"),
    on(Cluster, "get", "/pools", "pools", "poolid text:pool"),
    on(Cluster, "get", "/pools/{poolid}", "pool", ""),
    on(Cluster, "create", "/pools", "pool-create", "poolid text:pool;comment text:any"),
    on(Cluster, "get", "/cluster/nextid", "nextid", "vmid text:vmid"),
    on(Cluster, "get", "/cluster/status", "status", ""),
    on(Cluster, "get", "/cluster/resources", "resources", "type enum:vm|storage|node|sdn"),
    on(Node, "get", "/nodes/{node}/status", "status", ""),
    on(Node, "get", "/nodes/{node}/version", "version", ""),
    on(Node, "get", "/nodes/{node}/qemu", "qemu", "full bool"),
    on(
        Node,
        "get",
        "/nodes/{node}/storage",
        "storage",
        "content text:any;enabled bool;storage text:storage;target text:any",
    ),
    on(Node, "get", "/nodes/{node}/storage/{storage}/content", "content", "content text:any;vmid text:vmid"),
    on(Node, "get", "/nodes/{node}/storage/{storage}/status", "storage-status", ""),
    on(Node, "delete", "/nodes/{node}/storage/{storage}/content/{volume}", "content-delete", "delay int:1:30"),
    on(Node, "get", "/nodes/{node}/network", "network", "type text:any"),
    on(
        Node,
        "get",
        "/nodes/{node}/tasks",
        "tasks",
        "limit int:0;start int:0;vmid text:vmid;typefilter text:any;source enum:archive|active|all;since int;errors bool",
    ),
    on(Node, "get", "/nodes/{node}/tasks/{upid}/status", "task-status", ""),
    on(Node, "get", "/nodes/{node}/tasks/{upid}/log", "task-log", "limit int:0;start int:0"),
    Endpoint {
        verb: "create",
        pattern: "/nodes/{node}/qemu",
        section: Guest,
        name: "create",
        options: CREATE,
        vm_options: true,
    },
    on(
        Guest,
        "delete",
        "/nodes/{node}/qemu/{vmid}",
        "destroy",
        "skiplock bool;purge bool;destroy-unreferenced-disks bool",
    ),
    on(Guest, "get", "/nodes/{node}/qemu/{vmid}/config", "config", "current bool;snapshot text:snapshot"),
    Endpoint {
        verb: "set",
        pattern: "/nodes/{node}/qemu/{vmid}/config",
        section: Guest,
        name: "set",
        options: SET,
        vm_options: true,
    },
    Endpoint {
        verb: "create",
        pattern: "/nodes/{node}/qemu/{vmid}/config",
        section: Guest,
        name: "set-async",
        options: SET,
        vm_options: true,
    },
    on(Guest, "get", "/nodes/{node}/qemu/{vmid}/pending", "pending", ""),
    on(Guest, "get", "/nodes/{node}/qemu/{vmid}/cloudinit", "cloudinit", ""),
    on(Guest, "get", "/nodes/{node}/qemu/{vmid}/status/current", "current", ""),
    on(Guest, "create", "/nodes/{node}/qemu/{vmid}/status/start", "start", "skiplock bool;timeout int:0"),
    on(
        Guest,
        "create",
        "/nodes/{node}/qemu/{vmid}/status/stop",
        "stop",
        "skiplock bool;timeout int:0;overrule-shutdown bool",
    ),
    on(
        Guest,
        "create",
        "/nodes/{node}/qemu/{vmid}/status/shutdown",
        "shutdown",
        "skiplock bool;timeout int:0;forceStop bool",
    ),
    on(Guest, "create", "/nodes/{node}/qemu/{vmid}/status/reboot", "reboot", "timeout int:0"),
    on(Guest, "create", "/nodes/{node}/qemu/{vmid}/clone", "clone", CLONE),
    on(Guest, "create", "/nodes/{node}/qemu/{vmid}/template", "template", "disk disks"),
    on(
        Guest,
        "set",
        "/nodes/{node}/qemu/{vmid}/resize",
        "resize",
        "disk disks;size text:resize;digest text:any;skiplock bool",
    ),
    on(Guest, "get", "/nodes/{node}/qemu/{vmid}/snapshot", "snapshots", ""),
    on(Guest, "create", "/nodes/{node}/qemu/{vmid}/agent/{command}", "agent", ""),
    on(Guest, "get", "/nodes/{node}/qemu/{vmid}/agent/{command}", "agent", ""),
];

/// The handler of a path.
pub fn find(verb: &str, path: &str) -> Option<Found> {
    ENDPOINTS.iter().filter(|endpoint| endpoint.verb == verb).find_map(|endpoint| {
        let parameters = parameters(endpoint.pattern, path)?;
        Some(Found { endpoint, parameters })
    })
}

fn parameters(pattern: &str, path: &str) -> Option<Values> {
    let mut parameters = Values::new();
    let wanted: Vec<&str> = pattern.split('/').filter(|part| !part.is_empty()).collect();
    let parts: Vec<&str> = path.splitn(wanted.len() + 1, '/').skip(1).collect();
    let parts: Vec<&str> = if path.starts_with('/') { parts } else { path.splitn(wanted.len(), '/').collect() };
    if parts.len() != wanted.len() {
        return None;
    }
    for (want, part) in wanted.iter().zip(parts) {
        match want.strip_prefix('{').and_then(|name| name.strip_suffix('}')) {
            // Only a volume id has slashes of its own.
            Some(name) if !part.is_empty() && (name == "volume" || !part.contains('/')) => {
                parameters.insert(name.to_owned(), part.to_owned());
            }
            None if *want == part => {}
            Some(_) | None => return None,
        }
    }
    Some(parameters)
}
