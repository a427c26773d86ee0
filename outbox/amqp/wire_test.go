package amqp

import (
	"bytes"
	"context"
	"errors"
	"net"
	"os"
	"testing"
	"time"
)

func TestWireKeepsTheOrderOfHeldAndOtherWrites(t *testing.T) {
	t.Parallel()
	a, b := net.Pipe()
	w := newWire(a, 5*time.Second, time.Now)
	var got bytes.Buffer
	read := make(chan error, 1)
	go func() { _, err := got.ReadFrom(b); read <- err }()
	var want []byte
	for i := range 200 {
		part := bytes.Repeat([]byte{byte(i)}, 1+i*i%40_000) // below and above the buffer
		want = append(want, part...)
		w.hold(i%5 != 4)
		if n, err := w.Write(part); n != len(part) || err != nil {
			t.Fatalf("write %d: %d, %v", i, n, err)
		}
		if i%17 == 0 {
			w.flush()
		}
	}
	w.flush()
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	if err := <-read; err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got.Bytes(), want) {
		t.Errorf("%d bytes arrived, %d were written, or in another order", got.Len(), len(want))
	}
}

func TestWireDoesNotHangOnAFullSocket(t *testing.T) {
	t.Parallel()
	a, b := net.Pipe() // nobody reads
	defer func() { _ = b.Close() }()
	w := newWire(a, 50*time.Millisecond, time.Now)
	if _, err := w.Write([]byte("x")); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("write: %v, want a time-out", err)
	}
	w.hold(true)
	if _, err := w.Write([]byte("x")); err != nil {
		t.Errorf("held: %v", err)
	}
	w.flush() // fails, and ends the connection
	if _, err := a.Write([]byte("x")); err == nil || errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("after a failed flush: %v, want a closed connection", err)
	}
}

func TestWireLimitEndsTheConnectionWithItsContext(t *testing.T) {
	t.Parallel()
	a, b := net.Pipe()
	w := newWire(a, time.Second, time.Now)
	ctx, cancel := context.WithCancel(t.Context())
	w.limit(ctx, time.Hour)() // released: nothing happens
	cancel()
	defer w.limit(ctx, time.Hour)()
	if _, err := b.Read(make([]byte, 1)); err == nil {
		t.Error("the connection is open although its context has ended")
	}
}
