package config

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"testing"
	"time"

	"go.yaml.in/yaml/v4"
)

// The types here are a small model of the language, as other packages would write them.

type folderOptions struct {
	Path      string   `yaml:"path" required:"true" doc:"the folder"`
	Recursive bool     `yaml:"recursive" default:"false"`
	Smallest  int64    `yaml:"smallest" as:"size" default:"0B"`
	_         struct{} `later:"nfs"`
}

type queueOptions struct {
	Connection string `yaml:"connection" required:"true" ref:"connections"`
	Queue      string `yaml:"queue" required:"true"`
}

type sourceCommon struct {
	Done     string        `yaml:"done" enum:"move,delete,leave" default:"move"`
	Poll     time.Duration `yaml:"poll" default:"30s"`
	Formerly string        `yaml:"formerly"`
	Drain    bool          `yaml:"drain"`
}

type restOptions struct {
	URL     string            `yaml:"url" as:"template" required:"true"`
	Auth    *auth             `yaml:"auth"`
	Headers map[string]string `yaml:"headers" as:"value"`
}

type auth struct {
	APIKey *apiKey `yaml:"api_key"`
	Basic  *basic  `yaml:"basic"`
	Bearer string  `yaml:"bearer" as:"secret"`
}

func (a *auth) Validate() error {
	if a.APIKey != nil && a.Basic != nil {
		return misplaced{"basic", "only one way to authenticate"}
	}
	return nil
}

type misplaced struct{ path, text string }

func (m misplaced) Error() string { return m.text }
func (m misplaced) Path() string  { return m.path }

type apiKey struct {
	Header string `yaml:"header" default:"X-API-Key"`
	Value  string `yaml:"value" as:"secret" required:"true"`
}

type basic struct {
	User     string `yaml:"user" required:"true"`
	Password string `yaml:"password" as:"secret" required:"true"`
}

type fileOptions struct {
	Folder string `yaml:"folder" required:"true"`
}

type destinationCommon struct {
	Timeout     time.Duration `yaml:"timeout" default:"30s"`
	Unknown     unknown       `yaml:"unknown" default:"repeat"`
	Concurrency int           `yaml:"concurrency" default:"8"`
	Factor      float64       `yaml:"factor" default:"2"`
	Rate        float64       `yaml:"rate" as:"rate"`
	Open        float64       `yaml:"open" as:"share"`
	Formerly    string        `yaml:"formerly"`
	Drain       bool          `yaml:"drain"`
	_           struct{}      `later:"breaker,order"`
}

type unknown struct {
	Mode string `yaml:",scalar" enum:"repeat,hold"`
	Ask  *ask   `yaml:"ask"`
}

type ask struct {
	Get     string `yaml:"get" as:"template" required:"true"`
	Applied string `yaml:"applied" as:"expression" required:"true"`
}

type connectionOptions struct {
	URL  string `yaml:"url" as:"secret" required:"true"`
	Zone string `yaml:"zone" as:"zone"`
}

type jobOptions struct {
	Receive  *receive `yaml:"receive"`
	Read     read     `yaml:"read"`
	Check    check    `yaml:"check"`
	Send     []send   `yaml:"send" required:"true" doc:"what goes where"`
	Formerly string   `yaml:"formerly"`
	Drain    bool     `yaml:"drain"`
	_        struct{} `later:"unpack,acknowledge,expect"`
}

type receive struct {
	Source string   `yaml:"source" required:"true" ref:"sources"`
	Files  []string `yaml:"files" one:"true" as:"template"`
}

type read struct {
	None      string      `yaml:",scalar" enum:"none"`
	Format    string      `yaml:"format" enum:"csv,json,ndjson"`
	Delimiter string      `yaml:"delimiter" default:","`
	Titles    uint8       `yaml:"titles" default:"1"`
	Fields    []fieldType `yaml:"fields"`
}

type fieldType struct {
	Name     string      `yaml:",key"`
	From     []string    `yaml:"from" one:"true"`
	Type     string      `yaml:"type" enum:"string,integer,decimal,date,list" default:"string"`
	Required bool        `yaml:"required"`
	Missing  string      `yaml:"missing" enum:"leave,null"`
	Pattern  string      `yaml:"pattern"`
	Value    string      `yaml:"value" as:"expression"`
	Fields   []fieldType `yaml:"fields"`
}

type check struct {
	AllowRejects rejects `yaml:"allow_rejects" default:"0"`
	Record       []rule  `yaml:"record"`
}

type rule struct {
	That string `yaml:"that" as:"expression" required:"true"`
	Say  string `yaml:"say"`
}

type rejects struct{ text string }

func (r *rejects) UnmarshalText(text []byte) error {
	if len(text) == 0 || text[0] < '0' || text[0] > '9' {
		return fmt.Errorf("allow_rejects: %q is neither a count nor a share", text)
	}
	r.text = string(text)
	return nil
}

type send struct {
	To      string    `yaml:"to" required:"true" ref:"destinations"`
	Path    string    `yaml:"path" as:"template"`
	Key     []string  `yaml:"key" one:"true" as:"expression"`
	When    string    `yaml:"when" as:"expression"`
	Headers []header  `yaml:"headers"`
	Body    yaml.Node `yaml:"body" as:"node"`
	Capture yaml.Node `yaml:"capture" as:"expression"`
	_       struct{}  `later:"steps,multipart"`
}

type header struct {
	Name string `yaml:",key"`
	Text string `yaml:",scalar" as:"value"`
}

func language() Registry {
	return Registry{
		Source: Union{
			Common: func() any { return new(sourceCommon) },
			Kinds:  map[string]func() any{"folder": func() any { return new(folderOptions) }, "amqp": func() any { return new(queueOptions) }},
			Later:  []string{"sftp", "mailboxes"},
		},
		Destination: Union{
			Common: func() any { return new(destinationCommon) },
			Kinds:  map[string]func() any{"http": func() any { return new(restOptions) }, "file": func() any { return new(fileOptions) }},
			Later:  []string{"odata"},
		},
		Connection: func() any { return new(connectionOptions) },
		Job:        func() any { return new(jobOptions) },
		Later:      []string{"license"},
	}
}

const canary = "c4nary-s3cret"

// world is an environment in memory. The canary stands in every place a secret can come from.
func world(files map[string]string) Environment {
	all := map[string]string{
		"/run/credentials/key":       canary + "\n",
		"/run/credentials/braces":    "a{b}" + canary,
		"/run/credentials/duration":  canary,
		"/etc/waybill/secret":        canary + "\r\n",
		"/conf/beside":               canary,
		"/run/credentials/equals":    "=" + canary,
		"/run/credentials/multiline": canary + "\nsecond-" + canary + "\n",
	}
	for name, text := range files {
		all[name] = text
	}
	variables := map[string]string{"HOST": "shop.example", "TOKEN": canary, "EMPTY": "", "EQUALS": "=a", "QUOTE": `x"y`, "NUMBER": "12", "BRACE": "{x}"}
	return Environment{
		LookupEnv: func(name string) (string, bool) { v, ok := variables[name]; return v, ok },
		ReadFile: func(name string) ([]byte, error) {
			if text, ok := all[name]; ok {
				return []byte(text), nil
			}
			return nil, fmt.Errorf("open %s: %w", name, fs.ErrNotExist)
		},
		Glob: func(pattern string) ([]string, error) {
			var found []string
			for name := range all {
				if ok, err := filepath.Match(pattern, name); err != nil {
					return nil, err
				} else if ok {
					found = append(found, name)
				}
			}
			return found, nil
		},
		CredentialsFolder: "/run/credentials",
	}
}

const mainFile = "/conf/waybill.yaml"

func load(text string, more map[string]string) (*Config, Problems, error) {
	files := map[string]string{mainFile: text}
	for name, text := range more {
		files[name] = text
	}
	c, err := Load(context.Background(), mainFile, language(), world(files))
	var ps Problems
	errors.As(err, &ps)
	return c, ps, err
}

func mustLoad(t *testing.T, text string, more map[string]string) *Config {
	t.Helper()
	c, _, err := load(text, more)
	if err != nil {
		t.Fatalf("load: %v", err)
	}
	return c
}
