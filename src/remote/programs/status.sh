# An operation: NAME LINES. Prints `absent`, or `exit N` (`exit -`: none), `live yes|no`, `log`, and the log's last lines.
operation_folder "$1"
if [ ! -d "$dir" ]; then
  printf 'absent\n'
  exit 0
fi
live=no
! is_live "$dir" || live=yes
code=-
{ read -r code <"$dir/rc"; } 2>/dev/null
printf 'exit %s\nlive %s\nlog\n' "$code" "$live"
[ ! -e "$dir/log" ] || tail -n "$2" "$dir/log"
