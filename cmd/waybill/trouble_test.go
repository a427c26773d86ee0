package main

import (
	"bytes"
	"io"
	"strings"
	"testing"
	"time"

	"waybill/config"
	"waybill/watcher"
	"waybill/watcher/sftp"
)

// changed is what a source says whose server has another host key: longer than the table has room for.
const changed = "source is away: sftp waybill@robots.example:22: host key of [robots.example]:22 has changed: known SHA256:old, " +
	"now SHA256:new (ssh-ed25519): somebody may stand in between, so nothing is sent there"

func TestStatusTellsTheWholeTroubleOfASource(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	p := &program{out: &out, diag: io.Discard, now: time.Now}
	if err := p.statusSources(&statusView{Sources: []watcher.Status{{Source: "robots", Error: changed}, {Source: "drop", Error: "short"}}}); err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(out.String(), "\nsource robots: "+changed+"\n") || strings.Contains(out.String(), "source drop:") {
		t.Errorf("printed\n%s", out.String())
	}
}

func TestWhyNamesTheTroubleOfSourcesThatItCannotLookInto(t *testing.T) {
	t.Parallel()
	c := &config.Config{Sources: []config.Item{{Name: "robots", Kind: "sftp", Options: &sftp.Options{Address: "robots.example"}}}}
	got := folders(&landscape{config: c}, &told{sources: map[string]watcher.Status{"robots": {Error: changed}}})
	if want := "robots, on robots.example, which only the daemon looks at, with trouble: " + changed; got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}
