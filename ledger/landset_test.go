package ledger

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"strings"
	"testing"
)

func parcel(source, path, text string) Parcel {
	return Parcel{Arrival: Arrival{Source: source, Path: path, Version: "v " + text}, Open: func(context.Context) (io.ReadCloser, error) {
		return io.NopCloser(strings.NewReader(text)), nil
	}}
}

// A set must leave what landing one file after the other leaves.
func TestASetLandsAsItsFilesWouldOneByOne(t *testing.T) {
	t.Parallel()
	for _, identity := range []string{ByContent, ByName, ByNameContent} {
		t.Run(identity, func(t *testing.T) {
			t.Parallel()
			job := orders()
			job.Identity = identity
			one, set := newRig(t, job), newRig(t, job)
			random := rand.New(rand.NewPCG(1, 2))
			for range 15 {
				var list []Parcel
				for range 1 + random.IntN(100) {
					path := fmt.Sprintf("%d.csv", random.IntN(600))
					list = append(list, parcel("drop", path, strings.Repeat("x", random.IntN(600))))
				}
				for _, p := range list {
					r, _ := p.Open(ctx)
					if _, _, err := one.Land(ctx, p.Arrival, r); err != nil {
						t.Fatal(err)
					}
				}
				if err := errors.Join(set.LandSet(ctx, list)...); err != nil {
					t.Fatal(err)
				}
			}
			if a, b := dump(t, one), dump(t, set); a != b {
				t.Errorf("one by one:\n%.4000s\nas sets:\n%.4000s", a, b)
			}
		})
	}
}

// dump shows files, entries and objects.
func dump(t *testing.T, r *rig) string {
	t.Helper()
	lines, err := collect(r.db.Reader(ctx), func(scan func(...any) error) (line string, err error) {
		err = scan(&line)
		return line, err
	}, `SELECT concat_ws('|', 'file', f.id, source, path, version, f.size, mtime, hex(f.digest), object, state, reason, until, seen, landed, closed, hex(bytes), made)
		FROM files f JOIN objects o ON o.id = f.object
		UNION ALL SELECT concat_ws('|', 'entry', id, kind, job, run, origin, file, source, name, identity, verdict, twin, state, reason, since, till, received, finished) FROM entries
		UNION ALL SELECT concat_ws('|', 'event', id, kind, entry, detail) FROM events`)
	if err != nil {
		t.Fatal(err)
	}
	return strings.Join(lines, "\n")
}

func TestWhatOneOfASetCannotDoKeepsNoOther(t *testing.T) {
	t.Parallel()
	r := newRig(t, orders())
	broken := errors.New("broken")
	bad := parcel("drop", "bad.csv", "b")
	bad.Open = func(context.Context) (io.ReadCloser, error) { return nil, broken }
	torn := parcel("drop", "torn.csv", "t")
	torn.Open = func(context.Context) (io.ReadCloser, error) {
		return io.NopCloser(io.MultiReader(strings.NewReader("t"), failing{broken})), nil
	}
	errs := r.LandSet(ctx, []Parcel{parcel("drop", "1.csv", "1"), bad, parcel("drop", "2.csv", "2"), torn, parcel("drop", "large.csv", strings.Repeat("3", 100_000))})
	for i, wrong := range []bool{false, true, false, true, false} {
		if errors.Is(errs[i], broken) != wrong || (errs[i] != nil) != wrong {
			t.Errorf("%d: %v", i, errs[i])
		}
	}
	if n := strings.Count(dump(t, r), "|landed|"); n != 3 {
		t.Errorf("%d files landed", n)
	}
}

// failing is a reader that fails.
type failing struct{ err error }

func (f failing) Read([]byte) (int, error) { return 0, f.err }
