package spool

import (
	"hash"
	"os"
)

// A tee gathers blocks, writes them to a file, and hashes them on a goroutine while the next one is gathered and written. It ends
// with stop, after which the sum is that of all that was written.
type tee struct {
	file  *os.File
	block []byte
	free  chan []byte
	full  chan []byte
	ended chan struct{} // nil once stopped
}

// teeBlocks are two that wait to be hashed and the one that is gathered.
const teeBlocks = 3

func newTee(f *os.File, sum hash.Hash) *tee {
	t := &tee{file: f, block: make([]byte, 0, Inline), free: make(chan []byte, teeBlocks), full: make(chan []byte, teeBlocks), ended: make(chan struct{})}
	for range teeBlocks - 1 {
		t.free <- nil // made when it is needed
	}
	go func() {
		defer close(t.ended)
		for b := range t.full {
			_, _ = sum.Write(b) // never fails
			t.free <- b[:0]
		}
	}()
	return t
}

func (t *tee) Write(p []byte) (n int, err error) {
	for n < len(p) {
		k := copy(t.block[len(t.block):cap(t.block)], p[n:])
		t.block = t.block[:len(t.block)+k]
		n += k
		if len(t.block) < cap(t.block) {
			break
		}
		if err := t.flush(); err != nil {
			return n, err
		}
	}
	return n, nil
}

func (t *tee) flush() error {
	if _, err := t.file.Write(t.block); err != nil {
		return err
	}
	t.full <- t.block
	if t.block = <-t.free; t.block == nil {
		t.block = make([]byte, 0, Inline)
	}
	return nil
}

// stop ends the goroutine, once all that was flushed is hashed.
func (t *tee) stop() {
	if t.ended == nil {
		return
	}
	close(t.full)
	<-t.ended
	t.ended = nil
}
