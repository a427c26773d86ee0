package jobs

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"waybill/formats"
	"waybill/jobs/convert"
	"waybill/ledger"
	"waybill/store"
)

// convert makes what converts files before they are read.
func (c *compiler) convert(o *convert.Options) {
	if o == nil {
		return
	}
	if c.plan.options.Query != nil {
		c.problem("read.convert", "does not go with query: its rows are no file")
		return
	}
	absolute := c.env.Absolute
	if absolute == nil {
		absolute = func(path string) string { return path }
	}
	made, problems := convert.New(*o, absolute)
	for _, p := range problems {
		if c.env.Blind && p.Path == "command[0]" { // whoever only looks may be somebody who cannot see it
			continue
		}
		c.problem("read.convert."+p.Path, "%s", p.Text)
	}
	c.plan.converter = made
}

// Converter is the program that makes of the job's files what is read, "" when there is none.
func (p *Plan) Converter() string {
	if p.converter == nil {
		return ""
	}
	return p.converter.Name()
}

// convert has the file converted, and returns what is to be called when it is not read any more. A file with nothing in it has no records, whatever
// a program would make of it.
func (r *run) convert() (end func(), err error) {
	c := r.p.converter
	if c == nil || r.in.Rows != nil || r.in.Blob.Size == 0 {
		return func() {}, nil
	}
	done, err := c.Run(r.ctx, r.in.Blob, r.in.Place)
	if err != nil {
		return func() {}, err
	}
	r.in.Blob = done.Blob
	if r.in.Converted != nil {
		r.in.Converted(done)
	}
	return done.Close, nil
}

// converted tells of a file what made it readable.
type converted struct {
	by, said string
	in, out  int64
}

// saidMost bounds what a program said that an event keeps.
const saidMost = 500

func (c *converted) take(done *convert.Converted) {
	*c = converted{by: done.Program, said: done.Said, in: done.In, out: done.Out}
	if cut := len(c.said) - saidMost; cut > 0 {
		c.said = "…" + strings.ToValidUTF8(c.said[cut:], "")
	}
}

func (c *converted) finding() string {
	text := fmt.Sprintf("convert: %s made %s of %s", c.by, several(c.out, "byte"), several(c.in, "byte"))
	if c.said != "" {
		text += "; it said: " + c.said
	}
	return text
}

// tellConverted records which program converted what.
func (w *Worker) tellConverted(tx *store.Tx, done []*piece, gone map[int64]bool) error {
	for _, d := range done {
		if d.converted.by == "" || gone[d.entry.ID] {
			continue
		}
		detail := map[string]any{"by": d.converted.by, "bytes": d.converted.in, "became": d.converted.out}
		if d.converted.said != "" {
			detail["said"] = d.converted.said
		}
		if err := w.Ledger.Record(tx, ledger.Event{Kind: "converted", Entry: d.entry.ID, Detail: detail}); err != nil {
			return err
		}
	}
	return nil
}

// place is where the programs of jobs work.
func (w *Worker) place() convert.Place { return convert.Place{Folder: w.Scratch, Temp: w.Spool.Temp} }

// clear removes what the programs of a killed process have left, once: only the process that executes converts.
func (w *Worker) clear() {
	w.cleared.Do(func() {
		if w.Scratch == "" {
			return
		}
		if err := convert.Clear(w.Scratch); err != nil {
			w.Log.Error("cannot clear the folder of converters", "error", err)
		}
	})
}

// errConverted is why nothing can be given back in the sender's form.
func errConverted(by string) error {
	return fmt.Errorf("it cannot be written in the sender's form: %s made of the file what is read (read.convert), and nothing makes it that again; mend the file itself and send it once more; --json prints what is wrong", by)
}

// converting is what Run does first. It reports false when the file is rejected already.
func (r *run) converting(ctx context.Context) (end func(), ok bool, err error) {
	end, err = r.convert()
	var bad *formats.FileError
	switch {
	case err == nil:
		return end, true, nil
	case ctx.Err() != nil:
		return end, false, ctx.Err()
	case errors.As(err, &bad):
		r.rejects.file(bad)
		return end, false, nil
	}
	return end, false, err
}
