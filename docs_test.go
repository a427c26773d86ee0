package house_test

import (
	"bytes"
	"cmp"
	"errors"
	"flag"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"filippo.io/age"
	"github.com/ProtonMail/go-crypto/openpgp/armor"
	openpgp "github.com/ProtonMail/go-crypto/openpgp/v2"
	gocmp "github.com/google/go-cmp/cmp"
	"go.yaml.in/yaml/v4"

	"waybill/jobs/expression"
)

var update = flag.Bool("update", false, "write the generated parts of the documents anew")

const (
	architecture  = "docs/architecture.md"
	configuration = "docs/configuration.md"
	dependencies  = "docs/dependencies.md"
)

// A generated part of a document stands between <!-- generated: NAME --> and <!-- end -->.
var generatedPart = regexp.MustCompile(`(?s)(<!-- generated: ([^>]*?) -->\n)(.*?)(<!-- end -->)`)

// checkGenerated compares the generated parts of a document with what make returns for their names, or writes them. It
// returns the names.
func checkGenerated(t *testing.T, path string, make func(name string) string) (names []string) {
	t.Helper()
	old := read(t, path)
	text := generatedPart.ReplaceAllStringFunc(old, func(part string) string {
		m := generatedPart.FindStringSubmatch(part)
		names = append(names, m[2])
		return m[1] + make(m[2]) + m[4]
	})
	if *update {
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	} else if diff := gocmp.Diff(old, text); diff != "" {
		t.Errorf("%s is not what the code says: run go test . -update\n%s", path, diff)
	}
	return names
}

func read(t *testing.T, path string) string {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func TestArchitectureShowsTheImportTable(t *testing.T) {
	names := checkGenerated(t, architecture, func(name string) string {
		if name != "imports" {
			t.Errorf("%s: nobody generates %q", architecture, name)
			return ""
		}
		var b strings.Builder
		b.WriteString("| package | may import | because |\n| --- | --- | --- |\n")
		for _, name := range slices.Sorted(maps.Keys(mayImport)) {
			rule := mayImport[name]
			imports := "–"
			if len(rule.packages) > 0 {
				imports = "`" + strings.Join(rule.packages, "`, `") + "`"
			}
			fmt.Fprintf(&b, "| `%s` | %s | %s |\n", name, strings.ReplaceAll(imports, "`*`", "all"), rule.why)
		}
		return b.String()
	})
	if !slices.Contains(names, "imports") {
		t.Errorf("%s does not show the import table", architecture)
	}
}

// Files that the architecture names are there, and what comments of the code name in it is there too.
func TestArchitectureNamesWhatIsThere(t *testing.T) {
	t.Parallel()
	text := read(t, architecture)
	named := regexp.MustCompile("`([a-z_/]+/)([a-z0-9_*-]+\\.(?:go|sql|md|sh|service))`")
	found := named.FindAllStringSubmatch(text, -1)
	for _, m := range found {
		if there, err := filepath.Glob(m[1] + m[2]); err != nil || len(there) == 0 {
			t.Errorf("%s names %s%s, which is not there", architecture, m[1], m[2])
		}
	}
	if len(found) < 40 {
		t.Errorf("only %d files are named", len(found))
	}
	headings := anchors(text)
	for _, s := range sources(t) {
		for _, m := range referred.FindAllStringSubmatch(read(t, s.path), -1) {
			heading := cmp.Or(m[1], m[2])
			if !slices.Contains(headings, anchor(heading)) {
				t.Errorf("%s refers to %s, %s: there is no such heading", s.path, architecture, heading)
			}
		}
	}
}

// referred finds "docs/architecture.md, Whose fault" and "Whose fault in docs/architecture.md" in comments.
var referred = regexp.MustCompile(`docs/architecture\.md, ([A-Z][a-z]+(?: [a-z]+)?)|\b([A-Z][a-z]+(?: [a-z]+)?) in docs/architecture\.md`)

var (
	fenced  = regexp.MustCompile("(?ms)^```.*?^```")
	heading = regexp.MustCompile(`(?m)^#+ (.*)$|<a id="([^"]+)">`)
	dropped = regexp.MustCompile(`[^\p{L}\p{N} _-]`)
)

// anchors are the places of a Markdown text that links can lead to.
func anchors(text string) (list []string) {
	for _, m := range heading.FindAllStringSubmatch(fenced.ReplaceAllString(text, ""), -1) {
		list = append(list, cmp.Or(m[2], anchor(m[1])))
	}
	return list
}

// anchor is how GitHub makes an anchor of a heading.
func anchor(heading string) string {
	heading = strings.ToLower(dropped.ReplaceAllString(heading, ""))
	return strings.ReplaceAll(strings.TrimSpace(heading), " ", "-")
}

func TestLinksOfTheDocumentsLeadSomewhere(t *testing.T) {
	t.Parallel()
	link := regexp.MustCompile(`\]\(([^)\s]+)\)`)
	docs, err := filepath.Glob("docs/*.md")
	if err != nil {
		t.Fatal(err)
	}
	known := map[string][]string{} // anchors by document
	for _, doc := range append(docs, "README.md", "CONTRIBUTING.md", "CHANGELOG.md") {
		for _, m := range link.FindAllStringSubmatch(read(t, doc), -1) {
			path, place, _ := strings.Cut(m[1], "#")
			if strings.Contains(path, "://") || strings.HasPrefix(path, "mailto:") {
				continue
			}
			target := doc
			if path != "" {
				target = filepath.Join(filepath.Dir(doc), path)
			}
			if _, err := os.Stat(target); err != nil {
				t.Errorf("%s: the link %s leads nowhere", doc, m[1])
				continue
			}
			if place != "" && known[target] == nil {
				known[target] = anchors(read(t, target))
			}
			if place != "" && !slices.Contains(known[target], place) {
				t.Errorf("%s: the link %s: there is no such heading", doc, m[1])
			}
		}
	}
}

func TestArchitectureExplainsEveryTable(t *testing.T) {
	t.Parallel()
	migrations, err := filepath.Glob("store/migrations/*.sql")
	if err != nil || len(migrations) == 0 {
		t.Fatalf("no migrations: %v", err)
	}
	var made []string
	for _, path := range migrations {
		for _, m := range regexp.MustCompile(`(?m)^CREATE TABLE (\w+)`).FindAllStringSubmatch(read(t, path), -1) {
			made = append(made, m[1])
		}
	}
	_, part, _ := strings.Cut(read(t, architecture), "\n## Tables\n")
	part, _, _ = strings.Cut(part, "\n## ")
	var told []string
	for _, m := range regexp.MustCompile("(?m)^\\| `(\\w+)` \\|").FindAllStringSubmatch(part, -1) {
		told = append(told, m[1])
	}
	slices.Sort(made)
	slices.Sort(told)
	if diff := gocmp.Diff(made, told); diff != "" {
		t.Errorf("the tables of the ledger (-) are not those of %s (+):\n%s", architecture, diff)
	}
}

// Every structure that the configuration is decoded into has its table in the reference, made from the code.
func TestConfigurationReferenceIsWhatTheCodeSays(t *testing.T) {
	r := newReference(t)
	roots := append(r.registered(), "config.top")
	reached := map[string]bool{}
	var reach func(name string)
	reach = func(name string) {
		if !reached[name] {
			reached[name] = true
			for _, row := range r.rows(name) {
				if row.inner != "" {
					reach(row.inner)
				}
			}
		}
	}
	for _, name := range roots {
		reach(name)
	}
	names := checkGenerated(t, configuration, func(name string) string {
		switch {
		case name == "not yet":
			return r.notYet(slices.Sorted(maps.Keys(reached)))
		case !reached[name]:
			t.Errorf("%s shows %s, which is no part of the configuration", configuration, name)
			return ""
		}
		return r.table(name)
	})
	for name := range reached {
		if !slices.Contains(names, name) {
			t.Errorf("%s has no table for %s: write <!-- generated: %s --> and <!-- end --> where it belongs", configuration, name, name)
		}
	}
}

// A reference reads the structures of the configuration from the code.
type reference struct {
	t       *testing.T
	structs map[string]*ast.StructType // "outbox.Options", "outbox/rest.TLS"
	files   map[string]*ast.File       // where they stand
	set     *token.FileSet
}

func newReference(t *testing.T) *reference {
	r := &reference{t: t, structs: map[string]*ast.StructType{}, files: map[string]*ast.File{}, set: token.NewFileSet()}
	for _, s := range sources(t) {
		folder := filepath.Dir(s.path)
		ast.Inspect(s.file, func(n ast.Node) bool {
			if spec, ok := n.(*ast.TypeSpec); ok {
				if st, ok := spec.Type.(*ast.StructType); ok {
					name := folder + "." + spec.Name.Name
					r.structs[name], r.files[name] = st, s.file
				}
			}
			return true
		})
	}
	return r
}

// registered lists the structures that the registry of the program makes.
func (r *reference) registered() (list []string) {
	file := r.parse("cmd/waybill/registry.go")
	ast.Inspect(file, func(n ast.Node) bool {
		if call, ok := n.(*ast.CallExpr); ok && len(call.Args) == 1 {
			if id, ok := call.Fun.(*ast.Ident); ok && id.Name == "new" {
				list = append(list, r.resolve(file, "cmd/waybill", call.Args[0]))
			}
		}
		return true
	})
	if len(list) < 8 {
		r.t.Fatalf("only %d structures are registered: %v", len(list), list)
	}
	return list
}

func (r *reference) parse(path string) *ast.File {
	file, err := parser.ParseFile(r.set, path, nil, 0)
	if err != nil {
		r.t.Fatal(err)
	}
	return file
}

// resolve names a type of this module, "" for any other.
func (r *reference) resolve(file *ast.File, folder string, e ast.Expr) string {
	switch x := e.(type) {
	case *ast.Ident:
		return folder + "." + x.Name
	case *ast.SelectorExpr:
		for _, i := range file.Imports {
			path, _ := strconv.Unquote(i.Path.Value)
			if ours, ok := strings.CutPrefix(path, "waybill/"); ok && filepath.Base(path) == x.X.(*ast.Ident).Name {
				return ours + "." + x.Sel.Name
			}
		}
	}
	return ""
}

// A row is one key of a table.
type row struct {
	key, form, preset, doc string
	inner                  string // the structure below it
	later                  string // instead: keys that belong to later versions
}

// rows are the keys of a structure; those of embedded ones stand among them.
func (r *reference) rows(name string) (list []row) {
	st := r.structs[name]
	if st == nil {
		r.t.Fatalf("there is no structure %s", name)
	}
	for _, f := range st.Fields.List {
		if f.Tag == nil {
			continue
		}
		text, _ := strconv.Unquote(f.Tag.Value)
		tag := reflect.StructTag(text)
		if later := tag.Get("later"); later != "" {
			list = append(list, row{later: later})
			continue
		}
		key, option, _ := strings.Cut(tag.Get("yaml"), ",")
		inner, form := r.form(name, f.Type, tag)
		switch {
		case option == "inline":
			list = append(list, r.rows(inner)...)
			continue
		case option == "key":
			continue
		case option == "scalar":
			key = "*(a plain text)*"
		case option == "items":
			key = "*(a mapping)*"
		case key == "" || key == "-":
			continue
		default:
			key = "`" + key + "`"
			if tag.Get("doc") == "" {
				r.t.Errorf("%s: %s has no doc", name, key)
			}
		}
		preset := ""
		if text, ok := tag.Lookup("default"); ok {
			preset = "`" + text + "`"
		} else if tag.Get("required") == "true" {
			preset = "**required**"
		}
		list = append(list, row{key: key, form: form, preset: preset, doc: tag.Get("doc"), inner: inner})
	}
	return list
}

// texts are the forms of types that are written as one text.
var texts = map[string]string{
	"time.Duration": "duration", "config.Span": "duration, or `forever`", "outbox.Rate": "rate", "formats.Bytes": "size",
	"jobs.Allowance":    "number, or share",
	"watcher/sftpd.Key": "public key", "watcher/sftpd.Network": "address or network", "watcher/sftpd.Expiry": "day or instant",
	"string": "text", "bool": "`true` or `false`", "int": "integer", "int64": "integer", "float64": "number",
}

// form says how the value of a key is written, and which structure it is.
func (r *reference) form(owner string, e ast.Expr, tag reflect.StructTag) (inner, form string) {
	folder := owner[:strings.LastIndex(owner, ".")]
	if enum := tag.Get("enum"); enum != "" {
		form = "`" + strings.ReplaceAll(enum, ",", "`, `") + "`"
	} else if ref := tag.Get("ref"); ref != "" {
		form = "name out of `" + ref + "`"
	} else if as := tag.Get("as"); as != "" {
		form = map[string]string{"section": "mapping by name", "node": "tree of values", "setting": "mapping", "zone": "time zone", "secret": "text, secret", "span": texts["config.Span"]}[as]
		form = cmp.Or(form, as)
	}
	switch x := e.(type) {
	case *ast.StarExpr:
		return r.form(owner, x.X, tag)
	case *ast.ArrayType:
		inner, element := r.form(owner, x.Elt, tag)
		switch {
		case inner != "" && r.keyed(inner):
			return inner, "mapping by name: " + element
		case tag.Get("one") == "true":
			return inner, element + ", or a list"
		}
		return inner, "list: " + element
	case *ast.MapType:
		_, element := r.form(owner, x.Value, tag)
		return "", "mapping by name: " + element
	}
	name := r.resolve(r.files[owner], folder, e)
	written := strings.TrimPrefix(name, folder+".")
	switch x := e.(type) {
	case *ast.Ident:
		written = x.Name
	case *ast.SelectorExpr:
		written = x.X.(*ast.Ident).Name + "." + x.Sel.Name
	}
	for _, key := range []string{name, written} {
		if text := texts[key]; text != "" {
			return "", cmp.Or(form, text)
		}
	}
	if written == "yaml.Node" {
		return "", form
	}
	if r.structs[name] == nil {
		r.t.Fatalf("%s: say in docs_test.go how %s is written", owner, written)
	}
	return name, fmt.Sprintf("[mapping](#%s)", tableAnchor(name))
}

func (r *reference) keyed(name string) bool {
	for _, f := range r.structs[name].Fields.List {
		if f.Tag != nil && strings.Contains(f.Tag.Value, `yaml:",key"`) {
			return true
		}
	}
	return false
}

func tableAnchor(name string) string {
	return "keys-" + strings.ToLower(strings.NewReplacer("/", "-", ".", "-").Replace(name))
}

func (r *reference) table(name string) string {
	var b strings.Builder
	fmt.Fprintf(&b, "<a id=\"%s\"></a>\n\n| key | what it takes | default | meaning |\n| --- | --- | --- | --- |\n", tableAnchor(name))
	cell := strings.NewReplacer("|", `\|`, "*", `\*`, "<", "&lt;")
	for _, row := range r.rows(name) {
		if row.later == "" {
			fmt.Fprintf(&b, "| %s | %s | %s | %s |\n", row.key, row.form, row.preset, cell.Replace(row.doc))
		}
	}
	return b.String() + "\n"
}

// notYet lists the keys that are refused because they belong to later versions.
func (r *reference) notYet(structs []string) string {
	var b strings.Builder
	b.WriteString("\n| where | keys, kinds or words |\n| --- | --- |\n")
	code := func(words []string) string { return "`" + strings.Join(words, "`, `") + "`" }
	for _, name := range structs {
		for _, f := range r.structs[name].Fields.List {
			if f.Tag == nil {
				continue
			}
			text, _ := strconv.Unquote(f.Tag.Value)
			if later := reflect.StructTag(text).Get("later"); later != "" {
				fmt.Fprintf(&b, "| [%s](#%s) | %s |\n", r.where(name), tableAnchor(name), code(strings.Split(later, ",")))
			}
		}
	}
	kinds := r.lists("cmd/waybill/registry.go", "Later")
	if len(kinds) != 2 {
		r.t.Fatalf("the registry has %d lists of later kinds, not one of sources and one of destinations", len(kinds))
	}
	fmt.Fprintf(&b, "| kinds of sources | %s |\n| kinds of destinations | %s |\n", code(kinds[0]), code(kinds[1]))
	fmt.Fprintf(&b, "| formats | %s |\n", code(r.lists("formats/list.go", "later")[0]))
	fmt.Fprintf(&b, "| encodings | %s |\n\n", code(r.lists("formats/charset.go", "laterEncodings")[0]))
	return b.String()
}

// where says where in the file the keys of a structure stand.
func (r *reference) where(name string) string {
	folder, typ, _ := strings.Cut(name, ".")
	switch {
	case typ == "top":
		return "top level"
	case folder == "jobs" && typ == "Options":
		return "a job"
	case folder == "jobs":
		return "a job, " + strings.ToLower(typ)
	case folder == "outbox" && typ == "Options":
		return "a destination"
	}
	return name
}

// lists are the texts of the lists called name in a file.
func (r *reference) lists(path, name string) (found [][]string) {
	add := func(e ast.Expr) {
		var words []string
		if list, ok := e.(*ast.CompositeLit); ok {
			for _, w := range list.Elts {
				word, _ := strconv.Unquote(w.(*ast.BasicLit).Value)
				words = append(words, word)
			}
			found = append(found, words)
		}
	}
	ast.Inspect(r.parse(path), func(n ast.Node) bool {
		switch x := n.(type) {
		case *ast.KeyValueExpr:
			if id, ok := x.Key.(*ast.Ident); ok && id.Name == name {
				add(x.Value)
			}
		case *ast.ValueSpec:
			if x.Names[0].Name == name && len(x.Values) == 1 {
				add(x.Values[0])
			}
		}
		return true
	})
	if len(found) == 0 {
		r.t.Fatalf("%s has no list %s", path, name)
	}
	return found
}

func TestConfigurationReferenceNamesEveryFunction(t *testing.T) {
	t.Parallel()
	_, part, _ := strings.Cut(read(t, configuration), "<!-- functions -->")
	part, _, ok := strings.Cut(part, "<!-- end -->")
	if !ok {
		t.Fatal("there is no list of functions")
	}
	var told []string
	for _, m := range regexp.MustCompile("(?m)^\\| `(.*?)` \\|").FindAllStringSubmatch(part, -1) {
		told = append(told, m[1])
	}
	slices.Sort(told)
	if diff := gocmp.Diff(expression.Functions(), told); diff != "" {
		t.Errorf("the functions of the language (-) are not those of %s (+):\n%s", configuration, diff)
	}
}

// An example is a fenced block of YAML. Its info string says what is true of it:
//
//	yaml            a part of a file: it is YAML
//	yaml complete   a whole waybill.yaml: waybill check finds it right
//	yaml wrong      a whole waybill.yaml: waybill check says what the block of text behind it shows
//	… file=NAME     another file of the example above it, in any language
type example struct {
	line   int
	kind   string
	files  map[string]string
	answer string
}

var fence = regexp.MustCompile("(?ms)^```([a-z]+)([^\n]*)\n(.*?)^```$")

func examples(t *testing.T, path string) (list []*example) {
	t.Helper()
	text := read(t, path)
	for _, m := range fence.FindAllStringSubmatchIndex(text, -1) {
		lang, info, body := text[m[2]:m[3]], strings.TrimSpace(text[m[4]:m[5]]), text[m[6]:m[7]]
		name, another := strings.CutPrefix(info, "file=")
		switch last := len(list) - 1; {
		case another:
			list[last].files[name] = body
		case lang == "yaml":
			line := 1 + strings.Count(text[:m[0]], "\n")
			list = append(list, &example{line: line, kind: info, files: map[string]string{"waybill.yaml": body}})
		case lang == "text" && last >= 0 && list[last].kind == "wrong" && list[last].answer == "":
			list[last].answer = body
		}
	}
	return list
}

func TestExamplesOfTheConfigurationReferenceAreRight(t *testing.T) {
	t.Parallel()
	program := filepath.Join(t.TempDir(), "waybill")
	if out, err := exec.Command("go", "build", "-o", program, "./cmd/waybill").CombinedOutput(); err != nil {
		t.Fatalf("build: %v\n%s", err, out)
	}
	complete := 0
	for _, e := range examples(t, configuration) {
		t.Run(fmt.Sprintf("line %d", e.line), func(t *testing.T) {
			if e.kind == "" {
				for _, text := range e.files {
					var n yaml.Node
					if err := yaml.Unmarshal([]byte(text), &n); err != nil {
						t.Errorf("not YAML: %v", err)
					}
				}
				return
			}
			complete++
			code, out := check(t, program, e)
			switch e.kind {
			case "complete":
				if code != 0 {
					t.Errorf("waybill check: exit %d\n%s", code, out)
				}
			case "wrong":
				if diff := gocmp.Diff(e.answer, out); code != 2 || diff != "" {
					t.Errorf("waybill check: exit %d, want 2 and what the document shows (-), got (+):\n%s", code, diff)
				}
			default:
				t.Errorf("nobody knows what %q means", e.kind)
			}
		})
	}
	if complete < 8 {
		t.Errorf("only %d whole examples", complete)
	}
}

// pgpKey is a private key, armored.
func pgpKey(t *testing.T) string {
	t.Helper()
	var b strings.Builder
	e, err := openpgp.NewEntity("example", "", "", nil)
	if err != nil {
		t.Fatal(err)
	}
	w, err := armor.Encode(&b, "PGP PRIVATE KEY BLOCK", nil)
	if err == nil {
		err = errors.Join(e.SerializePrivateWithoutSigning(w, nil), w.Close())
	}
	if err != nil {
		t.Fatal(err)
	}
	return b.String()
}

// check runs waybill check on an example. Credentials that it names are there.
func check(t *testing.T, program string, e *example) (code int, out string) {
	t.Helper()
	folder, credentials := t.TempDir(), t.TempDir()
	for name, text := range e.files {
		path := filepath.Join(folder, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		for _, m := range regexp.MustCompile(`\$\{credential:([^}]+)\}`).FindAllStringSubmatch(text, -1) {
			secret := "secret"
			if strings.HasSuffix(m[1], "-db") {
				secret = "postgres://reader:secret@db.example/shop"
			} else if strings.HasSuffix(m[1], "-pgp") {
				secret = pgpKey(t)
			} else if strings.HasSuffix(m[1], "-age") {
				id, err := age.GenerateX25519Identity()
				if err != nil {
					t.Fatal(err)
				}
				secret = id.String()
			} else if strings.HasSuffix(m[1], "-url") {
				secret = "amqp://waybill:secret@rabbit.example:5672/"
			}
			if err := os.WriteFile(filepath.Join(credentials, m[1]), []byte(secret+"\n"), 0o600); err != nil {
				t.Fatal(err)
			}
		}
	}
	c := exec.Command(program, "check")
	c.Dir = folder
	c.Env = append(os.Environ(), "CREDENTIALS_DIRECTORY="+credentials)
	var b bytes.Buffer
	c.Stdout, c.Stderr = &b, &b
	if err := c.Run(); err != nil && c.ProcessState == nil {
		t.Fatal(err)
	}
	return c.ProcessState.ExitCode(), b.String()
}

// Each module that the program or its tests import has its place in the document, and no other has.
func TestDependenciesAreExplained(t *testing.T) {
	t.Parallel()
	var direct []string
	tool := regexp.MustCompile(`(?m)^tool ([^\s]+)$`).FindStringSubmatch(read(t, "go.mod"))
	for _, m := range regexp.MustCompile(`(?m)^\t([^\s]+) v[^\s]+( // indirect)?$`).FindAllStringSubmatch(read(t, "go.mod"), -1) {
		if m[2] == "" || tool != nil && strings.HasPrefix(tool[1], m[1]+"/") { // tools are never marked as direct
			direct = append(direct, m[1])
		}
	}
	if len(direct) < 20 {
		t.Errorf("go.mod has %d direct requirements: run go mod tidy", len(direct))
	}
	text := read(t, dependencies)
	for _, module := range direct {
		if !strings.Contains(text, "| `"+module+"` |") {
			t.Errorf("%s does not say what %s is for", dependencies, module)
		}
	}
	for _, m := range regexp.MustCompile("(?m)^\\| `([^`]+\\.[^`]+/[^`]+)` \\|").FindAllStringSubmatch(text, -1) {
		if !slices.Contains(direct, m[1]) {
			t.Errorf("%s explains %s, which go.mod does not require directly", dependencies, m[1])
		}
	}
}

// The documents speak of the program alone.
func TestDocumentsAreForEveryone(t *testing.T) {
	t.Parallel()
	err := filepath.WalkDir("docs", func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || !strings.HasSuffix(path, ".md") {
			return err
		}
		if m := regexp.MustCompile(`/root/|/home/\w+/`).FindString(read(t, path)); m != "" {
			t.Errorf("%s names a path of some machine: %s", path, m)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

// What a table says is tested is tested by a test of that name.
func TestTestsThatTheDocumentsNameExist(t *testing.T) {
	t.Parallel()
	there := map[string]bool{}
	err := filepath.WalkDir(".", func(path string, _ fs.DirEntry, err error) error {
		if err == nil && strings.HasSuffix(path, "_test.go") {
			for _, m := range regexp.MustCompile(`(?m)^func (Test\w+)\(`).FindAllStringSubmatch(read(t, path), -1) {
				there[m[1]] = true
			}
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	named := regexp.MustCompile("`(Test[A-Z0-9]\\w+)`").FindAllStringSubmatch(read(t, "docs/architecture.md"), -1)
	if len(named) < 20 {
		t.Errorf("only %d tests are named", len(named))
	}
	for _, m := range named {
		if !there[m[1]] {
			t.Errorf("docs/architecture.md names %s, which is not there", m[1])
		}
	}
}
