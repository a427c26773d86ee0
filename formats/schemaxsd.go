package formats

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"path"
	"regexp"
	"runtime/debug"
	"strings"

	"github.com/jacoelho/xsd"
	"github.com/jacoelho/xsd/xsderrors"
)

// An XML document is compared with its schema while it is read: the text that the window has checked and turned into UTF-8 goes to the
// validator too, which runs beside the reader and holds no more than what it is at. What it finds is told at the end of
// the document, so that a file says the same however fast the two are.

// What it holds for the whole document are the keys: max_keys of them, each of at most mostKey bytes and mostKeyPath, which with their tables
// come to 64 MiB by default.
const mostKey = 384

// keys is what a schema that has keys has somewhere; others may have it too.
var keys = regexp.MustCompile(`\b(?:key|unique|keyref|ID|IDREFS?)\b|\x00`)

// fieldPath is the path of a field of a key, or of what selects the elements that have it.
var fieldPath = regexp.MustCompile(`<(?:[^\s<>:/!?]+:)?(?:field|selector)\b[^>]*?\bxpath\s*=\s*("[^"]*"|'[^']*')`)

// xsdKeys is what is known of the keys of a schema.
type xsdKeys struct {
	names  []string         // of elements and attributes that may be fields of keys: a place for each field, which may hold a value
	places map[string][]int // by these names
	all    []int
	any    bool // whatever their names are
}

// add looks for the keys in a text of a schema.
func (k *xsdKeys) add(text []byte) {
	if bytes.IndexByte(text, 0) >= 0 { // UTF-16
		k.any = true
		text = bytes.ReplaceAll(text, []byte{0}, nil)
	}
	for _, m := range fieldPath.FindAllSubmatch(text, -1) {
		for path := range strings.SplitSeq(strings.Trim(string(m[1]), `"'`), "|") {
			name := strings.TrimSpace(path[strings.LastIndexAny(path, "/@:")+1:])
			k.any = k.any || name == "*" || name == "." || strings.ContainsAny(name, "&")
			k.all = append(k.all, len(k.names))
			k.places[name] = append(k.places[name], len(k.names))
			k.names = append(k.names, name)
		}
	}
}

// of are the places of the fields of keys that may have the name.
func (k *xsdKeys) of(local string) []int {
	if k.any {
		return k.all
	}
	return k.places[local]
}

// compileXSD compiles a schema and what it includes and imports, all of which are files. found is nil where it has no keys for certain.
func compileXSD(schema string, files Files) (engine *xsd.Engine, found *xsdKeys, ps []Problem) {
	if files == nil {
		return nil, nil, []Problem{{"schema", "there are no files here"}}
	}
	text, err := files(schema)
	if err != nil {
		return nil, nil, []Problem{{"schema", err.Error()}}
	}
	look := func(text []byte) {
		if found == nil && keys.Match(text) {
			found = &xsdKeys{places: map[string][]int{}}
		}
		if found != nil {
			found.add(text)
		}
	}
	var resolve xsd.ResolverFunc
	resolve = func(_ context.Context, base, location string) (xsd.SchemaSource, error) {
		if strings.Contains(location, "://") {
			return xsd.SchemaSource{}, fmt.Errorf("%s is not fetched: keep the schema in a file and refer to that", location)
		}
		name := location
		if !path.IsAbs(name) {
			name = path.Join(path.Dir(base), name)
		}
		text, err := files(name)
		if err != nil {
			return xsd.SchemaSource{}, err
		}
		look(text)
		return xsd.Bytes(name, text).WithResolver(resolve), nil
	}
	look(text)
	engine, err = xsd.Compile(context.Background(), xsd.Bytes(schema, text).WithResolver(resolve))
	if err != nil {
		return nil, nil, []Problem{{"schema", strings.Join(schemaFaults(err), "; ")}}
	}
	return engine, found, nil
}

const mostSchemaFaults = 10 // that are told of one document

// schemaFaults are the single errors in what the library returns, with their places.
func schemaFaults(err error) (list []string) {
	for _, e := range singleErrors(err) {
		text := e.Message
		if e.Err != nil {
			text = strings.TrimPrefix(text+": "+e.Err.Error(), ": ")
		}
		switch {
		case e.Line > 0 && e.Path != "":
			text = fmt.Sprintf("%s:%d:%d: %s", e.Path, e.Line, e.Column, text)
		case e.Line > 0:
			text = fmt.Sprintf("line %d: %s", e.Line, text)
		}
		list = append(list, text)
	}
	if len(list) == 0 {
		list = []string{err.Error()}
	}
	return list
}

// singleErrors takes joined errors apart.
func singleErrors(err error) (list []*xsderrors.Error) {
	if several, ok := err.(interface{ Unwrap() []error }); ok {
		for _, one := range several.Unwrap() {
			list = append(list, singleErrors(one)...)
		}
		return list
	}
	var e *xsderrors.Error
	if errors.As(err, &e) {
		list = append(list, e)
	}
	return list
}

// An xsdRun compares one document with a schema.
type xsdRun struct {
	schema string
	limits Limits
	w      *io.PipeWriter
	done   chan error
	begun  bool
	dead   bool // the validator wants no more
}

// beginXSD starts the validator. It ends with finish, which must be called.
func beginXSD(engine *xsd.Engine, schema string, l Limits) *xsdRun {
	o := xsd.ValidateOptions{MaxErrors: mostSchemaFaults, MaxInstanceDepth: l.MaxDepth + 1, MaxInstanceAttributes: l.MaxColumns, MaxInstanceBytes: math.MaxInt64 / 2,
		MaxInstanceTextBytes: int64(l.MaxRecord), MaxInstanceTokenBytes: int64(l.MaxRecord),
		MaxIdentityEntries: l.MaxKeys, MaxIdentityTupleBytes: mostKey}
	return startXSD(schema, l, func(r io.Reader) error { return engine.ValidateWithOptions(context.Background(), r, o) })
}

func startXSD(schema string, l Limits, validate func(io.Reader) error) *xsdRun {
	r, w := io.Pipe()
	run := &xsdRun{schema: schema, limits: l, w: w, done: make(chan error, 1)}
	go func() {
		err := guarded(validate, r)
		_ = r.CloseWithError(errStopped) // of a pipe it never fails
		run.done <- err
	}()
	return run
}

// guarded makes a panic of the validator an error: on a goroutine of its own it would end the process.
func guarded(validate func(io.Reader) error, r io.Reader) (err error) {
	defer func() {
		if v := recover(); v != nil {
			err = &validatorPanic{v, debug.Stack()}
		}
	}()
	return validate(r)
}

// A validatorPanic is a panic that goes on where the document is read.
type validatorPanic struct {
	value any
	stack []byte
}

func (p *validatorPanic) Error() string { return fmt.Sprintf("%v\n%s", p.value, p.stack) }

// take gives the validator the next text. The XML declaration, which may name the encoding that the text was in, becomes blanks.
func (x *xsdRun) take(text []byte) {
	if !x.begun && bytes.HasPrefix(text, []byte("<?xml")) {
		if end := bytes.Index(text, []byte("?>")); end >= 0 {
			head := bytes.Map(func(r rune) rune {
				if r == '\n' || r == '\r' {
					return r
				}
				return ' '
			}, text[:end+2])
			text = text[end+2:]
			x.give(head)
		}
	}
	x.begun = true
	x.give(text)
}

func (x *xsdRun) give(text []byte) {
	if !x.dead {
		_, err := x.w.Write(text)
		x.dead = err != nil
	}
}

// finish waits for the validator and returns what it found, unless the reader found something itself: err.
func (x *xsdRun) finish(err error) error {
	_ = x.w.CloseWithError(err) // of a pipe it never fails; nil is the end of the document
	found := <-x.done
	if err != nil || found == nil {
		return err
	}
	var fatal *validatorPanic
	if errors.As(found, &fatal) {
		panic(fatal.Error())
	}
	e := &FileError{Offset: -1, Reason: fmt.Sprintf("it is not as %s says: %s", x.schema, found), Err: found}
	list := singleErrors(found)
	if len(list) == 0 {
		return e
	}
	e.Line, e.Column = int64(list[0].Line), int64(list[0].Column)
	if last := *list[len(list)-1]; last.Code == xsderrors.CodeValidationLimit && strings.HasPrefix(last.Message, "identity ") {
		e.Limit, last.Message = "max_keys", x.tooMuch(last.Message)
		list[len(list)-1] = &last
	}
	texts := []string{list[0].Message}
	for _, f := range list[1:] {
		texts = append(texts, fmt.Sprintf("line %d: %s", f.Line, f.Message))
	}
	if len(list) == mostSchemaFaults {
		texts = append(texts, "and perhaps more")
	}
	e.Reason = fmt.Sprintf("it is not as %s says: %s", x.schema, strings.Join(texts, "; "))
	return e
}

// tooMuch says in the words of the configuration which of the bounds of keys a document has passed.
func (x *xsdRun) tooMuch(message string) string {
	switch {
	case strings.Contains(message, "tuple"):
		return fmt.Sprintf("a value that is to be unique, a key or a reference is longer than %d bytes: it would be held to the end of the document", mostKey)
	case strings.Contains(message, "scope"):
		return "elements that have keys stand in each other too deep"
	}
	return fmt.Sprintf("the comparison has to hold more than max_keys, %d, values that are to be unique, keys or references", x.limits.MaxKeys)
}
