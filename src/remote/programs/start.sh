# Starts a detached operation. NAME RUNNER_LENGTH ARGV_LENGTH [FILE LENGTH]…; stdin: runner, argv, files, one after another.
# The folder is made beside and renamed, so it is whole or absent. Whoever starts, the runner's first act is a `mkdir`
# that only one can do: two starts of one name, or a start repeated after a lost connection, run it once.
operation_folder "$1"
name=$1
shift

receive() { # FILE LENGTH
  head -c "$2" >"$1" && [ "$(stat -c %s "$1")" = "$2" ]
}

if [ ! -d "$dir" ]; then
  mkdir -p "$state/ops" || exit 73
  now=$(date +%s)
  # What a killed start or forget left. Others at work here may take theirs away at any moment.
  for old in "$state"/ops/.new.* "$state"/ops/.gone.*; do
    made=$(stat -c %Y "$old" 2>/dev/null) || continue
    [ $((now - made)) -lt 600 ] || rm -rf "$old"
  done
  new=$(mktemp -d "$state/ops/.new.XXXXXX") && mkdir "$new/files" || exit 73
  receive "$new/run" "$1" && receive "$new/argv" "$2" || { rm -rf "$new"; fail 74 "the request came incomplete"; }
  shift 2
  while [ $# -gt 1 ]; do
    case $1 in '' | .* | *[!A-Za-z0-9._-]*) rm -rf "$new"; fail 64 "bad name of a file: $1" ;; esac
    receive "$new/files/$1" "$2" || { rm -rf "$new"; fail 74 "the request came incomplete"; }
    shift 2
  done
  mv -T "$new" "$dir" 2>/dev/null || rm -rf "$new"
  [ -d "$dir" ] || fail 73 "cannot make $dir"
fi

if [ ! -d "$dir/claim" ]; then
  setsid sh "$dir/run" "$dir" </dev/null >/dev/null 2>&1 &
fi
tries=0
until [ -e "$dir/pid" ] || [ -e "$dir/rc" ]; do
  tries=$((tries + 1))
  [ $tries -lt 200 ] || fail 75 "$name did not start within 10 s"
  sleep 0.05
done
