# Removes the folder of a finished operation: NAME. A live one is refused.
operation_folder "$1"
[ -d "$dir" ] || exit 0
# Between its first act and its pid file it is alive, too.
[ ! -d "$dir/claim" ] || [ -e "$dir/pid" ] || sleep 1
! is_live "$dir" || fail 75 "$1 still runs"
gone="$state/ops/.gone.$1.$$"
if mv -T "$dir" "$gone" 2>/dev/null; then
  rm -rf "$gone"
elif [ -d "$dir" ]; then
  fail 73 "cannot remove $dir"
fi
