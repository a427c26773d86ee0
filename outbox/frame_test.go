package outbox

import (
	"hash/fnv"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"pgregory.net/rapid"
)

// Hashes are stored: a ledger written by one version is searched by the next.
func TestTheHashOfAKeyIsFNV1a(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		key := rapid.String().Draw(t, "key")
		h := fnv.New64a()
		_, _ = h.Write([]byte(key))
		if got := hashKey(key); got != h.Sum64() {
			t.Fatalf("hashKey(%q) = %x, want %x", key, got, h.Sum64())
		}
	})
}

func TestMessagesComeBackAsTheyWere(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		header := rapid.Custom(func(t *rapid.T) Header {
			return Header{Name: rapid.SampledFrom([]string{"a", "b"}).Draw(t, "name"), Value: rapid.SampledFrom([]string{"", "x"}).Draw(t, "value")}
		})
		want := rapid.SliceOf(rapid.Custom(func(t *rapid.T) Message {
			body := rapid.SliceOf(rapid.Byte()).Draw(t, "body")
			return Message{
				Key: rapid.String().Draw(t, "key"), Ref: rapid.String().Draw(t, "ref"), Record: rapid.Int64Min(0).Draw(t, "record"),
				Headers: rapid.SliceOfN(header, 0, 2).Draw(t, "headers"), Body: body, Size: int64(len(body)),
			}
		})).Draw(t, "messages")
		var raw []byte
		var before []Header
		for i := range want {
			raw = appendMessage(raw, &want[i], before)
			before = want[i].Headers
		}
		got, err := messages(raw, len(want))
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, got, cmpopts.EquateEmpty(), cmp.AllowUnexported(Message{})); diff != "" {
			t.Fatal(diff)
		}
	})
}

// A damaged payload is told, whatever it is.
func FuzzMessages(f *testing.F) {
	f.Add(appendMessage(nil, &Message{Key: "k", Headers: []Header{{Name: "n", Value: "v"}}, Body: []byte("b")}, nil), 1)
	f.Add([]byte{0, 0, 0, 0, 0, 0}, 2)
	f.Fuzz(func(t *testing.T, raw []byte, count int) {
		if count < 0 || count > batchCount {
			return
		}
		if ms, err := messages(raw, count); err == nil && len(ms) != count {
			t.Fatalf("%d messages of %d", len(ms), count)
		}
	})
}
