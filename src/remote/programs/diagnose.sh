# Evidence about a guest that is not ready: VMID MAC BRIDGE (the last two may be empty). Prints
#   qemu running|gone
#   cpu SECONDS            CPU time of QEMU
#   status WORD            QEMU's own state: `running`, `paused`, `io-error`, …
#   qemu-log LINE…         what QEMU said last, in the journal
#   neighbour LINE…        `ip neigh` lines with the MAC
#   seen LINE…             `bridge fdb` lines with the MAC
#   console                then, to the end, what the serial console said within 5 s after a newline (at most 64 KiB)
# A late reader gets nothing of what the console said before (design §6).
if qemu_of "$1"; then
  printf 'qemu running\n'
  if { read -r line <"/proc/$qemu/stat"; } 2>/dev/null; then
    line=${line##*) }
    # shellcheck disable=SC2086
    cpu=$(set -- $line && shift 11 && printf %s $(($1 + $2)))
    printf 'cpu %s\n' $((cpu / $(getconf CLK_TCK)))
  fi
  # A guest that is paused for an I/O error looks alive in every other way.
  state=$(timeout -k 5 30 qm status "$1" 2>/dev/null </dev/null)
  case $state in "status: "*) printf 'status %s\n' "${state#status: }" ;; esac
else
  printf 'qemu gone\n'
fi
journalctl -q --no-pager -o cat -b -n 5 _SYSTEMD_UNIT="$1.scope" 2>/dev/null | while read -r line; do
  printf 'qemu-log %s\n' "$line"
done
if [ -n "$2" ]; then
  mac=$(printf %s "$2" | tr 'A-F' 'a-f')
  ip neigh show 2>/dev/null | while read -r line; do
    case $line in *"$mac"*) printf 'neighbour %s\n' "$line" ;; esac
  done
  if [ -n "$3" ]; then
    # Of all bridges: with a VLAN, PVE puts the VM's tap on one of its own (vmbr0v20).
    bridge fdb show 2>/dev/null | while read -r line; do
      case $line in *"$mac"*) printf 'seen %s\n' "$line" ;; esac
    done
  fi
fi
printf 'console\n'
socket="$ROOT/run/qemu-server/$1.serial0"
if [ -S "$socket" ]; then
  { sleep 0.3; printf '\n'; sleep 5; } | timeout 6 socat - "UNIX-CONNECT:$socket" 2>/dev/null | head -c 65536
fi
exit 0
