package outbox

import (
	"hash/fnv"
	"testing"

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
