package testenv

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/rabbitmq/amqp091-go"
)

// Broker is a RabbitMQ server.
type Broker struct {
	URL  string // of an administrator on the virtual host "/"
	Addr string // host:port of its listener

	dir    string
	script string
	env    []string
	epmd   *process
	server *process // nil while stopped
}

// Users of every Broker. Reader may read and configure but not write.
const (
	Admin  = "waybill"
	Reader = "reader"
	Secret = "test-secret" // password of both
)

// RabbitMQ starts a broker and waits until it answers AMQP; it is stopped when the test ends.
func RabbitMQ(t testing.TB) *Broker {
	t.Helper()
	// Debian's rabbitmq-server on PATH changes to its own user and folders; the script behind it does not.
	script := program(t, "rabbitmq-server", "rabbitmq-server", "/usr/lib/rabbitmq/bin/rabbitmq-server")
	epmd := program(t, "epmd", "erlang-base")
	dir := folder(t, "wb-mq-")
	p := ports(t, 3)
	b := &Broker{dir: dir, script: script, Addr: fmt.Sprintf("127.0.0.1:%d", p[0])}
	b.URL = b.URLFor(Admin, Secret)
	_ = os.Chmod(dir, 0o700) // the cookie
	b.env = brokerEnv(dir, p[1], p[2])
	if err := b.configure(); err != nil {
		t.Fatalf("configure RabbitMQ: %v", err)
	}
	var err error
	// Started here, or the broker would start one that stays behind for ever.
	b.epmd, err = start(command{args: []string{epmd, "-relaxed_command_check"}, env: b.env, log: filepath.Join(dir, "epmd.log"), stop: "KILL"})
	if err != nil {
		t.Fatalf("start epmd for RabbitMQ: %v", err)
	}
	t.Cleanup(b.epmd.kill)
	t.Cleanup(func() {
		if b.server != nil {
			b.server.kill()
		}
	})
	b.Start(t)
	return b
}

// brokerEnv keeps the broker's folders, cookie and ports apart from any other on the machine.
func brokerEnv(dir string, epmdPort, distPort int) []string {
	return []string{
		"PATH=" + os.Getenv("PATH") + ":/usr/sbin:/sbin",
		"HOME=" + dir, // the Erlang cookie
		"LANG=C.UTF-8",
		fmt.Sprintf("ERL_EPMD_PORT=%d", epmdPort),
		"ERL_EPMD_ADDRESS=127.0.0.1",
		"ERL_CRASH_DUMP_SECONDS=0",
		"RABBITMQ_NODENAME=wb" + filepath.Base(dir)[len("wb-mq-"):] + "@localhost",
		fmt.Sprintf("RABBITMQ_DIST_PORT=%d", distPort),
		"RABBITMQ_CONF_ENV_FILE=" + filepath.Join(dir, "none"),
		"RABBITMQ_CONFIG_FILE=" + filepath.Join(dir, "rabbitmq.conf"),
		"RABBITMQ_ADVANCED_CONFIG_FILE=" + filepath.Join(dir, "advanced.config"),
		"RABBITMQ_ENABLED_PLUGINS_FILE=" + filepath.Join(dir, "plugins"),
		"RABBITMQ_ENABLED_PLUGINS=",
		"RABBITMQ_MNESIA_BASE=" + filepath.Join(dir, "data"),
		"RABBITMQ_LOG_BASE=" + filepath.Join(dir, "log"),
		"RABBITMQ_SCHEMA_DIR=" + filepath.Join(dir, "schema"),
		"RABBITMQ_GENERATED_CONFIG_DIR=" + filepath.Join(dir, "schema"),
		"RABBITMQ_PID_FILE=" + filepath.Join(dir, "pid"),
		"RABBITMQ_LOGS=-",
		// Together: the script becomes the broker instead of standing between.
		"RABBITMQ_ALLOW_INPUT=1", "RABBITMQ_SERVER_START_ARGS=-noinput",
		// Busy waiting of idle schedulers would take a core from the test.
		"RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS=+sbwt none +sbwtdcpu none +sbwtdio none -kernel inet_dist_use_interface {127,0,0,1}",
	}
}

// configure writes the broker's files.
func (b *Broker) configure() error {
	definitions, err := json.Marshal(map[string]any{
		"vhosts": []map[string]any{{"name": "/"}},
		"users": []map[string]any{
			{"name": Admin, "password_hash": hash(Secret), "hashing_algorithm": "rabbit_password_hashing_sha256", "tags": "administrator"},
			{"name": Reader, "password_hash": hash(Secret), "hashing_algorithm": "rabbit_password_hashing_sha256", "tags": ""},
		},
		"permissions": []map[string]any{
			{"user": Admin, "vhost": "/", "configure": ".*", "write": ".*", "read": ".*"},
			{"user": Reader, "vhost": "/", "configure": ".*", "write": "", "read": ".*"},
		},
	})
	if err != nil {
		return err
	}
	conf := strings.Join([]string{
		"listeners.tcp.1 = " + b.Addr,
		"num_acceptors.tcp = 2",
		"loopback_users = none",
		"log.console.level = warning",
		"load_definitions = " + filepath.Join(b.dir, "definitions.json"),
		"disk_free_limit.absolute = 10MB",
		"max_message_size = 8388608", // 8 MiB: tests exceed it
		"vm_memory_high_watermark.absolute = 1GB",
		"",
	}, "\n")
	for name, text := range map[string]string{
		"rabbitmq.conf": conf, "definitions.json": string(definitions), "plugins": "[].\n", "advanced.config": "[].\n",
	} {
		if err := os.WriteFile(filepath.Join(b.dir, name), []byte(text), 0o600); err != nil {
			return err
		}
	}
	return nil
}

// hash is RabbitMQ's password hash: a salt of four bytes, then SHA-256 over salt and password.
func hash(password string) string {
	const salt = "salt"
	sum := sha256.Sum256([]byte(salt + password))
	return base64.StdEncoding.EncodeToString(append([]byte(salt), sum[:]...))
}

// URLFor returns the broker's URL for a user and password.
func (b *Broker) URLFor(user, password string) string {
	return (&url.URL{Scheme: "amqp", User: url.UserPassword(user, password), Host: b.Addr, Path: "/"}).String()
}

// Start starts a stopped broker on the same port with the data it had.
func (b *Broker) Start(t testing.TB) {
	t.Helper()
	if b.server != nil {
		t.Fatal("RabbitMQ is running already")
	}
	log := filepath.Join(b.dir, "server.log")
	p, err := start(command{args: []string{b.script}, env: b.env, log: log, stop: "TERM"})
	if err != nil {
		t.Fatalf("start RabbitMQ: %v", err)
	}
	b.server = p
	if err := p.wait(b.ready); err != nil {
		t.Fatalf("start RabbitMQ: %v\n%s", err, tail(log))
	}
}

// ready opens and closes a connection.
func (b *Broker) ready(ctx context.Context) error {
	c, err := amqp091.DialConfig(b.URL, amqp091.Config{Dial: func(network, addr string) (net.Conn, error) {
		return amqp091.DefaultDial(5*time.Second)(network, addr)
	}})
	if err != nil {
		return err
	}
	return c.Close()
}

// Stop stops the broker in order, as its service manager would.
func (b *Broker) Stop(t testing.TB) {
	t.Helper()
	if b.server == nil {
		t.Fatal("RabbitMQ is stopped already")
	}
	if err := b.server.stop(); err != nil {
		t.Logf("stop RabbitMQ: %v", err)
	}
	b.server = nil
}

// Kill ends the broker with SIGKILL, as a crash would.
func (b *Broker) Kill(t testing.TB) {
	t.Helper()
	if b.server == nil {
		t.Fatal("RabbitMQ is stopped already")
	}
	b.server.kill()
	b.server = nil
}

// Control runs rabbitmqctl with args against the broker and returns what it prints.
func (b *Broker) Control(t testing.TB, args ...string) string {
	t.Helper()
	cmd := exec.Command(filepath.Join(filepath.Dir(b.script), "rabbitmqctl"), append([]string{"-q"}, args...)...)
	cmd.Env, cmd.Dir = b.env, b.dir
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("rabbitmqctl %s: %v\n%s", strings.Join(args, " "), err, out)
	}
	return string(out)
}
