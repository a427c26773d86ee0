package jobs

import (
	"fmt"

	"waybill/formats"
)

// What is made of one record is held in memory. A text of it that stands in a row for each element of a list makes far more of it than was read: a file of two MiB
// becomes some GiB so. Each message of a record, and its rows in one file, take at most timesRecord times what the record itself may.
const timesRecord = 4

// What a cell and a draft take beside their bytes.
const (
	cellSize  = 32
	draftSize = 112
)

// room is how many bytes what one record becomes in one message, or in one file, may take.
func (p *Plan) room() int {
	var limits formats.Limits
	if p.options.Read != nil {
		limits = p.options.Read.Limits
	}
	return timesRecord * int(limits.WithDefaults().MaxRecord)
}

// weight is how much memory what is pending takes.
func (p *pending) weight() int {
	return len(p.bytes) + cellSize*len(p.cells) + draftSize*len(p.messages)
}

// tooMuch refuses what would be made of a record.
func tooMuch(room int) error {
	return &fault{reason: fmt.Sprintf("what is made of it takes more than %s, %d times max_record: let no long text stand in the row of each element of a list, or raise max_record", formats.Bytes(room), timesRecord)}
}
