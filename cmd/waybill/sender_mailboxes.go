package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"time"

	"waybill/outbox"
	"waybill/outbox/file"
)

// What may lie in one folder of a mailbox when an acknowledgement is to be put there. A partner who never takes any away does not fill the disk with them:
// they wait in the outbox, where they are small, until he does.
const (
	ackFiles = 10_000
	ackBytes = 256 << 20
	ackLook  = time.Minute // between two counts of a folder
)

// ackPatience is how long the acknowledgements of one partner wait for those of his that are just being written, before they wait in the outbox.
const ackPatience = time.Second

// ackAtOnce is how many partners get acknowledgements at a time.
const ackAtOnce = 8

// ackFolders is how many folders of one partner are known, before those that nothing was written to lately are forgotten.
const ackFolders = 100

// mailboxTarget writes acknowledgements into the mailboxes of partners, each partner's apart from the others': what keeps one mailbox from taking them is
// nothing to the rest.
type mailboxTarget struct {
	folder string
	now    func() time.Time
	files  int // in one folder, at most; and bytes
	bytes  int64

	mu  sync.Mutex
	box map[string]*outTray // by partner
}

// An outTray is one partner's mailbox. Who holds it has put something into turn.
type outTray struct {
	target  outbox.Target
	turn    chan struct{}
	folders map[string]*heap
}

// A heap is what is known to lie in a folder.
type heap struct {
	files int
	bytes int64
	at    time.Time // when it was counted; what was written since is added
}

func newMailboxTarget(folder string, now func() time.Time) *mailboxTarget {
	return &mailboxTarget{folder: folder, now: now, files: ackFiles, bytes: ackBytes, box: map[string]*outTray{}}
}

// Deliver is that of [outbox.Target].
func (t *mailboxTarget) Deliver(ctx context.Context, ms []outbox.Message, done func(i int, r outbox.Receipt, err error)) error {
	if _, err := os.Stat(t.folder); err != nil {
		err = outbox.Unavailable(fmt.Errorf("open the mailboxes: %w: look at the data folder and its disk", err))
		for i := range ms {
			done(i, outbox.Receipt{}, err)
		}
		return nil
	}
	of := map[string][]int{}
	var order []string
	for i := range ms {
		partner, _, _ := strings.Cut(ms[i].Header(":name"), "/")
		if of[partner] == nil {
			order = append(order, partner)
		}
		of[partner] = append(of[partner], i)
	}
	var all sync.WaitGroup
	slots := make(chan struct{}, ackAtOnce)
	for _, partner := range order {
		slots <- struct{}{}
		all.Go(func() {
			defer func() { <-slots }()
			t.one(ctx, partner, ms, of[partner], done)
		})
	}
	all.Wait()
	return nil
}

// tray is the mailbox of a partner.
func (t *mailboxTarget) tray(partner string) (*outTray, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if b := t.box[partner]; b != nil {
		return b, nil
	}
	target, problems := file.New(file.Options{Folder: t.folder, Mode: "0600"}, file.Limits{}, t.now)
	for _, p := range problems {
		return nil, outbox.Unavailable(errors.New(p.Text))
	}
	b := &outTray{target: target, turn: make(chan struct{}, 1), folders: map[string]*heap{}}
	t.box[partner] = b
	return b, nil
}

// one delivers the messages of one partner, those of ms that which names.
func (t *mailboxTarget) one(ctx context.Context, partner string, ms []outbox.Message, which []int, done func(i int, r outbox.Receipt, err error)) {
	fail := func(err error) {
		for _, i := range which {
			done(i, outbox.Receipt{}, err)
		}
	}
	b, err := t.tray(partner)
	if err != nil {
		fail(err)
		return
	}
	patience := time.NewTimer(ackPatience)
	defer patience.Stop()
	select {
	case b.turn <- struct{}{}:
		defer func() { <-b.turn }()
	case <-ctx.Done():
		fail(ctx.Err())
		return
	case <-patience.C:
		fail(outbox.Alone(fmt.Errorf("acknowledge to %s: what was written to the mailbox before has not come to an end: look at its disk", partner)))
		return
	}
	var fits []outbox.Message
	var at []int
	for _, i := range which {
		if err := t.room(b, &ms[i]); err != nil {
			done(i, outbox.Receipt{}, err)
			continue
		}
		fits, at = append(fits, ms[i]), append(at, i)
	}
	if err := b.target.Deliver(ctx, fits, func(i int, r outbox.Receipt, err error) { done(at[i], r, ofOne(err)) }); err != nil {
		fail(ofOne(err)) // those that were reported are
	}
}

// ofOne makes what keeps one mailbox from taking something nobody else's concern. A disk without room is everybody's.
func ofOne(err error) error {
	var e *outbox.Error
	if !errors.As(err, &e) || e.Fault != outbox.FaultUnavailable || errors.Is(err, syscall.ENOSPC) {
		return err
	}
	return outbox.Alone(e.Err)
}

// room reports why a message cannot be put into its folder now, and counts it if it can. The turn is the caller's.
func (t *mailboxTarget) room(b *outTray, m *outbox.Message) error {
	name := path.Dir(m.Header(":name"))
	h := b.folders[name]
	if h == nil || t.now().Sub(h.at) >= ackLook || h.at.After(t.now()) {
		h = t.measure(name)
		b.forget(t.now())
		b.folders[name] = h
	}
	if h.files >= t.files || h.bytes+m.Size > t.bytes {
		return outbox.Alone(fmt.Errorf("acknowledge in %s: %d files (%d bytes) lie there that were not picked up: acknowledgements wait until the partner has taken some away", name, h.files, h.bytes))
	}
	h.files++
	h.bytes += m.Size
	return nil
}

// forget forgets folders whose count is out of date, so that names with the day in them are not kept for ever.
func (b *outTray) forget(now time.Time) {
	if len(b.folders) < ackFolders {
		return
	}
	maps.DeleteFunc(b.folders, func(_ string, h *heap) bool { return now.Sub(h.at) >= ackLook || h.at.After(now) })
}

// measure counts what lies in a folder, as far as it matters. What cannot be looked at is found out by writing to it.
func (t *mailboxTarget) measure(name string) *heap {
	h := &heap{at: t.now()}
	d, err := os.Open(filepath.Join(t.folder, filepath.FromSlash(name)))
	if err != nil {
		return h
	}
	defer func() { _ = d.Close() }() // only read
	for h.files < t.files {
		list, err := d.ReadDir(256)
		for _, e := range list {
			if info, err := e.Info(); err == nil && info.Mode()&fs.ModeType == 0 {
				h.files++
				h.bytes += info.Size()
			}
		}
		if err != nil {
			break
		}
	}
	return h
}
