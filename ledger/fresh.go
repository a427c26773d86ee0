package ledger

import "sync"

// freshMost bounds the bytes of what is kept of fresh files.
const freshMost = 4 << 20

// fresh keeps the small files that this process has just landed until they have been worked, which is mostly at once: then neither
// their rows nor their bytes need be read back. It says what the rows said when they were written. The database alone tells whether an
// entry is to be worked still; what changes one that is, changes it under a claim, and at the end of a claim it goes from here.
type fresh struct {
	mu    sync.Mutex
	files map[int64]freshFile // by entry
	bytes int
	used  bool // something was found since there was no room
}

type freshFile struct {
	entry   Entry
	file    File
	content []byte
}

// size is what it takes of the room: the bytes, and about as much as the rows take.
func (f *freshFile) size() int { return len(f.content) + 1<<10 }

// put takes in what has landed. What has no room is read from the database like any other; where nobody asks, as while a job is paused,
// what is here makes room.
func (m *fresh) put(list []freshFile) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, f := range list {
		if m.bytes+f.size() > freshMost {
			if !m.used {
				m.empty()
			}
			m.used = false
			return
		}
		m.files[f.entry.ID] = f
		m.bytes += f.size()
	}
}

// entries returns those of ids that are here as entries of job, and the others.
func (m *fresh) entries(job string, ids []int64) (list []Entry, others []int64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, id := range ids {
		f, ok := m.files[id]
		if !ok || f.entry.Job != job {
			others = append(others, id)
			continue
		}
		list, m.used = append(list, f.entry), true
	}
	return list, others
}

// of returns the file of an entry, and its bytes.
func (m *fresh) of(entry int64) (freshFile, bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	f, ok := m.files[entry]
	return f, ok
}

// drop forgets an entry.
func (m *fresh) drop(entry int64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if f, ok := m.files[entry]; ok {
		m.bytes -= f.size()
		delete(m.files, entry)
	}
}

// clear forgets everything, for what the rows say has changed.
func (m *fresh) clear() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.empty()
}

func (m *fresh) empty() {
	clear(m.files)
	m.bytes = 0
}

// Fresh returns the file of a claimed entry with its bytes, where this process has landed it and has them still. They are not to be changed.
func (l *Ledger) Fresh(entry int64) (f File, content []byte, ok bool) {
	got, ok := l.fresh.of(entry)
	return got.file, got.content, ok
}
