package spool

import (
	"hash"
	"io"
)

// Reading ahead: two blocks are read and hashed on a goroutine while the caller is at work on a third.
const (
	aheadLeast  = 1 << 20 // bytes of an object for which a goroutine is worth its while
	aheadBlock  = 128 << 10
	aheadBlocks = 3
)

// ahead reads and hashes a file before its bytes are asked for. It ends with stop.
type ahead struct {
	full  chan block
	free  chan []byte
	halt  chan struct{}
	ended chan struct{}
	block block // being read
	at    int
}

// block is what one Read gave: bytes, and why there were no more.
type block struct {
	room []byte
	n    int
	err  error
}

// newAhead starts to read r and to hash what it yields. The sum is right once io.EOF has been returned.
func newAhead(r io.Reader, sum hash.Hash) *ahead {
	a := &ahead{full: make(chan block, aheadBlocks), free: make(chan []byte, aheadBlocks), halt: make(chan struct{}), ended: make(chan struct{})}
	for range aheadBlocks {
		a.free <- make([]byte, aheadBlock)
	}
	go a.run(r, sum)
	return a
}

func (a *ahead) run(r io.Reader, sum hash.Hash) {
	defer close(a.ended)
	for {
		select {
		case <-a.halt:
			return
		case room := <-a.free:
			n, err := r.Read(room)
			_, _ = sum.Write(room[:n]) // never fails
			a.full <- block{room, n, err}
			if err != nil {
				return
			}
		}
	}
}

func (a *ahead) Read(p []byte) (int, error) {
	for a.at == a.block.n {
		if a.block.err != nil {
			return 0, a.block.err
		}
		if a.block.room != nil {
			a.free <- a.block.room
		}
		a.block, a.at = <-a.full, 0
	}
	n := copy(p, a.block.room[a.at:a.block.n])
	a.at += n
	return n, nil
}

// stop ends the goroutine and returns when it has ended.
func (a *ahead) stop() {
	close(a.halt)
	<-a.ended
}
