package main

import (
	"errors"
	"io/fs"
	"os"
	"syscall"

	"waybill/ledger"
)

// openOrdinary opens a file that is read from its beginning to its end. A pipe or a device has neither: it is refused, without waiting for somebody who writes into it.
func openOrdinary(name string) (*os.File, os.FileInfo, error) {
	f, err := os.OpenFile(name, os.O_RDONLY|syscall.O_NONBLOCK, 0) // which says nothing to a file
	if err != nil {
		return nil, nil, exit{exitUsage, err}
	}
	info, err := f.Stat()
	if err == nil && !info.Mode().IsRegular() {
		err = notOrdinary(name, info.Mode())
	}
	if err != nil {
		return nil, nil, errors.Join(err, f.Close())
	}
	return f, info, nil
}

// notOrdinary says what a name stands for instead of a file.
func notOrdinary(name string, mode fs.FileMode) error {
	kind := "not a regular file"
	switch {
	case mode.IsDir():
		return usage("%s is a folder, not a regular file: name a file in it", ledger.Shown(name))
	case mode&fs.ModeNamedPipe != 0:
		kind = "a pipe, not a regular file"
	case mode&fs.ModeDevice != 0:
		kind = "a device, not a regular file"
	}
	return usage("%s is %s: write what it holds into a file, and name that", ledger.Shown(name), kind)
}
