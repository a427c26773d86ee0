package house_test

import (
	"encoding/json"
	"errors"
	"go/ast"
	"go/parser"
	"go/token"
	"io"
	"io/fs"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// The house rules of docs/architecture.md, Budgets. They are there to be lived with: where one hurts,
// split by meaning, not by line count.
const (
	functionLines     = 60
	longFunctionLines = 120
	longFunctions     = 12
	fileLines         = 400
	interfaceMethods  = 4
)

// mayImport is the import table: which packages of this module a package may import, and why no more.
// failpoint may be imported by all.
var mayImport = map[string]struct {
	packages []string
	why      string
}{
	"store":             {nil, "the database knows nothing of what is kept in it"},
	"config":            {nil, "configuration knows no kind by name: cmd gives it a registry"},
	"formats":           {[]string{"formats/avro", "formats/fault", "formats/jsonvalue", "formats/xlsx"}, "a format turns bytes into records, whoever asks"},
	"formats/avro":      {[]string{"formats/fault", "formats/jsonvalue"}, "a container file has records; which of their fields are wanted is the format's to know"},
	"formats/jsonvalue": {nil, "a value is written as JSON in one way, whatever it comes from"},
	"formats/infer":     {[]string{"formats"}, "a proposal is made of what a format reads"},
	"formats/fault":     {nil, "why a file is refused is said in one way, whatever reads it"},
	"formats/unpack":    {[]string{"formats", "formats/fault", "formats/zipfile"}, "what is packed is a file, too: it is bounded and refused as one"},
	"formats/xlsx":      {[]string{"formats/fault", "formats/zipfile"}, "a workbook has cells; which of them make a record is the format's to know"},
	"formats/zipfile":   {[]string{"formats/fault"}, "what a zip file says of itself is looked at before anybody asks what is in it"},
	"failpoint":         {nil, "it is in everything"},
	"spool":             {[]string{"store"}, "bytes are kept without knowing what they are"},
	"ledger":            {[]string{"store", "spool"}, "the ledger is what other stages meet in"},
	"watcher":           {[]string{"ledger"}, "watching ends at landing"},
	"watcher/local":     {[]string{"watcher", "ledger", "spool"}, "a variant never imports another"},
	"watcher/sftp":      {[]string{"watcher", "ledger", "watcher/wire"}, "a variant never imports another"},
	"watcher/sftpd":     {[]string{"watcher", "ledger", "spool", "watcher/wire"}, "a variant never imports another"},
	"watcher/wire":      {nil, "packets know nothing of files"},
	"outbox":            {[]string{"store", "spool"}, "delivery does not know what made the message"},
	"outbox/rest":       {[]string{"outbox"}, "a variant never imports another"},
	"outbox/amqp":       {[]string{"outbox"}, "a variant never imports another"},
	"outbox/file":       {[]string{"outbox"}, "a variant never imports another"},
	"jobs":              {[]string{"ledger", "spool", "formats", "formats/unpack", "outbox", "store", "formats/jsonvalue", "jobs/convert", "jobs/expression"}, "an entry in, messages out"},
	"jobs/cases":        {[]string{"jobs", "ledger"}, "what a job makes of a file beside what is expected of it"},
	"jobs/convert":      {[]string{"formats"}, "a program makes of bytes what a format reads, whoever asks"},
	"jobs/expression":   {[]string{"formats/jsonvalue"}, "values and expressions know nothing of jobs"},
	"jobs/query":        {[]string{"formats"}, "rows of a query for one window"},
	"cmd/waybill":       {[]string{"*"}, "it chooses and wires"},

	// Support for tests: imported by tests only.
	"testenv":             {nil, "real servers for tests"},
	"formats/formatstest": {nil, "what tests of formats have in common"},
	"outbox/outboxtest":   {[]string{"outbox"}, "the suite every target runs"},
	"watcher/watchertest": {[]string{"watcher"}, "the suite every source of files runs"},
	"bench":               {[]string{"*"}, "whole-process benchmarks"},
}

type listed struct {
	ImportPath string
	Dir        string
	Imports    []string
	GoFiles    []string
}

func packages(t *testing.T) []listed {
	t.Helper()
	out, err := exec.Command("go", "list", "-json=ImportPath,Dir,Imports,GoFiles", "./...").Output()
	if err != nil {
		t.Fatalf("go list: %v", err)
	}
	var all []listed
	for dec := json.NewDecoder(strings.NewReader(string(out))); ; {
		var p listed
		if err := dec.Decode(&p); errors.Is(err, io.EOF) {
			return all
		} else if err != nil {
			t.Fatal(err)
		}
		all = append(all, p)
	}
}

func TestPackagesImportOnlyWhatTheTableAllows(t *testing.T) {
	t.Parallel()
	for _, p := range packages(t) {
		name := strings.TrimPrefix(p.ImportPath, "waybill/")
		if len(p.GoFiles) == 0 {
			continue
		}
		rule, ok := mayImport[name]
		if !ok {
			t.Errorf("package %s is not in the import table: add it, with the reason", name)
			continue
		}
		for _, imported := range p.Imports {
			other, ours := strings.CutPrefix(imported, "waybill/")
			if !ours || other == "failpoint" || slices.Contains(rule.packages, other) || slices.Contains(rule.packages, "*") {
				continue
			}
			t.Errorf("%s imports %s, which it may not: %s", name, other, rule.why)
		}
	}
}

// source is one file of the program itself (no tests, no failpoints).
type source struct {
	path string
	file *ast.File
	set  *token.FileSet
}

func sources(t *testing.T) []source {
	t.Helper()
	var all []source
	err := filepath.WalkDir(".", func(path string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && (strings.HasPrefix(d.Name(), ".") && path != "." || d.Name() == "testdata" || path == "failpoint"):
			return fs.SkipDir
		case d.IsDir() || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go"):
			return nil
		}
		set := token.NewFileSet()
		file, err := parser.ParseFile(set, path, nil, parser.ParseComments|parser.SkipObjectResolution)
		if err != nil {
			return err
		}
		all = append(all, source{path, file, set})
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(all) < 20 {
		t.Fatalf("only %d files were found", len(all))
	}
	return all
}

func TestFilesAndFunctionsKeepTheirBudgets(t *testing.T) {
	t.Parallel()
	long := 0
	for _, s := range sources(t) {
		if n := s.set.Position(s.file.FileEnd).Line; n > fileLines {
			t.Errorf("%s has %d lines, at most %d: split it by meaning", s.path, n, fileLines)
		}
		for _, d := range s.file.Decls {
			f, ok := d.(*ast.FuncDecl)
			if !ok {
				continue
			}
			n := s.set.Position(f.End()).Line - s.set.Position(f.Pos()).Line + 1
			most := functionLines
			if reason := longReason(f); reason != "" {
				long++
				most = longFunctionLines
			}
			if n > most {
				t.Errorf("%s: %s has %d lines, at most %d", s.set.Position(f.Pos()), f.Name.Name, n, most)
			}
			if f.Recv == nil && f.Name.Name == "init" {
				t.Errorf("%s: no init: what must be made is made by who needs it", s.set.Position(f.Pos()))
			}
		}
	}
	if long > longFunctions {
		t.Errorf("%d functions ask for more lines (//house:long), at most %d", long, longFunctions)
	}
}

func longReason(f *ast.FuncDecl) string {
	if f.Doc == nil {
		return ""
	}
	for _, c := range f.Doc.List {
		if reason, ok := strings.CutPrefix(c.Text, "//house:long "); ok {
			return reason
		}
	}
	return ""
}

func TestInterfacesAreNarrow(t *testing.T) {
	t.Parallel()
	for _, s := range sources(t) {
		ast.Inspect(s.file, func(n ast.Node) bool {
			if i, ok := n.(*ast.InterfaceType); ok && i.Methods.NumFields() > interfaceMethods {
				t.Errorf("%s: an interface with %d methods, at most %d", s.set.Position(i.Pos()), i.Methods.NumFields(), interfaceMethods)
			}
			return true
		})
	}
}

func TestEveryPackageSaysWhatItIsFor(t *testing.T) {
	t.Parallel()
	said := map[string]bool{}
	for _, s := range sources(t) {
		folder := filepath.Dir(s.path)
		said[folder] = said[folder] || s.file.Doc != nil && len(s.file.Doc.Text()) > 40
	}
	for folder, ok := range said {
		if !ok {
			t.Errorf("%s has no package comment that a newcomer can start from", folder)
		}
	}
}

// Package variables must not change: sentinels, regular expressions, embeds and tables are fine.
func TestThereIsNoPackageState(t *testing.T) {
	t.Parallel()
	byFolder := map[string][]source{}
	for _, s := range sources(t) {
		byFolder[filepath.Dir(s.path)] = append(byFolder[filepath.Dir(s.path)], s)
	}
	for _, group := range byFolder {
		vars := map[string]bool{}
		for _, s := range group {
			for _, d := range s.file.Decls {
				g, ok := d.(*ast.GenDecl)
				if !ok || g.Tok != token.VAR {
					continue
				}
				for _, spec := range g.Specs {
					for _, name := range spec.(*ast.ValueSpec).Names {
						vars[name.Name] = name.Name != "_"
					}
				}
			}
		}
		for _, s := range group {
			reportState(t, s, vars)
		}
	}
}

func reportState(t *testing.T, s source, vars map[string]bool) {
	t.Helper()
	for _, d := range s.file.Decls {
		f, ok := d.(*ast.FuncDecl)
		if !ok {
			continue
		}
		own := locals(f)
		changed := func(e ast.Expr, how string) {
			if id := base(e); id != nil && vars[id.Name] && !own[id.Name] {
				t.Errorf("%s: package variable %s is %s", s.set.Position(id.Pos()), id.Name, how)
			}
		}
		ast.Inspect(f, func(n ast.Node) bool {
			switch x := n.(type) {
			case *ast.AssignStmt:
				if x.Tok != token.DEFINE {
					for _, e := range x.Lhs {
						changed(e, "assigned")
					}
				}
			case *ast.IncDecStmt:
				changed(x.X, "changed")
			case *ast.UnaryExpr:
				if x.Op == token.AND {
					changed(x.X, "address-taken")
				}
			}
			return true
		})
	}
}

// base is the variable that an expression such as v, v[i] or (v) changes.
func base(e ast.Expr) *ast.Ident {
	for {
		switch x := e.(type) {
		case *ast.IndexExpr:
			e = x.X
		case *ast.ParenExpr:
			e = x.X
		case *ast.Ident:
			return x
		default:
			return nil
		}
	}
}

// locals are the names that a function declares itself, anywhere in it: these hide the package's.
func locals(f *ast.FuncDecl) map[string]bool {
	own := map[string]bool{}
	ast.Inspect(f, func(n ast.Node) bool {
		switch x := n.(type) {
		case *ast.Field:
			for _, name := range x.Names {
				own[name.Name] = true
			}
		case *ast.AssignStmt:
			for _, e := range x.Lhs {
				if id, ok := e.(*ast.Ident); ok && x.Tok == token.DEFINE {
					own[id.Name] = true
				}
			}
		case *ast.RangeStmt:
			for _, e := range []ast.Expr{x.Key, x.Value} {
				if id, ok := e.(*ast.Ident); ok && x.Tok == token.DEFINE {
					own[id.Name] = true
				}
			}
		case *ast.ValueSpec:
			for _, name := range x.Names {
				own[name.Name] = true
			}
		}
		return true
	})
	return own
}

// Time comes from outside, so that tests and clocks that jump can be lived with; nothing sleeps.
func TestNobodyReadsTheClockOrSleeps(t *testing.T) {
	t.Parallel()
	for _, s := range sources(t) {
		if strings.HasPrefix(s.path, "cmd/") || strings.HasPrefix(s.path, "testenv/") || strings.HasPrefix(s.path, "bench/") {
			continue
		}
		ast.Inspect(s.file, func(n ast.Node) bool {
			call, ok := n.(*ast.CallExpr)
			if !ok {
				return true
			}
			if sel, ok := call.Fun.(*ast.SelectorExpr); ok {
				if x, ok := sel.X.(*ast.Ident); ok && x.Name == "time" && (sel.Sel.Name == "Now" || sel.Sel.Name == "Sleep" || sel.Sel.Name == "Since") {
					t.Errorf("%s: time.%s: take the clock that is injected", s.set.Position(call.Pos()), sel.Sel.Name)
				}
			}
			return true
		})
	}
}
