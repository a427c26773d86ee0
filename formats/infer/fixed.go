package infer

import (
	"errors"
	"fmt"
	"strings"
	"unicode"

	"waybill/formats"
)

// cut is a run of columns of a file of fixed width, from 1, both ends counted.
type cut struct{ from, to int }

// fixedLines bounds the lines whose columns are looked at.
const fixedLines = 2000

// LookFixed proposes fields for files of fixed width: a field begins where in every line a column without a blank follows one in which all
// lines have a blank. Fields that touch are not told apart.
func LookFixed(o formats.Options, samples []Sample, reserved func(string) bool) (*Proposal, error) {
	lines, err := fixedText(o, samples)
	if err != nil {
		return nil, err
	}
	p := &Proposal{Options: o, Why: map[string]string{}, Records: len(lines)}
	n := &namer{taken: map[string]bool{}, reserved: reserved}
	for _, c := range cuts(lines) {
		var all column
		for _, l := range lines {
			all.add(&value{kind: text, text: part(l, c)})
		}
		f := &Field{Name: n.name(fmt.Sprintf("column %d", c.from)), From: fmt.Sprintf("%d-%d", c.from, c.to)}
		if c.from == c.to {
			f.From = fmt.Sprint(c.from)
		}
		f.scalar(&all, true, len(lines))
		p.Fields = append(p.Fields, f)
	}
	p.Notes = append(p.Notes, "fields of fixed width that touch are not told apart: compare with the description of the file")
	p.mark()
	return p, nil
}

// fixedText reads the lines: a decoder with one field, the whole line.
func fixedText(o formats.Options, samples []Sample) (lines [][]rune, err error) {
	o.Raw = true
	d, problems := formats.New(o, []formats.Want{{Name: "line", From: []string{"1"}}})
	if len(problems) > 0 {
		return nil, fmt.Errorf("read %s: %s", samples[0].Name, problems[0])
	}
	for _, s := range samples {
		if lines, err = linesOf(d, s, lines); err != nil {
			return nil, fmt.Errorf("read %s: %w", s.Name, err)
		}
	}
	return lines, nil
}

// linesOf adds the lines of one sample.
func linesOf(d formats.Decoder, s Sample, lines [][]rune) ([][]rune, error) {
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

// cuts finds the fields.
func cuts(lines [][]rune) (list []cut) {
	width := 0
	for _, l := range lines {
		width = max(width, len(l))
	}
	begin := 0
	for i := 1; i <= width+1; i++ {
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
