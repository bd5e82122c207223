#!/bin/sh
# Runs the lines of "On three machines" in docs/paper000.md, on one machine: each of their machines is a network
# namespace with an address of its own, and a bridge joins them. It needs Linux, root, iproute2, and bin/ as "make build"
# makes it (or the folder that BUNGEE_BIN names); BUNGEE_VIDEO names the video, and BUNGEE_MODELS the folder of the network.
#
#   scripts/machines.sh          # some 40 s
#   scripts/machines.sh 30       # each UE sends 30 frames only
#
# It exits with 1 unless each UE was served, or refused by the manager with a reason, as on a machine that is busy otherwise.
# Namespaces prove the way, and no gain: they share the cores of one machine.
set -eu

root=$(cd "$(dirname "$0")/.." && pwd)
frames=${1:-188}
bin=${BUNGEE_BIN:-$root/bin}
work=$(mktemp -d)
prefix=bungee-m # of the namespaces
children=""

clean() {
	for pid in $children; do kill "$pid" 2>/dev/null || :; done
	wait
	for name in $(ip netns list | cut -d' ' -f1 | grep "^$prefix-"); do ip netns del "$name"; done
	rm -rf "$work"
}
trap clean EXIT
trap 'exit 1' INT TERM

# machine NAME ADDRESS is one more machine on the bridge.
machine() {
	ip netns add "$prefix-$1"
	ip link add eth0 netns "$prefix-$1" type veth peer name "$1" netns $prefix-lan
	ip -n $prefix-lan link set "$1" master lan up
	ip -n "$prefix-$1" addr add "$2/24" dev eth0
	ip -n "$prefix-$1" link set eth0 up
	ip -n "$prefix-$1" link set lo up
}

# await SECONDS WHAT COMMAND... waits until the command succeeds.
await() {
	left=$(($1 * 5)) what=$2
	shift 2
	until "$@" >/dev/null 2>&1; do
		left=$((left - 1))
		if [ "$left" -lt 0 ]; then
			echo "machines: $what did not happen in time; its output:" >&2
			cat "$work"/*.log >&2
			exit 1
		fi
		sleep 0.2
	done
}

# ready says whether three hosts are.
ready() {
	[ "$(ip netns exec $prefix-m1 bungee ls --json --socket m1/socket | grep -o '"state": *"ready"' | wc -l)" -eq 3 ]
}

# one runs a line: what serves stays, what ends is waited for, UEs later.
one() {
	name=$1
	shift
	case "$name $*" in
	lab*) "$@" ;;
	*" bungee ls "*) await 60 "three hosts that are ready" ready && ip netns exec "$prefix-$name" "$@" ;;
	ue-*)
		ip netns exec "$prefix-$name" "$@" >"$name.out" 2>"$name.log" &
		ues="$ues $name:$!"
		;;
	*)
		ip netns exec "$prefix-$name" "$@" >"$name.out" 2>"$name.log" &
		children="$children $!"
		await 60 "$name listens" grep -q listening "$name.out"
		;;
	esac
}

ip netns add $prefix-lan
ip -n $prefix-lan link add lan type bridge
ip -n $prefix-lan link set lan up
machine m1 198.18.70.1
machine edge-a 198.18.70.11
machine edge-b 198.18.70.12
machine edge-c 198.18.70.13
machine ue-1 198.18.70.21
machine ue-2 198.18.70.22
machine ue-3 198.18.70.23

cd "$work"
export PATH="$bin:$PATH" HOME="$work"
ln -s "$root/cmd" cmd # the module that UEs bring is in it
mkdir m1
printf '[default]\nmodels = ["yolo-fastest-1.1-xl"]\n' >policy.toml
ues=""
sed -n '/^<!-- machines -->$/,/^$/s/^[a-z0-9-]*  *bungee /&/p' "$root/docs/paper000.md" | sed "s/--frames 188/--frames $frames/" >lines
while read -r line; do
	# shellcheck disable=SC2086 # a line is words
	one $line </dev/null
done <lines

failed=0
if [ -z "$ues" ]; then
	echo "machines: docs/paper000.md has no line of a UE after <!-- machines -->" >&2
	exit 1
fi
for ue in $ues; do
	name=${ue%:*}
	if wait "${ue#*:}"; then
		echo "$name: served by $(sed 's/.*"hosts":\(\[[^]]*\]\).*/\1/' "$name.out"), $(grep -o -- '-1[],]' "$name.out" | wc -l) of $frames frames late or lost"
	elif grep -q '"outcome":"refused"' "$name.out"; then # as hosts must that are too busy: the way works
		echo "$name: refused: $(sed 's/.*"why":"\([^"]*\)".*/\1/' "$name.out")"
	else
		failed=1
		echo "$name: $(cat "$name.out" "$name.log")" >&2
	fi
done
exit $failed
