package jobs

import (
	"bytes"
	"compress/gzip"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/xuri/excelize/v2"

	"waybill/formats"
	"waybill/ledger"
)

// convertedLines is a job whose files a program for sh turns into CSV.
func convertedLines(t *testing.T, script, more string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "convert.sh")
	if err := os.WriteFile(path, []byte("#!/bin/sh\n"+script), 0o700); err != nil {
		t.Fatal(err)
	}
	return fmt.Sprintf(`
receive: {source: in, files: "*"}
read: {convert: {command: [%q], timeout: 20s}, format: csv, fields: {no: {required: true}, qty: {type: integer, required: true}}%s}
send: [{to: erp, key: =no, body: {no: =no, qty: =qty}}]
check: {allow_rejects: 1}
`, path, more)
}

func (p *plant) scratch() {
	p.worker.Scratch = filepath.Join(p.folder, "converting")
}

// event is an event of an entry.
func (p *plant) event(id int64, kind string) map[string]any {
	p.t.Helper()
	list, err := p.ledger.History(context.Background(), id)
	p.must(err)
	for _, e := range list {
		if e.Kind == kind {
			return e.Detail
		}
	}
	return nil
}

func TestAFileIsConvertedBeforeItIsRead(t *testing.T) {
	t.Parallel()
	p := newPlant(t, "orders", convertedLines(t, `echo no,qty; tr ';' ','; echo "read all" >&2`, ""))
	p.scratch()
	p.run()
	id := p.land1("orders.txt", "A1;2\nA2;3\nA3;many\n")
	e := p.await(id, ledger.Delivered)
	if got := p.erp.bodies(); !slices.Equal(got, []string{`{"no":"A1","qty":2}`, `{"no":"A2","qty":3}`}) || e.Records != 3 || e.Rejects != 1 {
		t.Errorf("%q, %+v", got, e)
	}
	detail := p.event(id, "converted")
	if by, _ := detail["by"].(string); !strings.HasSuffix(by, "/convert.sh") || fmt.Sprint(detail["bytes"], detail["became"], detail["said"]) != "18 25read all" {
		t.Errorf("%v", detail)
	}
	if list, err := os.ReadDir(p.worker.Scratch); err != nil || len(list) > 0 {
		t.Errorf("left: %v, %v", list, err)
	}
}

func TestWhatIsPackedIsUnpackedBeforeItIsConverted(t *testing.T) {
	t.Parallel()
	p := newPlant(t, "orders", "unpack: gzip\n"+convertedLines(t, `echo no,qty; tr ';' ','`, ""))
	p.run()
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	fmt.Fprint(z, "A1;2\n")
	p.must(z.Close())
	p.await(p.land1("orders.gz", b.String()), ledger.Delivered)
	if got := p.erp.bodies(); !slices.Equal(got, []string{`{"no":"A1","qty":2}`}) {
		t.Errorf("%q", got)
	}
	if e := p.await(p.land1("cut.gz", b.String()[:b.Len()-3]), ledger.Rejected); !strings.Contains(e.Reason, "gzip: truncated") {
		t.Errorf("%s", e.Reason)
	}
}

// A thousand messages are staged while a file is read: were it read while the program still writes, they would be there already.
func TestNothingOfAHalfConvertedFileIsSent(t *testing.T) {
	t.Parallel()
	p := newPlant(t, "orders", convertedLines(t, `echo no,qty; i=0; while [ $i -lt 5000 ]; do echo A$i,1; i=$((i+1)); done; echo "sheet 2 is damaged" >&2; exit 3`, ""))
	p.run()
	id := p.land1("orders.txt", "x")
	e := p.await(id, ledger.Rejected)
	if !strings.Contains(e.Reason, "/convert.sh ended with exit code 3; it said: sheet 2 is damaged") || e.Rejects != 1 || e.Messages != 0 {
		t.Errorf("%+v", e)
	}
	p.is(0, `SELECT count(*) FROM batches WHERE parent = ?`, id)
	rejects, err := p.ledger.Rejects(context.Background(), id)
	p.must(err)
	if len(rejects) != 1 || rejects[0].Record != 0 || rejects[0].Line != 0 || rejects[0].Reason != e.Reason {
		t.Errorf("%+v", rejects)
	}
}

func TestAFileWaitsForAProgramThatHasGone(t *testing.T) {
	t.Parallel()
	job := convertedLines(t, "cat", "")
	p := newPlant(t, "orders", job)
	path := p.worker.Jobs().Plans[0].Converter()
	p.must(os.Rename(path, path+".away"))
	stop := p.run()
	id := p.land1("orders.csv", "no,qty\nA1,2\n")
	var e ledger.Entry
	p.until(func() bool { e = p.entry(id); return e.Attempts > 0 }, func() string { return fmt.Sprintf("%+v", e) })
	if e.State != ledger.Received || !strings.Contains(e.Reason, path+" cannot be started: no such file") {
		t.Errorf("%+v", e)
	}
	p.must(os.Rename(path+".away", path))
	stop()
	p.must(p.worker.Work(context.Background(), id))
	p.run()
	p.await(id, ledger.Delivered)
}

func TestAConverterMayMakeAWorkbook(t *testing.T) {
	t.Parallel()
	book := excelize.NewFile()
	for i, row := range [][]any{{"no", "qty"}, {"A1", 2}} {
		if err := book.SetSheetRow("Sheet1", fmt.Sprintf("A%d", i+1), &row); err != nil {
			t.Fatal(err)
		}
	}
	made, err := book.WriteToBuffer()
	if err != nil {
		t.Fatal(err)
	}
	job := strings.Replace(convertedLines(t, "cat", ""), "format: csv", "format: xlsx", 1)
	p := newPlant(t, "orders", job)
	p.run()
	p.await(p.land1("orders.xlsx", made.String()), ledger.Delivered)
	if got := p.erp.bodies(); !slices.Equal(got, []string{`{"no":"A1","qty":2}`}) {
		t.Errorf("%q", got)
	}
}

func TestAFileWithNothingInItIsNotConverted(t *testing.T) {
	t.Parallel()
	p := newPlant(t, "orders", convertedLines(t, "exit 1", ""))
	p.run()
	if e := p.await(p.land1("empty", ""), ledger.Delivered); e.Reason != "no records" {
		t.Errorf("%+v", e)
	}
}

func TestMembersOfAnArchiveAreConvertedEachByItself(t *testing.T) {
	t.Parallel()
	p := newPlant(t, "orders", "unpack: zip\n"+convertedLines(t, `echo no,qty; cat > in; grep -q bad in && exit 1; tr ';' ',' < in`, ""))
	p.run()
	id := p.land1("orders.zip", zipOf(t, "a.txt", "A1;1\n", "b.txt", "bad\n", "c.txt", "C1;3\n"))
	p.await(id, ledger.Delivered)
	if got := p.states(id); got != "orders.zip/a.txt delivered, orders.zip/b.txt rejected, orders.zip/c.txt delivered" {
		t.Errorf("%s", got)
	}
}

func TestATrialConverts(t *testing.T) {
	t.Parallel()
	plan := newPlan(t, convertedLines(t, `echo no,qty; cat; echo "one sheet" >&2`, ""))
	in := Input{Entry: ledger.Entry{Job: "orders", Name: "x"}, Blob: formats.Blob{Name: "x", Reader: strings.NewReader("A1,2\n"), Size: 5}}
	trial, err := plan.Try(context.Background(), in, 10)
	if err != nil || trial.Messages != 1 || !strings.Contains(strings.Join(trial.Findings, "\n"), "/convert.sh made 12 bytes of 5 bytes; it said: one sheet") {
		t.Errorf("%+v, %v", trial, err)
	}
	if reason := plan.refuses(5, []byte("\x00\x01anything")); reason != "" {
		t.Errorf("at the door: %s", reason)
	}
}

func TestTheSendersFormCannotBeWrittenOfWhatIsConverted(t *testing.T) {
	t.Parallel()
	plan := newPlan(t, convertedLines(t, "cat", ""))
	open := func() (formats.Blob, func()) {
		return formats.Blob{Reader: strings.NewReader("no,qty\nA1,x\n"), Size: -1}, func() {}
	}
	_, err := plan.Rejected(context.Background(), Input{Entry: ledger.Entry{State: ledger.Accepted}}, open, []ledger.Reject{{Record: 1, Reason: "x"}}, &bytes.Buffer{})
	if err == nil || !strings.Contains(err.Error(), "it cannot be written in the sender's form: /") {
		t.Errorf("%v", err)
	}
	if line, err := plan.Line(context.Background(), formats.Blob{Reader: strings.NewReader("no,qty\nA1,x\n"), Size: -1}, 1); line != 0 || err != nil {
		t.Errorf("line %d, %v", line, err)
	}
}

func TestMistakesAroundAConverter(t *testing.T) {
	t.Parallel()
	for want, job := range map[string]string{
		"read.convert.command[0]: the program cannot be found": `
receive: {source: in, files: "*"}
read: {convert: {command: [/no/such/program]}, format: csv}
send: [{to: erp, each: record}]`,
		"read.convert: does not go with query": `
schedule: {cron: "0 * * * *"}
query: {connection: shop, sql: "SELECT 1"}
read: {convert: {command: [/bin/sh]}, fields: {no: {}}}
send: [{to: erp, key: =no, each: record}]`,
	} {
		_, problems := Compile("orders", parseOptions(t, job), Environment{})
		if len(problems) == 0 || !strings.HasPrefix(problems[0].Path+": "+problems[0].Text, want) {
			t.Errorf("%v\nwant %s", problems, want)
		}
	}
	o := parseOptions(t, "receive: {source: in, files: \"*\"}\nread: {convert: {command: [/no/such/program]}, format: csv}\nsend: [{to: erp, each: record}]")
	if plan, problems := Compile("orders", o, Environment{Blind: true}); plan == nil {
		t.Errorf("who only looks is told %v", problems)
	}
}
