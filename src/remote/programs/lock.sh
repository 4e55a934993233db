# Holds the apply lock: CLUSTER NONCE OWNER WAIT PATIENCE (seconds). Prints `busy OWNER`, or `held PREVIOUS` (nonce of the
# holder before) and then `beat N` for each line N read. Ends, and so frees the lock, when stdin closes (the client went)
# or stays silent for PATIENCE (the network went). The lock is a `flock`: it can't outlive this shell.
case $1 in '' | .* | *[!A-Za-z0-9.-]*) fail 64 "bad cluster name: $1" ;; esac
mkdir -p "$state/locks" || exit 73
base="$state/locks/$1"
read -r self _ </proc/self/stat
start_of "$self"
mine=$start
exec 9>>"$base.lock"
if ! flock -n 9; then
  # Ourselves, from before a lost connection: the frozen holder must not keep us out.
  if { read -r nonce <"$base.nonce"; } 2>/dev/null && [ "$nonce" = "$2" ]; then
    { read -r pid born <"$base.holder"; } 2>/dev/null && start_of "$pid" && [ "$start" = "$born" ] && kill "$pid"
  fi
  if ! flock -w "$4" 9; then
    printf 'busy '
    head -c 1000 "$base.owner" | tr '\n' ' '
    printf '\n'
    exit 0
  fi
fi
previous=
{ read -r previous <"$base.nonce"; } 2>/dev/null
printf '%s %s\n' "$self" "$mine" >"$base.holder"
printf '%s\n' "$3" >"$base.owner"
printf '%s\n' "$2" >"$base.nonce"
printf 'held %s\n' "$previous"
while beat=$(timeout "$5" sh -c 'read -r beat && printf %s "$beat"' 9>&-); do
  printf 'beat %s\n' "$beat"
done
