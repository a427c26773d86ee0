package cases

import (
	"errors"
	"time"

	"go.yaml.in/yaml/v4"
)

// A Case is one file of cases, as it is written. The tags are those of package config.
type Case struct {
	Say     string  `yaml:"say" doc:"what the case shows, in a sentence"`
	Input   *Input  `yaml:"input" doc:"the file that comes in: the name of one beside the case, or its text"`
	Rows    *Input  `yaml:"rows" doc:"of a scheduled job: the rows of its query, as for try --rows"`
	Beside  []Aside `yaml:"beside" doc:"what belongs to the file, by what it is to it (companion); left out: as it lies beside the input"`
	Partner string  `yaml:"partner" doc:"the partner who sends the file"`
	At      Instant `yaml:"at" doc:"when the file is received, or the schedule is due; left out: 2026-01-01T00:00:00Z"`
	Expect  *Expect `yaml:"expect" doc:"what is to come out"`
}

// Input is a file that a case brings.
type Input struct {
	File string  `yaml:",scalar" doc:"name of a file beside the case"`
	Path string  `yaml:"file" doc:"name of a file beside the case"`
	Text *string `yaml:"text" doc:"the file itself, as UTF-8"`
	Name string  `yaml:"name" doc:"what the file is called when it comes in; left out: as it is called beside the case; a text: as the case, with .txt"`
}

// Aside is a file that belongs to the one that comes in.
type Aside struct {
	Role string  `yaml:",key"`
	File string  `yaml:",scalar" doc:"name of a file beside the case"`
	Path string  `yaml:"file" doc:"name of a file beside the case"`
	Text *string `yaml:"text" doc:"the file itself, as UTF-8"`
	Name string  `yaml:"name" doc:"what the file is called; left out: as it is called beside the case, or as what it is"`
}

// Validate tells what is wrong with it.
func (a *Aside) Validate() error {
	i := Input{File: a.File, Path: a.Path, Text: a.Text}
	err := i.Validate()
	a.File = i.File
	return err
}

// Input is the file as an input.
func (a *Aside) Input() *Input { return &Input{File: a.File, Text: a.Text, Name: a.Name} }

// Expect is what a case expects. What it says must hold; of messages, acknowledgements, state and counts that it does not
// speak of anything may come. Rejects are always looked at: a case that names none expects none.
type Expect struct {
	State           string     `yaml:"state" enum:"accepted,delivered,rejected,held" doc:"what the file comes to; delivered: accepted, and nothing to send"`
	Reason          string     `yaml:"reason" doc:"why it is rejected or held"`
	Records         *int64     `yaml:"records" doc:"how many records are read"`
	Messages        *[]Message `yaml:"messages" doc:"all messages, in their order"`
	Rejects         *[]Reject  `yaml:"rejects" doc:"all faults, in their order"`
	Acknowledgement *[]Told    `yaml:"acknowledgement" one:"true" doc:"what the partner is told"`
}

// Message is a message that is expected. Apart from its destination, what is left out may be anything.
type Message struct {
	To         string            `yaml:"to" required:"true" doc:"name of the destination"`
	Key        string            `yaml:"key" doc:"the job's own key, or the message's"`
	Method     string            `yaml:"method" doc:"HTTP method"`
	Path       string            `yaml:"path" doc:"what is appended to the destination's URL"`
	Query      string            `yaml:"query" doc:"parameters of the URL"`
	RoutingKey string            `yaml:"routing_key" doc:"amqp: routing key"`
	Exchange   string            `yaml:"exchange" doc:"amqp: exchange"`
	Name       string            `yaml:"name" doc:"file: name below the destination's folder"`
	Marker     string            `yaml:"marker" doc:"file: name of the marker"`
	Headers    map[string]string `yaml:"headers" doc:"headers; others may be there too"`
	Original   bool              `yaml:"original" doc:"the body is the file's own bytes"`
	Body       yaml.Node         `yaml:"body" as:"node" doc:"the whole body: a tree, or a text"`
}

// Reject is a fault that is expected. What is left out may be anything.
type Reject struct {
	Record int64  `yaml:"record" doc:"number of the record"`
	Line   int64  `yaml:"line" doc:"line it stands on"`
	Field  string `yaml:"field" doc:"field"`
	Value  string `yaml:"value" doc:"what stands there"`
	Reason string `yaml:"reason" doc:"what is wrong with it"`
}

// Told is a file that the partner is expected to get. Of its body only the keys are compared that the case names.
type Told struct {
	Name string    `yaml:"name" doc:"its name below the mailbox"`
	Body yaml.Node `yaml:"body" as:"node" doc:"what stands in it, as far as it matters"`
}

// Validate tells what is wrong with a case whatever its job is.
func (c *Case) Validate() error {
	var errs []error
	if (c.Input == nil) == (c.Rows == nil) {
		errs = append(errs, at("", "a case needs input, a file that comes in, or rows, those of a query"))
	}
	if c.Rows != nil && c.Partner != "" {
		errs = append(errs, at("partner", "goes with input: rows have no sender"))
	}
	return errors.Join(errs...)
}

// Validate tells what is wrong with an input.
func (i *Input) Validate() error {
	if i.File == "" {
		i.File = i.Path
	}
	if (i.File == "") == (i.Text == nil) {
		return errors.New("write either file, the name of one beside the case, or text")
	}
	return nil
}

// Empty reports whether the case would hold whatever comes out.
func (e *Expect) Empty() bool {
	return e == nil || e.State == "" && e.Reason == "" && e.Records == nil && e.Messages == nil && e.Rejects == nil && e.Acknowledgement == nil
}

// placed is an error with its place below the struct that it is said of.
type placed struct{ path, text string }

func at(path, text string) error { return placed{path, text} }

func (p placed) Error() string { return p.text }

// Path is where the problem stands.
func (p placed) Path() string { return p.path }

// An Instant is a time of a case.
type Instant struct{ time.Time }

// UnmarshalText reads RFC 3339.
func (i *Instant) UnmarshalText(text []byte) (err error) {
	if i.Time, err = time.Parse(time.RFC3339, string(text)); err != nil {
		return errors.New("\"" + string(text) + "\" is no instant: write for example 2026-11-21T15:00:00+01:00")
	}
	return nil
}

// Or is the instant, or the one that a case has which names none.
func (i Instant) Or() time.Time {
	if i.IsZero() {
		return time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	}
	return i.Time
}
