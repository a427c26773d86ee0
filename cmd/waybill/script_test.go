package main

import (
	"archive/zip"
	"bytes"
	"database/sql"
	"errors"
	"flag"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
	"go.uber.org/goleak"

	"waybill/jobs/convert"
)

func TestMain(m *testing.M) {
	if code, is := convert.Child(); is {
		os.Exit(code)
	}
	testscript.Main(leakless{m}, map[string]func(){
		// The program itself, as a process of its own. The folders of tests may lie in memory.
		"waybill": func() {
			os.Args = append([]string{os.Args[0], "--accept-data-loss"}, os.Args[1:]...)
			main()
		},
	})
}

// leakless fails the tests when goroutines are left behind.
type leakless struct{ m *testing.M }

func (l leakless) Run() int {
	atOnce()
	code := l.m.Run()
	if code == 0 {
		if err := goleak.Find(); err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
	}
	return code
}

// atOnce has more tests run at a time than there are processors, unless -parallel says how many: mostly they wait for polls and processes.
func atOnce() {
	flag.Parse()
	said := false
	flag.Visit(func(f *flag.Flag) { said = said || f.Name == "test.parallel" })
	if !said {
		_ = flag.Set("test.parallel", strconv.Itoa(2*runtime.GOMAXPROCS(0))) // a number
	}
}

// TestScripts runs testdata/script: the whole program against a real ledger, with a shop that receives orders. Beside
// testscript's own commands there are:
//
//	code N COMMAND…        runs the command, which must end with this exit code
//	until REGEXP COMMAND…  runs the command until its output matches
//	database FILE STATEMENT…  makes an SQLite database
//	archive FILE NAME…     makes a zip archive of files
//	shop …                 see shop.command
func TestScripts(t *testing.T) {
	t.Parallel()
	testscript.Run(t, testscript.Params{
		Dir:                "testdata/script",
		RequireUniqueNames: true,
		Deadline:           time.Now().Add(10 * time.Minute),
		UpdateScripts:      os.Getenv("UPDATE_SCRIPTS") != "",
		Setup: func(e *testscript.Env) error {
			s := &shop{}
			server := httptest.NewServer(s)
			e.Defer(server.Close)
			e.Values[shopKey{}] = s
			e.Setenv("SHOP", server.URL)
			e.Setenv("TZ", "UTC")
			e.Setenv("USER", "tester")
			e.Setenv("GORACE", "atexit_sleep_ms=0") // by default each process with the race detector rests for a second
			e.Setenv("HOME", filepath.Join(e.WorkDir, "home"))
			return errors.Join(os.Mkdir(filepath.Join(e.WorkDir, "drop"), 0o700), os.Mkdir(filepath.Join(e.WorkDir, "out"), 0o700))
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"code":     code,
			"until":    until,
			"database": database,
			"archive":  archive,
			"shop": func(ts *testscript.TestScript, _ bool, args []string) {
				ts.Value(shopKey{}).(*shop).command(ts, args)
			},
		},
	})
}

func code(ts *testscript.TestScript, _ bool, args []string) {
	want, err := strconv.Atoi(args[0])
	ts.Check(err)
	got := 0
	err = ts.Exec(args[1], args[2:]...)
	var failed *exec.ExitError
	switch {
	case errors.As(err, &failed):
		got = failed.ExitCode()
	case err != nil:
		ts.Fatalf("%v", err)
	}
	if got != want {
		ts.Fatalf("exit code %d, not %d", got, want)
	}
}

func until(ts *testscript.TestScript, _ bool, args []string) {
	want := regexp.MustCompile("(?m)" + args[0])
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	deadline := time.After(2 * time.Minute)
	for {
		err := ts.Exec(args[1], args[2:]...)
		if want.MatchString(ts.ReadFile("stdout")) {
			return
		}
		select {
		case <-deadline:
			ts.Fatalf("the output never matched %q (%v)", args[0], err)
		case <-tick.C:
		}
	}
}

func database(ts *testscript.TestScript, _ bool, args []string) {
	db, err := sql.Open("sqlite", "file:"+ts.MkAbs(args[0]))
	ts.Check(err)
	defer func() { ts.Check(db.Close()) }()
	for _, statement := range args[1:] {
		_, err := db.Exec(statement)
		ts.Check(err)
	}
}

func archive(ts *testscript.TestScript, _ bool, args []string) {
	var b bytes.Buffer
	z := zip.NewWriter(&b)
	for _, name := range args[1:] {
		w, err := z.Create(name)
		ts.Check(err)
		_, err = io.WriteString(w, ts.ReadFile(name))
		ts.Check(err)
	}
	ts.Check(z.Close())
	ts.Check(os.WriteFile(ts.MkAbs(args[0]), b.Bytes(), 0o600))
}

// A shop receives orders by HTTP.
type shop struct {
	mu       sync.Mutex
	rules    []shopRule
	received []string
}

type shopRule struct {
	part   string // of the body
	status int    // 0: hang up without an answer
	body   string
}

type shopKey struct{}

// command is what a script says to its shop:
//
//	shop ok                  answer 201 and the order's number from now on
//	shop answer STATUS BODY [PART]  answer so, those whose body has PART or all
//	shop hangup [PART]       receive, and answer nothing
//	shop received FILE       write what came: method, path, key and body, one a line
func (s *shop) command(ts *testscript.TestScript, args []string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	part := func(at int) string {
		if at < len(args) {
			return args[at]
		}
		return ""
	}
	switch args[0] {
	case "ok":
		s.rules = nil
	case "answer":
		status, err := strconv.Atoi(args[1])
		ts.Check(err)
		s.rules = append(s.rules, shopRule{part(3), status, args[2]})
	case "hangup":
		s.rules = append(s.rules, shopRule{part: part(1)})
	case "received":
		ts.Check(os.WriteFile(ts.MkAbs(args[1]), []byte(strings.Join(s.received, "")), 0o600))
	default:
		ts.Fatalf("shop does not know %s", args[0])
	}
}

func (s *shop) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.received = append(s.received, fmt.Sprintf("%s %s %s %s\n", r.Method, r.URL.Path, r.Header.Get("Idempotency-Key"), body))
	for _, rule := range s.rules {
		switch {
		case !strings.Contains(string(body), rule.part):
			continue
		case rule.status == 0:
			panic(http.ErrAbortHandler)
		}
		w.Header().Set("Content-Type", "application/problem+json")
		w.WriteHeader(rule.status)
		_, _ = io.WriteString(w, rule.body) // the caller may be gone
		return
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(http.StatusCreated)
	_, _ = fmt.Fprintf(w, "{\"id\": \"DM-%d\", \"received\": true}\n", len(s.received)) // the caller may be gone
}
