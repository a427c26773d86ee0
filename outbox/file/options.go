// Package file delivers messages as files in a local folder.
//
// A file appears under its name whole and durable, or not at all: it is written beside its place under a name that
// watchers ignore, its length is checked, it is synced and renamed without ever overwriting what it should not,
// and its folder is synced before the message is reported. Folder syncs are shared by the messages of a group.
//
// What a restart finds when the process was killed:
//
//	before the rename   a hidden file, which the next attempt of the same message writes anew
//	after the rename    the file; the next attempt recognises it by the key kept in its extended
//	                    attribute user.waybill.key or, where there are none, by its bytes, and makes no second one
//	before the marker   the file; the next attempt adds the marker
//
// Names come from records, so nothing is trusted: each is checked here again, and all access goes through an
// os.Root, which no name, ".." or symbolic link leads out of.
package file

import (
	"fmt"
	"io/fs"
	"os/user"
	"path/filepath"
	"strconv"
	"time"
)

// Options is what stands under file: in a destination.
type Options struct {
	Folder string `yaml:"folder" required:"true" doc:"where files go; it must exist (folders below it are made as names need them)"`
	Mode   string `yaml:"mode" default:"0640" doc:"permissions of a file, octal; folders made below get the same, searchable for whom they are readable"`
	Group  string `yaml:"group" doc:"group that files and folders belong to, by name or number; left out: the service's"`
	Exists string `yaml:"exists" enum:"number,same-or-fail,replace" default:"number" doc:"a name that is taken: number (name.1.csv), same-or-fail (same bytes: delivered, else refused) or replace; a job may say otherwise"`
}

// Limits are the keys that every destination has, as far as they concern the target.
type Limits struct {
	Concurrency int // files written at once over all Deliver calls; 0: 8
}

// A Problem is a mistake in the configuration. Path is below the destination: "file.mode".
type Problem struct{ Path, Text string }

func (p Problem) Error() string { return p.Path + ": " + p.Text }

// What to do with a name that is taken.
const (
	existsNumber  = "number"
	existsSame    = "same-or-fail"
	existsReplace = "replace"
)

const (
	defaultMode        = 0o640
	defaultConcurrency = 8
)

// A Target writes files below one folder. It is safe for concurrent use.
type Target struct {
	folder string
	mode   fs.FileMode
	group  int // -1: as it comes
	exists string
	now    func() time.Time
	slots  chan struct{} // one for each file being written, over all calls
}

// New makes a target; now tells the time. All mistakes are returned at once, and then the target
// is nil. The folder is not looked at: where it is missing now, it may be mounted later.
func New(o Options, l Limits, now func() time.Time) (*Target, []Problem) {
	var problems []Problem
	problem := func(path, format string, args ...any) {
		problems = append(problems, Problem{path, fmt.Sprintf(format, args...)})
	}
	if l.Concurrency <= 0 {
		l.Concurrency = defaultConcurrency
	}
	t := &Target{mode: defaultMode, group: -1, exists: existsNumber, now: now, slots: make(chan struct{}, l.Concurrency)}
	if o.Folder == "" {
		problem("file.folder", "is missing: write where files go, for example /srv/out/orders")
	} else if folder, err := filepath.Abs(o.Folder); err != nil {
		problem("file.folder", "%q: %v", o.Folder, err)
	} else {
		t.folder = folder
	}
	if o.Mode != "" {
		mode, err := strconv.ParseUint(o.Mode, 8, 32)
		if err != nil || mode&^0o777 != 0 || mode&0o600 != 0o600 {
			problem("file.mode", "%q is no usable mode: write three octal digits that let the owner read and write, for example 0640", o.Mode)
		}
		t.mode = fs.FileMode(mode)
	}
	if o.Group != "" {
		group, err := groupNumber(o.Group)
		if err != nil {
			problem("file.group", "%q is not known on this machine: %v", o.Group, err)
		}
		t.group = group
	}
	switch o.Exists {
	case existsNumber, existsSame, existsReplace:
		t.exists = o.Exists
	case "":
	default:
		problem("file.exists", "is %q: write number, same-or-fail or replace", o.Exists)
	}
	if len(problems) > 0 {
		return nil, problems
	}
	return t, nil
}

func groupNumber(name string) (int, error) {
	if n, err := strconv.Atoi(name); err == nil && n >= 0 {
		return n, nil
	}
	g, err := user.LookupGroup(name)
	if err != nil {
		return -1, err
	}
	return strconv.Atoi(g.Gid)
}

// folderMode is the mode of a folder made for files of the given mode: who may read them may enter and list it.
func folderMode(mode fs.FileMode) fs.FileMode { return mode | mode&0o444>>2 }
