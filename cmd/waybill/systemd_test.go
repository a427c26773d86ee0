package main

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

const dropinConfig = `
data: /var/lib/waybill
sources:
  a: {folder: {path: /srv/drop/a}}
  b: {folder: {path: /srv/drop/a/deeper}}
  c: {folder: {path: /srv/read-only}, done: leave, failed: leave}
  d: {folder: {path: "/srv/100% of \"it\""}}
  e: {folder: {path: /home/partner/drop}}
  f: {folder: {path: beside}}
destinations:
  api: {http: {url: "https://api.example", auth: {bearer: "${credential:api}"}}}
  out: {file: {folder: /var/lib/waybill/out}}
  far: {file: {folder: /mnt/far/}}
jobs:
  j: {receive: {source: a, files: "*"}, read: none, send: [{to: far, each: file, name: "{file.name}"}]}
`

func TestTheDropinOpensWhatTheConfigurationWritesTo(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	conf := filepath.Join(folder, "waybill.yaml")
	if err := os.WriteFile(conf, []byte(dropinConfig), 0o600); err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(folder, "waybill.service.d", "folders.conf")
	var out, diag bytes.Buffer
	if code := run(t.Context(), []string{"systemd", "dropin", "-c", conf, "-o", file}, nil, &out, &diag); code != 0 {
		t.Fatalf("exit code %d: %s", code, diag.String())
	}
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var lines []string
	for line := range strings.Lines(string(text)) {
		if !strings.HasPrefix(line, "#") {
			lines = append(lines, strings.TrimSpace(line))
		}
	}
	// The test's own folder, which holds the source that the configuration names by a relative path, lies in /tmp as a rule.
	beside := filepath.Join(folder, "beside")
	directive := "ReadWritePaths"
	if below(beside, "/tmp") || below(beside, "/var/tmp") || hidden(beside) {
		directive = "BindPaths"
	}
	want := map[string]bool{
		"[Service]": true, "ProtectHome=tmpfs": true, `BindPaths="-/home/partner/drop"`: true, `ReadWritePaths="-/mnt/far"`: true,
		`ReadWritePaths="-/srv/100%% of \x22it\x22"`: true, `ReadWritePaths="-/srv/drop/a"`: true, directive + `="-` + beside + `"`: true,
	}
	for _, line := range lines {
		if !want[line] {
			t.Errorf("unwanted: %s", line)
		}
		delete(want, line)
	}
	for line := range want {
		t.Errorf("missing: %s", line)
	}
}

func TestTheDropinIsWhatSystemdReads(t *testing.T) {
	t.Parallel()
	if _, err := exec.LookPath("systemd-analyze"); err != nil {
		t.Skip("systemd-analyze is not installed: that systemd reads the drop-in is not tested")
	}
	folder := t.TempDir()
	unit := filepath.Join(folder, "waybill-test.service")
	content := append(dropin([]string{"/srv/a", `/srv/100% "b"`, "/home/c"}, "/var/lib/waybill"), "Type=oneshot\nExecStart=/bin/true\n"...)
	if err := os.WriteFile(unit, content, 0o600); err != nil {
		t.Fatal(err)
	}
	out, err := exec.CommandContext(t.Context(), "systemd-analyze", "verify", unit).CombinedOutput()
	if err != nil || bytes.Contains(out, []byte("waybill-test")) {
		t.Errorf("%v\n%s\n%s", err, out, content)
	}
}

func TestTheDropinMustBeAConfFile(t *testing.T) {
	t.Parallel()
	conf := filepath.Join(t.TempDir(), "waybill.yaml")
	if err := os.WriteFile(conf, []byte(dropinConfig), 0o600); err != nil {
		t.Fatal(err)
	}
	var diag bytes.Buffer
	if code := run(t.Context(), []string{"systemd", "dropin", "-c", conf, "-o", conf}, nil, &bytes.Buffer{}, &diag); code != exitUsage {
		t.Errorf("exit code %d: %s", code, diag.String())
	}
	if text, err := os.ReadFile(conf); err != nil || string(text) != dropinConfig {
		t.Errorf("the configuration was written over: %s (%v)", text, err)
	}
}
