package main

import (
	"waybill/config"
	"waybill/jobs"
	"waybill/watcher"
	"waybill/watcher/sftp"
)

// companions are the rules of the jobs that receive from a source.
func (l *landscape) companions(source string) (list []watcher.Companion) {
	for _, p := range l.jobs.Plans {
		r := p.Options().Receive
		if r == nil || r.Source != source || r.Companion == nil {
			continue
		}
		list = append(list, watcher.Companion{Name: r.Companion.Name, Keep: r.Companion.Reads(), Files: func(path string) bool { return p.Takes(source, path) }})
	}
	return list
}

// companionOnce refuses a job whose files wait for a companion in a mailbox that is asked about nothing.
func (b *builder) companionOnce(job string, r *jobs.Receive) {
	if r == nil || r.Companion == nil {
		return
	}
	source := config.Find(b.c.Sources, r.Source)
	if source == nil {
		return
	}
	if o, ok := source.Options.(*sftp.Options); ok && o.ReadOnce {
		b.mistake("jobs."+job+".receive.companion", "source "+r.Source+" has read_once: nothing is asked about there, and nothing opened but the files themselves; leave companion out, or read_once")
	}
}
