# Everything that planning needs of a node, in one run and without changing anything.
# $1 nonce, $2 cluster (unused here), $3 storages, $4 bridges, $5 snippet folder or nothing. No Perl, no process for each VM:
# 300 configs take as long as three.

storages=$3
bridges=$4
snippets=${5:-/var/lib/vz/snippets}
sys=$ROOT/sys
[ -d "$sys" ] || sys=/sys

containers() {
    section containers
    cd "$ROOT/etc/pve/nodes" 2>/dev/null || return
    set -- */lxc/*.conf
    [ -e "$1" ] || return
    printf '%s\n' "$@"
    section container-memory
    grep -sH '^memory:' -- "$@"
}

# Bridges of the kernel, and those asked for that are no device of the kernel's own (Open vSwitch).
links() {
    section bridges
    for link in "$sys"/class/net/*/bridge; do
        [ -e "$link" ] || continue
        link=${link%/bridge}
        printf '%s\n' "${link##*/}"
    done
    for name in $bridges; do
        link=$sys/class/net/$name
        [ -e "$link" ] && [ ! -e "$link/bridge" ] && [ ! -e "$link/device" ] && printf '%s\n' "$name"
    done
}

images() {
    section images
    cd "$ROOT/var/lib/pvekube/images" 2>/dev/null || return
    set -- sha*-*
    [ -e "$1" ] && stat -c '%s %n' -- "$@"
}

space() {
    section space
    for folder in "$ROOT/var/lib/pvekube" "$ROOT/var/lib" "$ROOT/var" "$ROOT/"; do
        [ -d "$folder" ] && stat -f -c '%a %S' -- "$folder" && return
    done
}

snippet_files() {
    section snippets
    for snippet in "$ROOT$snippets"/pvekube-*; do
        [ -e "$snippet" ] && printf '%s\n' "${snippet##*/}"
    done
}

missing_programs() {
    section missing
    for program in flock pvesm qm setsid sha256sum sha512sum socat timeout wget; do
        command -v "$program" >/dev/null || printf '%s\n' "$program"
    done
}

# pvesm (a second of Perl) only for a storage of this node of which pvestatd has sent no sample in two minutes.
storage_status() {
    node=$(readlink -- "$ROOT/etc/pve/local")
    node=${node##*/}
    usable_storages
    sampled_storages
    for storage in $storages; do
        case $usable in
        *" $storage "*) ;;
        *) continue ;;
        esac
        case $sampled in
        *" $storage "*) ;;
        *) asked "$storage" & ;;
        esac
    done
    wait
}

# Storages that storage.cfg has for this node: not disabled, and not restricted to others. `local` is everywhere.
usable_storages() {
    usable=' local '
    set -f
    IFS='
'
    for line in $(cat -- "$ROOT/etc/pve/storage.cfg" 2>/dev/null); do
        case $line in
        [[:space:]]disable*) usable=${usable%"$name "} ;;
        [[:space:]]nodes\ *)
            case ,${line##* }, in
            *",$node,"*) ;;
            *) usable=${usable%"$name "} ;;
            esac
            ;;
        [![:space:]]*:\ *)
            name=${line##* }
            usable="$usable$name "
            ;;
        esac
    done
    unset IFS
    set +f
}

# Storages of this node with a sample of the last two minutes. Line by line: to cut one out of the whole text takes dash time
# by the square of its length, 25 s with 600 guests.
sampled_storages() {
    sampled=' '
    set -f
    IFS='
'
    for line in $rrd; do
        case $line in
        pve*storage*/"$node"/*:*) ;;
        *) continue ;;
        esac
        line=${line#*/"$node"/}
        sample=${line#*:}
        sample=${sample%%:*}
        case $sample in
        '' | *[!0-9]*) continue ;;
        esac
        [ $((now - sample)) -gt 120 ] || sampled="$sampled${line%%:*} "
    done
    unset IFS
    set +f
}

# One write, so that two storages asked at once don't mix.
asked() {
    status=$(timeout -k 5 30 pvesm status --storage "$1" 2>&1 </dev/null)
    printf '\n@@%s pvesm %s %s\n%s\n' "$N" "$1" "$?" "$status"
}

section begin 1
now=$(date +%s)
section clock
printf '%s\n' "$now"
local_link
file members "$ROOT/etc/pve/.members"
file vmlist "$ROOT/etc/pve/.vmlist"
configs
containers
file vmlist-after "$ROOT/etc/pve/.vmlist"
rrd=$(cat -- "$ROOT/etc/pve/.rrd" 2>/dev/null)
section file rrd
printf '%s\n' "$rrd"
file storage.cfg "$ROOT/etc/pve/storage.cfg"
file datacenter.cfg "$ROOT/etc/pve/datacenter.cfg"
file user.cfg "$ROOT/etc/pve/user.cfg"
file ha/resources.cfg "$ROOT/etc/pve/ha/resources.cfg"
file pvecfg.pm "$ROOT/usr/share/perl5/PVE/pvecfg.pm"
file meminfo "$proc/meminfo"
file cpus "$sys/devices/system/cpu/online"
file resolv.conf "$ROOT/etc/resolv.conf"
running
links
images
space
snippet_files
missing_programs
operations
storage_status
section end
