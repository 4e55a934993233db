//! Wrong values of the manifest: machines and their addresses.

use super::case::{Case, config, manifest, manifest_and, whole};

pub fn machines() -> Vec<Case> {
    vec![
        whole("no pools", "cluster: k8s\n"),
        manifest("upper case cluster", "cluster: k8s", "cluster: K8s"),
        manifest("underscore in cluster", "cluster: k8s", "cluster: my_k8s"),
        manifest(
            "cluster too long",
            "cluster: k8s",
            "cluster: a-name-that-is-long-enough-to-leave-no-room-for-worker-and-number",
        ),
        manifest("names too long", "cluster: k8s", "cluster: a-name-that-is-long-enough-to-leave-no-room-for-worker-2"),
        manifest("count and numbers", "count: 2", "count: 2\n  numbers: [1]"),
        manifest("neither count nor numbers", "  count: 2\n", ""),
        manifest("numbers twice", "count: 2", "numbers: [1, 2, 1]"),
        manifest("number zero", "count: 2", "numbers: [0, 1]"),
        manifest("numbers no list", "count: 2", "numbers: 3"),
        manifest("count too high", "count: 2", "count: 5000"),
        manifest("too many machines", "count: 2", "count: 1000").and("pools: {a: {count: 1000, size: small}}\n"),
        manifest("unknown size", "  count: 2\n  size: small", "  count: 2\n  size: smal"),
        manifest("unknown size, none like it", "  count: 2\n  size: small", "  count: 2\n  size: gigantic"),
        manifest("no size", "  count: 2\n  size: small", "  count: 2\n  cpus: 4"),
        manifest("disk too small", "count: 2", "count: 2\n  disk_gb: 10"),
        config("size with a disk too small", "disk_gb: 20", "disk_gb: 10"),
        manifest("zero cpus", "count: 2", "count: 2\n  cpus: 0"),
        manifest("two masters", "count: 1", "numbers: [1, 1]"),
        manifest(
            "even masters",
            "  count: 1\n  size: small\n  network:\n    addresses: [10.0.0.11/24]\n    gateway: 10.0.0.1",
            "  count: 2\n  size: small",
        ),
        manifest_and("pool called master", "pools: {master: {count: 1, size: small}}\n"),
        manifest_and("pool called workers", "pools: {workers: {count: 1, size: small}}\n"),
        manifest_and("pool with a hyphen", "pools: {gpu-large: {count: 1, size: small}}\n"),
        manifest_and("pool with a space", "pools: {gpu large: {count: 1, size: small}}\n"),
        manifest_and("pool without a value", "pools: {gpu: }\n"),
        manifest_and("pools as a list", "pools: [gpu]\n"),
        manifest_and("override of no machine", "  overrides: {7: {memory_mb: 4096}}\n"),
        manifest_and("override by name", "  overrides: {k8s-worker-1: {memory_mb: 4096}}\n"),
        manifest_and("override with a wrong key", "  overrides: {1: {memory: 4096}}\n"),
        manifest_and("override of an unknown node", "  overrides: {1: {node: pve3}}\n"),
        manifest_and("override of a node far away", "  overrides: {1: {node: elsewhere}}\n"),
        manifest_and("vmid twice", "  overrides: {1: {vmid: 150}, 2: {vmid: 150}}\n"),
        manifest_and("vmid of the template", "  overrides: {1: {vmid: 9000}}\n"),
        manifest_and("vmid too small", "  overrides: {1: {vmid: 99}}\n"),
        manifest_and("tag", "  tags: [\"team:a\"]\n"),
        manifest_and("startup", "  startup: first\n"),
        manifest_and("power", "  power: onn\n"),
    ]
}

pub fn addresses() -> Vec<Case> {
    let network =
        |name, text: &str| manifest(name, "    addresses: [10.0.0.11/24]\n    gateway: 10.0.0.1\n", text.to_owned());
    vec![
        network("gateway outside, as in ux.md", "    addresses: [10.0.0.11/24]\n    gateway: 10.0.1.1\n"),
        network("no prefix", "    addresses: [10.0.0.11]\n    gateway: 10.0.0.1\n"),
        network("no address", "    addresses: [k8s.lan]\n"),
        network("octet too large", "    addresses: [10.0.0.311/24]\n"),
        network("prefix too long", "    addresses: [10.0.0.11/33]\n"),
        network("prefix zero", "    addresses: [10.0.0.11/0]\n"),
        network("network address", "    addresses: [10.0.0.0/24]\n    gateway: 10.0.0.1\n"),
        network("broadcast address", "    addresses: [10.0.0.255/24]\n    gateway: 10.0.0.1\n"),
        network("loopback", "    addresses: [127.0.0.1/8]\n"),
        network("multicast", "    addresses: [224.0.0.1/4]\n"),
        network("link-local", "    addresses: [169.254.0.5/16]\n"),
        network("machine has the gateway's address", "    addresses: [10.0.0.1/24]\n    gateway: 10.0.0.1\n"),
        network("gateway is the network", "    addresses: [10.0.0.11/24]\n    gateway: 10.0.0.0\n"),
        network("gateway with prefix", "    addresses: [10.0.0.11/24]\n    gateway: 10.0.0.1/24\n"),
        network("gateway of the other family", "    addresses: [10.0.0.11/24]\n    gateway: fd00::1\n"),
        network("IPv6 among addresses", "    addresses: [\"fd00::11/64\"]\n"),
        network("IPv4 among addresses6", "    addresses6: [10.0.0.11/24]\n"),
        network("IPv6 gateway outside", "    addresses6: [\"fd00::11/64\"]\n    gateway6: fd01::1\n"),
        network("IPv6 subnet router", "    addresses6: [\"fd00::/64\"]\n"),
        network("dhcp with addresses", "    mode: dhcp\n    addresses: [10.0.0.11/24]\n"),
        network("static without addresses", "    mode: static\n"),
        network("static with some overrides", "    mode: static\n  overrides: {2: {address: 10.0.0.12/24}}\n")
            .edit("count: 1", "count: 3"),
        network("gateway without addresses", "    gateway: 10.0.0.1\n"),
        network("unknown mode", "    mode: manual\n"),
        network("range turned", "    addresses: 10.0.0.29-10.0.0.20/24\n"),
        network("range over two subnets", "    addresses: 10.0.0.20-10.0.1.29/24\n"),
        network("range without prefix", "    addresses: 10.0.0.20-10.0.0.29\n"),
        network("range by last octet", "    addresses: 10.0.0.20-29/24\n"),
        network("range of two families", "    addresses: 10.0.0.20-fd00::1/24\n"),
        network("range over the broadcast address", "    addresses: 10.0.0.255-10.0.1.3/23\n    gateway: 10.0.0.1\n")
            .edit("  count: 1\n", "  numbers: [3, 4, 5, 2]\n"),
        network("range ends at the broadcast address", "    addresses: 10.0.0.254-10.0.0.255/24\n")
            .edit("count: 1", "count: 3"),
        network("range that begins with no address", "    addresses: 0.0.0.0-0.0.0.9/24\n"),
        network("too few addresses", "    addresses: [10.0.0.11/24, 10.0.0.12/24]\n").edit("count: 1", "count: 5"),
        network("number beyond the list", "    addresses: [10.0.0.11/24]\n").edit("count: 1", "numbers: [3]"),
        network("duplicate in a list", "    addresses: [10.0.0.11/24, 10.0.0.11/24]\n")
            .edit("count: 1", "numbers: [1, 2, 3]"),
        manifest_and("duplicate over pools", "  network: {addresses: 10.0.0.10-10.0.0.19/24}\n"),
        manifest_and("duplicate by override", "  overrides: {1: {address: 10.0.0.11/24}}\n"),
        manifest_and(
            "override outside the gateway's subnet",
            "  network: {gateway: 10.0.0.1}\n  overrides: {1: {address: 10.0.9.11/24}}\n",
        ),
        manifest_and(
            "override with dhcp and address",
            "  overrides: {1: {address: 10.0.0.5/24, network: {mode: dhcp}}}\n",
        ),
        manifest_and("override static without address", "  overrides: {1: {network: {mode: static}}}\n"),
        manifest_and(
            "override with two addresses",
            "  overrides: {1: {address: 10.0.0.5/24, network: {address: 10.0.0.6/24}}}\n",
        ),
        manifest_and("override with a gateway alone", "  overrides: {1: {network: {gateway: 10.0.0.1}}}\n"),
        manifest_and(
            "override with a gateway outside",
            "  overrides: {1: {network: {address: 10.0.0.6/24, gateway: 10.0.1.1}}}\n",
        ),
        manifest_and("vlan zero", "  network: {vlan: 0}\n"),
        manifest_and("vlan too high", "  network: {vlan: 4095}\n"),
        manifest_and("dns in one text", "  network: {dns: \"10.0.0.1, 1.1.1.1\"}\n"),
        manifest_and("dns with prefix", "  network: {dns: [10.0.0.1/24]}\n"),
        manifest_and("dns name", "  network: {dns: [dns.google]}\n"),
    ]
}
