#!/bin/sh
# Installs what the tests use beside Go from the Debian (or Ubuntu) packages.
#
# Idempotent: a second run looks, finds everything and ends without the network.
# No service is started or left running: the tests start their own servers as
# ordinary processes on free ports. What cannot be installed is named on stderr
# and the exit status is still 0; the tests that need it skip and say so.
set -u

say() { printf 'test-deps: %s\n' "$*" >&2; }

postgres_there() {
	command -v postgres >/dev/null 2>&1 && return 0
	for f in /usr/lib/postgresql/*/bin/postgres; do [ -x "$f" ] && return 0; done
	return 1
}
rabbitmq_there() { [ -x /usr/lib/rabbitmq/bin/rabbitmq-server ] || command -v rabbitmq-server >/dev/null 2>&1; }
libc_there() { [ -e /usr/include/stdlib.h ]; }
# Debian's own python3: another one on PATH does not see Debian's packages.
python_there() { [ -x /usr/bin/python3 ] && /usr/bin/python3 -c "import importlib.util as u; exit(u.find_spec('$1') is None)"; }
there() { PATH="$PATH:/usr/sbin:/sbin" command -v "$1" >/dev/null 2>&1; }

missing=
there gcc && libc_there || missing="$missing gcc libc6-dev"  # the race detector needs cgo
rabbitmq_there          || missing="$missing rabbitmq-server"
postgres_there          || missing="$missing postgresql"
there systemd-analyze   || missing="$missing systemd"
there strace            || missing="$missing strace"
there xmllint           || missing="$missing libxml2-utils"  # the peer of the XML benchmark
there sshd              || missing="$missing openssh-server"
there sftp && there ssh-agent || missing="$missing openssh-client"
there lftp              || missing="$missing lftp"
there psftp             || missing="$missing putty-tools"
python_there paramiko   || missing="$missing python3-paramiko"
python_there asyncssh   || missing="$missing python3-asyncssh"
python_there openpyxl   || missing="$missing python3-openpyxl"  # a second reader and writer of XLSX
there ssh-audit         || missing="$missing ssh-audit"
[ -n "$missing" ] || exit 0

if ! there apt-get; then
	say "no apt-get here; install by hand:$missing (tests that need them are skipped)"
	exit 0
fi
root=
if [ "$(id -u)" -ne 0 ]; then
	if ! there sudo || ! sudo -n true 2>/dev/null; then
		say "not root and no sudo without a password; as root: apt-get install$missing (tests that need them are skipped)"
		exit 0
	fi
	root=sudo
fi

# Debian's packages start their services when they are installed, unless policy-rc.d forbids it.
policy=/usr/sbin/policy-rc.d
made=
log=$(mktemp)
tidy() {
	[ -z "$made" ] || $root rm -f "$policy"
	rm -f "$log"
}
trap tidy EXIT
trap 'exit 1' HUP INT TERM
if [ ! -e "$policy" ]; then
	made=yes
	printf '#!/bin/sh\nexit 101\n' | $root tee "$policy" >/dev/null && $root chmod 755 "$policy"
fi

apt() {
	$root env DEBIAN_FRONTEND=noninteractive apt-get -qq -o DPkg::Lock::Timeout=600 "$@" >"$log" 2>&1
}

say "installing:$missing"
if ! apt update; then
	say "apt-get update failed, going on with the lists that are there: $(tail -n 1 "$log")"
fi
# shellcheck disable=SC2086  # the list is words on purpose
if ! apt install -y --no-install-recommends $missing; then
	# One that cannot be had must not keep the others away.
	for p in $missing; do
		apt install -y --no-install-recommends "$p" ||
			say "could not install $p: $(tail -n 1 "$log"); the tests that need it are skipped"
	done
fi
exit 0
