package testenv

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"syscall"
	"testing"

	"github.com/jackc/pgx/v5"
)

// Postgres is a PostgreSQL server.
type Postgres struct {
	DSN  string // URL of its superuser on the database "waybill"
	Addr string // host:port of its listener

	dir    string
	bin    string
	port   int
	nobody *syscall.Credential
	server *process // nil while stopped
}

// PostgreSQL starts a server with an empty database "waybill" and waits until it
// answers; it is stopped when the test ends. It does not sync to the disk: a killed process loses nothing by that.
func PostgreSQL(t testing.TB) *Postgres {
	t.Helper()
	initdb := program(t, "initdb", "postgresql", "/usr/lib/postgresql/*/bin/initdb")
	dir := folder(t, "wb-pg-")
	p := &Postgres{dir: dir, bin: filepath.Dir(initdb), port: ports(t, 1)[0]}
	p.Addr = fmt.Sprintf("127.0.0.1:%d", p.port)
	p.DSN = p.DSNFor("waybill")
	p.nobody = unprivileged(t, dir)
	cmd := exec.Command(initdb, "-D", p.data(), "-U", "postgres", "-A", "trust", "-E", "UTF8", "--locale=C", "--no-sync", "--no-instructions")
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: p.nobody}
	cmd.Dir = dir
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("make a PostgreSQL cluster: %v\n%s", err, out)
	}
	t.Cleanup(func() {
		if p.server != nil {
			p.server.kill()
		}
	})
	p.Start(t)
	p.Exec(t, "postgres", "CREATE DATABASE waybill")
	return p
}

// unprivileged returns the user to run as and gives it dir: PostgreSQL refuses to run as root.
func unprivileged(t testing.TB, dir string) *syscall.Credential {
	t.Helper()
	if os.Getuid() != 0 {
		return nil
	}
	u, err := user.Lookup("postgres")
	if err != nil {
		if u, err = user.Lookup("nobody"); err != nil {
			t.Skipf("SKIPPED, PostgreSQL does not run as root and there is no user postgres or nobody: %v", err)
		}
	}
	uid, err := strconv.ParseUint(u.Uid, 10, 32)
	if err != nil {
		t.Fatalf("user %s: %v", u.Username, err)
	}
	gid, err := strconv.ParseUint(u.Gid, 10, 32)
	if err != nil {
		t.Fatalf("user %s: %v", u.Username, err)
	}
	if err := os.Chown(dir, int(uid), int(gid)); err != nil {
		t.Fatalf("give PostgreSQL its folder: %v", err)
	}
	return &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}
}

func (p *Postgres) data() string { return filepath.Join(p.dir, "data") }

// DSNFor returns the URL of the superuser on a database.
func (p *Postgres) DSNFor(database string) string {
	return fmt.Sprintf("postgres://postgres@%s/%s?sslmode=disable", p.Addr, database)
}

// Start starts a stopped server on the same port with the data it had.
func (p *Postgres) Start(t testing.TB) {
	t.Helper()
	if p.server != nil {
		t.Fatal("PostgreSQL is running already")
	}
	log := filepath.Join(p.dir, "server.log")
	if p.nobody != nil { // opened by us, read by nobody else
		if f, err := os.OpenFile(log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644); err == nil {
			_ = f.Close()
		}
	}
	server, err := start(command{
		args: []string{
			filepath.Join(p.bin, "postgres"), "-D", p.data(), "-h", "127.0.0.1", "-p", strconv.Itoa(p.port),
			"-c", "unix_socket_directories=", "-c", "fsync=off", "-c", "full_page_writes=off", "-c", "logging_collector=off",
			"-c", "shared_buffers=16MB", "-c", "max_connections=50", "-c", "log_checkpoints=off", "-c", "autovacuum=off",
		},
		env: []string{"PATH=" + os.Getenv("PATH"), "LANG=C", "TZ=UTC"}, log: log, stop: "INT", nobody: p.nobody,
	})
	if err != nil {
		t.Fatalf("start PostgreSQL: %v", err)
	}
	p.server = server
	if err := server.wait(p.ready); err != nil {
		t.Fatalf("start PostgreSQL: %v\n%s", err, tail(log))
	}
}

// ready asks the server for an answer.
func (p *Postgres) ready(ctx context.Context) error {
	c, err := pgx.Connect(ctx, p.DSNFor("postgres"))
	if err != nil {
		return err
	}
	_, err = c.Exec(ctx, "SELECT 1")
	_ = c.Close(ctx)
	return err
}

// Stop stops the server in order; open connections are cut.
func (p *Postgres) Stop(t testing.TB) {
	t.Helper()
	if p.server == nil {
		t.Fatal("PostgreSQL is stopped already")
	}
	if err := p.server.stop(); err != nil {
		t.Logf("stop PostgreSQL: %v", err)
	}
	p.server = nil
}

// Kill ends the server with SIGKILL, as a crash would.
func (p *Postgres) Kill(t testing.TB) {
	t.Helper()
	if p.server == nil {
		t.Fatal("PostgreSQL is stopped already")
	}
	p.server.kill()
	p.server = nil
}

// Exec runs statements on a database.
func (p *Postgres) Exec(t testing.TB, database, statements string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), stopLimit)
	defer cancel()
	c, err := pgx.Connect(ctx, p.DSNFor(database))
	if err != nil {
		t.Fatalf("connect to PostgreSQL: %v", err)
	}
	defer func() { _ = c.Close(ctx) }()
	if _, err := c.Exec(ctx, statements); err != nil {
		t.Fatalf("run %q: %v", statements, err)
	}
}
