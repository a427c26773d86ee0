package main

import (
	"fmt"
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

const commandsDocument = "../../docs/commands.md"

var generatedFlags = regexp.MustCompile(`(?s)(<!-- generated: ([^>]*?) -->\n)(.*?)(<!-- end -->)`)

// TestTheCommandsAreDocumented compares the tables of flags in docs/commands.md with the program (UPDATE_DOCS=1 writes them), and
// finds commands that are missing there.
func TestTheCommandsAreDocumented(t *testing.T) {
	t.Parallel()
	root := (&program{}).root()
	text, err := os.ReadFile(commandsDocument)
	if err != nil {
		t.Fatal(err)
	}
	told := map[string]bool{}
	want := generatedFlags.ReplaceAllStringFunc(string(text), func(part string) string {
		m := generatedFlags.FindStringSubmatch(part)
		told[m[2]] = true
		if m[2] == "waybill" {
			return m[1] + flagTable(root.PersistentFlags()) + m[4]
		}
		c, _, err := root.Find(strings.Fields(m[2]))
		if err != nil {
			t.Errorf("%s: %v", m[2], err)
			return part
		}
		return m[1] + flagTable(c.LocalNonPersistentFlags()) + m[4]
	})
	if os.Getenv("UPDATE_DOCS") != "" {
		if err := os.WriteFile(commandsDocument, []byte(want), 0o644); err != nil {
			t.Fatal(err)
		}
	} else if diff := cmp.Diff(string(text), want); diff != "" {
		t.Errorf("docs/commands.md is not what the program says: run UPDATE_DOCS=1 go test -run Documented ./cmd/waybill\n%s", diff)
	}
	everyCommand(root, func(c *cobra.Command) {
		name := strings.TrimPrefix(c.CommandPath(), "waybill ")
		if !strings.Contains(want, "waybill "+name) && !strings.Contains(want, "## "+name) {
			t.Errorf("docs/commands.md does not speak of waybill %s", name)
		}
		if c.LocalNonPersistentFlags().HasAvailableFlags() && !told[name] {
			t.Errorf("docs/commands.md has no table of the flags of waybill %s", name)
		}
		if c.Short == "" {
			t.Errorf("waybill %s has no short help", name)
		}
	})
}

func everyCommand(c *cobra.Command, visit func(*cobra.Command)) {
	for _, sub := range c.Commands() {
		if !sub.Hidden {
			visit(sub)
			everyCommand(sub, visit)
		}
	}
}

func flagTable(flags *pflag.FlagSet) string {
	var b strings.Builder
	b.WriteString("\n| flag | |\n| --- | --- |\n")
	flags.VisitAll(func(f *pflag.Flag) {
		if f.Hidden || f.Name == "help" {
			return
		}
		name := "--" + f.Name
		if f.Shorthand != "" {
			name = "-" + f.Shorthand + ", " + name
		}
		if f.Value.Type() != "bool" {
			name += " " + strings.ToUpper(f.Value.Type())
		}
		usage := strings.ReplaceAll(f.Usage, "|", `\|`)
		switch f.DefValue {
		case "", "0", "0s", "false", "[]":
		default:
			usage += fmt.Sprintf(" (default %s)", f.DefValue)
		}
		fmt.Fprintf(&b, "| `%s` | %s |\n", name, usage)
	})
	b.WriteString("\n")
	return b.String()
}
