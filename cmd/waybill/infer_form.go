package main

import (
	"strings"

	"waybill/formats"
	"waybill/formats/infer"
	"waybill/formats/unpack"
)

// A form is how a file seems to be laid out, with the evidence by key of the configuration.
type form struct {
	formats.Options
	unpack  []string
	members inside // of archives
	records string // the path of what stands repeatedly at the beginning, to fall back to
	lines   bool   // nothing is seen in it, but it is text of lines
	why     map[string]string
	notes   []string
}

// beside adds to a proposal what is known of the form.
func (f *form) beside(p *infer.Proposal) *infer.Proposal {
	for key, why := range f.why {
		if p.Why[key] == "" {
			p.Why[key] = why
		}
	}
	p.Unpack, p.Members, p.Notes = f.unpack, f.members.members, append(f.notes, p.Notes...)
	if len(p.Members) > 0 {
		p.Why["members"] = f.members.why
	}
	return p
}

// formOf looks at the beginning of a file.
func formOf(name string, b formats.Blob) (form, error) {
	found, err := unpack.Detect(b)
	if err != nil {
		return form{}, usage("read %s: %w", name, err)
	}
	f := form{why: map[string]string{}, unpack: found.Unpack, records: found.Records}
	for _, e := range found.Evidence {
		if f.why[e.Key] == "" {
			f.why[e.Key] = e.Text
		} else {
			f.why[e.Key] += "; " + e.Text
		}
	}
	if found.Format == "" {
		f.lines, f.Encoding = found.Encoding != "", found.Encoding
		return f, usage("%s is nothing that a job could read: %s", name, f.why["format"])
	}
	f.Format, f.Delimiter, f.Quote, f.Length, f.Ends = found.Format, found.Delimiter, found.Quote, found.Length, found.Ends
	switch declared := strings.HasPrefix(f.why["encoding"], "as the file declares"); {
	case declared, found.Format == "edifact", strings.HasSuffix(found.Format, "json") && found.Encoding == formats.UTF8:
	default:
		f.Encoding = found.Encoding
	}
	if f.Format == "csv" || f.Format == "tsv" {
		if strings.Contains(f.why["titles"], "stands twice") { // they are titles all the same
			found.Titles, found.Skip = found.Skip+1, 0
		}
		f.Titles, f.Skip = &found.Titles, found.Skip
	}
	return f, nil
}
