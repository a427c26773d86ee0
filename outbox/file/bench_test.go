package file

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"waybill/outbox"
)

// BenchmarkSmallFloor is what durable small files cost at the least: write, sync, rename, eight at a
// time, and one sync of the folder for 64.
func BenchmarkSmallFloor(b *testing.B) {
	folder := b.TempDir()
	body := []byte(strings.Repeat("x", 1024))
	dir, err := os.Open(folder)
	if err != nil {
		b.Fatal(err)
	}
	defer func() { _ = dir.Close() }()
	b.ResetTimer()
	for from := 0; from < b.N; from += group {
		var next atomic.Int64
		var all sync.WaitGroup
		for range defaultConcurrency {
			all.Go(func() {
				for {
					n := next.Add(1) - 1
					if n >= group || from+int(n) >= b.N {
						return
					}
					name := filepath.Join(folder, fmt.Sprint(from+int(n)))
					f, err := os.OpenFile(name+".part", os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
					if err != nil {
						b.Error(err)
						return
					}
					_, _ = f.Write(body)
					if err := f.Sync(); err != nil {
						b.Error(err)
					}
					_ = f.Close()
					_ = os.Rename(name+".part", name)
				}
			})
		}
		all.Wait()
		if err := dir.Sync(); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "files/s")
}

// BenchmarkSmall is the same through Target.
func BenchmarkSmall(b *testing.B) {
	target, _ := New(Options{Folder: b.TempDir()}, Limits{}, clock)
	body := strings.Repeat("x", 1024)
	ms := make([]outbox.Message, b.N)
	for i := range ms {
		ms[i] = message(fmt.Sprint(i), fmt.Sprint(i, ".json"), body)
	}
	b.ReportAllocs()
	b.ResetTimer()
	deliver(b, target, ms)
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "files/s")
}

const large = 64 << 20

// BenchmarkLargeFloor copies 64 MiB into a file and syncs it.
func BenchmarkLargeFloor(b *testing.B) {
	folder := b.TempDir()
	b.SetBytes(large)
	for n := range b.N {
		f, err := os.Create(filepath.Join(folder, fmt.Sprint(n)))
		if err != nil {
			b.Fatal(err)
		}
		if _, err := io.CopyBuffer(struct{ io.Writer }{f}, io.LimitReader(zeros{}, large), make([]byte, 256<<10)); err != nil {
			b.Fatal(err)
		}
		if err := f.Sync(); err != nil {
			b.Fatal(err)
		}
		_ = f.Close()
		_ = os.Remove(f.Name())
	}
}

// BenchmarkLarge is the same through Target.
func BenchmarkLarge(b *testing.B) {
	folder := b.TempDir()
	target, _ := New(Options{Folder: folder}, Limits{}, clock)
	b.SetBytes(large)
	b.ReportAllocs()
	for n := range b.N {
		m := message(fmt.Sprint(n), fmt.Sprint(n), "")
		m.Size = large
		m.Open = func() (io.ReadCloser, error) { return io.NopCloser(io.LimitReader(zeros{}, large)), nil }
		deliver(b, target, []outbox.Message{m})
		_ = os.Remove(filepath.Join(folder, fmt.Sprint(n)))
	}
}

func deliver(b *testing.B, target *Target, ms []outbox.Message) {
	b.Helper()
	err := target.Deliver(b.Context(), ms, func(_ int, _ outbox.Receipt, err error) {
		if err != nil {
			b.Error(err)
		}
	})
	if err != nil {
		b.Fatal(err)
	}
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) { clear(p); return len(p), nil }
