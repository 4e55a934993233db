//! Wrong values of the config.

use super::case::{CONFIG, Case, Change, ED25519, RSA, config, config_and};

pub fn config_values() -> Vec<Case> {
    vec![
        config("one node, no list", "[pve1.lan, pve2.lan]", "pve1.lan"),
        config("empty list of nodes", "[pve1.lan, pve2.lan]", "[]"),
        config("user in the host", "[pve1.lan,", "[root@pve1.lan,"),
        config("port in the host", "[pve1.lan,", "[\"pve1.lan:2222\","),
        config("url for a host", "[pve1.lan,", "[\"https://pve1.lan:8006\","),
        config("option as a host", "[pve1.lan,", "[-oProxyCommand=x,"),
        config("host twice", "pve2.lan]", "pve1.lan]"),
        config("name twice", "pve2.lan]", "pve1.other]"),
        config("name twice by hand", "pve2.lan]", "{host: pve2.lan, name: pve1}]"),
        config("node without host", "pve2.lan]", "{name: pve2}]"),
        config("node with a wrong key", "pve2.lan]", "{host: pve2.lan, user: root}]"),
        config("port out of range", "pve2.lan]", "{host: pve2.lan, port: 70000}]"),
        config("null node", "pve2.lan]", "~]"),
        config_and("unknown user", "ssh_user: Root User\n"),
        config_and("public key as private", "readiness_check: {ssh_private_key_path: ~/.ssh/id_ed25519.pub}\n"),
        config("variable in a path", "~/.ssh/pve.key", "$HOME/.ssh/pve.key"),
        config("other user's home", "~/.ssh/pve.key", "~admin/.ssh/pve.key"),
        config_and("known_hosts", "ssh: {known_hosts: ask}\n"),
        config("template id too small", "id: 9000", "id: 90"),
        config("template name", "name: jammy", "name: my_template"),
        config("not a URL", "https://images.example/jammy.img", "jammy.img"),
        config("password in the URL", "https://images.example/jammy.img", "https://me:secret@images.example/jammy.img"),
        config("packed image", "jammy.img", "jammy.img.xz"),
        config("installer", "jammy.img", "jammy-live-server.iso"),
        config("no checksum", "  checksum_url: https://images.example/SHA256SUMS\n", ""),
        config("checksum over http", "https://images.example/SHA256SUMS", "http://images.example/SHA256SUMS"),
        config("digest too short", "storage_pool", "image_digest: sha256-abc\n  storage_pool"),
        config("digest of another kind", "storage_pool", "image_digest: md5-abc\n  storage_pool"),
        config("storage name", "local-lvm", "local lvm"),
        config("bridge name", "storage_pool", "network_bridge: vmbr0 and a very long one\n  storage_pool"),
        config("firmware", "storage_pool", "bios: uefi\n  storage_pool"),
        config("machine type", "storage_pool", "machine: q36\n  storage_pool"),
        config("download", "storage_pool", "download: nodes\n  storage_pool"),
        config("ids of an unknown node", "storage_pool", "ids: {pve9: 9001, pv2: 9002}\n  storage_pool"),
        config("ids as a list", "storage_pool", "ids: [9001]\n  storage_pool"),
        config("package", "storage_pool", "bake: {packages: [a b, '-y']}\n  storage_pool"),
        config("static bake without addresses", "storage_pool", "bake: {network: {mode: static}}\n  storage_pool"),
        Case {
            name: "static bake with too few addresses",
            change: Change::WholeConfig(
                CONFIG
                    .replace("pve2.lan]", "pve2.lan, pve3.lan]")
                    .replace("storage_pool", "bake: {network: {addresses: 10.0.0.5-10.0.0.6/24}}\n  storage_pool"),
            ),
        },
        config("nameservers in one text", "cloud_init:", "cloud_init:\n  nameserver: 10.0.0.1 1.1.1.1"),
        config("search domain", "cloud_init:", "cloud_init:\n  searchdomain: -lan"),
        config("user name", "cloud_init:", "cloud_init:\n  user: Ubuntu"),
        config_and("vmid range without end", "vmid_range: 200\n"),
        config_and("vmid range turned", "vmid_range: 299-200\n"),
        config_and("vmid range below 100", "vmid_range: 1-200\n"),
        config_and("vmid range too small", "vmid_range: 200-201\n"),
        config_and("pool name", "pool: my pool\n"),
        config_and("strategy", "placement: {strategy: most_free}\n"),
        config_and("percent", "limits: {max_unavailable: 120%}\n"),
        config_and("zero unavailable", "limits: {max_unavailable: 0}\n"),
        config_and("readiness interval", "readiness_check: {timeout_seconds: 5, ssh_check_interval_seconds: 10}\n"),
        config_and("excluded network", "readiness_check: {exclude_networks: [10.244.0.0]}\n"),
        config_and("hook as a text", "hooks: {before_stop: ./drain.sh}\n"),
        config_and("hook with a number", "hooks: {before_stop: [./drain.sh, 30]}\n"),
    ]
}

pub fn ssh_keys() -> Vec<Case> {
    let key = |name, text: &str| config(name, ED25519, text.to_owned());
    vec![
        key("placeholder of the original plan", "\"ssh-rsa AAAAB3NzaC1yc2EAAAADAQABAAABgQ...\""),
        key("angle brackets", "<your public key>"),
        key("dots", "ssh-ed25519 AAAA... you@host"),
        key("no type", "AAAAC3NzaC1lZDI1NTE5AAAAIPcWOvYHchBXg8fz813/6jN/NwnCbSEGwIkM0JQSEWIj"),
        key("unknown type", "ssh-foo AAAAC3NzaC1lZDI1NTE5AAAAIPcWOvYHchBXg8fz813"),
        key("dsa", "ssh-dss AAAAB3NzaC1kc3MAAACBAP"),
        key("type does not fit", RSA),
        key("cut", "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIPcW"),
        key("not base64", "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIPc%%%"),
        key("private key", "\"-----BEGIN OPENSSH PRIVATE KEY-----\\nc2VjcmV0\\n\""),
        key("a path", "~/.ssh/id_ed25519.pub"),
        key("two lines", "|\n    ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIPcWOvYHchBXg8fz813\n    ssh-ed25519 AAAAC3Nz"),
        key("a list", "[a, b]"),
        config(
            "none",
            "  ssh_public_key: ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIPcWOvYHchBXg8fz813/6jN/NwnCbSEGwIkM0JQSEWIj a@b",
            "  user: ubuntu",
        ),
        config(
            "empty list",
            "ssh_public_key: ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIPcWOvYHchBXg8fz813/6jN/NwnCbSEGwIkM0JQSEWIj a@b",
            "ssh_public_keys: []",
        ),
        config("missing file", "ssh_public_key:", "ssh_public_key_file: ~/.ssh/none.pub\n  ssh_public_key:"),
        config("file of a private key", "ssh_public_key:", "ssh_public_key_file: ~/private\n  ssh_public_key:"),
        config("file without a key", "ssh_public_key:", "ssh_public_key_file: ~/empty\n  ssh_public_key:"),
        config("file with a broken key", "ssh_public_key:", "ssh_public_key_file: ~/broken\n  ssh_public_key:"),
    ]
}
