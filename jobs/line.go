package jobs

import (
	"context"
	"errors"

	"waybill/formats"
)

// Line returns the line at which a record of a file starts, 0 where the format has no lines or there is no such record. It reads
// the file up to there.
func (p *Plan) Line(ctx context.Context, b formats.Blob, record int64) (int64, error) {
	if record == 0 || p.reader.none || p.reader.decoder == nil || p.converter != nil { // whose lines are no lines of the file
		return 0, nil
	}
	for rec, err := range p.reader.decoder.Decode(b) {
		var bad *formats.RecordError
		switch {
		case errors.As(err, &bad):
			continue
		case err != nil:
			return 0, err
		case rec.Number == record && rec.Part < p.reader.kinds:
			return rec.Line, nil
		}
		if rec.Number%1024 == 0 && ctx.Err() != nil {
			return 0, ctx.Err()
		}
	}
	return 0, nil
}
