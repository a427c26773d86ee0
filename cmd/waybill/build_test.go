package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// A destination whose kind refuses its options must not come back as a target that holds nothing.
func TestAWrongDestinationOfEachKindIsAMistakeAndNoPanic(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ destination, want string }{
		{`http: {url: "localhost:8911"}`, "url"},
		{`http: {url: "htp://x"}`, "scheme"},
		{`http: {url: "http://x y"}`, "url"},
		{`amqp: {url: "localhost:5672"}`, "url"},
		{`file: {folder: ./out, mode: "rw"}`, "mode"},
	} {
		t.Run(c.destination, func(t *testing.T) {
			t.Parallel()
			name := filepath.Join(t.TempDir(), "waybill.yaml")
			text := "destinations:\n  wrong: {" + c.destination + "}\n"
			if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
			var out, diag bytes.Buffer
			code := run(t.Context(), []string{"check", "--config", name}, strings.NewReader(""), &out, &diag)
			if code != exitUsage || !strings.Contains(diag.String(), c.want) || !strings.Contains(diag.String(), "waybill.yaml:2:") {
				t.Fatalf("code %d\n%s%s", code, out.String(), diag.String())
			}
		})
	}
}
