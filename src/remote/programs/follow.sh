# A node's follower: POLL PATIENCE (seconds). Reads `operation NAME`, `agent VMID ASK` and `beat`; prints, one line each
# (base64 keeps arbitrary output on one line):
#   log NAME BASE64          the last line of its log changed
#   exited NAME CODE
#   lost NAME                no folder, or its process is gone and left no exit code
#   agent VMID ASK CODE BASE64_STDOUT BASE64_STDERR
# Ends when stdin closes or nothing is read for PATIENCE.
read -r self _ </proc/self/stat
start_of "$self"
mkdir -p "$state"
for old in "$state"/follow.*; do
  pid=${old#*/follow.}
  if [ -d "$old" ]; then
    start_of "${pid%.*}" && [ "$start" = "${pid#*.}" ] || rm -rf "$old"
  fi
done
start_of "$self"
spool="$state/follow.$self.$start"
mkdir "$spool" "$spool/operations" && mkfifo "$spool/agents" || exit 73
# Both ends, so that neither opening nor reading ends for want of the other.
exec 7<>"$spool/agents"

now_s() {
  read -r now _ </proc/uptime
  now=${now%%.*}
}

# A line longer than a pipe's atomic write must not be torn by another's: each writer opens the lock file itself.
emit() {
  (flock 6 && printf '%s\n' "$1") 6>"$spool/output"
}

report_log() { # NAME FOLDER
  : >"$spool/operations/$1.read"
  last=$(tail -c 2000 "$2/log" 2>/dev/null | tr -s '\r\n' '\n\n' | tail -n 1 | base64 -w 0)
  [ -z "$last" ] || emit "log $1 $last"
}

report() { # NAME: false when it is over
  operation_folder "$1"
  mark="$spool/operations/$1"
  if [ ! -e "$mark.read" ] || [ "$dir/log" -nt "$mark.read" ]; then
    [ ! -e "$dir/log" ] || report_log "$1" "$dir"
  fi
  if [ -e "$dir/rc" ]; then
    # It may have written between the look at its log and its end.
    [ ! "$dir/log" -nt "$mark.read" ] || report_log "$1" "$dir"
    code=
    { read -r code <"$dir/rc"; } 2>/dev/null
    case $code in
      '' | *[!0-9]*) emit "lost $1" ;;
      *) emit "exited $1 $code" ;;
    esac
    return 1
  fi
  if [ -d "$dir" ] && is_live "$dir"; then
    rm -f "$mark.doubt"
  elif [ ! -d "$dir" ] || [ -e "$mark.doubt" ]; then
    emit "lost $1"
    return 1
  elif [ ! -e "$dir/rc" ]; then
    # Not alive, no exit code: it may just have begun or ended. Believed at the second look.
    : >"$mark.doubt"
  fi
}

watch() { # POLL PATIENCE
  while :; do
    for mark in "$spool"/operations/*.open; do
      [ -e "$mark" ] || continue
      name=${mark##*/}
      name=${name%.open}
      report "$name" || rm -f "$spool/operations/$name".*
    done
    { read -r heard <"$spool/heard"; } 2>/dev/null || heard=
    now_s
    if [ -n "$heard" ] && [ $((now - heard)) -gt "$2" ]; then
      kill "$self"
      exit
    fi
    sleep "$1"
  done
}

ask() { # VMID ASK
  case $2 in
    ping) set -- guest cmd "$1" ping ;;
    interfaces) set -- guest cmd "$1" network-get-interfaces ;;
    cloud-init) set -- guest exec "$1" -- cloud-init status --format json ;;
    host-keys) set -- guest exec "$1" -- sh -c 'cat /etc/ssh/ssh_host_*_key.pub' ;;
    *) printf 'unknown question: %s\n' "$2" >&2 && return 64 ;;
  esac
  timeout -k 5 60 qm "$@" </dev/null
}

# Two of these run: so at most two probes at once, in the order asked.
answer_agents() { # NUMBER
  exec 8>"$spool/turn"
  while flock 8 && read -r vmid question <&7; do
    flock -u 8
    ask "$vmid" "$question" >"$spool/stdout.$1" 2>"$spool/stderr.$1" 8>&-
    code=$?
    emit "agent $vmid $question $code $(base64 -w 0 <"$spool/stdout.$1") $(base64 -w 0 <"$spool/stderr.$1")"
  done
}

watch "$1" "$2" </dev/null &
watcher=$!
answer_agents 1 </dev/null &
first=$!
answer_agents 2 </dev/null &
second=$!
trap 'kill $watcher $first $second 2>/dev/null; rm -rf "$spool"' EXIT
trap 'exit 0' TERM
now_s
printf '%s\n' "$now" >"$spool/heard"
while read -r kind what more; do
  now_s
  printf '%s\n' "$now" >"$spool/heard.tmp" && mv "$spool/heard.tmp" "$spool/heard"
  case $kind in
    operation)
      case $what in
        '' | .* | *[!A-Za-z0-9.-]*) ;;
        *) : >"$spool/operations/$what.open" ;;
      esac
      ;;
    agent) printf '%s %s\n' "$what" "$more" >&7 ;;
  esac
done
