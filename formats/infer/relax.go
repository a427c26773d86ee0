package infer

import "strings"

// Relax takes back what was guessed too boldly of the fields that are at fault, by the reason why each was refused. A field in another is
// named by its path, lines.quantity or lines[2].quantity. It reports whether there was anything to take back.
func (p *Proposal) Relax(faults map[string]string) (changed bool) {
	for path, reason := range faults {
		for _, f := range p.find(path) {
			changed = f.relax(reason) || changed
		}
	}
	return changed
}

// find returns the fields that a fault may speak of.
func (p *Proposal) find(path string) (found []*Field) {
	var name strings.Builder
	in := false
	for _, r := range path {
		in = in && r != ']' || r == '['
		if !in && r != ']' {
			name.WriteRune(r)
		}
	}
	want := name.String()
	var walk func(list []*Field, prefix string)
	walk = func(list []*Field, prefix string) {
		for _, f := range list {
			if prefix+f.Name == want {
				found = append(found, f)
			}
			walk(f.Fields, prefix+f.Name+".")
		}
	}
	walk(p.Fields, "")
	walk(p.Header, "header.")
	walk(p.Trailer, "trailer.")
	for _, k := range p.Kinds {
		walk(k.Fields, "")
	}
	return found
}

// relax makes a field wider: it need not be there, then it is text, then whatever there is.
func (f *Field) relax(reason string) bool {
	switch {
	case f.Required && strings.Contains(reason, "missing"):
		f.Required = false
	case f.Type == "raw":
		return false
	case f.Type == "" || f.Type == "list" || f.Type == "object":
		*f = Field{Name: f.Name, From: f.From, Column: f.Column, Type: "raw", Required: f.Required, Why: f.Why + "; not read as anything else"}
	default:
		*f = Field{Name: f.Name, From: f.From, Column: f.Column, Required: f.Required, Why: f.Why + "; not read as " + f.Type}
	}
	return true
}
