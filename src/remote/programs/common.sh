# Shared by all programs. Everything of ours lies under $state, readable by root alone.
umask 077
state="$ROOT/run/pvekube"

fail() { # EXIT MESSAGE…
  code=$1
  shift
  printf '%s\n' "$*" >&2
  exit "$code"
}

# Sets $start to the start time of a process (field 22 of its stat); false when it is gone or a zombie. The command's name
# (field 2) may hold blanks and brackets, so cut after its last bracket.
start_of() { # PID
  start=
  { read -r line <"/proc/$1/stat"; } 2>/dev/null || return 1
  line=${line##*) }
  # shellcheck disable=SC2086
  set -- $line
  case $1 in Z | X) return 1 ;; esac
  shift 19
  start=$1
}

# An operation lives while it has no exit code and pid, start time and boot id agree.
is_live() { # FOLDER
  [ ! -e "$1/rc" ] && { read -r pid born boot <"$1/pid"; } 2>/dev/null || return 1
  read -r now_boot </proc/sys/kernel/random/boot_id
  [ "$boot" = "$now_boot" ] && start_of "$pid" && [ "$start" = "$born" ]
}

operation_folder() { # NAME: sets $dir
  case $1 in '' | .* | *[!A-Za-z0-9.-]*) fail 64 "bad name of an operation: $1" ;; esac
  dir="$state/ops/$1"
}

# Sets $qemu to the pid of a VM's QEMU; false when it does not run. A killed QEMU leaves its pid file for a moment, so the
# command line must name the file, as PVE itself checks (contract §1.4).
qemu_of() { # VMID
  qemu=
  { read -r qemu <"$ROOT/run/qemu-server/$1.pid"; } 2>/dev/null || return 1
  proc=/proc
  [ -z "$ROOT" ] || [ ! -d "$ROOT/proc" ] || proc="$ROOT/proc"
  case " $(tr '\0' ' ' <"$proc/$qemu/cmdline" 2>/dev/null) " in *"/run/qemu-server/$1.pid "*) ;; *) return 1 ;; esac
}

# Sets $file to the real path of a file that is ours to write; refuses all others.
own_path() { # PATH
  case $1 in
    '' | [!/]* | *[!A-Za-z0-9/._+@:-]* | */../* | */./* | */.. | */. | */ | *//*) fail 64 "refused: not a plain path: $1" ;;
    /var/lib/pvekube/?* | /run/pvekube/?*) ;;
    /*/snippets/pvekube-?*) case ${1##*/snippets/} in */*) fail 64 "refused: not a file of ours: $1" ;; esac ;;
    *) fail 64 "refused: not a file of ours: $1" ;;
  esac
  file="$ROOT$1"
}

# One writer a file at a time, also over clusters: fd 8 (of $lock) holds what `flock 8` takes until the shell ends.
open_lock() { # PATH
  mkdir -p "$state/locks"
  lock="$state/locks/file-$(printf %s "$1" | sha256sum | cut -c1-32).lock"
  exec 8>>"$lock"
}

has_digest() { # FILE ALGORITHM HEX
  digest=$("${2}sum" <"$1") && [ "${digest%% *}" = "$3" ]
}
