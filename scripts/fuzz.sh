#!/bin/sh
# fuzz.sh TIME PACKAGE…: runs each fuzz target of the packages for so long, FUZZ_AT_ONCE of them (2) beside each other with one worker each,
# and fails with the first input that fails, which lies in testdata/fuzz then.
#
# What is no finding is told apart. Until Go 1.27 a target may end with "context deadline exceeded" at the very moment its time is over
# (golang/go#75804). A worker that was killed, or heard too late by a busy machine, "hung or terminated unexpectedly": its input is
# tried again by itself, and when it passes the target has a second chance.
set -eu

# one BINARY DIRECTORY CACHE TARGET TIME
one() {
	cd "$2"
	log=$(mktemp)
	trap 'rm -f "$log"' EXIT
	for chance in first second; do
		if "$1" -test.run '^$' -test.fuzz "^$4\$" -test.fuzztime "$5" -test.fuzzminimizetime 20x -test.parallel 1 -test.fuzzcachedir "$3" >"$log" 2>&1; then
			echo "$4: $(grep -o 'execs: [0-9]*' "$log" | tail -1)"
			return 0
		fi
		input=$(sed -n "s|^ *Failing input written to ||p" "$log" | tail -1)
		if [ -z "$input" ] && grep -q 'context deadline exceeded' "$log" && ! grep -qE 'panic|\.go:[0-9]+:' "$log"; then
			echo "$4: $(grep -o 'execs: [0-9]*' "$log" | tail -1), ended by the clock"
			return 0
		fi
		grep -q 'hung or terminated unexpectedly' "$log" || break
		if [ -n "$input" ]; then
			"$1" -test.run "^$4\$/^${input##*/}\$" -test.count 3 -test.timeout 2m >/dev/null 2>&1 || break
			rm -f "$input"
		fi
		echo "$4: a worker ended, its input does not fail by itself ($chance time)"
	done
	cat "$log"
	return 1
}

if [ "$1" = one ]; then
	shift
	one "$@"
	exit
fi

time=$1
shift
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cache=$(go env GOCACHE)/fuzz
go list -f '{{.ImportPath}} {{.Dir}}' "$@" >"$work/packages"
while read -r package folder; do
	grep -qs '^func Fuzz' "$folder"/*_test.go || continue
	binary=$work/$(echo "$package" | tr / _).test
	go test -c -fuzz . -o "$binary" "$package" # instrumented, and linked once for all its targets
	mkdir -p "$cache/$package"
	(cd "$folder" && "$binary" -test.list '^Fuzz') | sed -n "s|^Fuzz.*|$binary $folder $cache/$package & $time|p" >>"$work/targets"
done <"$work/packages"
xargs -L 1 -P "${FUZZ_AT_ONCE:-2}" sh "$0" one <"$work/targets"
