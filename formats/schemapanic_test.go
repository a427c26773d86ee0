package formats

import (
	"errors"
	"io"
	"strings"
	"testing"
)

// A panic on a goroutine of its own would end the process, with all jobs.
func TestAPanicOfTheValidatorGoesOnWhereTheDocumentIsRead(t *testing.T) {
	t.Parallel()
	broken := func(r io.Reader) error {
		_, _ = r.Read(make([]byte, 1))
		panic("no such state")
	}
	got := func() (v any) {
		defer func() { v = recover() }()
		x := startXSD("o.xsd", Limits{}, broken)
		x.take([]byte("<o/>"))
		t.Error(x.finish(nil))
		return nil
	}()
	if text, _ := got.(string); !strings.HasPrefix(text, "no such state\n") || !strings.Contains(text, "schemapanic_test.go") {
		t.Errorf("%v", got)
	}
	x := startXSD("o.xsd", Limits{}, broken)
	x.take([]byte("<o>"))
	bad := &FileError{Line: 1, Reason: "cut"}
	if err := x.finish(bad); !errors.Is(err, bad) { // what the reader has found says what is wrong with the file
		t.Error(err)
	}
}
