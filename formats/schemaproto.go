package formats

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path"
	"slices"
	"strings"

	"github.com/bufbuild/protocompile"
	"github.com/bufbuild/protocompile/linker"
	"google.golang.org/protobuf/reflect/protoreflect"
)

// A protoSchema is one message of a .proto file, with all that it refers to.
type protoSchema struct {
	message protoreflect.MessageDescriptor
	types   linker.Resolver
}

// compileProto compiles a .proto file and finds a message in it; key is that of its name. What the file imports is looked for beside it and in
// the folders above, up to that of the configuration.
func compileProto(schema, key, name string, files Files) (*protoSchema, []Problem) {
	if files == nil {
		return nil, []Problem{{"schema", "there are no files here"}}
	}
	first := path.Base(schema)
	compiler := protocompile.Compiler{Resolver: protocompile.WithStandardImports(&protocompile.SourceResolver{Accessor: func(file string) (io.ReadCloser, error) {
		text, err := beside(schema, file, files)
		if err != nil {
			return nil, err
		}
		return io.NopCloser(bytes.NewReader(text)), nil
	}})}
	if _, err := files(schema); err != nil {
		return nil, []Problem{{"schema", err.Error()}}
	}
	compiled, err := compiler.Compile(context.Background(), first)
	if err != nil {
		return nil, []Problem{{"schema", err.Error()}}
	}
	message, bad := findProto(compiled, name)
	if bad != "" {
		return nil, []Problem{{key, bad}}
	}
	return &protoSchema{message, compiled.AsResolver()}, nil
}

// beside finds a file that another one imports.
func beside(schema, file string, files Files) ([]byte, error) {
	folder := path.Dir(schema)
	for {
		text, err := files(path.Join(folder, file))
		if err == nil || !errors.Is(err, fs.ErrNotExist) || folder == "." || folder == path.Dir(folder) {
			return text, err
		}
		folder = path.Dir(folder)
	}
}

// findProto finds the message of a name, with or without its package; without a name the file must hold one only.
func findProto(files linker.Files, name string) (protoreflect.MessageDescriptor, string) {
	file := files[0]
	var names []string
	var found protoreflect.MessageDescriptor
	for i := range file.Messages().Len() {
		m := file.Messages().Get(i)
		names = append(names, string(m.FullName()))
		if name == string(m.FullName()) || name == string(m.Name()) || name == "" {
			found = m
		}
	}
	switch {
	case len(names) == 0:
		return nil, "there is no message in " + file.Path()
	case name == "" && len(names) > 1:
		return nil, "missing: say which message of " + file.Path() + " is meant: " + strings.Join(names, ", ")
	case found != nil:
		return found, ""
	}
	if d, err := files.AsResolver().FindDescriptorByName(protoreflect.FullName(name)); err == nil { // inside another, or imported
		if m, ok := d.(protoreflect.MessageDescriptor); ok {
			return m, ""
		}
	}
	slices.Sort(names)
	return nil, fmt.Sprintf("%s has no message %q%s: there are %s", file.Path(), name, meant(name, names), strings.Join(names, ", "))
}
