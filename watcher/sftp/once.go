package sftp

import (
	"hash/maphash"
	"sync"
)

// marksKept bounds what is remembered of files that were opened. A mailbox that takes a file away when it is opened has no use for any.
const marksKept = 100_000

// marks remember which files of a mailbox were opened, as long as it lists them: what it gives of one a second time may be less than the file, and as its
// size is not relied on nobody would know.
type marks struct {
	seed maphash.Seed

	mu sync.Mutex
	of map[uint64]bool // by path and version: whether it was listed, or opened, since the listing began
}

func newMarks() *marks { return &marks{seed: maphash.MakeSeed(), of: map[uint64]bool{}} }

func (m *marks) key(path, version string) uint64 {
	return maphash.Comparable(m.seed, [2]string{path, version})
}

// set marks a file. It is false when it has its mark.
func (m *marks) set(path, version string) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	k := m.key(path, version)
	if _, there := m.of[k]; there {
		return false
	}
	for other := range m.of {
		if len(m.of) < marksKept {
			break
		}
		delete(m.of, other)
	}
	m.of[k] = true
	return true
}

// unset takes the mark of a file that was not opened after all.
func (m *marks) unset(path, version string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.of, m.key(path, version))
}

// begin says that a listing begins.
func (m *marks) begin() {
	m.mu.Lock()
	defer m.mu.Unlock()
	for k := range m.of {
		m.of[k] = false
	}
}

// listed says that a file is there.
func (m *marks) listed(path, version string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if k := m.key(path, version); len(m.of) > 0 {
		if _, there := m.of[k]; there {
			m.of[k] = true
		}
	}
}

// end says that the listing had all there is: what is not there any more may come again, as another file.
func (m *marks) end() {
	m.mu.Lock()
	defer m.mu.Unlock()
	for k, there := range m.of {
		if !there {
			delete(m.of, k)
		}
	}
}
