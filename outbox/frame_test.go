package outbox

import (
	"hash/fnv"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"pgregory.net/rapid"
)

// Hashes are stored: a ledger written by one version is searched by the next.
func TestTheHashOfAKeyIsFNV1aOrOfTheWordsOfAUUID(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		key := rapid.String().Draw(t, "key")
		h := fnv.New64a()
		_, _ = h.Write([]byte(key))
		if got, want := hashKey(key), uint32(h.Sum64()>>32)^uint32(h.Sum64()); got != want {
			t.Fatalf("hashKey(%q) = %x, want %x", key, got, want)
		}
	})
	if got, want := hashKey("0123abcd-4567-89ef-8123-456789abcdef"), uint32(0x0123abcd^0x456789ef^0x81234567^0x89abcdef); got != want {
		t.Fatalf("the hash of a UUID is %x, want its words laid over each other, %x", got, want)
	}
}

func TestOnlyWhatReadsBackTheSameIsAUUID(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		text := rapid.StringMatching(`[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}`).Draw(t, "uuid")
		id, ok := parseUUID(text)
		if !ok || uuidText(id) != text {
			t.Fatalf("%s became %s (%v)", text, uuidText(id), ok)
		}
		at := rapid.IntRange(0, len(text)-1).Draw(t, "at")
		other := text[:at] + rapid.StringMatching(`[^0-9a-f-]`).Draw(t, "instead") + text[at+1:]
		for _, wrong := range []string{other, text[:35], text + "0", strings.ToUpper(text[:8]) + "-" + text[8:35]} {
			if id, ok := parseUUID(wrong); ok && uuidText(id) != wrong {
				t.Fatalf("%q was taken for a UUID", wrong)
			}
		}
	})
}

func TestMessagesComeBackAsTheyWere(t *testing.T) {
	t.Parallel()
	o := coder(t)
	rapid.Check(t, func(t *rapid.T) {
		header := rapid.Custom(func(t *rapid.T) Header {
			return Header{Name: rapid.SampledFrom([]string{"a", "b"}).Draw(t, "name"), Value: rapid.SampledFrom([]string{"", "x"}).Draw(t, "value")}
		})
		want := rapid.SliceOf(rapid.Custom(func(t *rapid.T) Message {
			body := rapid.SliceOf(rapid.Byte()).Draw(t, "body")
			return Message{
				Key: rapid.OneOf(rapid.String(), rapid.StringMatching(`[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}`)).Draw(t, "key"), Ref: rapid.String().Draw(t, "ref"), Record: rapid.Int64Min(0).Draw(t, "record"),
				Headers: rapid.SliceOfN(header, 0, 2).Draw(t, "headers"), Body: body, Size: int64(len(body)),
			}
		})).Draw(t, "messages")
		var c contents
		for i := range want {
			c.add(&want[i])
		}
		got, err := messages(c.payload(nil, o.encoder), len(want), o.decoder)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, got, cmpopts.EquateEmpty(), cmp.AllowUnexported(Message{})); diff != "" {
			t.Fatal(diff)
		}
	})
}

// The UUIDs stand outside what the compressor's checksum covers.
func TestADamagedKeyIsTold(t *testing.T) {
	t.Parallel()
	o := coder(t)
	var c contents
	const key = "0123abcd-4567-89ef-8123-456789abcdef"
	c.add(&Message{Key: key, Body: []byte("b")})
	payload := c.payload(nil, o.encoder)
	for i := range payload {
		payload[i] ^= 4
		if ms, err := messages(payload, 1, o.decoder); err == nil && ms[0].Key != key {
			t.Fatalf("byte %d of %d was changed, and read as %s", i, len(payload), ms[0].Key)
		}
		payload[i] ^= 4
	}
}

func coder(t testing.TB) *Outbox {
	t.Helper()
	o, err := New(nil, Config{})
	if err != nil {
		t.Fatal(err)
	}
	return o
}

// A damaged payload is told, whatever it is: before and behind the compressor.
func FuzzMessages(f *testing.F) {
	o := coder(f)
	var c contents
	c.add(&Message{Key: "k", Headers: []Header{{Name: "n", Value: "v"}}, Body: []byte("b")})
	c.add(&Message{Key: "0123abcd-4567-89ef-8123-456789abcdef", Object: 1, Size: 2})
	f.Add(c.uuids, c.bodies, c.heads, 2)
	f.Add([]byte{}, []byte{}, []byte{0, 0, 0, 0, 0, 0}, 2)
	f.Fuzz(func(t *testing.T, uuids, bodies, heads []byte, count int) {
		if count < 0 || count > batchCount {
			return
		}
		if ms, err := messages(heads, count, o.decoder); err == nil && len(ms) != count {
			t.Fatalf("%d messages of %d", len(ms), count)
		}
		c := contents{uuids: uuids, bodies: slices.Clone(bodies), heads: heads}
		if ms, err := messages(c.payload(nil, o.encoder), count, o.decoder); err == nil && len(ms) != count {
			t.Fatalf("%d messages of %d", len(ms), count)
		}
	})
}
