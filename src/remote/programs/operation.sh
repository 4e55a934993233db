# The runner of an operation, detached: FOLDER. It outlives the connection; nothing of it reads a terminal.
# `argv` holds each argument as its length, a newline, its bytes: no quoting, any bytes but NUL.
dir=$1
mkdir "$dir/claim" 2>/dev/null || exit 0
exec </dev/null >>"$dir/log" 2>&1
start_of $$
read -r boot </proc/sys/kernel/random/boot_id
printf '%s %s %s\n' $$ "$start" "$boot" >"$dir/pid.tmp" && mv "$dir/pid.tmp" "$dir/pid"

set --
exec 3<"$dir/argv"
while read -r length <&3; do
  # The x keeps newlines at the end of an argument.
  argument=$(head -c "$length" <&3 && printf x)
  argument=${argument%x}
  # Only a file that is there: a VM's Notes may begin like that, too.
  case $argument in
  @FOLDER/*/*) ;;
  @FOLDER/*) [ -f "$dir/files/${argument#@FOLDER/}" ] && argument="$dir/files/${argument#@FOLDER/}" ;;
  esac
  set -- "$@" "$argument"
done
exec 3<&-

download() { # URL ALGORITHM HEX PATH
  own_path "$4"
  part="$file.part"
  (umask 022 && mkdir -p "${file%/*}") || return 73
  open_lock "$4"
  flock 8
  if [ -f "$file" ] && has_digest "$file" "$2" "$3"; then
    printf 'already there\n'
    return 0
  fi
  rm -f "$part"
  through_proxy
  (umask 022 && exec wget --progress=dot:mega --tries=5 --waitretry=5 --timeout=30 -O "$part" -- "$1" 8>&-)
  code=$?
  if [ $code -ne 0 ]; then
    rm -f "$part"
    return $code
  fi
  if ! has_digest "$part" "$2" "$3"; then
    printf 'wrong digest: expected %s %s, the file has %s (%s bytes)\n' "$2" "$3" "${digest%% *}" "$(stat -c %s "$part")"
    rm -f "$part"
    return 65
  fi
  sync "$part" && mv -f "$part" "$file" && sync "${file%/*}"
}

# As Proxmox itself downloads: through the datacenter's proxy, if it has one.
through_proxy() {
  proxy=$(sed -n 's/^http_proxy:[[:space:]]*//p' "$ROOT/etc/pve/datacenter.cfg" 2>/dev/null | head -n 1)
  [ -z "$proxy" ] || export http_proxy="$proxy" https_proxy="$proxy"
}

# Connects as soon as the socket is there, so that nothing QEMU sends is lost, and for as long as the bake lasts. The log
# takes at most 8 MiB of console.
read_console() { # VMID
  until [ -e "$dir/over" ] || [ "$(stat -c %s "$dir/log")" -ge 8388608 ]; do
    socat -u "UNIX-CONNECT:$ROOT/run/qemu-server/$1.serial0,readbytes=8388608" - 2>/dev/null
    sleep 0.1
  done
}

uptime_s() {
  read -r up _ </proc/uptime
  up=${up%%.*}
}

bake() { # VMID TIMEOUT
  # Its words on being ended are none of the log's.
  read_console "$1" 2>/dev/null &
  console=$!
  (umask 022 && exec qm start "$1")
  code=$?
  if [ $code -eq 0 ]; then
    uptime_s
    limit=$((up + $2))
    while qemu_of "$1"; do
      uptime_s
      [ "$up" -lt "$limit" ] || { code=124; break; }
      sleep 0.5
    done
  elif [ $code -eq 124 ]; then
    code=125
  fi
  : >"$dir/over"
  # What QEMU sent last is still on its way to the reader.
  tries=0
  while [ $code -eq 0 ] && [ $tries -lt 20 ] && kill -0 $console 2>/dev/null; do
    sleep 0.1
    tries=$((tries + 1))
  done
  kill_tree $console
  return $code
}

kill_tree() { # PID: a shell and the one program that it waits for
  for task in /proc/[0-9]*/stat; do
    { read -r line <"$task"; } 2>/dev/null || continue
    child=${line%% *}
    line=${line##*) }
    line=${line#* }
    [ "${line%% *}" != "$1" ] || kill "$child" 2>/dev/null
  done
  kill "$1" 2>/dev/null
}

verb=$1
shift
case $verb in
  qm | pvesm) (umask 022 && exec "$verb" "$@") ;;
  download) (download "$@") ;;
  bake) bake "$@" ;;
  *) (fail 64 "unknown kind of operation: $verb") ;;
esac
code=$?
printf '%s\n' "$code" >"$dir/rc.tmp" && mv "$dir/rc.tmp" "$dir/rc"
