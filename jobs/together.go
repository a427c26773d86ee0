package jobs

import (
	"cmp"
	"fmt"
	"path"
	"regexp"
	"slices"
	"strings"
	"time"

	"waybill/formats"
	"waybill/ledger"
)

// Together says which files make one entry with the one that is read.
type Together struct {
	Header  *PartFile `yaml:"header" doc:"the file that holds the header of the other one; header.NAME in every expression and template"`
	Trailer *PartFile `yaml:"trailer" doc:"the file that holds its trailer; trailer.NAME in check.file"`
}

// PartFile says what a file is called, and how it is read, that is taken together with another one.
type PartFile struct {
	Files string `yaml:"files" required:"true" doc:"its name, with the same parts in braces as those of receive.files: {no}_head.csv"`
	Aside `yaml:",inline"`
}

// Roles of files that are taken together with the one that is read.
const (
	roleHeader  = "header"
	roleTrailer = "trailer"
)

// partFile is one of the files that are taken together.
type partFile struct {
	role    string
	pattern *Pattern
}

// together compiles which files are taken together.
func (c *compiler) together(o Options) {
	const at = "receive.together"
	t := o.Receive.Together
	if t.Header == nil && t.Trailer == nil && c.whole(at) {
		c.problem(at, "names no other file: write header or trailer")
	}
	if c.plan.unpacker != nil && c.plan.unpacker.Archive() {
		c.problem(at, "does not go with the files of an archive")
	}
	if o.Identity.By == ledger.ByNameSizeTime {
		c.problem("identity.by", "%s is of one file, and several are taken together: write content, name or name+content", o.Identity.By)
	}
	for _, part := range []struct {
		role string
		file *PartFile
		read bool // the same stands in the file that is read
	}{{roleHeader, t.Header, o.Read != nil && o.Read.Header != nil}, {roleTrailer, t.Trailer, o.Read != nil && o.Read.Trailer != nil}} {
		if part.file == nil {
			continue
		}
		path := at + "." + part.role
		if part.read {
			c.problem(path, "stands in read.%s too: %s.NAME would be either", part.role, part.role)
		}
		fields := c.aside(part.role, path, &part.file.Aside)
		if part.role == roleHeader {
			c.claims.header = fields
			c.header(fields)
		} else {
			c.claims.trailer = fields
		}
		c.partFile(path+".files", part.role, part.file.Files, o.Receive.Ignore)
	}
}

// partFile compiles what a file is called that is taken together with others.
func (c *compiler) partFile(at, role, files string, ignore []string) {
	pattern, problems := NewPattern([]string{files}, ignore)
	for _, p := range problems {
		if !strings.HasPrefix(p.Path, "ignore") { // told of receive.ignore
			c.problem(at, "%s", p.Text)
		}
	}
	if pattern == nil || c.plan.files == nil {
		return
	}
	own := pattern.take[0]
	if len(own.parts) == 0 {
		c.problem(at, "%q has no part in braces that it shares with receive.files: write for example {no}_head.csv", files)
	}
	for _, g := range c.plan.files.take {
		if !slices.EqualFunc(sorted(g.parts), sorted(own.parts), func(a, b part) bool { return a.name == b.name && a.kind == b.kind }) {
			c.problem(at, "%q has not the parts in braces that %q of receive.files has: they tell which files belong together", files, g.text)
		}
		if g.whole != own.whole {
			c.problem(at, "%q names folders and %q of receive.files does not, or the other way round", files, g.text)
		}
		if g.whole && own.whole && path.Dir(g.text) != path.Dir(own.text) && (g.anyFolder() || own.anyFolder()) {
			c.problem(at, "%q and %q of receive.files are in folders that * or ? leaves open: name the same folders, or write {name} for them", files, g.text)
		}
	}
	c.plan.partFiles = append(c.plan.partFiles, partFile{role, pattern})
}

func sorted(parts []part) []part {
	return slices.SortedFunc(slices.Values(parts), func(a, b part) int { return cmp.Compare(a.name, b.name) })
}

// together tells which of the files that are taken together a path is, and what it has in common with the others; not ok when it is none of them.
func (p *Plan) together(file string) (role, key string, ok bool) {
	if len(p.partFiles) == 0 {
		return "", "", false
	}
	for _, f := range p.partFiles {
		if parts, ok := f.pattern.parts(file, p.zone); ok {
			return f.role, p.common(file, parts), true
		}
	}
	parts, ok := p.files.parts(file, p.zone)
	return "", p.common(file, parts), ok
}

// common is what the names of files have in common that belong together: the parts in braces, and the folder where no pattern says which.
func (p *Plan) common(file string, parts map[string]any) string {
	var b strings.Builder
	if own := &p.partFiles[0].pattern.take[0]; !own.whole || own.anyFolder() {
		fmt.Fprintf(&b, "%q", path.Dir(file))
	}
	for _, part := range sorted(p.partFiles[0].pattern.take[0].parts) {
		fmt.Fprintf(&b, " %s=%q", part.name, fmt.Sprint(parts[part.name]))
	}
	return b.String()
}

// accompanies reports whether a path is what a companion in a mailbox is called, and what it has in common with its file.
func (p *Plan) accompanies(file string) bool {
	r := p.options.Receive
	if r == nil || !p.gathers {
		return false
	}
	end, stem := strings.CutPrefix(r.Companion.Name, "{stem}")
	of, ok := strings.CutSuffix(file, strings.TrimPrefix(end, "*"))
	if !ok || !stem {
		return ok && p.files.Match(of)
	}
	return slices.ContainsFunc(p.files.take, func(g glob) bool {
		ending := path.Ext(g.text)
		return strings.ContainsAny(ending, "*?{}") || p.files.Match(of+ending) // what an ending that is left open would be is not known
	})
}

// anyFolder reports whether files of several folders match with the same parts in braces.
func (g *glob) anyFolder() bool { return g.whole && strings.ContainsAny(path.Dir(g.text), "*?") }

// set says of an arrival with which others it makes an entry; nil when it does alone.
func (p *Plan) set(file string) *ledger.Together {
	r := p.options.Receive
	var t ledger.Together
	role, key, ok := p.together(file)
	switch {
	case p.accompanies(file):
		t = ledger.Together{Key: file, Role: ledger.RoleCompanion}
	case ok:
		t = ledger.Together{Key: key, Role: role}
	case p.gathers:
		t = ledger.Together{Key: r.Companion.Of(file)}
	default:
		return nil
	}
	t.Within = r.Within
	t.Needs = append(t.Needs, ledger.Need{Name: p.called(p.files, file)})
	for _, f := range p.partFiles {
		t.Needs = append(t.Needs, ledger.Need{Role: f.role, Name: p.called(f.pattern, file)})
	}
	if p.gathers {
		t.Needs = append(t.Needs, ledger.Need{Role: ledger.RoleCompanion, Name: path.Base(t.Key)})
	}
	return &t
}

var holes = regexp.MustCompile(`\{([^:}]+)(?::[^}]*)?\}`)

// called is what the file of a pattern is called that belongs to a file: as far as its parts in braces tell.
func (p *Plan) called(pattern *Pattern, file string) string {
	var texts map[string]string
	for _, f := range append([]*Pattern{p.files}, p.patterns()...) {
		if t, ok := f.texts(file, p.zone); ok {
			texts = t
		}
	}
	names := make([]string, len(pattern.take))
	for i, g := range pattern.take {
		names[i] = holes.ReplaceAllStringFunc(g.text, func(hole string) string {
			if text, ok := texts[hole]; ok {
				return text
			}
			return hole
		})
	}
	return strings.Join(names, " or ")
}

func (p *Plan) patterns() (list []*Pattern) {
	for _, f := range p.partFiles {
		list = append(list, f.pattern)
	}
	return list
}

// texts are what the holes of the first matching pattern hold, by the hole.
func (p *Pattern) texts(file string, zone *time.Location) (map[string]string, bool) {
	for i := range p.take {
		g := &p.take[i]
		if _, ok := g.match(file, path.Base(file), zone); !ok {
			continue
		}
		name := file
		if !g.whole {
			name = path.Base(file)
		}
		texts := map[string]string{}
		for k, text := range g.re.FindStringSubmatch(name)[1:] {
			hole := g.parts[k].name
			if g.parts[k].format != "" {
				hole += ":" + g.parts[k].format
			}
			texts["{"+hole+"}"] = text
		}
		return texts, true
	}
	return nil, false
}

// Wants reports whether a file of a source belongs to the job, by itself or to another one of its files.
func (p *Plan) Wants(source, path string) bool {
	return p.Takes(source, path) || p.belongs(source, path) && !p.options.Drain
}

// belongs reports whether a file of a source belongs to others of the job.
func (p *Plan) belongs(source, path string) bool {
	if p.files == nil || p.options.Receive.Source != source {
		return false
	}
	role, _, ok := p.together(path)
	return ok && role != "" || p.accompanies(path)
}

// tooLarge is a companion that was not looked at before it landed, and is no control file.
func tooLarge(f ledger.File) error {
	if f.Size <= ledger.CompanionMost {
		return nil
	}
	return &formats.FileError{Offset: -1, Reason: fmt.Sprintf("it has more than %d KiB", ledger.CompanionMost>>10)}
}
