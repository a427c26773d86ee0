package main

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"hash/fnv"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/spf13/cobra"
)

// What the demo's receiver did with a request, as its log says.
const (
	didApply  = "applied"
	didLose   = "applied, answer lost" // the effect happened, the answer was a 500
	didRepeat = "repeat recognised"    // the key was there before: nothing happened again
	didBusy   = "busy"
	didHang   = "hung"
	didRefuse = "refused"
	didDeny   = "denied"
)

// A receivedLine is one line of the receiver's own log, which is synced before the request is answered: it is the
// other side's word on what happened.
type receivedLine struct {
	At     time.Time   `json:"at"`
	Key    string      `json:"key"`
	Hash   string      `json:"hash"`
	Order  string      `json:"order"`
	Total  json.Number `json:"total"`
	Did    string      `json:"did"`
	Status int         `json:"status,omitempty"`
}

// receiverOptions are the flags of demo-receiver.
type receiverOptions struct {
	log, keyFile string
	seed         uint64
}

// demoReceiver is the API that the demo delivers to. It is a process of its own, so that nothing is shared with the
// daemon but what goes over the wire.
func (p *program) demoReceiver() *cobra.Command {
	var o receiverOptions
	c := &cobra.Command{
		Use:    "demo-receiver",
		Short:  "The receiving API of waybill demo",
		Hidden: true,
		Args:   args(cobra.NoArgs),
		RunE:   func(c *cobra.Command, _ []string) error { return p.receive(c.Context(), o) },
	}
	c.Flags().StringVar(&o.log, "log", "received.log", "file to append what was received to")
	c.Flags().StringVar(&o.keyFile, "key-file", "", "file with the API key to ask for; left out: none")
	c.Flags().Uint64Var(&o.seed, "seed", demoSeed, "which orders meet a fault")
	return c
}

// receive serves until ctx ends or standard input is closed: whoever started it and dies cannot leave it behind. The
// first line on standard output is the port, each further one a receivedLine.
func (p *program) receive(ctx context.Context, o receiverOptions) (err error) {
	key, err := readKey(o.keyFile)
	if err != nil {
		return err
	}
	log, err := os.OpenFile(o.log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, log.Close()) }()
	l, err := new(net.ListenConfig).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	r := &receiver{
		now: p.now, seed: o.seed, apiKey: key, log: log, out: p.out,
		tried: map[string]int{}, applied: map[string]application{}, unknown: map[string]bool{unknownArticle: true},
	}
	server := &http.Server{Handler: r.routes(), ReadHeaderTimeout: 5 * time.Second}
	if _, err := fmt.Fprintln(p.out, l.Addr().(*net.TCPAddr).Port); err != nil {
		return err
	}
	served := make(chan error, 1)
	go func() { served <- server.Serve(l) }()
	orphaned := make(chan struct{})
	go func() { // ends with the process: nothing interrupts a read of standard input
		defer close(orphaned)
		_, _ = io.Copy(io.Discard, p.in)
	}()
	select {
	case <-ctx.Done():
	case <-orphaned:
	case err := <-served:
		return err
	}
	err = server.Close()
	<-served
	return err
}

func readKey(name string) (string, error) {
	if name == "" {
		return "", nil
	}
	text, err := os.ReadFile(name)
	return strings.TrimSpace(string(text)), err
}

// An application is an order that took effect.
type application struct{ id, hash string }

// A receiver stands for somebody's order system: it checks, it deduplicates by Idempotency-Key, and it has bad days.
type receiver struct {
	now    func() time.Time
	seed   uint64
	apiKey string
	out    io.Writer

	mu      sync.Mutex
	log     *os.File
	tried   map[string]int         // by key
	applied map[string]application // by key
	unknown map[string]bool        // articles that are not in the catalogue
}

func (r *receiver) routes() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("POST /orders", r.order)
	mux.HandleFunc("PUT /articles/{article}", r.article)
	return http.HandlerFunc(func(w http.ResponseWriter, q *http.Request) {
		if r.apiKey != "" && q.Header.Get("X-API-Key") != r.apiKey {
			r.note(receivedLine{Did: didDeny, Status: http.StatusUnauthorized})
			http.Error(w, "no such key", http.StatusUnauthorized)
			return
		}
		mux.ServeHTTP(w, q)
	})
}

// A receivedOrder is the part of an order that the receiver looks at.
type receivedOrder struct {
	OrderID string      `json:"orderId"`
	Total   json.Number `json:"total"`
	Lines   []struct {
		SKU string `json:"sku"`
	} `json:"lines"`
}

func (r *receiver) order(w http.ResponseWriter, q *http.Request) {
	body, err := io.ReadAll(http.MaxBytesReader(w, q.Body, 1<<20))
	if err != nil {
		return // who asked is gone
	}
	var o receivedOrder
	line := receivedLine{Key: strings.Trim(q.Header.Get("Idempotency-Key"), `"`), Hash: digest(body)}
	if err := json.Unmarshal(body, &o); err != nil || o.OrderID == "" || line.Key == "" {
		r.refuse(w, line, "an order needs a key and an orderId")
		return
	}
	line.Order, line.Total = o.OrderID, o.Total
	fault := r.judge(&line, o)
	r.note(line)
	switch line.Did {
	case didApply, didRepeat:
		r.confirm(w, line)
	case didLose:
		http.Error(w, "something broke after the order was booked", http.StatusInternalServerError)
	case didBusy:
		w.Header().Set("Retry-After", "1")
		http.Error(w, "closed for a moment", http.StatusServiceUnavailable)
	case didHang:
		<-q.Context().Done() // until the caller loses patience
	case didRefuse:
		problem(w, fault)
	}
}

// judge decides what becomes of an order, and books it if it takes effect.
func (r *receiver) judge(line *receivedLine, o receivedOrder) (fault string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if was, ok := r.applied[line.Key]; ok {
		if was.hash != line.Hash {
			line.Did, line.Status = didRefuse, http.StatusUnprocessableEntity
			return "this key came before with another order"
		}
		line.Did, line.Status = didRepeat, http.StatusCreated
		return ""
	}
	for _, l := range o.Lines {
		if r.unknown[l.SKU] {
			line.Did, line.Status = didRefuse, http.StatusUnprocessableEntity
			return "article " + l.SKU + " is not in the catalogue"
		}
	}
	r.tried[line.Key]++
	line.Did, line.Status = didApply, http.StatusCreated
	if r.tried[line.Key] == 1 {
		line.Did, line.Status = badDay(r.seed, o.OrderID)
	}
	if line.Did == didApply || line.Did == didLose {
		r.applied[line.Key] = application{id: fmt.Sprintf("R-%d", 7000+len(r.applied)), hash: line.Hash}
	}
	return ""
}

// badDay says what happens to the first attempt of an order: always the same for the same seed.
func badDay(seed uint64, order string) (did string, status int) {
	h := fnv.New64a()
	fmt.Fprintf(h, "%d %s", seed, order)
	switch h.Sum64() % 9 {
	case 0:
		return didBusy, http.StatusServiceUnavailable
	case 1:
		return didHang, 0
	case 2:
		return didLose, http.StatusInternalServerError
	}
	return didApply, http.StatusCreated
}

func (r *receiver) confirm(w http.ResponseWriter, line receivedLine) {
	r.mu.Lock()
	id := r.applied[line.Key].id
	r.mu.Unlock()
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(http.StatusCreated)
	_ = json.NewEncoder(w).Encode(map[string]any{"received": true, "id": id}) // who does not hear it asks again
}

func (r *receiver) refuse(w http.ResponseWriter, line receivedLine, why string) {
	line.Did, line.Status = didRefuse, http.StatusUnprocessableEntity
	r.note(line)
	problem(w, why)
}

// problem answers as RFC 9457 says.
func problem(w http.ResponseWriter, detail string) {
	w.Header().Set("Content-Type", "application/problem+json")
	w.WriteHeader(http.StatusUnprocessableEntity)
	_ = json.NewEncoder(w).Encode(map[string]any{"title": "the order is refused", "detail": detail, "status": http.StatusUnprocessableEntity})
}

// article puts an article into the catalogue: what was refused for it will be taken from now on.
func (r *receiver) article(w http.ResponseWriter, q *http.Request) {
	r.mu.Lock()
	delete(r.unknown, q.PathValue("article"))
	r.mu.Unlock()
	w.WriteHeader(http.StatusNoContent)
}

// note writes a line to the log, durably, and tells it on standard output.
func (r *receiver) note(line receivedLine) {
	line.At = r.now().UTC()
	var text bytes.Buffer
	_ = json.NewEncoder(&text).Encode(line) // texts and numbers always encode
	r.mu.Lock()
	defer r.mu.Unlock()
	_, err := r.log.Write(text.Bytes())
	if err == nil {
		err = r.log.Sync()
	}
	if err != nil {
		panic(fmt.Sprintf("the receiver cannot keep its log: %v", err)) // net/http drops the connection: nothing is confirmed
	}
	_, _ = r.out.Write(text.Bytes()) // only for the show
}

func digest(b []byte) string {
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:])
}
