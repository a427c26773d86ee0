package unpack

import (
	"bytes"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"filippo.io/age"
	"pgregory.net/rapid"

	"waybill/formats"
)

// copies makes a message whose session key stands there so many times.
func copies(t *testing.T, data []byte, n int) []byte {
	t.Helper()
	tag, size := packetHead(data[:6])
	if tag != 1 || size < 10 {
		t.Fatalf("the message begins with packet %d of %d bytes", tag, size)
	}
	return append(bytes.Repeat(data[:size], n), data[size:]...)
}

func TestAMessageForManyReceiversIsRefused(t *testing.T) {
	t.Parallel()
	ours := pgpKey(t, "ours")
	k := Keys{PGP: &PGP{Decrypt: []string{exported(t, ours, true)}}}
	data := pgpMade(t, []byte("a,b\n1,2\n"), ours, nil)
	for _, armor := range []bool{false, true} {
		as := func(n int) []byte {
			m := copies(t, data, n)
			if armor {
				m = armored(t, m)
			}
			return m
		}
		if text, err := opened(t, as(sessionKeysMost), "pgp", k, formats.Limits{}); err != nil || text != "a,b\n1,2\n" {
			t.Errorf("%d: %q, %v", sessionKeysMost, text, err)
		}
		for _, n := range []int{sessionKeysMost + 1, 5000} {
			if text, err := opened(t, as(n), "pgp", k, formats.Limits{}); err == nil || text != "" || !strings.Contains(err.Error(), "more than 64 keys and passphrases") {
				t.Errorf("%d: %q, %v", n, text, err)
			}
		}
	}
}

func TestLengthsOfPacketsAreThoseOfTheirHeads(t *testing.T) {
	t.Parallel()
	for head, want := range map[string]int64{
		"\xc1\x05": 7, "\xc1\xbf": 193, "\xc1\xc0\x00": 195, "\xc1\xdf\xff": 8386, "\xc1\xff\x00\x00\x01\x00": 262, "\xc1\xe0": -1,
		"\x84\x05": 7, "\x85\x01\x02": 261, "\x86\x00\x00\x01\x00": 261, "\x87\x00": -1,
	} {
		if tag, got := packetHead([]byte(head)); tag != 1 || got != want {
			t.Errorf("%x: packet %d of %d bytes, want %d", head, tag, got, want)
		}
	}
	rapid.Check(t, func(t *rapid.T) {
		head := rapid.SliceOfN(rapid.Byte(), 0, 6).Draw(t, "head")
		if tag, size := packetHead(head); tag > 63 || size < -1 || tag != 0 && size >= 0 && size < 2 {
			t.Fatalf("packet %d of %d bytes", tag, size)
		}
	})
}

// busy is an identity that notes when it is asked while it is asked.
type busy struct {
	at      chan struct{}
	overlap *atomic.Bool
}

func (b busy) Unwrap([]*age.Stanza) ([]byte, error) {
	select {
	case b.at <- struct{}{}:
	default:
		b.overlap.Store(true)
		return nil, nil
	}
	runtime.Gosched()
	<-b.at
	return nil, nil
}

func TestPassphrasesAreTriedOneAfterTheOther(t *testing.T) {
	t.Parallel()
	var overlap atomic.Bool
	at := make(chan struct{}, 1)
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for range 200 {
				_, _ = inTurn{busy{at, &overlap}}.Unwrap(nil) // gives nothing
			}
		})
	}
	if wg.Wait(); overlap.Load() {
		t.Error("two at once, which takes 512 MiB")
	}
	list, ps := (&Age{Passphrase: "open sesame"}).keys()
	if _, ok := list[0].(inTurn); !ok || len(ps) > 0 {
		t.Errorf("%T, %v", list[0], ps)
	}
}
