package sftpd

import (
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/pkg/sftp"
)

// A slowJournal takes no note about one partner until it is let go.
type slowJournal struct {
	Journal
	partner string
	reached chan struct{}
	let     chan struct{}
}

func (j *slowJournal) Note(ctx context.Context, kind string, detail map[string]any) error {
	if detail["partner"] == j.partner {
		j.reached <- struct{}{}
		select {
		case <-j.let:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return j.Journal.Note(ctx, kind, detail)
}

// as connects a client for another partner. The channel tells how the server's side ended.
func (r *rig) as(ctx context.Context, partner string) (*sftp.Client, <-chan error) {
	near, far := pipe()
	s := r.session()
	s.Account.Name = partner
	served := make(chan error, 1)
	go func() {
		err := r.files.Serve(ctx, s, far)
		_ = far.Close()
		served <- err
	}()
	r.t.Cleanup(func() { _ = near.Close() })
	c, err := sftp.NewClientPipe(near, near)
	if err != nil && !errors.Is(err, io.EOF) && !errors.Is(err, io.ErrClosedPipe) {
		r.t.Errorf("connect: %v", err)
	}
	return c, served
}

// After a start of the machine a mailbox is looked through before it is opened. That of one partner, which may be large, holds up only him; a connection that
// ends meanwhile leaves the rest to the next.
func TestOneMailboxThatOpensSlowlyHoldsUpNoOther(t *testing.T) {
	t.Parallel()
	slow := &slowJournal{partner: "slow", reached: make(chan struct{}, 10), let: make(chan struct{})}
	r := newRig(t, func(o *FilesOptions) { slow.Journal, o.Journal = o.Journal, slow })
	torn := filepath.Join(r.data, "mailboxes", "slow", "in", "a.csv")
	r.must(os.MkdirAll(filepath.Dir(torn), 0o700))
	r.must(os.WriteFile(torn, pattern(100), modeGaps))
	r.must(os.Chmod(torn, modeGaps))

	first, end := context.WithCancel(t.Context())
	defer end()
	go func() { _, _ = r.as(first, "slow") }()
	<-slow.reached // it is being opened
	second := make(chan *sftp.Client, 1)
	go func() {
		c, _ := r.as(t.Context(), "slow")
		second <- c
	}()
	good, served := r.as(t.Context(), "acme")
	r.must(send(good, "/in/a.csv", pattern(100)))
	r.must(good.Close())
	<-served
	select {
	case <-second:
		t.Fatal("the mailbox was open before it was looked through")
	default:
	}
	r.must(os.WriteFile(torn, pattern(100), modeGaps))
	r.must(os.Chmod(torn, modeGaps))
	end()
	<-slow.reached // by the second
	close(slow.let)
	select {
	case c := <-second:
		r.must(send(c, "/in/b.csv", pattern(100)))
	case <-time.After(patience):
		t.Fatal("the second connection still waits")
	}
	if _, err := os.Stat(torn); !os.IsNotExist(err) {
		t.Errorf("what was torn is still there: %v", err)
	}
	r.files.mu.Lock()
	defer r.files.mu.Unlock()
	if box := r.files.boxes["slow"]; len(r.files.boxes) != 1 || box == nil || box.sessions != 1 {
		t.Errorf("open: %v", r.files.boxes)
	}
}
