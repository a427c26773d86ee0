package formats

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"iter"
	"net/url"
	"path"
	"slices"
	"strings"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"golang.org/x/text/language"
	"golang.org/x/text/message"
)

// JSON records are compared with a JSON Schema one by one, before anything is taken from them.

// compileJSONSchema compiles a schema and what it refers to, all of which are files.
func compileJSONSchema(schema string, files Files) (*jsonschema.Schema, []Problem) {
	if files == nil {
		return nil, []Problem{{"schema", "there are no files here"}}
	}
	c := jsonschema.NewCompiler()
	c.AssertFormat()
	c.UseLoader(schemaLoader(files))
	s, err := c.Compile(schemaURL(schema))
	if err == nil {
		return s, nil
	}
	var missing *jsonschema.LoadURLError
	if errors.As(err, &missing) {
		return nil, []Problem{{"schema", missing.Err.Error()}}
	}
	return nil, []Problem{{"schema", strings.ReplaceAll(err.Error(), schemaURL(schema), schema)}}
}

// Schemas have addresses: that of a file begins with its scheme and says how many folders above the configuration its path begins.
const schemaScheme = "config"

func schemaURL(file string) string {
	up, file := 0, path.Clean(file)
	for strings.HasPrefix(file, "../") {
		up, file = up+1, file[3:]
	}
	host := fmt.Sprintf("up%d", up)
	if path.IsAbs(file) {
		host, file = "root", file[1:]
	}
	return (&url.URL{Scheme: schemaScheme, Host: host, Path: "/" + file}).String()
}

// schemaLoader reads the files of schemas. What is anywhere else is not fetched.
type schemaLoader Files

// Load reads one.
func (f schemaLoader) Load(address string) (any, error) {
	u, err := url.Parse(address)
	if err != nil || u.Scheme != schemaScheme {
		return nil, fmt.Errorf("%s is not fetched: keep the schema in a file and refer to that", address)
	}
	file, up := u.Path, 0
	if _, err := fmt.Sscanf(u.Host, "up%d", &up); err == nil {
		file = strings.Repeat("../", up) + strings.TrimPrefix(file, "/")
	}
	text, err := f(file)
	if err != nil {
		return nil, err
	}
	doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(text))
	if err != nil {
		return nil, fmt.Errorf("%s is no JSON: %w", file, err)
	}
	return doc, nil
}

// A schemaDecoder lets pass what is as the schema says.
type schemaDecoder struct {
	inner  Decoder
	schema *jsonschema.Schema
	raw    bool // records show their text
}

// withSchema puts the schema of JSON, if there is one, behind a decoder, which make makes.
func withSchema(o Options, makes func(Options) (Decoder, []Problem)) (Decoder, []Problem) {
	if o.Schema == "" || !strings.HasSuffix(o.Format, "json") {
		return makes(o)
	}
	schema, ps := compileJSONSchema(o.Schema, o.Files)
	raw := o.Raw
	o.Raw = true
	d, more := makes(o)
	if ps = append(ps, more...); len(ps) > 0 {
		return nil, ps
	}
	return &schemaDecoder{d, schema, raw}, nil
}

// Decode reads the records of a file.
func (d *schemaDecoder) Decode(b Blob) iter.Seq2[*Record, error] {
	return func(yield func(*Record, error) bool) {
		printer := message.NewPrinter(language.English)
		for rec, err := range d.inner.Decode(b) {
			if err == nil && rec.Raw != nil {
				err = d.judge(rec, printer)
				if !d.raw {
					rec.Raw = nil
				}
			}
			if err != nil {
				rec = nil
			}
			if !yield(rec, err) {
				return
			}
		}
	}
}

// judge compares one record with the schema.
func (d *schemaDecoder) judge(rec *Record, p *message.Printer) error {
	doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(rec.Raw))
	if err != nil {
		return newRecordError(rec, rec.Raw, "the library that compares it with the schema cannot read it: "+err.Error())
	}
	err = d.schema.Validate(doc)
	if err == nil {
		return nil
	}
	var bad *jsonschema.ValidationError
	if !errors.As(err, &bad) {
		return newRecordError(rec, rec.Raw, "it is not as the schema says: "+err.Error())
	}
	const most = 3
	leaves := schemaLeaves(bad, nil)
	slices.SortStableFunc(leaves, func(a, b *jsonschema.ValidationError) int {
		return cmp.Or(cmp.Compare(placeInJSON(a), placeInJSON(b)), cmp.Compare(a.ErrorKind.LocalizedString(p), b.ErrorKind.LocalizedString(p)))
	})
	e := newRecordError(rec, rec.Raw, "")
	e.Field = placeInJSON(leaves[0])
	e.Reason = "is not as the schema says: " + leaves[0].ErrorKind.LocalizedString(p)
	for _, l := range leaves[1:min(len(leaves), most)] {
		e.Reason += "; " + strings.TrimSpace(placeInJSON(l)+" "+l.ErrorKind.LocalizedString(p))
	}
	if len(leaves) > most {
		e.Reason += fmt.Sprintf("; and %d more", len(leaves)-most)
	}
	return e
}

// schemaLeaves are the errors that have no causes of their own.
func schemaLeaves(e *jsonschema.ValidationError, list []*jsonschema.ValidationError) []*jsonschema.ValidationError {
	if len(e.Causes) == 0 {
		return append(list, e)
	}
	for _, c := range e.Causes {
		list = schemaLeaves(c, list)
	}
	return list
}

// placeInJSON writes where a value stands as paths do, "" for the whole.
func placeInJSON(e *jsonschema.ValidationError) string {
	var b strings.Builder
	for _, name := range e.InstanceLocation {
		if strings.Trim(name, "0123456789") == "" && name != "" {
			b.WriteString("[" + name + "]")
			continue
		}
		if b.Len() > 0 {
			b.WriteByte('.')
		}
		b.WriteString(name)
	}
	return b.String()
}
