package sftp

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"strings"

	"waybill/failpoint"
	"waybill/ledger"
	"waybill/watcher"
	"waybill/watcher/wire"
)

// report lays the reject report beside the file that was moved to folder under the name as: written aside, its size
// checked, then renamed.
func (c *closing) report(folder, as string) error {
	if c.how.Report == nil {
		return nil
	}
	// orders.csv that became orders.1.csv is told of by orders.1.csv.rejects.json.
	name := path.Base(c.how.ReportName)
	if rest, ok := strings.CutPrefix(name, path.Base(c.f.Path)); ok {
		name = as + rest
	}
	err := c.layReport(folder, name)
	if err != nil && !errors.Is(err, errLaid) {
		return fmt.Errorf("lay the reject report %s beside it: %w", ledger.Shown(name), err)
	}
	failpoint.Hit("sftp/reported")
	return nil
}

// errLaid says that the report is there already.
var errLaid = errors.New("laid before")

func (c *closing) layReport(folder, name string) error {
	for n := range maxNumber {
		below := path.Join(folder, watcher.Numbered(name, n))
		a, err := c.look(below)
		if errors.Is(err, fs.ErrNotExist) {
			break
		}
		if err != nil {
			return err
		}
		if a.Size != uint64(len(c.how.Report)) {
			continue
		}
		if old, err := c.read(below, len(c.how.Report)); err != nil {
			return err
		} else if bytes.Equal(old, c.how.Report) {
			return errLaid
		}
	}
	aside := path.Join(folder, ".waybill-"+strings.ReplaceAll(c.f.Version, " ", "-")+"-report.tmp")
	if err := c.write(aside, c.how.Report); err != nil {
		return err
	}
	a, err := c.look(aside)
	if err != nil {
		return err
	}
	// A server may say OK and keep less: what it has is what counts.
	if !a.tells(wire.HasSize) || a.Size != uint64(len(c.how.Report)) {
		return fmt.Errorf("%d bytes were sent and the server has %d", len(c.how.Report), a.Size)
	}
	_, err = c.renameNew(aside, folder, name)
	return err
}

// read reads n bytes of a small file.
func (c *closing) read(below string, n int) ([]byte, error) {
	h, err := c.on.openFile(c.ctx, c.s.full(below), wire.FlagRead)
	if err != nil {
		return nil, err
	}
	defer c.on.forget(h)
	var text []byte
	for len(text) < n {
		want := min(n-len(text), chunkSize)
		call, err := c.on.startRead(c.ctx, h, int64(len(text)), want)
		if err != nil {
			return nil, err
		}
		a, err := call.wait(c.ctx)
		if err != nil {
			return nil, err
		}
		b, err := a.Data()
		if err != nil {
			return nil, err
		}
		if len(b) == 0 || len(b) > want {
			return nil, wire.Broken("%d bytes where %d were asked for", len(b), want)
		}
		text = append(text, b...)
	}
	return text, nil
}

// write writes a small file, whatever was there. Each chunk is confirmed before the next is sent.
func (c *closing) write(below string, text []byte) error {
	h, err := c.on.openFile(c.ctx, c.s.full(below), wire.FlagWrite|wire.FlagCreate|wire.FlagTrunc)
	if err != nil {
		return err
	}
	for off := 0; off < len(text) && err == nil; off += chunkSize {
		b := text[off:min(off+chunkSize, len(text))]
		err = c.on.write(c.ctx, h, int64(off), b)
	}
	if _, can := c.on.extensions[wire.Fsync]; can && err == nil {
		err = c.on.fsync(c.ctx, h)
	}
	if closed := c.on.closeHandle(c.ctx, h); err == nil {
		err = closed
	}
	return err
}
