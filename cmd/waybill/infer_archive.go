package main

import (
	"fmt"
	"iter"
	"maps"
	"path"
	"slices"
	"strings"

	"waybill/formats"
	"waybill/formats/infer"
	"waybill/formats/unpack"
	"waybill/ledger"
)

// membersMost bounds the files of archives that are looked at.
const membersMost = 200

// An inside is what archives hold that a job may read.
type inside struct {
	samples []infer.Sample
	members []string // patterns of the files taken, none where all are
	why     string
}

// insideOf lists the files in archives. Where they are of several kinds, by the ending of their names, those are taken of which there are most.
func insideOf(samples []infer.Sample, u *unpack.Unpacker) (*inside, error) {
	var all []infer.Sample
	count := map[string]int{}
	for _, s := range samples {
		names, err := namesIn(s, u)
		if err != nil {
			return nil, err
		}
		for _, name := range names {
			count[path.Ext(name)]++
			all = append(all, infer.Sample{Name: name, Open: func() (formats.Blob, func(), error) { return memberOf(s, u, name) }})
		}
	}
	if len(all) == 0 {
		return nil, usage("there is no file in %s", ledger.Shown(samples[0].Name))
	}
	most := path.Ext(all[0].Name)
	for _, ending := range slices.Sorted(maps.Keys(count)) {
		if count[ending] > count[most] {
			most = ending
		}
	}
	in := &inside{}
	for _, s := range all {
		if path.Ext(s.Name) != most {
			continue
		}
		in.samples = append(in.samples, s)
		if pattern := strings.TrimPrefix(path.Join(path.Dir(s.Name), "*"+most), "./"); len(count) > 1 && !slices.Contains(in.members, pattern) {
			in.members = append(in.members, pattern)
		}
	}
	in.why = fmt.Sprintf("%d of %d files", len(in.samples), len(all))
	in.samples = in.samples[:min(len(in.samples), membersMost)]
	return in, nil
}

// namesIn are the paths of the files in an archive.
func namesIn(s infer.Sample, u *unpack.Unpacker) (names []string, err error) {
	b, end, err := s.Open()
	if err != nil {
		return nil, err
	}
	defer end()
	for file, err := range u.Members(b, unpack.Staging{}) {
		if err != nil {
			return nil, exit{exitUsage, fmt.Errorf("unpack %s: %w", ledger.Shown(s.Name), err)}
		}
		names = append(names, file.Name)
	}
	return names, nil
}

// memberOf opens one file in an archive.
func memberOf(s infer.Sample, u *unpack.Unpacker, name string) (formats.Blob, func(), error) {
	b, done, err := s.Open()
	if err != nil {
		return b, done, err
	}
	next, stop := iter.Pull2(u.Members(b, unpack.Staging{}))
	end := func() { stop(); done() }
	for {
		file, err, more := next()
		if !more {
			err = fmt.Errorf("%s is not in %s any more", name, s.Name)
		}
		if err != nil {
			end()
			return formats.Blob{}, func() {}, err
		}
		if file.Name == name {
			return file, end, nil
		}
	}
}
