package main

import (
	"bytes"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"waybill/formats"
)

// invoke runs the program in this process.
func invoke(t *testing.T, arguments ...string) (code int, out, diag string) {
	t.Helper()
	var stdout, stderr bytes.Buffer
	code = run(t.Context(), arguments, strings.NewReader(""), &stdout, &stderr)
	return code, stdout.String(), stderr.String()
}

// What is proposed for a file passes check, and try rejects nothing of that file.
func proposalHolds(t *testing.T, file string) (proposal string) {
	t.Helper()
	code, proposal, diag := invoke(t, "infer", file, "--job", "sample")
	if code != exitDone {
		t.Fatalf("infer ends with %d: %s\n%s", code, diag, proposal)
	}
	configuration := filepath.Join(t.TempDir(), "waybill.yaml")
	if err := os.WriteFile(configuration, []byte(proposal), 0o600); err != nil {
		t.Fatal(err)
	}
	if code, _, diag := invoke(t, "check", "-c", configuration); code != exitDone {
		t.Fatalf("check ends with %d: %s\n%s", code, diag, proposal)
	}
	if code, out, diag := invoke(t, "try", "-c", configuration, "sample", file); code != exitDone || strings.Contains(out, " 0 records") {
		t.Fatalf("try ends with %d: %s%s\n%s", code, out, diag, proposal)
	}
	return proposal
}

// samples are files of public projects that lie beside the project.
const samples = "../../../shared/samples"

// unreadable are the samples that no job is proposed for, with the reason.
func unreadable() map[string]string {
	return map[string]string{
		"README.md":                              "prose",
		"LICENSE.MESA":                           "prose",
		"smooks-purchase-orders.expected.ndjson": "its values stand in one line, which no format reads",
		"smooks-proprietary-caret-order.edi":     "rows of several kinds, with a delimiter and a mark within cells of its own",
	}
}

// TestTheProposalForEverySampleTakesIt: infer proposes a job for each file, check finds it right, and try rejects nothing of the file.
func TestTheProposalForEverySampleTakesIt(t *testing.T) {
	t.Parallel()
	if _, err := os.Stat(samples); err != nil {
		t.Skipf("the samples are not there: %v", err)
	}
	n := 0
	err := filepath.WalkDir(samples, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		n++
		t.Run(filepath.Base(path), func(t *testing.T) {
			t.Parallel()
			if why := unreadable()[d.Name()]; why != "" {
				if code, out, _ := invoke(t, "infer", path); code == exitDone {
					t.Errorf("%s (%s), and yet this is proposed:\n%s", d.Name(), why, out)
				}
				return
			}
			proposalHolds(t, path)
		})
		return nil
	})
	if err != nil || n < 50 {
		t.Errorf("%d samples, %v", n, err)
	}
}

// The corpus: small files that each ask something of the guessing, and what is proposed for them. UPDATE_INFER=1 writes that.
func TestProposalsAreAsEver(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob("testdata/infer/*")
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	for _, file := range files {
		if strings.HasSuffix(file, ".want") {
			continue
		}
		n++
		t.Run(filepath.Base(file), func(t *testing.T) {
			t.Parallel()
			got := proposalHolds(t, file)
			if os.Getenv("UPDATE_INFER") != "" {
				if err := os.WriteFile(file+".want", []byte(got), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(file + ".want")
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(string(want), got); diff != "" {
				t.Error(diff)
			}
		})
	}
	if n < 14 {
		t.Errorf("only %d files", n)
	}
}

// A workbook tells types by itself.
func TestTheProposalForAWorkbookTakesIt(t *testing.T) {
	t.Parallel()
	e, problems := formats.NewEncoder(formats.Writing{Format: "xlsx"}, []formats.Column{{Title: "Order No"}, {Title: "Ordered on"}, {Title: "Qty"}, {Title: "Price"}, {Title: "Paid"}})
	if len(problems) > 0 {
		t.Fatal(problems)
	}
	cell := func(kind formats.Kind, text string) formats.Value {
		return formats.Value{Kind: kind, Bytes: []byte(text)}
	}
	file := filepath.Join(t.TempDir(), "orders_1.xlsx")
	var b bytes.Buffer
	err := e.Encode(&b, func(yield func([]formats.Value, error) bool) {
		for _, no := range []string{"0017", "0018"} {
			if !yield([]formats.Value{cell(formats.Text, no), cell(formats.Date, "2026-11-21"), cell(formats.Number, "3"), cell(formats.Number, "12.5"), cell(formats.Bool, "true")}, nil) {
				return
			}
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, b.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
	got := strings.Join(strings.Fields(proposalHolds(t, file)), " ")
	for _, want := range []string{"format: xlsx", `order_no: {from: "Order No", required: true} # 2 of 2`, `ordered_on: {from: "Ordered on", type: date, required: true}`,
		"qty: {from: Qty, type: integer, required: true}", "price: {from: Price, type: decimal, required: true}", "paid: {from: Paid, type: boolean, required: true}"} {
		if !strings.Contains(got, want) {
			t.Errorf("no %s in %s", want, got)
		}
	}
}
