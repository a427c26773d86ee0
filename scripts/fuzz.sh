#!/bin/sh
# fuzz.sh TIME PACKAGE…: runs each fuzz target of the packages for so long, and fails with the first input that fails.
# Until Go 1.27 a target may end with "context deadline exceeded" at the very moment its time is over, with nothing found
# (golang/go#75804): that alone is no failure.
set -eu
time=$1
shift
log=$(mktemp)
trap 'rm -f "$log"' EXIT
for package in $(go list "$@"); do
	for target in $(go test -list '^Fuzz' "$package" | grep '^Fuzz' || true); do
		if go test -run '^$' -fuzz "^$target\$" -fuzztime "$time" -fuzzminimizetime 1s "$package" >"$log" 2>&1; then
			echo "$package $target: $(grep -o 'execs: [0-9]*' "$log" | tail -1)"
		elif grep -q 'context deadline exceeded' "$log" && ! grep -qE 'Failing input|panic|\.go:[0-9]+:' "$log"; then
			echo "$package $target: $(grep -o 'execs: [0-9]*' "$log" | tail -1), ended by the clock"
		else
			cat "$log"
			exit 1
		fi
	done
done
