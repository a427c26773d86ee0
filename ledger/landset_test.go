package ledger

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"strings"
	"testing"

	"waybill/store"
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

// Where there is no room for a set, those of it that there is room for land all the same; the others later.
func TestOfASetThatThereIsNoRoomForLandsWhatThereIsRoomFor(t *testing.T) {
	t.Parallel()
	r := newRig(t, orders())
	bound := func(more int64) {
		r.tx(func(tx *store.Tx) error {
			var pages int64
			if err := tx.QueryRow("PRAGMA page_count").Scan(&pages); err != nil {
				return err
			}
			return tx.QueryRow(fmt.Sprintf("PRAGMA max_page_count = %d", pages+more)).Scan(&pages)
		})
	}
	set := []Parcel{
		parcel("drop", "1.csv", "1"),
		parcel("drop", "much.csv", strings.Repeat("2", 60_000)),   // in the database
		parcel("drop", "large.csv", strings.Repeat("3", 100_000)), // in a file of its own, which the failure of the set must leave
		parcel("drop", "4.csv", "4"),
	}
	for i := range set {
		set[i].Arrival.Version = "v"
	}
	bound(10)
	errs := r.LandSet(ctx, set)
	for i, err := range errs {
		if full := i == 1; errors.Is(err, ErrFull) != full || (err != nil) != full {
			t.Errorf("%s: %v", set[i].Arrival.Path, err)
		}
	}
	if n := strings.Count(dump(t, r), "|landed|"); n != 3 {
		t.Errorf("%d files landed", n)
	}
	bound(1000)
	if err := errors.Join(r.LandSet(ctx, set)...); err != nil {
		t.Fatal(err)
	}
	if lines := dump(t, r); strings.Count(lines, "|landed|") != 4 || strings.Count(lines, "entry|") != 4 {
		t.Errorf("in the end:\n%.2000s", lines)
	}
}

// failing is a reader that fails.
type failing struct{ err error }

func (f failing) Read([]byte) (int, error) { return 0, f.err }
