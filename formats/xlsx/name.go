package xlsx

import "strconv"

// What a sheet may hold.
const (
	MaxRows    = 1 << 20
	MaxColumns = 1 << 14
)

// SplitName takes B7 apart.
func SplitName(b []byte) (column int, row int64, ok bool) {
	i := 0
	for i < len(b) && i < 4 && b[i] >= 'A' && b[i] <= 'Z' {
		column = column*26 + int(b[i]-'A') + 1
		i++
	}
	row, ok = digitsOf(b[i:])
	return column, row, ok && column > 0
}

// CellName is B7 for column 2 and row 7.
func CellName(column int, row int64) string {
	return Letters(column) + strconv.FormatInt(row, 10)
}

// Letters is B for column 2.
func Letters(column int) string {
	var b [4]byte
	i := len(b)
	for ; column > 0 && i > 0; column = (column - 1) / 26 {
		i--
		b[i] = byte('A' + (column-1)%26)
	}
	return string(b[i:])
}
