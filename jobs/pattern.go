package jobs

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"

	"waybill/jobs/expression"
)

// Pattern says which files belong to a job, by their path below the source. It is safe for concurrent use.
//
//   - any part of a name        **/        any folders, or none
//     ?              one character             **         at the end: everything below
//     {day:%Y%m%d}   a part of a name, read as a date, time or datetime and kept as file.part.day
//     {no}           a part of a name, kept as text
//
// A pattern without / is looked for in the name alone, in every folder; letters count as they are.
type Pattern struct {
	take, ignore []glob
}

type glob struct {
	text  string
	re    *regexp.Regexp
	whole bool // matched against the path, not the name
	parts []part
}

type part struct {
	name   string
	format string
	kind   expression.Kind
}

// NewPattern compiles the patterns of files that belong to a job, and of those that do not even then.
func NewPattern(files, ignore []string) (*Pattern, []Problem) {
	p := &Pattern{}
	var problems []Problem
	compile := func(path string, list []string) (globs []glob) {
		for i, text := range list {
			g, err := newGlob(text)
			if err != nil {
				problems = append(problems, Problem{Path: fmt.Sprintf("%s[%d]", path, i), Text: err.Error()})
				continue
			}
			globs = append(globs, g)
		}
		return globs
	}
	p.take, p.ignore = compile("files", files), compile("ignore", ignore)
	if len(problems) > 0 {
		return nil, problems
	}
	return p, nil
}

func newGlob(text string) (glob, error) {
	g := glob{text: text, whole: strings.Contains(text, "/")}
	if text == "" || strings.HasPrefix(text, "/") {
		return g, fmt.Errorf("%q is no pattern: write a name such as orders_*.csv, relative to the source's folder", text)
	}
	var re strings.Builder
	re.WriteString(`(?s)\A`)
	for rest := text; rest != ""; {
		switch {
		case strings.HasPrefix(rest, "**/"):
			re.WriteString(`(?:.*/)?`)
			rest = rest[3:]
		case rest == "**":
			re.WriteString(`.*`)
			rest = ""
		case rest[0] == '*':
			re.WriteString(`[^/]*`)
			rest = rest[1:]
		case rest[0] == '?':
			re.WriteString(`[^/]`)
			rest = rest[1:]
		case rest[0] == '{':
			after, err := g.hole(&re, rest)
			if err != nil {
				return g, err
			}
			rest = after
		default:
			n := strings.IndexAny(rest[1:], "*?{") + 1
			if n == 0 {
				n = len(rest)
			}
			re.WriteString(regexp.QuoteMeta(rest[:n]))
			rest = rest[n:]
		}
	}
	re.WriteString(`\z`)
	var err error
	g.re, err = regexp.Compile(re.String())
	return g, err
}

// hole compiles {name} or {name:format}.
func (g *glob) hole(re *strings.Builder, rest string) (after string, err error) {
	inside, after, found := strings.Cut(rest[1:], "}")
	name, format, formatted := strings.Cut(inside, ":")
	switch {
	case !found || name == "" || formatted && format == "":
		return "", fmt.Errorf("%q: write {name} or {name:%%Y%%m%%d}", g.text)
	case !expression.IsName(name):
		return "", fmt.Errorf("%q: {%s} cannot be named as file.part.%s: a name has letters, digits and _, and begins with no digit; write {%s}", g.text, name, name, expression.Named(name))
	case slices.ContainsFunc(g.parts, func(p part) bool { return p.name == name }):
		return "", fmt.Errorf("%q holds {%s} twice", g.text, name)
	}
	p := part{name: name, format: format, kind: expression.KindString}
	if formatted {
		if err := expression.CheckFormat(format, true); err != nil {
			return "", fmt.Errorf("%q: %w", g.text, err)
		}
		p.kind = kindOfFormat(format)
	}
	g.parts = append(g.parts, p)
	re.WriteString(`([^/]+?)`)
	return after, nil
}

// kindOfFormat is what a text of that format tells: a day, a time of day, or both.
func kindOfFormat(format string) expression.Kind {
	day := strings.Contains(format, "%Y") || strings.Contains(format, "%y") || strings.Contains(format, "%d") || strings.Contains(format, "%F")
	clock := strings.Contains(format, "%H") || strings.Contains(format, "%I") || strings.Contains(format, "%T")
	switch {
	case day && clock:
		return expression.KindDateTime
	case clock:
		return expression.KindTime
	}
	return expression.KindDate
}

// Match reports whether a path belongs to the job.
func (p *Pattern) Match(path string) bool {
	name := path[strings.LastIndexByte(path, '/')+1:]
	fits := func(g glob) bool { return g.fits(path, name) }
	return !slices.ContainsFunc(p.ignore, fits) && slices.ContainsFunc(p.take, fits)
}

// parts returns what the holes of the first matching pattern hold.
func (p *Pattern) parts(path string, zone *time.Location) (map[string]any, bool) {
	name := path[strings.LastIndexByte(path, '/')+1:]
	for i := range p.ignore {
		if _, ok := p.ignore[i].match(path, name, zone); ok {
			return nil, false
		}
	}
	for i := range p.take {
		if parts, ok := p.take[i].match(path, name, zone); ok {
			return parts, true
		}
	}
	return nil, false
}

// fits is match without what the holes hold.
func (g *glob) fits(path, name string) bool {
	if len(g.parts) > 0 { // what they hold must be of their formats
		_, ok := g.match(path, name, time.UTC)
		return ok
	}
	if g.whole {
		name = path
	}
	return g.re.MatchString(name)
}

func (g *glob) match(path, name string, zone *time.Location) (map[string]any, bool) {
	if g.whole {
		name = path
	}
	m := g.re.FindStringSubmatch(name)
	if m == nil {
		return nil, false
	}
	parts := make(map[string]any, len(g.parts))
	for i, p := range g.parts {
		parts[p.name] = m[i+1]
		if p.kind == expression.KindString {
			continue
		}
		t, err := expression.ParseTime(p.format, m[i+1], zone)
		switch {
		case err != nil:
			return nil, false
		case p.kind == expression.KindDate:
			parts[p.name] = expression.DateOf(t)
		case p.kind == expression.KindTime:
			parts[p.name] = expression.TimeOf(t)
		default:
			parts[p.name] = t
		}
	}
	return parts, true
}

// fields are the parts as expressions see them: optional where not every pattern has them.
func (p *Pattern) fields() []expression.Field {
	var list []expression.Field
	count := map[string]int{}
	for _, g := range p.take {
		for _, part := range g.parts {
			if count[part.name]++; count[part.name] == 1 {
				list = append(list, expression.Field{Name: part.name, Type: expression.Of(part.kind)})
			}
		}
	}
	for i := range list {
		list[i].Type.Optional = count[list[i].Name] < len(p.take)
	}
	return list
}
