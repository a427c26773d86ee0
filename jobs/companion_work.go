package jobs

import (
	"context"
	"errors"

	"waybill/formats"
	"waybill/ledger"
)

// openBeside gives in what belongs to the file of an entry, kept with it. verify and end are those of the file.
func (w *Worker) openBeside(ctx context.Context, e ledger.Entry, in *Input, verify, end func() error) (_, _ func() error, err error) {
	verifies, ends := []func() error{verify}, []func() error{end}
	defer func() {
		if err != nil {
			err = errors.Join(err, all(ends))
		}
	}()
	files, err := w.Ledger.Companions(ctx, e)
	if err != nil {
		return nil, nil, err
	}
	in.Beside = map[string]Beside{}
	for role, f := range files {
		b := Beside{Name: ledger.Shown(f.Within())}
		if bad := unreadable(role, f, e); bad != nil {
			b.Blob = formats.Blob{Name: f.Within(), Reader: failing{bad}, Size: -1}
			in.Beside[role] = b
			continue
		}
		r, err := w.Spool.Reader(ctx, f.Object)
		if err != nil {
			return nil, nil, err
		}
		verifies, ends = append(verifies, r.Verify), append(ends, r.Close)
		b.Blob = formats.Blob{Name: f.Within(), Reader: r, ReaderAt: r, Size: r.Size()}
		in.Beside[role] = b
	}
	return func() error { return all(verifies) }, func() error { return all(ends) }, nil
}

// unreadable says why a file that belongs to an entry is not read.
func unreadable(role string, f ledger.File, e ledger.Entry) error {
	switch {
	case f.ID == e.File:
		return &formats.FileError{Offset: -1, Reason: "the file that it belongs to never came: drop all of them again"}
	case f.Object == 0:
		return &formats.FileError{Offset: -1, Reason: "its bytes were removed by retention (retain.files): drop all of them again"}
	case role == ledger.RoleCompanion:
		return tooLarge(f)
	}
	return nil
}

// all calls each of list.
func all(list []func() error) error {
	var errs []error
	for _, f := range list {
		errs = append(errs, f())
	}
	return errors.Join(errs...)
}
