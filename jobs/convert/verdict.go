package convert

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"syscall"

	"waybill/formats"
)

// verdict says what came of a run: nil when the program has ended well and all it wrote was taken.
func (r *running) verdict(timedOut bool, ours error) error {
	var bad *formats.FileError
	switch {
	case r.end.Trouble != "":
		return fmt.Errorf("convert: %s cannot be started: %s: put it back, or change read.convert.command; the file waits", r.c.path, r.end.Trouble)
	case errors.As(r.fedErr, &bad): // it is not even what the job says that it is packed as
		return r.fedErr
	case errors.Is(r.outErr, errFull):
		return r.refused("size", "wrote more than %s: if the file is good, raise read.convert.size", r.c.o.Size)
	case r.end.Many:
		return r.refused("processes", "had more than %d processes at once", processesMost)
	case timedOut && (!r.end.Ended || r.end.Signal == int(syscall.SIGKILL) || errors.Is(r.fedErr, context.DeadlineExceeded)): // the last: all of the file is to be read, too
		return r.refused("timeout", "has not ended within %s: if the file is good, raise read.convert.timeout", r.c.o.Timeout)
	case !r.end.Ended:
		return errors.Join(fmt.Errorf("convert: %s was ended by somebody else, with the process that keeps it within its bounds", r.c.path), ours)
	case r.fedErr != nil:
		return fmt.Errorf("convert: read the file: %w", r.fedErr)
	case r.outErr != nil:
		return fmt.Errorf("convert: %s: %w", r.c.path, r.outErr)
	case r.end.Signal != 0:
		return r.signalled(syscall.Signal(r.end.Signal))
	case r.end.Code != 0:
		return r.failed(fmt.Sprintf("ended with exit code %d", r.end.Code))
	}
	return ours
}

// signalled tells of a program that a signal has ended.
func (r *running) signalled(s syscall.Signal) error {
	switch s {
	case syscall.SIGKILL: // none of ours: those end as timeout, size or processes
		return fmt.Errorf("convert: %s was killed by somebody else: for want of memory by the kernel, or by hand; the file waits", r.c.path)
	case syscall.SIGXCPU:
		return r.refused("timeout", "has used up its time of the processor: if the file is good, raise read.convert.timeout (%s)", r.c.o.Timeout)
	case syscall.SIGXFSZ:
		return r.refused("size", "made a file of more than %s: if the file is good, raise read.convert.size", r.c.o.Size)
	}
	return r.failed(fmt.Sprintf("was ended by signal %d (%s)", int(s), s))
}

// failed tells of a program that has ended badly by itself. Of a bound of memory programs themselves notice that they get none.
func (r *running) failed(how string) error {
	if full(r.dir) {
		return fmt.Errorf("convert: %s %s while the disk with its folder was full, so that is no fault of the file: make room; the file waits", r.c.path, how)
	}
	said := strings.ToLower(string(r.said.kept))
	if r.end.Peak >= int64(r.c.o.Memory)/4*3 || strings.Contains(said, "memory") || strings.Contains(said, "bad_alloc") {
		return r.refused("memory", "%s, as programs do for want of memory: if the file is good, raise read.convert.memory (%s)", how, r.c.o.Memory)
	}
	return r.refused("", "%s", how)
}

func (r *running) refused(limit, format string, args ...any) error {
	reason := "convert: " + r.c.path + " " + fmt.Sprintf(format, args...)
	if said := r.said.text(r.c.o.Env); said != "" {
		reason += "; it said: " + said
	}
	if limit != "" {
		limit = "convert." + limit
	}
	return &formats.FileError{Offset: -1, Limit: limit, Reason: reason}
}
