package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"runtime/debug"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"waybill/config"
)

// landscapeOfAll uses as much of the language as one configuration can.
const landscapeOfAll = `data: data
zone: Europe/Paris
retain: {files: 90d, messages: 14d}
vars:
  gateway: http://127.0.0.1:8911
log:
  level: info
connections:
  shop:
    url: "sqlite:shop.db"
  rabbit:
    url: "amqp://guest:guest@127.0.0.1:5672/"
sources:
  drop:
    folder:
      path: drop
    poll: 1s
    done: move
destinations:
  shop:
    http:
      url: "${var:gateway}/shop"
      auth:
        bearer: "abcdef"
    timeout: 5s
    retry:
      attempts: 4
      pause: 1s
    unknown:
      ask:
        get: "/orders/{key}"
        applied: '=response.status == 200'
    concurrency: 8
    rate: 50/s
  bus:
    amqp:
      connection: rabbit
      exchange: agoram
  files:
    file:
      folder: out
jobs:
  orders:
    receive:
      source: drop
      files: ["orders_{day:%Y%m%d}.csv"]
      companion: "*.done"
    identity:
      by: content
      suspect: hold
    unpack: gzip
    read:
      format: csv
      delimiter: ";"
      encoding: windows-1252
      decimal: ","
      only: '=quantity > 0'
      fields:
        order_no:
          from: Order
          required: true
          pattern: '^A-\d+$'
        sku:
          from: Article
          required: true
        quantity:
          from: Qty
          type: integer
          min: "1"
          required: true
        price:
          type: decimal
          required: true
        ordered:
          type: date
          format: "%d.%m.%Y"
        total:
          value: '=quantity * price'
      group:
        by: order_no
        into: lines
        take: [sku, quantity, price, total]
        apart: reject
    check:
      allow_rejects: 1%
      unique:
        key: =order_no
        for: 90d
      record:
        - that: '=len(lines) <= 200'
          say: too many lines
    send:
      - to: shop
        path: /orders/{order_no}
        method: PUT
        key: =order_no
        when: '=any(lines, .quantity > 0)'
        query:
          no: =order_no
        headers:
          X-Day: =file.part.day
        body:
          orderId: =order_no
          ordered: =ordered
          lines:
            =each: lines
            no: =position
            sku: =sku
            price: =price
          total: '=sum(lines, .quantity * .price)'
        success: '=response.body.received == true'
        capture:
          remote: =response.body.id
      - to: bus
        routing_key: "orders.{order_no}"
        key: =order_no
        body:
          id: =order_no
      - to: files
        each: file
        name: "{file.stem}.csv"
        as: csv
        columns:
          - title: No
            value: =order_no
          - title: Day
            value: =ordered
            format: "%Y"
  hourly:
    schedule:
      cron: "0 * * * *"
      zone: Europe/Paris
    query:
      connection: shop
      sql: "select no, qty from orders where at >= :from and at < :to"
      window:
        period: tick
        lag: 2m
        back: 10m
        key: =no
    read:
      fields:
        no:
          required: true
        qty:
          type: integer
    send:
      - to: shop
        key: =no
        body:
          no: =no
          from: =window.from
`

// landscapeOfPartners is what the first one leaves out: partners, their server, and servers of others.
const landscapeOfPartners = `sftp_server:
  listen: ":2022"
partners:
  acme:
    group: suppliers
    keys: ["ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJQfpr1gsMVbaTzVHqL0MVnnwvEIXg27m3ajzs0I7sAa ops@acme"]
    password: "$argon2id$v=19$m=65536,t=3,p=1$c29tZXNhbHRzb21lc2FsdA$MTIzNDU2Nzg5MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTI"
    networks: [203.0.113.0/24]
    quota: 10GiB
    vars:
      site: W1
sources:
  suppliers:
    mailboxes:
      group: suppliers
      folder: in
      test: test
  robots:
    sftp:
      address: "sftp.robots.example:22"
      user: waybill
      password: secret
      host_key: "SHA256:lR4a5TSS1MmHyyr0MoF9LRqkuEwX4WLn9kVbXXe0YZE"
      folder: /out
    poll: 30s
    done: leave
destinations:
  shop:
    http:
      url: http://127.0.0.1:8911
jobs:
  orders:
    receive:
      source: suppliers
      files: "*.csv"
    read:
      format: csv
      fields:
        no:
          required: true
    send:
      - to: shop
        key: =no
        path: /{partner.vars.site}
    acknowledge:
      - after: [accepted, rejected]
        to: sender
        folder: out
        name: "{file.stem}.json"
  parts:
    receive:
      source: robots
    read:
      format: json
      fields:
        no:
          required: true
    send:
      - to: shop
        key: =no
`

var keyOfLine = regexp.MustCompile(`^(\s*(?:- )?)([a-z_]+):(\s*)(.*)$`)

// breakages are ways to spoil one line.
func breakages(line string) map[string]string {
	m := keyOfLine.FindStringSubmatch(line)
	if m == nil {
		return nil
	}
	lead, key, blank, value := m[1], m[2], m[3], m[4]
	broken := map[string]string{
		"a key nobody knows": lead + "qqxzzyqq:" + blank + value,
		"a key mistyped":     lead + key + "z:" + blank + value,
		"a later key":        lead + "acknowledge:" + blank + value,
	}
	if value != "" {
		broken["no value"] = lead + key + ":"
		broken["an empty list"] = lead + key + ": []"
		broken["a list in a list"] = lead + key + ": [[x]]"
		broken["a mapping"] = lead + key + ": {qqx: 1}"
		broken["an alias"] = lead + key + ": *other"
		broken["a reference to nothing"] = lead + key + `: "${var:qqxzzy}"`
		broken["another word"] = lead + key + ": qqxzzyqq"
	}
	return broken
}

// mistakesOf checks a configuration as waybill check does.
func mistakesOf(t *testing.T, text string) config.Problems {
	t.Helper()
	name := filepath.Join(t.TempDir(), "waybill.yaml")
	if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	p := &program{file: name, now: time.Now}
	c, mistakes, err := p.read(t.Context(), config.System())
	if err != nil {
		t.Fatal(err)
	}
	if c == nil {
		return mistakes
	}
	l, more := build(c, p.now)
	_ = l.close()
	return append(mistakes, more...).Sort()
}

// One mistake of form is one mistake: whatever line is spoiled, nothing is said of others that were right before.
func TestAMistakeOfFormLeadsToNoOthers(t *testing.T) {
	t.Parallel()
	spoiled := 0
	for _, whole := range []string{landscapeOfAll, landscapeOfPartners} {
		spoiled += spoilEach(t, whole)
	}
	if spoiled < 800/every() {
		t.Errorf("only %d mistakes were made", spoiled)
	}
}

// every says which lines are spoiled: all, or with the race detector, with which that takes half a minute, one in five.
func every() int {
	info, ok := debug.ReadBuildInfo()
	if ok && slices.Contains(info.Settings, debug.BuildSetting{Key: "-race", Value: "true"}) {
		return 5
	}
	return 1
}

// spoilEach spoils each line in every way, and returns how many mistakes of form that made.
func spoilEach(t *testing.T, whole string) (spoiled int) {
	t.Helper()
	if found := mistakesOf(t, whole); len(found) > 0 {
		t.Fatalf("the landscape itself is wrong:\n%v", found)
	}
	lines := strings.Split(whole, "\n")
	for i, line := range lines {
		if i%every() != 0 {
			continue
		}
		for how, broken := range breakages(line) {
			text := strings.Join(slices.Concat(lines[:i], []string{broken}, lines[i+1:]), "\n")
			found := mistakesOf(t, text)
			here := slices.ContainsFunc(found, func(p config.Problem) bool { return p.Line == i+1 })
			if !here || semantic(found) {
				continue // it is no mistake there, or one of meaning
			}
			spoiled++
			for _, p := range found {
				// A key that nobody knows is one mistake, and the key that is not there another.
				missing := strings.Contains(p.Text, "is missing") || strings.Contains(p.Text, "has no kind")
				if p.Line != i+1 && !(missing && p.Line < i+1 && strings.HasSuffix(how, "knows") || missing && how == "a later key") {
					t.Errorf("%s in line %d (%s) leads to %s", how, i+1, strings.TrimSpace(broken), fmt.Sprintln(p))
				}
			}
		}
	}
	return spoiled
}

// semantic reports whether none of the mistakes is one of form.
func semantic(found config.Problems) bool {
	return !slices.ContainsFunc(found, func(p config.Problem) bool {
		return strings.Contains(p.Text, "unknown key") || strings.Contains(p.Text, "not yet") || strings.Contains(p.Text, "no value") ||
			strings.Contains(p.Text, "is a ") || strings.Contains(p.Text, "alias") || strings.Contains(p.Text, "is not") || strings.Contains(p.Text, "no such")
	})
}

// What stands in a file that cannot be read may be referred to; what else is wrong is said all the same.
func TestABrokenIncludedFileHidesNoOtherMistake(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	for name, text := range map[string]string{
		"waybill.yaml": "include: [more.yaml, none.yaml]\nsources:\n  drop: {folder: {path: drop}}\njobs:\n  a:\n    use: base\n    receive: {source: other}\n" +
			"  b:\n    receive: {source: drop}\n    read: {format: csv, fields: {no: {required: true}}}\n    send:\n      - {to: shop, key: no}\n      - {to: shop, key: =nr, path: \"${var:x}\"}\n",
		"more.yaml": "sources: {other: \n",
	} {
		if err := os.WriteFile(filepath.Join(folder, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	p := &program{file: filepath.Join(folder, "waybill.yaml"), now: time.Now}
	_, err := p.load(t.Context())
	var mistakes config.Problems
	if !errors.As(withoutCode(err), &mistakes) {
		t.Fatal(err)
	}
	var got []string
	for _, m := range mistakes {
		got = append(got, fmt.Sprintf("%s:%d: %s", filepath.Base(m.File), m.Line, m.Text))
	}
	want := []string{
		"more.yaml:1: a value is missing",
		"waybill.yaml:1: include \"none.yaml\": no such file",
		"waybill.yaml:12: \"no\" is a plain text, which would be the same every time: write =no for the field",
		"waybill.yaml:13: unknown name nr, did you mean no?",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("mistakes (-want +got):\n%s", diff)
	}
}

// A mailbox whose files are read once has no companions: they would have to be asked about, and opened.
func TestACompanionInAMailboxThatIsReadOnceIsAMistake(t *testing.T) {
	t.Parallel()
	if found := mistakesOf(t, landscapeOfPartners); len(found) > 0 {
		t.Fatal(found)
	}
	for companion, want := range map[string]int{`"*.md5"`: 1, `{name: "*.ok"}`: 1} {
		text := strings.Replace(landscapeOfPartners, "      folder: /out\n", "      folder: /out\n      read_once: true\n", 1)
		text = strings.Replace(text, "      source: robots\n", "      source: robots\n      companion: "+companion+"\n", 1)
		found := mistakesOf(t, text)
		if len(found) != want || want > 0 && !strings.Contains(found[0].Text, "source robots has read_once") {
			t.Errorf("companion %s: %v", companion, found)
		}
	}
}
