package convert

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// A Place is where converting happens.
type Place struct {
	Folder string                   // in which each program gets a folder of its own; "": the system's for temporary files
	Temp   func() (*os.File, error) // makes a file that is gone once it is closed; nil: in the system's folder
}

const folderMode = 0o700

// make makes an empty folder for one program.
func (p Place) make() (string, error) {
	if p.Folder != "" {
		if err := os.MkdirAll(p.Folder, folderMode); err != nil {
			return "", fmt.Errorf("convert: make a working folder: %w", err)
		}
	}
	dir, err := os.MkdirTemp(p.Folder, "convert-*")
	if err != nil {
		return "", fmt.Errorf("convert: make a working folder: %w", err)
	}
	return dir, nil
}

// Clear removes what killed processes have left in a folder of a Place. Nothing may be converting there.
func Clear(folder string) error {
	list, err := os.ReadDir(folder)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	errs := []error{err}
	for _, e := range list {
		errs = append(errs, remove(filepath.Join(folder, e.Name())))
	}
	if err := errors.Join(errs...); err != nil {
		return fmt.Errorf("remove what converters have left: %w: remove it by hand while waybill is stopped", err)
	}
	return nil
}

// remove removes a folder and all in it, also what its program made so that it may not be removed.
func remove(folder string) error {
	if os.RemoveAll(folder) == nil {
		return nil
	}
	if err := os.Chmod(folder, folderMode); err != nil {
		return err
	}
	root, err := os.OpenRoot(folder) // and not out of it by a link
	if err != nil {
		return err
	}
	_ = fs.WalkDir(root.FS(), ".", func(path string, d fs.DirEntry, err error) error { // what fails here, fails below
		if d != nil && d.IsDir() {
			_ = root.Chmod(path, folderMode)
		}
		if err != nil && d == nil {
			return err
		}
		return nil
	})
	return errors.Join(root.Close(), os.RemoveAll(folder))
}
