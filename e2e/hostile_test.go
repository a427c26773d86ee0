package e2e_test

import (
	"archive/zip"
	"bytes"
	"compress/flate"
	le "encoding/binary"
	"encoding/json"
	"fmt"
	"hash/crc32"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// What the program may take of the machine for one hostile file.
const (
	hostileMemory = 256 << 20
	hostileTime   = 10 * time.Second
)

// hostileJobs are the ways to read that hostile files are given to.
const hostileJobs = `
sources: {drop: {folder: {path: drop}, done: leave}}
destinations: {out: {file: {folder: out}}}
jobs:
  csv: {receive: {source: drop}, read: {format: csv, fields: {a: {}}}, send: [{to: out, each: file, as: ndjson, name: "{file.name}.out", body: {a: =a}}]}
  json: {receive: {source: drop}, read: {format: json, fields: {a: {}}}, send: [{to: out, each: file, as: ndjson, name: "{file.name}.out", body: {a: =a}}]}
  ndjson: {receive: {source: drop}, read: {format: ndjson, fields: {a: {}}}, send: [{to: out, each: file, as: ndjson, name: "{file.name}.out", body: {a: =a}}]}
  xml: {receive: {source: drop}, read: {format: xml, records: /r/a, fields: {a: {from: .}}}, send: [{to: out, each: file, as: ndjson, name: "{file.name}.out", body: {a: =a}}]}
  xlsx: {receive: {source: drop}, read: {format: xlsx, fields: {a: {}}}, send: [{to: out, each: file, as: ndjson, name: "{file.name}.out", body: {a: =a}}]}
  fixed: {receive: {source: drop}, read: {format: fixed, fields: {a: {from: 1-3}}}, send: [{to: out, each: file, as: ndjson, name: "{file.name}.out", body: {a: =a}}]}
  gzip: {receive: {source: drop}, unpack: gzip, read: {format: csv, fields: {a: {}}}, send: [{to: out, each: file, as: ndjson, name: "{file.name}.out", body: {a: =a}}]}
  bzip2: {receive: {source: drop}, unpack: bzip2, read: {format: csv, fields: {a: {}}}, send: [{to: out, each: file, as: ndjson, name: "{file.name}.out", body: {a: =a}}]}
  zstd: {receive: {source: drop}, unpack: zstd, read: {format: csv, fields: {a: {}}}, send: [{to: out, each: file, as: ndjson, name: "{file.name}.out", body: {a: =a}}]}
  zip: {receive: {source: drop}, unpack: zip, read: {format: csv, fields: {a: {}}}, send: [{to: out, each: file, as: ndjson, name: "{file.name}.out", body: {a: =a}}]}
  large: {receive: {source: drop}, read: {format: csv, fields: {a: {value: '=repeat("x", 1000000000)'}}}, send: [{to: out, each: file, as: ndjson, name: "{file.name}.out", body: {a: =a}}]}
`

// A hostileFile is one that must not be taken, or not for what it seems to be. Numbers are those of docs/architecture.md, Hostile inputs.
type hostileFile struct {
	row   int
	job   string
	write func(w io.Writer) error
	state string // "": rejected
	want  string // part of the reason
}

func text(parts ...string) func(io.Writer) error {
	return func(w io.Writer) error {
		_, err := io.WriteString(w, strings.Join(parts, ""))
		return err
	}
}

// long writes head, and then a piece so often that there are more bytes than the program may have memory.
func long(head, piece string) func(io.Writer) error {
	return func(w io.Writer) error {
		if _, err := io.WriteString(w, head); err != nil {
			return err
		}
		block := bytes.Repeat([]byte(piece), 1<<20/len(piece))
		for range hostileMemory/len(block) + 32 {
			if _, err := w.Write(block); err != nil {
				return err
			}
		}
		return nil
	}
}

// sample is a file of the corpus of formats.
func sample(name string) func(io.Writer) error {
	return func(w io.Writer) error {
		data, err := os.ReadFile(filepath.Join("../formats/testdata", name))
		if err == nil {
			_, err = w.Write(data)
		}
		return err
	}
}

// gzipOfLines writes a GiB of empty lines: one MiB of them is packed and stands in it again and again.
func gzipOfLines(w io.Writer) error {
	var one bytes.Buffer
	z, err := flate.NewWriter(&one, flate.BestCompression)
	if err != nil {
		return err
	}
	empty := bytes.Repeat([]byte("\n"), 1<<20)
	if _, err := z.Write(empty); err != nil {
		return err
	}
	if err := z.Flush(); err != nil { // it ends at a byte
		return err
	}
	sum := uint32(0)
	for range 1024 {
		sum = crc32.Update(sum, crc32.IEEETable, empty)
	}
	end := le.LittleEndian.AppendUint32([]byte{1, 0, 0, 0xff, 0xff}, sum)
	_, err = io.Copy(w, io.MultiReader(strings.NewReader("\x1f\x8b\x08\x00\x00\x00\x00\x00\x02\xff"),
		bytes.NewReader(bytes.Repeat(one.Bytes(), 1024)), bytes.NewReader(le.LittleEndian.AppendUint32(end, 1<<30))))
	return err
}

// zipped writes an archive of names and texts.
func zipped(parts ...string) func(io.Writer) error {
	return func(w io.Writer) error {
		z := zip.NewWriter(w)
		for i := 0; i < len(parts); i += 2 {
			f, err := z.Create(parts[i])
			if err != nil {
				return err
			}
			if _, err := io.WriteString(f, parts[i+1]); err != nil {
				return err
			}
		}
		return z.Close()
	}
}

// zippedRaw writes an archive of one entry whose header says what it likes.
func zippedRaw(h zip.FileHeader, data string) func(io.Writer) error {
	return func(w io.Writer) error {
		z := zip.NewWriter(w)
		f, err := z.CreateRaw(&h)
		if err != nil {
			return err
		}
		if _, err := io.WriteString(f, data); err != nil {
			return err
		}
		return z.Close()
	}
}

// book writes a workbook of one sheet with these rows, and more parts.
func book(rows string, more ...string) func(io.Writer) error {
	const ns = `xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main" xmlns:r="http://schemas.openxmlformats.org/officeDocument/2006/relationships"`
	const rel = `http://schemas.openxmlformats.org/officeDocument/2006/relationships/`
	return zipped(append([]string{
		"_rels/.rels", `<Relationships xmlns="http://schemas.openxmlformats.org/package/2006/relationships"><Relationship Id="rId1" Type="` + rel + `officeDocument" Target="xl/workbook.xml"/></Relationships>`,
		"xl/workbook.xml", `<workbook ` + ns + `><sheets><sheet name="a" sheetId="1" r:id="rId1"/></sheets></workbook>`,
		"xl/_rels/workbook.xml.rels", `<Relationships xmlns="http://schemas.openxmlformats.org/package/2006/relationships"><Relationship Id="rId1" Type="` + rel + `worksheet" Target="worksheets/sheet1.xml"/></Relationships>`,
		"xl/worksheets/sheet1.xml", `<worksheet ` + ns + `><sheetData><row r="1"><c r="A1" t="str"><v>a</v></c></row>` + rows + `</sheetData></worksheet>`,
	}, more...)...)
}

// farCells are rows with one empty cell each, in the last column there can be.
func farCells(n int) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, `<row r="%d"><c r="XFD%d"/></row>`, i+2, i+2)
	}
	return b.String()
}

// names are so many entries of an archive.
func names(n int) (parts []string) {
	for i := range n {
		parts = append(parts, fmt.Sprint(i), "")
	}
	return parts
}

func hostileFiles() []hostileFile {
	laughs := "<!DOCTYPE r [<!ENTITY a \"ha\">" + strings.Repeat("<!ENTITY b \"&a;&a;&a;&a;\">", 10) + "]><r><a>&b;</a></r>"
	return []hostileFile{
		{1, "gzip", gzipOfLines, "", "max_ratio"},
		{1, "bzip2", sample("../unpack/testdata/bomb.bz2"), "", "a NUL byte"},
		{2, "zip", zipped("a.zip", "PK\x03\x04"), "delivered", "of its members, 1 in all, 1 rejected"},
		{3, "zip", zipped(names(1001)...), "", "more than 1000 entries"},
		{4, "zip", zipped("../../x", "a\n1\n"), "", "leads out"},
		{5, "zip", zippedRaw(zip.FileHeader{Name: "a", CompressedSize64: 8, UncompressedSize64: 1 << 60}, "12345678"), "", "max_unpacked"},
		{6, "zip", zipped("a.csv", "a\n", "A.csv", "a\n"), "", "two entries bear the name"},
		{7, "zip", sample("../unpack/testdata/password.zip"), "", "is encrypted"},
		{8, "zstd", sample("csv/window.csv.zst"), "", "window"},
		{9, "gzip", sample("csv/truncated.csv.gz"), "", "truncated"},
		{10, "gzip", sample("csv/trailing-junk.csv.gz"), "", "gzip"},
		{11, "xlsx", book(farCells(20_000)), "", "max_sheet_cells"},
		{12, "xlsx", book(`<row r="2147483647"><c><v>1</v></c></row>`), "", "rows count upwards to 1048576"},
		{13, "xlsx", book(`<row r="2"><c r="A2"><v>1</v></c></row>`, "xl/styles.xml", "<styleSheet>"+strings.Repeat("<!--"+strings.Repeat(" x", 400_000)+"-->", 60)+"</styleSheet>"), "delivered", ""}, // what is not needed is not read,
		{14, "xlsx", book(`<row r="2"><c r="A2" t="s"><v>7</v></c></row>`), "", "records are bad, none allowed"},
		{15, "xlsx", book("", "xl/vbaProject.bin", "x"), "", "macros: allow"},
		{16, "xlsx", book(`<row r="2"><c r="A2"><v>1.23456789012346E+19</v></c></row>`), "", "records are bad, none allowed"},
		{17, "xml", text(laughs), "", "DOCTYPE"},
		{18, "xml", text(`<!DOCTYPE r SYSTEM "file:///etc/passwd"><r/>`), "", "DOCTYPE"},
		{19, "xml", text(strings.Repeat("<r>", 1_000_000)), "", "max_depth"},
		{20, "xml", text(`<r><a x="1" x="2">1</a></r>`), "", "stands twice"},
		{21, "xml", text(`<r><a>1</a></r><r/>`), "", "a second root element"},
		{22, "xml", long("<r><a>", "x"), "", "max_field"},
		{23, "xml", text(`<?xml version="1.0" encoding="utf-7"?><r><a>1</a></r>`), "", "utf-7"},
		{24, "xml", text(`<r><:a>1</:a></r>`), "", "a colon that parts no prefix from a name"},
		{25, "json", text(strings.Repeat(`[`, 10_001)), "", "max_depth"},
		{26, "json", text(`[{"a":1,"a":2}]`), "", `"a" stands twice`},
		{27, "json", text(`[{"a":1e400}, {"a":9007199254740993}]`), "delivered", ""},
		{28, "json", text("[{\"a\":\"\xff\"}]"), "", "not valid UTF-8"},
		{29, "json", text(`[{"a":1}] x`), "", "text after the end"},
		{30, "ndjson", long(`{"a":"`, "x"), "", "max_record"},
		{31, "csv", long("a\n1\n\"", "x,y\n"), "", "line 3"},
		{32, "csv", text("a,b\n1\x002,3\n"), "", "NUL"},
		{33, "csv", text(strings.Repeat("a,", 1_000_000), "a\n"), "", "max_columns"},
		{35, "fixed", text("abc\nab\n"), "", "1 of 2 records are bad, none allowed"},
		{36, "csv", text("a\n\xc0\xaf\n"), "", "not valid UTF-8"},
		{39, "csv", text(), "delivered", "no records"},
		{39, "json", text(" \n"), "delivered", "no records"},
		{45, "large", text("a\n1\n"), "", "records are bad, none allowed"},
	}
}

// TestHostileFilesCostLittle has the shipped program work each hostile file through its ledger: it says what is wrong, sends nothing, and
// takes neither memory nor time for it.
func TestHostileFilesCostLittle(t *testing.T) {
	t.Parallel()
	h := newHouse(t, hostileJobs)
	h.runs(0, "check")
	for _, f := range hostileFiles() {
		t.Run(fmt.Sprintf("%d %s", f.row, f.job), func(t *testing.T) {
			name := h.path(fmt.Sprintf("%d.%s", f.row, f.job))
			file, err := os.Create(name)
			if err != nil {
				t.Fatal(err)
			}
			if err := f.write(file); err != nil {
				t.Fatal(err)
			}
			if err := file.Close(); err != nil {
				t.Fatal(err)
			}
			f.judge(t, h, name)
			if err := os.Remove(name); err != nil {
				t.Error(err)
			}
		})
	}
	t.Run("44 a TiB of holes", func(t *testing.T) { noRoom(t, h) })
	sent, err := os.ReadDir(h.path("out"))
	h.must(err)
	for _, e := range sent {
		if name := e.Name(); name != "13.xlsx.out" && name != "27.json.out" {
			t.Errorf("%s was sent", e.Name())
		}
	}
}

// measured runs a command and returns what it printed, how much time of the processor it took, however busy that is, and how much memory it had at most. Linux gives a process the peak of
// the one that starts it; so that this is a small one, this program begins itself anew in between, see measure.
func measured(t *testing.T, cmd *exec.Cmd) (out []byte, took time.Duration, used int64) {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	between := exec.Command(self, cmd.Args[1:]...)
	between.Dir, between.Env = cmd.Dir, append(os.Environ(), measureVariable+"="+cmd.Path, "GORACE=atexit_sleep_ms=0")
	said := new(bytes.Buffer)
	between.Stderr = said
	out, err = between.Output()
	if err != nil {
		t.Fatalf("%v: %s", err, said)
	}
	at := bytes.LastIndexByte(out, '\n')
	if _, err := fmt.Sscan(string(out[at+1:]), &took, &used); err != nil {
		t.Fatalf("%v: %s%s", err, out, said)
	}
	return append(out[:at], said.String()...), took, used
}

// measureVariable holds the command that measure is to run.
const measureVariable = "WAYBILL_TEST_MEASURE"

// measure runs the command that the environment names with the arguments of this process. Its last line is what that took: nanoseconds of processors, and bytes of memory.
func measure() int {
	cmd := exec.Command(os.Getenv(measureVariable), os.Args[1:]...)
	cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
	_ = cmd.Run() // the test looks at what it printed
	if cmd.ProcessState == nil {
		return 1
	}
	took := cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime()
	fmt.Printf("\n%d %d", took, cmd.ProcessState.SysUsage().(*syscall.Rusage).Maxrss<<10)
	return 0
}

// noRoom gives the program a file that is larger than any disk: it says so, and does not begin to copy it.
func noRoom(t *testing.T, h *house) {
	name := h.path("holes.csv")
	err := os.WriteFile(name, nil, 0o600)
	if err == nil {
		err = os.Truncate(name, 1<<40)
	}
	if err != nil {
		t.Fatal(err)
	}
	var disk syscall.Statfs_t
	if err := syscall.Statfs(h.folder, &disk); err != nil || disk.Bavail*uint64(disk.Bsize) > 1<<40 {
		t.Skipf("SKIPPED, there is room for a TiB here: %v", err)
	}
	out, took, used := measured(t, h.command("run", "csv", name))
	if !strings.Contains(string(out), "it has 1048576 MiB") || took > hostileTime || used > hostileMemory {
		t.Errorf("it took %v and %d MiB: %s", took, used>>20, out)
	}
}

func (f hostileFile) judge(t *testing.T, h *house, name string) {
	out, took, used := measured(t, h.command("run", f.job, name, "--json"))
	t.Logf("%v, %d MiB", took.Round(time.Millisecond), used>>20)
	var entry struct{ State string }
	if err := json.NewDecoder(bytes.NewReader(out)).Decode(&entry); err != nil { // of an archive those of its members follow
		t.Fatalf("%v: %s", err, out)
	}
	if f.state == "" {
		f.state = "rejected"
	}
	if said := strings.ReplaceAll(string(out), `\"`, `"`); entry.State != f.state || !strings.Contains(said, f.want) {
		t.Errorf("%s: %s, want %s, %q", entry.State, said, f.state, f.want)
	}
	if took > hostileTime || used > hostileMemory {
		t.Errorf("it took %v and %d MiB", took, used>>20)
	}
}
