package infer

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"unicode"

	"waybill/formats"
)

// cut is a run of columns of a file of fixed width, from 1, both ends counted.
type cut struct{ from, to int }

// fixedLines bounds the lines whose columns are looked at.
const fixedLines = 2000

// LookFixed proposes fields for files of fixed width: a field begins where in every line a column without a blank follows one in which all
// lines have a blank. Fields that touch are not told apart. Lines of several kinds, told by their first columns, have fields of their own.
func LookFixed(o formats.Options, samples []Sample, reserved func(string) bool) (*Proposal, error) {
	files, err := fixedText(o, samples)
	if err != nil {
		return nil, err
	}
	p := &Proposal{Options: o, Why: map[string]string{}}
	if l := layoutOf(files); l != nil {
		p.lay(l, reserved)
		p.Notes = append(p.Notes, "lines of several kinds are told by how they begin: header and trailer, kinds and their names are guesses")
	} else {
		lines := slices.Concat(files...)
		p.Records = len(lines)
		p.Fields = fixedFields(&namer{taken: map[string]bool{}, reserved: reserved}, lines, 0)
	}
	p.Notes = append(p.Notes, "fields of fixed width that touch are not told apart: compare with the description of the file")
	p.mark()
	return p, nil
}

// LookKinds proposes kinds of lines for files of lines that nothing else is seen in, nil where there are none.
func LookKinds(o formats.Options, samples []Sample, reserved func(string) bool) *Proposal {
	o.Format = "fixed"
	p, err := LookFixed(o, samples, reserved)
	if err != nil || len(p.Kinds) == 0 {
		return nil
	}
	return p
}

// fixedText reads the lines of each file: a decoder with one field, the whole line.
func fixedText(o formats.Options, samples []Sample) (files [][][]rune, err error) {
	o.Raw = true
	d, problems := formats.New(o, []formats.Want{{Name: "line", From: []string{"1"}}})
	if len(problems) > 0 {
		return nil, fmt.Errorf("read %s: %s", samples[0].Name, problems[0])
	}
	for _, s := range samples {
		lines, err := linesOf(d, s)
		if err != nil {
			return nil, fmt.Errorf("read %s: %w", s.Name, err)
		}
		if len(lines) > 0 {
			files = append(files, lines)
		}
	}
	return files, nil
}

// linesOf are the lines of one sample.
func linesOf(d formats.Decoder, s Sample) (lines [][]rune, err error) {
	b, end, err := s.Open()
	if err != nil {
		return nil, err
	}
	defer end()
	for rec, err := range d.Decode(b) {
		var bad *formats.RecordError
		switch {
		case errors.As(err, &bad):
			continue
		case err != nil:
			return nil, err
		}
		if len(lines) == fixedLines {
			break
		}
		lines = append(lines, []rune(string(rec.Raw)))
	}
	return lines, nil
}

// cuts finds the fields behind so many columns.
func cuts(lines [][]rune, behind int) (list []cut) {
	width := 0
	for _, l := range lines {
		width = max(width, len(l))
	}
	begin := 0
	for i := behind + 1; i <= width+1; i++ {
		blank := true
		for _, l := range lines {
			blank = blank && (i > len(l) || unicode.IsSpace(l[i-1]))
		}
		switch {
		case !blank && begin == 0:
			begin = i
		case blank && begin > 0:
			list = append(list, cut{begin, i - 1})
			begin = 0
		}
	}
	return list
}

func part(line []rune, c cut) string {
	return strings.TrimSpace(string(line[min(c.from-1, len(line)):min(c.to, len(line))]))
}
