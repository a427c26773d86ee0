package main

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"
)

// A block is a fenced block of a document with the comment above it, which says what it is.
type block struct {
	mark, language, text string
	line                 int
}

// blocks finds the fenced blocks of a document.
func blocks(document string) (found []block) {
	var in *block
	mark := ""
	for i, line := range strings.Split(document, "\n") {
		fence, fenced := strings.CutPrefix(line, "```")
		switch {
		case fenced && in == nil:
			in = &block{mark: mark, language: fence, line: i + 1}
		case fenced:
			found, in, mark = append(found, *in), nil, ""
		case in != nil:
			in.text += line + "\n"
		case strings.HasPrefix(line, "<!-- "):
			mark = strings.TrimSuffix(strings.TrimPrefix(line, "<!-- "), " -->")
		case line != "":
			mark = ""
		}
	}
	return found
}

// documentTests does what they say, in their order: blocks marked "file: NAME" are written, blocks marked "run" are run, and
// each shell block must say which it is.
func documentTests(t *testing.T, binary string) {
	t.Parallel()
	programs := programFolder(t, binary)
	for name, wants := range map[string][]string{
		"README.md": {
			`"1O"`, "the file would be rejected", "duplicate", `{"orderId":"A-1002","sku":"PM-40","quantity":1,"total":1234.50}`, "is not an integer",
			"has been at work on", "http.yaml is right",
		},
		"docs/testing.md": {
			"price: {from: Price, type: decimal, required: true}", "written  orders/good", "total: 2400.00", "2 cases, 0 failed", "FAILED   orders/good", "messages[0].body.total\n      - 2400.00\n      + 1200.00",
		},
		"examples/README.md": {"all is as expected", "orders_1001.csv", "remote_id="},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			ran := follow(t, name, programs)
			for _, want := range wants {
				if !strings.Contains(ran, want) {
					t.Errorf("what %s shows does not print %q", name, want)
				}
			}
			if t.Failed() {
				t.Log(ran)
			}
		})
	}
}

// programFolder holds the program as waybill. Folders of tests may lie in memory, which the ledger refuses unless told otherwise.
func programFolder(t *testing.T, binary string) string {
	t.Helper()
	folder := t.TempDir()
	wrapper := "#!/bin/sh\nexec '" + binary + "' --accept-data-loss \"$@\"\n"
	if err := os.WriteFile(filepath.Join(folder, "waybill"), []byte(wrapper), 0o700); err != nil {
		t.Fatal(err)
	}
	return folder
}

// follow does what a document says, in an empty folder, and returns what that printed.
func follow(t *testing.T, name, programs string) (ran string) {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("..", "..", name))
	if err != nil {
		t.Fatal(err)
	}
	folder := t.TempDir()
	for _, b := range blocks(string(text)) {
		file, isFile := strings.CutPrefix(b.mark, "file: ")
		switch {
		case isFile:
			if err := os.WriteFile(filepath.Join(folder, file), []byte(b.text), 0o600); err != nil {
				t.Fatal(err)
			}
		case b.mark == "run":
			ran += shell(t, folder, programs, b)
		case b.language == "sh" && !strings.HasPrefix(b.mark, "not run: "):
			t.Errorf("%s:%d: a shell block that is neither run nor says why not", name, b.line)
		}
	}
	return ran
}

// shell runs a block as a person would paste it, except that it ends at the first error.
func shell(t *testing.T, folder, programs string, b block) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	c := exec.CommandContext(ctx, "sh", "-e", "-c", b.text)
	c.Dir = folder
	c.Env = append(os.Environ(), "PATH="+programs+":"+os.Getenv("PATH"))
	c.WaitDelay = 10 * time.Second
	out, err := c.CombinedOutput()
	if err != nil {
		t.Fatalf("line %d: %v\n%s", b.line, err, out)
	}
	return string(out)
}

// What is not run must at least be there: make's targets, installed files, linked documents.
func TestTheReadmeNamesWhatThereIs(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("../../README.md")
	if err != nil {
		t.Fatal(err)
	}
	makefile, err := os.ReadFile("../../Makefile")
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range regexp.MustCompile(`(?m)^(?:sudo )?make (\w+)`).FindAllSubmatch(text, -1) {
		if !strings.Contains(string(makefile), "\n"+string(m[1])+":") {
			t.Errorf("the Makefile has no target %s", m[1])
		}
	}
	named := regexp.MustCompile(`(?m)\]\(([a-zA-Z/.-]+)\)|install -m \d+ (systemd/\S+)`).FindAllSubmatch(text, -1)
	if len(named) < 10 {
		t.Fatalf("only %d files are named", len(named))
	}
	for _, m := range named {
		name := string(m[1]) + string(m[2])
		if _, err := os.Stat(filepath.Join("..", "..", name)); err != nil {
			t.Errorf("README.md names %s: %v", name, err)
		}
	}
}

// The commands that docs/operations.md names exist, with their flags and arguments.
func TestTheOperatorsCommandsExist(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("../../docs/operations.md")
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	for _, b := range blocks(string(text)) {
		if b.mark != "commands" {
			continue
		}
		for line := range strings.Lines(b.text) {
			words := words(line)
			if len(words) == 0 || words[0] != "waybill" {
				continue
			}
			n++
			c, rest, err := (&program{}).root().Find(words[1:])
			if err == nil {
				err = c.ParseFlags(rest)
			}
			if err == nil {
				err = c.ValidateArgs(c.Flags().Args())
			}
			if err != nil || c.Name() == "waybill" {
				t.Errorf("docs/operations.md: %s%v", line, err)
			}
		}
	}
	if n < 25 {
		t.Errorf("only %d commands were found", n)
	}
}

// words splits a line as a shell does, as far as these lines need it, without sudo and comment.
func words(line string) (list []string) {
	for _, m := range regexp.MustCompile(`"([^"]*)"|(#.*)|(\S+)`).FindAllStringSubmatch(line, -1) {
		if m[2] != "" {
			break
		}
		if word := m[1] + m[3]; word != "sudo" {
			list = append(list, word)
		}
	}
	return list
}
