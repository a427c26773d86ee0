package crash_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// converting is a landscape whose files a program converts, which takes its time until there is a file named go.
const converting = `
data: %s
log: {level: info, format: json}
sources:
  drop: {folder: {path: drop}, poll: 1s}
destinations:
  api: {http: {url: "%s/api"}, retry: {attempts: 4, pause: 20ms, longest: 200ms}}
jobs:
  orders:
    receive: {source: drop, files: "*.txt"}
    read:
      convert: {command: [./convert.sh, "{file}"], timeout: 50s}
      format: csv
      fields: {order_no: {required: true}}
    send: [{to: api, path: /orders, key: =order_no, body: {order: =order_no}}]
`

// TestKilledWhileAProgramConverts kills the daemon in the middle: neither the program is left, nor what it has started, in whatever session, nor its
// files; and the next daemon converts anew.
func TestKilledWhileAProgramConverts(t *testing.T) {
	t.Parallel()
	l := bare(t, converting, "drop", "events")
	script := fmt.Sprintf("#!/bin/sh\necho order_no\n[ -e %[1]s/go ] || { (setsid sleep 971; exit) & (sleep 972; exit); }\ncat \"$1\"\n", l.folder)
	l.must(os.WriteFile(l.path("convert.sh"), []byte(script), 0o700))
	l.must(os.WriteFile(l.path("drop", "one.txt"), []byte("A-1\nA-2\n"), 0o600))
	scratch := filepath.Join(l.data, "converting")
	p := l.serve("")
	p.until(func() bool { return len(below(scratch)) >= 4 }) // the keeper is elsewhere
	p.kill()
	if !eventually(patience, func() bool { return len(below(scratch)) == 0 }) {
		t.Fatalf("left behind: %v", below(scratch))
	}
	left, err := os.ReadDir(scratch)
	l.must(err)
	if len(left) != 1 {
		t.Errorf("the killed daemon left %v, so that nothing is shown by its going", left)
	}
	l.must(os.WriteFile(l.path("go"), nil, 0o600))
	p = l.serve("")
	p.until(func() bool { return l.gone("drop", "one.txt") && l.drained() })
	p.stop()
	if left, err := os.ReadDir(scratch); err != nil || len(left) > 0 {
		t.Errorf("left in the folder: %v, %v", left, err)
	}
	bodies := map[string]int{}
	for _, a := range l.out.arrivals() {
		bodies[a.Body]++
	}
	if len(bodies) != 2 || bodies[`{"order":"A-1"}`] != 1 || bodies[`{"order":"A-2"}`] != 1 {
		t.Errorf("%v arrived", bodies)
	}
}

// below lists the processes that work below a folder.
func below(folder string) (list []string) {
	all, err := filepath.Glob("/proc/[0-9]*/cwd")
	if err != nil {
		return nil
	}
	for _, link := range all {
		if at, err := os.Readlink(link); err == nil && strings.HasPrefix(at, folder+"/") {
			list = append(list, filepath.Base(filepath.Dir(link)))
		}
	}
	return list
}
