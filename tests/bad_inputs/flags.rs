//! Bad verbs, flags and operands.

use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt as _;

use super::desk::{Desk, ONE};
use super::{case, check, with_bad_files};

#[test]
fn flags() {
    let desk = with_bad_files();
    check(
        &desk,
        "flags",
        &[
            case("unknown verb", "aply"),
            case("unknown flag", "plan --no-such-flag"),
            case("a flag that is nearly one", "plan --pruned"),
            case("a flag of another verb", "plan --auto-approve"),
            case("flag twice", "plan --format json --format text"),
            case("bad choice", "plan --format yaml"),
            case("bad colour", "plan --color sometimes"),
            case("unexpected operand", "plan k8s-worker-1"),
            case("the folder of the sandbox without an equals sign", "plan --sandbox folder"),
            case("words that are not text", "explain").and(|command| {
                command.arg(OsString::from_vec(vec![b'k', 0xff]));
            }),
            case("explain: no machine", "explain"),
            case("remove: no machine", "remove"),
            case("disown: no machine", "disown"),
            case("adopt: no id", "adopt k8s-worker-1"),
            case("adopt: no machine", "adopt --vmid 101"),
            case("adopt: id is no number", "adopt k8s-worker-1 --vmid abc"),
            case("adopt: negative id", "adopt k8s-worker-1 --vmid -5"),
            case("adopt: id too large", "adopt k8s-worker-1 --vmid 99999999999"),
            case("adopt: id zero", "adopt --sandbox --auto-approve k8s-worker-1 --vmid 0"),
            case("adopt: nobody to ask", "adopt --sandbox k8s-worker-1 --vmid 101"),
            case("adopt: unknown machine", "adopt --sandbox --auto-approve k8s-worker-9 --vmid 101"),
            case("adopt: no such VM", "adopt --sandbox --auto-approve k8s-worker-1 --vmid 4711"),
            case("disown: unknown machine", "disown --sandbox --auto-approve k8s-worker-9"),
            case("disown: nobody to ask", "disown --sandbox k8s-worker-1"),
            case("explain: unknown machine", "explain --sandbox k8s-worker-9"),
            case("explain: short name", "explain --sandbox worker-1"),
            case("remove: unknown machine", "remove --sandbox --auto-approve k8s-worker-9"),
            case("remove: nobody to ask", "remove --sandbox k8s-worker-1"),
            case("--only with nothing", "plan --sandbox --only"),
            case("--only with an empty name", "plan --sandbox --only="),
            case("--only: unknown machines", "plan --sandbox --only k8s-worker-8,k8s-worker-9"),
            case("--replace: unknown machine", "apply --sandbox --auto-approve --replace k8s-master-7"),
            case(
                "--only and --replace of different machines",
                "plan --sandbox --only k8s-worker-1 --replace k8s-master-1",
            ),
            case("--without-node: unknown", "plan --sandbox --without-node pve9"),
            case("--without-node with apply", "apply --sandbox --auto-approve --without-node pve1"),
            case("--accept: unknown hazard", "apply --sandbox --auto-approve --accept everything"),
            case("--expect: too short", "apply --sandbox --auto-approve --expect abc"),
            case("--expect: no digits", "apply --sandbox --auto-approve --expect the-plan-we-saw"),
            case("--expect: another plan", "apply --sandbox --auto-approve --expect 000000000000"),
            case("--lock-timeout without unit", "apply --sandbox --auto-approve --lock-timeout 5"),
            case("--lock-timeout: words", "apply --sandbox --auto-approve --lock-timeout soon"),
            case("apply: nobody to ask", "apply --sandbox"),
            case("apply --format json asks nothing", "apply --sandbox --format json"),
            case("destroy: nobody to ask", "destroy --sandbox"),
            case("saved plan with planning flags", "apply --sandbox plan.json --prune"),
            case("scale: nothing", "scale"),
            case("scale: no count", "scale --sandbox workers"),
            case("scale: empty count", "scale --sandbox workers="),
            case("scale: no number", "scale --sandbox workers=many"),
            case("scale: negative", "scale --sandbox workers=-1"),
            case("scale: too many", "scale --sandbox workers=100000"),
            case("scale: no pool", "scale --sandbox =5"),
            case("scale: unknown pool", "scale --sandbox --auto-approve gpu=2"),
            case("scale: singular", "scale --sandbox --auto-approve worker=2"),
            case("scale: a pool that is not begun", "scale --sandbox --auto-approve --manifest one.yaml masters=1"),
            case("scale: a pool twice", "scale --sandbox --auto-approve workers=2 workers=3"),
            case("scale: more masters than addresses", "scale --sandbox --auto-approve masters=5"),
            case("create: no role", "create"),
            case("create: unknown role", "create --role boss"),
            case("create: none", "create --sandbox --role worker --count 0"),
            case("create: far too many", "create --sandbox --auto-approve --role worker --count 100000"),
            case("create: unknown size", "create --sandbox --auto-approve --role worker --size huge"),
            case("create: no cpus", "create --sandbox --auto-approve --role worker --cpus 0"),
            case("create: memory in GB", "create --sandbox --auto-approve --role worker --memory 4"),
            case("create: memory with a unit", "create --role worker --memory 4GB"),
            case("create: disk below the template", "create --sandbox --auto-approve --role worker --disk 1"),
            case("create: unknown node", "create --sandbox --auto-approve --role worker --node pve9"),
            case("create: id out of bounds", "create --sandbox --auto-approve --role worker --vmid 7"),
            case("create: id is no number", "create --role worker --vmid next"),
            case("create: id of the template", "create --sandbox --auto-approve --role worker --vmid 9000"),
            case("create: static without address", "create --role worker --network static"),
            case("create: address without static", "create --role worker --ip 10.0.0.31/24"),
            case("create: address with dhcp", "create --role worker --network dhcp --ip 10.0.0.31/24"),
            case("create: one address for two", "create --role worker --count 2 --network static --ip 10.0.0.31/24"),
            case("create: address without prefix", "create --sandbox --role worker --network static --ip 10.0.0.31"),
            case(
                "create: gateway outside",
                "create --sandbox --role worker --network static --ip 10.0.0.31/24 --gateway 10.0.1.1",
            ),
            case("create: address of a master", "create --sandbox --role worker --network static --ip 10.0.0.11/24"),
            case("create: YAML in a word", "create --sandbox --role worker --size small}"),
            case("create: dns is a name", "create --sandbox --role worker --network dhcp --dns dns.google"),
            case("create: dns without network", "create --sandbox --role worker --dns 10.0.0.1"),
            case("init: nobody to ask", "init --config c.yaml --manifest m.yaml"),
            case("init: files are there", "init --node pve1.lan"),
            case(
                "init: bad port",
                "init --node pve1.lan:ssh --ssh-public-key key.pub --config c.yaml --manifest m.yaml",
            ),
            case(
                "init: the manifest's folder is missing",
                "init --sandbox --node pve1 --ssh-public-key key.pub --config c.yaml --manifest nowhere/m.yaml",
            ),
            case("init: no user's key", "init --sandbox --node pve1 --config c.yaml --manifest m.yaml"),
            case(
                "init: key file missing",
                "init --sandbox --node pve1 --ssh-public-key nowhere.pub --config c.yaml --manifest m.yaml",
            ),
            case(
                "init: private key",
                "init --sandbox --node pve1 --ssh-public-key private.key --config c.yaml --manifest m.yaml",
            ),
            case(
                "init: bad cluster name",
                "init --sandbox --node pve1 --ssh-public-key key.pub --cluster My_Cluster --config c.yaml --manifest m.yaml",
            ),
            case(
                "init: host that is an option",
                "init --node -oProxyCommand=x --ssh-public-key key.pub --config c.yaml --manifest m.yaml",
            ),
            case("init: no host", "init --node root@ --ssh-public-key key.pub --config c.yaml --manifest m.yaml"),
            case(
                "init: unknown storage",
                "init --sandbox --node pve1 --ssh-public-key key.pub --storage nas --config c.yaml --manifest m.yaml",
            ),
            case(
                "init: unknown bridge",
                "init --sandbox --node pve1 --ssh-public-key key.pub --bridge vmbr7 --config c.yaml --manifest m.yaml",
            ),
            case("schema: of what", "schema"),
            case("schema: unknown", "schema inventory"),
            case("completions: unknown shell", "completions csh"),
            case("man: no folder", "man"),
        ],
    );
}

#[test]
fn a_verb_that_is_missing_is_shown() {
    let desk = Desk::new(ONE);
    for line in ["", "lock", "sandbox"] {
        desk.run(line).exits(1).says("Commands:").says("Usage:");
    }
}
