package convert

import (
	"bytes"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// descendants are what this process has below it; where there are more than that, some of them.
func descendants(most int) []int {
	list := children(os.Getpid())
	for i := 0; i < len(list) && len(list) <= most; i++ {
		list = append(list, children(list[i])...)
	}
	return list
}

// children are the processes that a process has started and not waited for, and the orphans that came to it.
func children(pid int) (list []int) {
	threads, err := filepath.Glob("/proc/" + strconv.Itoa(pid) + "/task/*/children")
	if err != nil {
		return nil
	}
	if _, err := os.Stat("/proc/thread-self/children"); err != nil { // the kernel was built without (CONFIG_PROC_CHILDREN)
		return childrenByParent(pid)
	}
	for _, path := range threads {
		text, err := os.ReadFile(path)
		if err != nil {
			continue // it has ended
		}
		for field := range strings.FieldsSeq(string(text)) {
			if child, err := strconv.Atoi(field); err == nil {
				list = append(list, child)
			}
		}
	}
	return list
}

// childrenByParent finds the same by asking every process who its parent is.
func childrenByParent(pid int) (list []int) {
	all, err := filepath.Glob("/proc/[0-9]*/stat")
	if err != nil {
		return nil
	}
	for _, path := range all {
		text, err := os.ReadFile(path)
		if err != nil {
			continue // it has ended
		}
		// PID (NAME) STATE PARENT …, where a name may hold anything.
		fields := bytes.Fields(text[bytes.LastIndexByte(text, ')')+1:])
		if len(fields) < 2 || string(fields[1]) != strconv.Itoa(pid) {
			continue
		}
		if child, err := strconv.Atoi(filepath.Base(filepath.Dir(path))); err == nil {
			list = append(list, child)
		}
	}
	return list
}

const (
	straysLook  = 5 * time.Millisecond
	straysLooks = 200
)

// endStrays ends what is left of a program whose keeper was killed and that has gone into a session of its own: all that works in its folder or was told
// to put its files there. When a keeper is there, nothing depends on this.
func endStrays(folder string) {
	tick := time.NewTicker(straysLook)
	defer tick.Stop()
	for range straysLooks { // one that is told to end may still be there, or have started another just before
		list := strays(folder)
		if len(list) == 0 {
			return
		}
		for _, pid := range list {
			_ = syscall.Kill(pid, syscall.SIGKILL) // it may have ended
		}
		<-tick.C
	}
}

func strays(folder string) (list []int) {
	all, err := filepath.Glob("/proc/[0-9]*")
	if err != nil {
		return nil
	}
	for _, path := range all {
		at, _ := os.Readlink(path + "/cwd") // those of others cannot be read
		if at != folder && !strings.HasPrefix(at, folder+"/") {
			environ, err := os.ReadFile(path + "/environ")
			if err != nil || !bytes.Contains(append([]byte{0}, environ...), []byte("\x00TMPDIR="+folder+"\x00")) {
				continue
			}
		}
		if pid, err := strconv.Atoi(filepath.Base(path)); err == nil {
			list = append(list, pid)
		}
	}
	return list
}

// fullBelow is how little room a file system has left that is called full: who has just failed for want of it may have given some back.
const fullBelow = 1 << 20

// full reports whether nothing more can be written where a folder lies.
func full(folder string) bool {
	var fs syscall.Statfs_t
	if syscall.Statfs(folder, &fs) != nil {
		return false
	}
	return fs.Bavail*uint64(fs.Bsize) < fullBelow || fs.Files > 0 && fs.Ffree == 0 //nolint:gosec // a size
}
