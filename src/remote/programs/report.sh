# Sections of an answer, for observe.sh and vm.sh: $1 is the nonce. The format is documented in src/pve/report/mod.rs.

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
    for folder in "$ROOT"/run/pvekube/ops/*; do
        name=${folder##*/}
        [ -d "$folder" ] || continue
        case $name in
        *-"${1:-}"-*) ;;
        *) [ -z "${1:-}" ] || continue ;;
        esac
        live=0
        is_live "$folder" && live=1
        rc=
        [ -e "$folder/rc" ] && live=0 && read -r rc <"$folder/rc"
        section op "$name" "$live" "${rc:--}"
        [ -e "$folder/log" ] && tail -c 4096 -- "$folder/log"
    done
}
