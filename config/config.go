// Package config decodes waybill.yaml, strictly: what it does not know is a mistake, and every mistake is reported at once,
// with its file, line and column, the line itself, and what would be right.
//
// It knows no kind of source or destination by name, nor what a job is made of: a Registry says which Go types stand for
// them. The file is parsed into a tree of nodes, the tree is checked for everything the language does without (tags,
// anchors, merge keys, duplicate keys, values left out), included files are merged into it, jobs that use others are
// expanded, and only then is it decoded, by reflection. The tree stays with the Config, so that what other packages find
// wrong later, by path, can still be shown with its place (Locate).
//
// # Types
//
// A struct is a mapping, a slice a list, map[string]T a mapping with free keys; a slice of structs that have a field tagged
// `yaml:",key"` is a mapping in the order of the file. A field tagged `yaml:",scalar"` takes a scalar that stands in place of
// the struct's mapping, one tagged `yaml:",items"` that mapping as a whole, where its keys are names; `yaml:",inline"` takes over
// the keys of an embedded struct. A pointer is nil, and a slice empty,
// where the key is left out. Types with UnmarshalText decode themselves, yaml.Node takes what stands there, with its
// references resolved. Further tags:
//
//	yaml:"name"       the key; a field without it is none of the file's
//	doc:"…"           what it is for, shown by editors
//	as:"…"            literal (the default), value, expression, template, secret, node, zone; numbers: size (bytes), rate (per
//	                  second), share (of 1); duration and span only tell the schema what a type with UnmarshalText takes
//	enum:"a,b"        the only texts allowed
//	default:"…"       taken when the key is left out
//	required:"true"   the key must be there
//	one:"true"        a list may be given as its only element
//	ref:"sources"     the text must name an item of that section
//	later:"a,b"       on a field _ struct{}: keys that belong to later versions
//
// After a struct is decoded its method Validate() error, if it has one, may refuse it; errors.Join reports several
// mistakes, and an error with a method Path() string is shown at that place below the struct.
package config

import (
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"time"

	"go.yaml.in/yaml/v4"
)

// A Config is a configuration. It is not changed after Load; one with mistakes only serves to look for more of them, see Load.
type Config struct {
	File   string // as given to Load
	Folder string // of File: relative paths in the configuration start here
	Data   string // folder of ledger, spool and host keys, as written or the default
	Zone   string // default for schedules, dates and windows
	Retain Retain
	Log    Log
	Vars   map[string]string

	Sources, Destinations, Connections, Tables, Jobs, Partners []Item // in the order of the files

	SFTPServer any // what the function of the registry made; nil when it is left out

	root *yaml.Node // the effective tree: included files merged, jobs expanded, references as written
	*origins
	damaged      damage
	bad, partial map[*yaml.Node]bool // as the loader has them
}

// Retain says how long things are kept after they are closed.
type Retain struct {
	Files      time.Duration `yaml:"files" default:"90d" doc:"bytes of files in the spool"`
	Messages   time.Duration `yaml:"messages" default:"14d" doc:"bodies of delivered messages"`
	Entries    time.Duration `yaml:"entries" default:"400d" doc:"entries of the ledger"`
	Identities Span          `yaml:"identities" default:"forever" as:"span" doc:"what makes a file known again"`
}

// A Span is a duration or forever.
type Span struct {
	Duration time.Duration // 0 when forever
	Forever  bool
}

// UnmarshalText reads 400d or forever.
func (s *Span) UnmarshalText(text []byte) (err error) {
	if string(text) == "forever" {
		*s = Span{Forever: true}
		return nil
	}
	*s = Span{}
	s.Duration, err = parseDuration(string(text))
	if err != nil {
		return fmt.Errorf("%q is neither a duration nor forever, write for example 400d", text)
	}
	return nil
}

// Log says what is logged, and how.
type Log struct {
	Level  string `yaml:"level" enum:"debug,info,warn,error" default:"info" doc:"the least important lines that are logged"`
	Format string `yaml:"format" enum:"text,json" doc:"left out: text on a terminal, json elsewhere"`
}

// An Item is one named source, destination, connection, job or partner.
type Item struct {
	Name    string
	Common  any    // what Union.Common made; nil where an item has one kind only
	Kind    string // the kind's key; "" where an item has one kind only
	Options any    // what the function of the registry made
	Digest  string // SHA-256 of the item as written, after include and use; formatting does not count
}

// Find looks an item up by name; nil when it is not there.
func Find(items []Item, name string) *Item {
	if i := slices.IndexFunc(items, func(it Item) bool { return it.Name == name }); i >= 0 {
		return &items[i]
	}
	return nil
}

// top is the form of the whole file.
type top struct {
	Data         string    `yaml:"data" doc:"folder of ledger, spool and host keys; left out: $STATE_DIRECTORY, else ./waybill-data"`
	Zone         string    `yaml:"zone" as:"zone" default:"UTC" doc:"default time zone of schedules, dates and windows"`
	Include      []string  `yaml:"include" one:"true" doc:"further files, as globs relative to this one; their sections are merged"`
	Retain       Retain    `yaml:"retain" doc:"how long closed things are kept"`
	Vars         yaml.Node `yaml:"vars" as:"section" doc:"texts for ${var:name}; they are shown"`
	Log          Log       `yaml:"log" doc:"what is logged, and how"`
	SFTPServer   yaml.Node `yaml:"sftp_server" as:"setting" doc:"the server that partners connect to; left out: none"`
	Partners     yaml.Node `yaml:"partners" as:"section" doc:"accounts on that server"`
	Connections  yaml.Node `yaml:"connections" as:"section" doc:"URL, secret and limits, once, for sources, destinations and queries"`
	Tables       yaml.Node `yaml:"tables" as:"section" doc:"what lookup finds things in"`
	Sources      yaml.Node `yaml:"sources" as:"section" doc:"where work comes from"`
	Destinations yaml.Node `yaml:"destinations" as:"section" doc:"where messages go"`
	Jobs         yaml.Node `yaml:"jobs" as:"section" doc:"what starts a job, how to read, what to check, what to send where"`
	_            struct{}  `later:"ledger,spool,console,alerts,calendars"`
}

type variable struct {
	Name string `yaml:",key"`
	Text string `yaml:",scalar" as:"var"`
}

var topType = reflect.TypeFor[top]()

// sections are the keys that included files may have.
func sections() []string {
	return []string{"vars", "connections", "tables", "sources", "destinations", "jobs", "partners"}
}

func isSection(key string) bool { return slices.Contains(sections(), key) }

// An Environment is what the configuration reads besides the main file.
type Environment struct {
	LookupEnv         func(name string) (string, bool)
	ReadFile          func(path string) ([]byte, error) // need not read more than 1 MiB and one byte
	Glob              func(pattern string) ([]string, error)
	CredentialsFolder string // systemd's $CREDENTIALS_DIRECTORY; "" when there is none
}

// System is the environment of this process.
func System() Environment {
	return Environment{LookupEnv: os.LookupEnv, ReadFile: readFile, Glob: filepath.Glob, CredentialsFolder: os.Getenv("CREDENTIALS_DIRECTORY")}
}

func (e Environment) dataFolder() string {
	if state, ok := e.LookupEnv("STATE_DIRECTORY"); ok && state != "" {
		first, _, _ := strings.Cut(state, ":") // systemd may list several
		return first
	}
	return "./waybill-data"
}
