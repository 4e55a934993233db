#!/bin/sh
# A `qm` for tests of the transport alone: what it does is up to its arguments. $ROOT is the node's root folder.
case $1 in
  say) # TEXT EXIT
    printf '%s\n' "$2"
    exit "$3"
    ;;
  keep) # ARGUMENT…: kept as they came, each ended by a NUL
    shift
    [ $# -eq 0 ] || printf '%s\0' "$@" >"$ROOT/kept"
    ;;
  show) # FILE
    cat "$2"
    ;;
  count) # how often it ran, as lines
    echo ran >>"$ROOT/count"
    ;;
  await) # FILE: until it is there
    echo waiting
    until [ -e "$ROOT/$2" ]; do sleep 0.05; done
    echo went on
    ;;
  where)
    printf '%s\n' "${0#"$ROOT"}"
    ;;
  environment)
    printf '%s|%s|%s\n' "$LC_ALL" "$(umask)" "$(tty)"
    ;;
  start) # VMID: a QEMU that says what $ROOT/boot-VMID (a shell script) says on its serial console, and ends with it
    [ -e "$ROOT/boot-$2" ] || { echo "start failed: no such VM" >&2; exit 255; }
    rm -f "$ROOT/run/qemu-server/$2.serial0" "$ROOT/started-$2"
    setsid sh -c '
      echo $$ >"$ROOT/run/qemu-server/$1.pid"
      : >"$ROOT/started-$1"
      socat "UNIX-LISTEN:$ROOT/run/qemu-server/$1.serial0" "EXEC:sh $ROOT/boot-$1"
      rm -f "$ROOT/run/qemu-server/$1.pid"
    ' qemu "$2" -pidfile "$ROOT/run/qemu-server/$2.pid" </dev/null >/dev/null 2>&1 &
    until [ -e "$ROOT/started-$2" ]; do sleep 0.02; done
    ;;
  guest)
    case $2 in
      cmd) # VMID COMMAND
        mkdir "$ROOT/agent-$3"
        while [ -e "$ROOT/hold" ]; do sleep 0.05; done
        rmdir "$ROOT/agent-$3"
        echo "$4 of $3"
        echo noise >&2
        ;;
      exec) # VMID -- COMMAND…
        shift 4
        printf '{"exitcode":0,"exited":1,"out-data":"%s"}\n' "$*"
        ;;
    esac
    ;;
esac
