package config

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
)

// with loads jobs of one type.
func with(t *testing.T, job func() any, text string) (*Config, error) {
	t.Helper()
	return Load(context.Background(), mainFile, Registry{Job: job}, world(map[string]string{mainFile: text}))
}

func TestMistakesInTheTypesOfAProgramPanic(t *testing.T) {
	t.Parallel()
	type channel struct {
		C chan int `yaml:"c"`
	}
	type preset struct {
		N int `yaml:"n" default:"many"`
	}
	type both struct {
		N int      `yaml:"n"`
		_ struct{} `later:"n"`
	}
	for name, make := range map[string]func() any{
		"for type chan int":    func() any { return new(channel) },
		"default of key":       func() any { return new(preset) },
		"both known and later": func() any { return new(both) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			defer func() {
				if got := fmt.Sprint(recover()); !strings.Contains(got, name) {
					t.Errorf("panic %s", got)
				}
			}()
			_, err := with(t, make, "jobs: {a: {}}\n")
			t.Errorf("no panic, %v", err)
		})
	}
}

type refusing struct {
	A []inner `yaml:"a" one:"true"`
}

type inner struct {
	B string `yaml:"b"`
	C string `yaml:"c"`
}

func (r *refusing) Validate() error {
	return errors.Join(misplaced{"a[0].b", "first"}, fmt.Errorf("wrapped: %w", misplaced{"a[1].missing", "second"}), errors.New("third"))
}

func TestValidationIsShownWhereItBelongs(t *testing.T) {
	t.Parallel()
	_, err := with(t, func() any { return new(refusing) }, "jobs:\n  x:\n    a:\n      - b: 1\n      - c: 2\n")
	var problems Problems
	if !errors.As(err, &problems) || len(problems) != 3 {
		t.Fatal(err)
	}
	for i, want := range []string{"2:3: third", "4:12: first", "5:9: wrapped: second"} {
		if got := strings.TrimPrefix(problems[i].Error(), mainFile+":"); got != want {
			t.Errorf("%s, want %s", got, want)
		}
	}
}

type words struct {
	Inner
	Table   map[string]int    `yaml:"table"`
	Tree    map[string][]bool `yaml:"tree"`
	Pointer *uint16           `yaml:"pointer"`
	Hidden  string            // no tag: none of the file's
	Ignored string            `yaml:"-"`
}

type Inner struct {
	First  string `yaml:"first"`
	Second string `yaml:"second" default:"2"`
}

type embedding struct {
	words `yaml:",inline"`
	Inner `yaml:",inline"`
}

func TestShapesOfTypes(t *testing.T) {
	t.Parallel()
	c, err := with(t, func() any { return new(embedding) }, "jobs: {a: {first: x, table: {b: 1, null: 2}, tree: {t: [true, false]}, pointer: 7}}\n")
	if err != nil {
		t.Fatal(err)
	}
	got := c.Jobs[0].Options.(*embedding)
	if got.Inner.First != "x" || got.Inner.Second != "2" || got.Table["b"] != 1 || got.Table["null"] != 2 || len(got.Tree["t"]) != 2 || *got.Pointer != 7 {
		t.Errorf("%+v", got)
	}
	if _, err := with(t, func() any { return new(embedding) }, "jobs: {a: {Hidden: x, Ignored: y, hidden: z}}\n"); err == nil || strings.Count(err.Error(), "unknown key") != 3 {
		t.Errorf("fields without a key: %v", err)
	}
}
