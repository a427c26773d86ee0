// Package convert runs a program of the operator's over a file, so that what no format reads becomes something that one does.
//
//	file ─► stdin, or {file} ─► program ─► stdout ─► memory, or a nameless file ─► format
//	                              │
//	                              └─► stderr: its end is told
//
// The program is no part of waybill and works on what strangers send, so it is kept small: no shell, an empty folder of its own, hardly any environment, no
// network, nowhere else to write, bounds of time, memory, output, files and processes. What it wrote counts only once it has ended well: nobody reads a byte
// before (a half converted file looks just like a whole one), and the bytes can be read at any place, as workbooks need it.
//
// Three processes take part:
//
//	waybill ──► keeper ──► program ──► whatever that starts
//	  run.go      keeper_linux.go
//
// The keeper is waybill's own executable under another name (Child). The program has its bounds from it, so that there is no moment without them; it is the one to whom orphans fall, so that nothing escapes by starting a session of its own; and it ends all of them when the program has
// ended, and when the pipe to waybill closes: because the time is up, waybill stops, or waybill was killed.
//
// What went wrong is a *formats.FileError when it lies with the file: the program says so with its exit code, or passes a bound. Any other error is ours
// (the program is gone, the disk is full): the file waits.
package convert

import (
	"cmp"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"time"

	"waybill/formats"
)

// Options say which program converts files, and what it may take.
type Options struct {
	Command []string          `yaml:"command" required:"true" doc:"the program, by its whole path or relative to the configuration, and its arguments; {file} in one stands for the path of the file, without it the file is on stdin. What it writes to stdout is read"`
	Timeout time.Duration     `yaml:"timeout" default:"30s" doc:"how long it may run for one file"`
	Memory  formats.Bytes     `yaml:"memory" default:"256MiB" doc:"memory of each of its processes; programs in Java, .NET, Node or Go need more than it seems: 1GiB"`
	Size    formats.Bytes     `yaml:"size" default:"1GiB" doc:"size of what it writes, and of each file that it makes for itself"`
	Env     map[string]string `yaml:"env" doc:"variables of its environment, which else holds PATH, LANG, HOME and TMPDIR alone"`
}

const (
	timeout = 30 * time.Second
	memory  = 256 << 20
	size    = 1 << 30

	leastMemory = 16 << 20 // less is not enough for a shell and what it calls
	mostMemory  = 1 << 40
	mostTime    = 24 * time.Hour
)

// stands is what stands for the path of the file.
const stands = "{file}"

// A Converter runs one program over files. It is safe for concurrent use.
type Converter struct {
	o    Options
	path string
	env  []string
	file bool // the program reads a file, not stdin
}

// New makes a converter, or tells what is wrong with its settings; absolute makes a path of the configuration a whole one.
func New(o Options, absolute func(string) string) (*Converter, []formats.Problem) {
	o.Timeout, o.Memory, o.Size = cmp.Or(o.Timeout, timeout), cmp.Or(o.Memory, memory), cmp.Or(o.Size, size)
	c := &Converter{o: o}
	var problems []formats.Problem
	problem := func(path, format string, args ...any) {
		problems = append(problems, formats.Problem{Path: path, Text: fmt.Sprintf(format, args...)})
	}
	switch {
	case runtime.GOOS != "linux":
		problem("command", "runs on Linux only: the program could not be kept within its bounds here")
	case len(o.Command) == 0 || o.Command[0] == "":
		problem("command", "is missing: write the program and its arguments, [/usr/bin/program, %q]", stands)
	default:
		c.path = absolute(o.Command[0])
		if text := c.trouble(); text != "" {
			problem("command[0]", "%s", text)
		}
		c.file = strings.Contains(strings.Join(o.Command[1:], "\n"), stands)
	}
	if o.Timeout < time.Second || o.Timeout > mostTime {
		problem("timeout", "%s is out of bounds: from 1s to %s", o.Timeout, mostTime)
	}
	if o.Memory < leastMemory || o.Memory > mostMemory {
		problem("memory", "%s is out of bounds: from %s to %s", o.Memory, formats.Bytes(leastMemory), formats.Bytes(mostMemory))
	}
	if o.Size < 1 || o.Size > mostMemory {
		problem("size", "%s is out of bounds: from 1B to %s", o.Size, formats.Bytes(mostMemory))
	}
	for _, name := range sorted(o.Env) {
		if name == "" || strings.ContainsAny(name, "=\x00") || strings.Contains(o.Env[name], "\x00") {
			problem("env", "%q is no variable: a name has no =, and neither it nor its value a zero byte", name)
		}
	}
	c.env = environment(o.Env)
	return c, problems
}

// trouble says why the program cannot be run, "" when it can.
func (c *Converter) trouble() string {
	name := c.o.Command[0]
	info, err := os.Stat(c.path)
	switch {
	case err != nil && !strings.Contains(name, "/"):
		return fmt.Sprintf("%s is not beside the configuration: write the whole path of the program, as /usr/bin/%s", name, name)
	case err != nil:
		return fmt.Sprintf("the program cannot be found: %v", err)
	case !info.Mode().IsRegular():
		return c.path + " is no file that can be run"
	case !executable(c.path, info):
		return c.path + " may not be run: chmod +x"
	}
	return ""
}

// executable reports whether this process may run the file. Where it may do everything, the file must be made for it all the same.
func executable(path string, info fs.FileInfo) bool {
	return info.Mode()&0o111 != 0 && mayRun(path)
}

// Name is what messages call the program.
func (c *Converter) Name() string { return c.path }

func sorted(m map[string]string) []string {
	var names []string
	for name := range m {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

// environment is what the program finds around it, beside HOME and TMPDIR.
func environment(more map[string]string) []string {
	all := map[string]string{
		"PATH": cmp.Or(os.Getenv("PATH"), "/usr/local/bin:/usr/bin:/bin"),
		"LANG": cmp.Or(os.Getenv("LANG"), "C.UTF-8"),
	}
	for name, value := range more {
		all[name] = value
	}
	var list []string
	for _, name := range sorted(all) {
		list = append(list, name+"="+all[name])
	}
	return list
}

// arguments are those of the program for a file at a path.
func (c *Converter) arguments(path string) []string {
	list := []string{c.path}
	for _, a := range c.o.Command[1:] {
		list = append(list, strings.ReplaceAll(a, stands, path))
	}
	return list
}

// inputName is what the file is called for the program: what a sender calls it never gets there, but for a plain ending, by which many a program goes.
func inputName(name string) string {
	ending := filepath.Ext(name)
	plain := len(ending) > 1 && len(ending) <= 9
	for _, r := range strings.TrimPrefix(ending, ".") {
		plain = plain && (r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9')
	}
	if !plain {
		ending = ""
	}
	return "input" + ending
}
