root=''
# The bake of a template, inside the guest, as a transient unit. Arguments: packages, --, commands.
# Says what came of it on the serial console and powers off, whatever happens.
out=$root/run/pvekube-bake.log
say() {
    for console in "$root/dev/ttyS0" "$root/dev/console"; do
        printf '\npvekube-bake%s %s\n' "$1" "$2" >>"$console" && return
    done 2>/dev/null
}
end() {
    sync
    sleep 2
    systemctl poweroff || poweroff -f
    exit 0
}
fail() {
    tail -n 8 "$out" | while IFS= read -r line; do say '|' "$line"; done
    say ':' "failed: $1"
    end
}
# A step by name: its output is kept for the report, its failure ends the bake.
step() {
    name=$1
    shift
    "$@" >"$out" 2>&1 </dev/null || fail "$name (exit $?)"
}
# The lists' own lock is waited for by nobody, and a fresh image may refresh them by itself at this very moment.
refresh() {
    for try in 1 2 3 4 5; do
        apt-get -o DPkg::Lock::Timeout=300 update && return
        sleep 10
    done
}
install() {
    if command -v apt-get >/dev/null; then
        export DEBIAN_FRONTEND=noninteractive
        [ -n "$refreshed" ] || refresh
        refreshed=1
        apt-get -o DPkg::Lock::Timeout=300 -y install "$1"
    elif command -v dnf >/dev/null; then
        dnf -y install "$1"
    elif command -v zypper >/dev/null; then
        zypper --non-interactive install "$1"
    else
        echo 'no package manager that this bake knows (apt-get, dnf, zypper)'
        return 1
    fi
}
agent_runs() {
    systemctl enable qemu-guest-agent
    systemctl start qemu-guest-agent
    for second in 1 2 3 4 5 6 7 8 9 10; do
        systemctl is-active qemu-guest-agent && return 0
        sleep 1
    done
    systemctl status --no-pager --lines 5 qemu-guest-agent
    return 1
}
refreshed=
: >"$out"
cloud-init status --wait >/dev/null 2>&1
# An image that has the agent needs no network for it.
command -v qemu-ga >/dev/null || step 'package qemu-guest-agent' install qemu-guest-agent
while [ $# -gt 0 ] && [ "$1" != -- ]; do
    step "package $1" install "$1"
    shift
done
shift
number=0
for command in "$@"; do
    number=$((number + 1))
    step "command $number" sh -c "$command"
done
step 'service qemu-guest-agent' agent_runs
# Nothing of this boot may be in the clones: identity, keys, logs, caches, leases.
step 'cloud-init clean' cloud-init clean --logs
command -v apt-get >/dev/null && apt-get clean
: >"$root/etc/machine-id"
[ -L "$root/var/lib/dbus/machine-id" ] || rm -f "$root/var/lib/dbus/machine-id"
rm -f "$root/etc/ssh/ssh_host_"* "$root/var/lib/systemd/random-seed" "$root/var/lib/dhcp/"*
rm -f "$root/etc/netplan/50-cloud-init.yaml" "$root/etc/network/interfaces.d/50-cloud-init"*
journalctl --rotate --vacuum-time=1s
find "$root/var/log" -type f -exec truncate -s 0 {} +
fstrim -a
say ':' ok
end
