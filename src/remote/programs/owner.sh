# Who holds the apply lock: CLUSTER. Prints the owner's line, nothing when it is free. (A taker waits at least a second, so
# that this test of an instant never makes one fail.)
case $1 in '' | .* | *[!A-Za-z0-9.-]*) fail 64 "bad cluster name: $1" ;; esac
base="$state/locks/$1"
[ -e "$base.lock" ] || exit 0
if ! flock -n -s "$base.lock" true; then
  head -c 1000 "$base.owner" 2>/dev/null
fi
exit 0
