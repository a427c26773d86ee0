package fault

import (
	"fmt"
	"math"
	"strconv"
	"strings"
)

// Bytes is a size, written as a number with its unit: 8MiB.
type Bytes int64

// units of sizes; the longer suffix stands before the one it ends with.
var units = []struct {
	suffix string
	factor int64
}{{"KiB", 1 << 10}, {"MiB", 1 << 20}, {"GiB", 1 << 30}, {"KB", 1e3}, {"MB", 1e6}, {"GB", 1e9}, {"B", 1}}

// UnmarshalText reads a size.
func (b *Bytes) UnmarshalText(text []byte) error {
	s := string(text)
	for _, u := range units {
		digits, found := strings.CutSuffix(s, u.suffix)
		if !found {
			continue
		}
		n, err := strconv.ParseUint(digits, 10, 63)
		if err != nil || int64(n) > math.MaxInt64/u.factor {
			break
		}
		*b = Bytes(int64(n) * u.factor)
		return nil
	}
	return fmt.Errorf("%q is not a size: write a whole number and B, KiB, MiB, GiB, KB, MB or GB, as in 8MiB", s)
}

// MarshalText writes a size in the largest unit that divides it.
func (b Bytes) MarshalText() ([]byte, error) { return []byte(b.String()), nil }

func (b Bytes) String() string {
	for _, u := range []int{2, 1, 0} {
		if f := Bytes(units[u].factor); b != 0 && b%f == 0 {
			return strconv.FormatInt(int64(b/f), 10) + units[u].suffix
		}
	}
	return strconv.FormatInt(int64(b), 10) + "B"
}
