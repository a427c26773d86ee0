package sftpd

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"

	"go.uber.org/goleak"
)

func TestUploadHasLandedWhenCloseAnswers(t *testing.T) {
	t.Parallel()
	for _, size := range []int{0, 1, 65536, 65537, 3 << 20} {
		r := newRig(t)
		c, cut := r.dial()
		f, err := c.Create("/in/a.csv")
		r.must(err)
		_, err = f.ReadFrom(bytes.NewReader(pattern(size)))
		r.must(err)
		if _, landed := r.content("acme/a.csv"); landed {
			t.Fatal("landed before CLOSE")
		}
		r.must(f.Close())
		got, landed := r.content("acme/a.csv")
		if !landed || got != string(pattern(size)) {
			t.Fatalf("%d bytes: landed %t, %d bytes", size, landed, len(got))
		}
		if left, err := os.ReadDir(filepath.Join(r.data, "mailboxes", "acme", "in")); err != nil || len(left) > 0 {
			t.Errorf("%d bytes: %v is left in the mailbox, %v", size, left, err)
		}
		info, err := c.Stat("/in/a.csv")
		if err != nil || info.Size() != int64(size) {
			t.Errorf("stat: %v, %v", info, err)
		}
		cut()
		if got := r.entries(); len(got) != 1 || got[0].Name != "acme/a.csv" || got[0].Source != "partners" {
			t.Errorf("entries %+v", got)
		}
	}
}

func TestDroppedConnectionPublishesNothing(t *testing.T) {
	t.Parallel()
	for _, size := range []int{10, 65536, 1 << 20} {
		r := newRig(t)
		c, cut := r.dial()
		f, err := c.Create("/in/a.csv")
		r.must(err)
		_, err = f.Write(pattern(size))
		r.must(err)
		cut()
		if _, landed := r.content("acme/a.csv"); landed || len(r.entries()) > 0 {
			t.Fatalf("%d bytes were published without CLOSE", size)
		}
		// What was sent is still there, for this partner, and an upload that goes on completes it.
		c, _ = r.dial()
		info, err := c.Stat("/in/a.csv")
		if err != nil || info.Size() != int64(size) {
			t.Fatalf("after the break: %v, %v", info, err)
		}
		f, err = c.OpenFile("/in/a.csv", os.O_WRONLY)
		r.must(err)
		whole := pattern(size + 1000)
		_, err = f.WriteAt(whole[size:], int64(size))
		r.must(err)
		r.must(f.Close())
		if got, landed := r.content("acme/a.csv"); !landed || got != string(whole) {
			t.Errorf("resumed: landed %t, %d bytes", landed, len(got))
		}
	}
}

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }
