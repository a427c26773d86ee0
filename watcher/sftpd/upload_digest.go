package sftpd

import (
	"crypto/sha256"
	"hash"
	"io"
	"os"
	"sync"

	"golang.org/x/sys/unix"

	"waybill/ledger"
)

const (
	digestBlock = 256 << 10 // read at a time
	digestLag   = 1 << 20   // written before the digest is woken
	// Uploads of one partner that are digested at the same time: a byte added to each of many large ones has all of them read anew, and the processors
	// are everybody's.
	hashingAtOnce = 2
	flushAhead    = 8 << 20 // given to the disk at a time, so that little is left to be synced at CLOSE
)

// A digester follows an upload that is being written with its SHA-256, in a goroutine of its own, so that all is known soon after
// the last byte. It reads the bytes back from the file, which still is in memory.
type digester struct {
	file *os.File

	mu    sync.Mutex
	wake  sync.Cond
	goal  int64 // bytes from the beginning that were written
	woken int64 // goal when it was last woken
	done  int64 // bytes digested
	epoch int   // counts restarts
	end   bool
	err   error

	// Of the goroutine, until it has ended.
	hash    hash.Hash
	blank   ledger.Blankness
	flushed int64
	buffers *sync.Pool    // *[]byte of digestBlock
	turns   chan struct{} // of the mailbox
	ended   chan struct{}
}

// digest begins to follow file.
func digest(file *os.File, buffers *sync.Pool, turns chan struct{}) *digester {
	d := &digester{file: file, hash: sha256.New(), buffers: buffers, turns: turns, ended: make(chan struct{})}
	d.wake.L = &d.mu
	go d.run()
	return d
}

// reach says that all bytes up to goal were written.
func (d *digester) reach(goal int64) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.goal = goal
	if goal-d.woken >= digestLag {
		d.woken = goal
		d.wake.Broadcast()
	}
}

// rewrite says that bytes from the given one on are about to change: what is digested already is to be done anew.
func (d *digester) rewrite(from int64) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.goal, d.woken = min(d.goal, from), min(d.woken, from)
	d.epoch++
	d.done = 0
}

func (d *digester) run() {
	defer close(d.ended)
	d.mu.Lock()
	defer d.mu.Unlock()
	for {
		for !d.end && (d.done >= d.goal || d.err != nil) {
			d.wake.Wait()
		}
		if d.end {
			return
		}
		from, epoch := d.done, d.epoch
		n := min(d.goal-from, digestBlock)
		d.mu.Unlock()
		err := d.block(from, n)
		d.mu.Lock()
		switch {
		case epoch != d.epoch: // what was read may be half old; the next block is the first
		case err != nil:
			d.err = err
		default:
			d.done = from + n
		}
		d.wake.Broadcast()
	}
}

// block digests n bytes.
func (d *digester) block(from, n int64) error {
	if from == 0 {
		d.hash.Reset()
		d.blank, d.flushed = ledger.Blankness{}, 0
	}
	d.turns <- struct{}{}
	defer func() { <-d.turns }()
	buf := d.buffers.Get().(*[]byte)
	defer d.buffers.Put(buf)
	b := (*buf)[:n]
	if _, err := io.ReadFull(io.NewSectionReader(d.file, from, n), b); err != nil {
		return err
	}
	_, _ = d.hash.Write(b)
	d.blank.Look(b)
	if end := from + n; end-d.flushed >= flushAhead {
		_ = unix.SyncFileRange(int(d.file.Fd()), d.flushed, end-d.flushed, unix.SYNC_FILE_RANGE_WRITE) // only a favour to the sync at the end
		d.flushed = end
	}
	return nil
}

// sum waits until size bytes are digested and returns their SHA-256. It ends the goroutine.
func (d *digester) sum(size int64) ([]byte, bool, error) {
	d.mu.Lock()
	d.goal = size
	d.wake.Broadcast()
	for d.done < size && d.err == nil {
		d.wake.Wait()
	}
	err := d.err
	d.mu.Unlock()
	d.stop()
	if err != nil {
		return nil, false, err
	}
	return d.hash.Sum(nil), d.blank.Blank(), nil
}

// A sum is the digest of a file that is kept whole.
type sum struct {
	inode  uint64
	size   int64
	digest []byte
	blank  bool
}

// maxSums is how many of them a mailbox keeps.
const maxSums = 256

// stop ends the goroutine and waits for it.
func (d *digester) stop() {
	d.mu.Lock()
	d.end = true
	d.wake.Broadcast()
	d.mu.Unlock()
	<-d.ended
}
