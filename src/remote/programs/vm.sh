# One VM, wherever its config lies now: the config, whether its QEMU runs on this node, its operations here.
# $1 nonce, $2 VMID. The sections are those of observe.sh; functions of the same name are the same text.

N=$1
proc=$ROOT/proc
[ -d "$proc" ] || proc=/proc

section() {
    printf '\n@@%s %s\n' "$N" "$*"
}

# A file's exact bytes under a name.
file() {
    if [ -e "$2" ]; then
        section file "$1"
        cat -- "$2" || section failed "$1"
    else
        section absent "$1"
    fi
}

# What /etc/pve/local is: a symlink while pmxcfs is mounted. Mode without owner-write: no quorum (contract §1.5).
local_link() {
    section local
    if [ -L "$ROOT/etc/pve/local" ]; then
        printf 'link %s %s\n' "$(stat -L -c %a -- "$ROOT/etc/pve/local")" "$(readlink -- "$ROOT/etc/pve/local")"
    elif [ -d "$ROOT/etc/pve" ]; then
        echo unmounted
    else
        echo absent
    fi
}

# Lines `SIZE PATH`, an empty line, then all files joined: two processes, and the exact bytes of each.
configs() {
    section configs
    cd "$ROOT/etc/pve/nodes" 2>/dev/null || return
    set -- */qemu-server/${1:-*}.conf
    [ $# -gt 1 ] || [ -e "$1" ] || return
    stat -c '%s %n' -- "$@"
    echo
    cat -- "$@"
}

# Pid files, and which of those processes is a QEMU that names its pid file: a killed one leaves its file behind.
running() {
    section pids
    only=${1:-*}
    set --
    for pidfile in "$ROOT"/run/qemu-server/$only.pid; do
        pid=
        [ -e "$pidfile" ] && read -r pid <"$pidfile" 2>/dev/null
        case $pid in
        '' | *[!0-9]*) continue ;;
        esac
        id=${pidfile##*/}
        printf '%s %s\n' "${id%.pid}" "$pid"
        set -- "$@" "$pid/cmdline"
    done
    section cmdlines
    [ $# -gt 0 ] || return
    cd "$proc" && grep -zasHxE '.*/run/qemu-server/[0-9]+[.]pid' -- "$@" | tr '\0' '\n'
}

# Our operations: name, whether it lives (pid, start time and boot agree), exit code or `-`; then the end of its log.
operations() {
    boot=
    read -r boot </proc/sys/kernel/random/boot_id
    for folder in "$ROOT"/run/pvekube/ops/*; do
        name=${folder##*/}
        [ -d "$folder" ] || continue
        case $name in
        *-"${1:-}"-*) ;;
        *) [ -z "${1:-}" ] || continue ;;
        esac
        live=0
        alive "$folder" "$boot" && live=1
        rc=
        [ -e "$folder/rc" ] && live=0 && read -r rc <"$folder/rc"
        section op "$name" "$live" "${rc:--}"
        [ -e "$folder/log" ] && tail -c 4096 -- "$folder/log"
    done
}

alive() {
    pid= start= id= stat=
    [ -e "$1/pid" ] && read -r pid start id <"$1/pid"
    case $pid in
    '' | *[!0-9]*) return 1 ;;
    esac
    [ "$id" = "$2" ] && [ -e "/proc/$pid/stat" ] && read -r stat <"/proc/$pid/stat" 2>/dev/null
    # After the name in parentheses come state (field 3) and the rest; start time is field 22.
    set -- ${stat##*) }
    [ $# -ge 20 ] && [ "$1" != Z ] && [ "${20}" = "$start" ]
}

section begin 1
local_link
configs "$2"
file vmlist "$ROOT/etc/pve/.vmlist"
running "$2"
operations "$2"
section end
