package jobs

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/maphash"
	"slices"
	"strings"

	"waybill/formats"
	"waybill/jobs/expression"
)

// Bounds of one table, all of which is held in memory.
const (
	mostTable = 64 << 20 // bytes of its keys and rows
	mostRows  = 1_000_000
)

// tableRows are the rows of a table, as its file was: each packed, in one piece of memory, found by the hash of its key.
type tableRows struct {
	digest [sha256.Size]byte // of the file
	fields []field           // of all rows
	by     int
	value  int

	document bool // rows are documents that nobody described

	hash  func([]byte) uint64
	first map[uint64]uint32 // where the row of a key begins, by its hash
	other map[string]uint32 // of keys that share their hash with another
	bytes []byte
	make  maker
	row   []value
	seen  int
}

func newTableRows() *tableRows {
	seed := maphash.MakeSeed()
	hash := func(key []byte) uint64 { return maphash.Bytes(seed, key) }
	return &tableRows{hash: hash, value: -1, first: map[uint64]uint32{}}
}

// add packs a row: key, then each field with its length and 1, or 0 where it is absent.
func (s *tableRows) add(t *Table, rec *formats.Record) error {
	if s.seen++; s.seen == 1 {
		if err := s.columns(t, rec); err != nil {
			return err
		}
	}
	s.make.reset()
	take := s.take
	if s.document {
		take = s.undeclared
	}
	row, key, err := take(t, rec)
	if err != nil {
		return err
	}
	at := len(s.bytes)
	s.bytes = appendPacked(s.bytes, key)
	for _, v := range row {
		if !v.set {
			s.bytes = binary.AppendUvarint(s.bytes, 0)
			continue
		}
		s.bytes = appendPacked(s.bytes, v.text)
	}
	if err := s.tooLarge(); err != nil {
		return err
	}
	return s.index(key, uint32(at))
}

func (s *tableRows) tooLarge() error {
	if len(s.bytes) > mostTable || s.seen > mostRows {
		return fmt.Errorf("the table is too large: at most %d rows and %d MiB are held in memory", mostRows, mostTable>>20)
	}
	return nil
}

func appendPacked(dst, text []byte) []byte {
	return append(binary.AppendUvarint(dst, uint64(len(text))+1), text...)
}

// columns finds out what the fields are, of a table that declares none.
func (s *tableRows) columns(t *Table, rec *formats.Record) error {
	if s.fields, s.by, s.value = t.fields, t.by, t.value; t.fields != nil {
		s.row = make([]value, len(s.fields))
		return nil
	}
	if rec.Names == nil { // JSON
		s.fields, s.value, s.document = []field{{kind: expression.KindAny, tree: true}}, -1, true
		s.row = make([]value, 1)
		return nil
	}
	for _, name := range rec.Names {
		s.fields = append(s.fields, field{name: name, kind: expression.KindString, trim: true, cell: len(s.fields)})
	}
	s.row = make([]value, len(s.fields))
	s.value = -1
	for key, at := range map[string]*int{t.options.By: &s.by, t.options.Value: &s.value} {
		if key == "" {
			continue
		}
		if *at = slices.Index(rec.Names, key); *at < 0 {
			return fmt.Errorf("there is no column %s; there are %s", key, strings.Join(rec.Names, ", "))
		}
	}
	s.fields[s.by].required = true
	return nil
}

// take makes the values of a row, and its key.
func (s *tableRows) take(_ *Table, rec *formats.Record) (row []value, key []byte, err error) {
	for i := range s.fields {
		f := &s.fields[i]
		if bad := s.make.make(f, &rec.Cells[f.cell], &s.row[i]); bad != nil {
			return nil, nil, bad
		}
	}
	return s.row, s.row[s.by].text, nil
}

// undeclared makes a row of a document that nobody described.
func (s *tableRows) undeclared(t *Table, rec *formats.Record) (row []value, key []byte, err error) {
	v, err := decodeJSON(rec.Cells[0].Bytes)
	if err != nil {
		return nil, nil, err
	}
	o, ok := v.(map[string]any)
	if !ok {
		return nil, nil, errors.New("is no object: declare fields, or say with records where the rows stand")
	}
	of, there := o[t.options.By]
	if !there || of == nil {
		return nil, nil, fmt.Errorf("%s is missing", t.options.By)
	}
	if key, err = expression.AppendText(nil, of); err != nil {
		return nil, nil, fmt.Errorf("%s: %w", t.options.By, err)
	}
	s.row[0] = value{set: true, text: rec.Cells[0].Bytes}
	return s.row, key, nil
}

var errTwice = errors.New("stands there twice")

// index makes a row found by its key.
func (s *tableRows) index(key []byte, at uint32) error {
	h := s.hash(key)
	there, taken := s.first[h]
	if !taken {
		s.first[h] = at
		return nil
	}
	if k, _ := unpacked(s.bytes[there:]); bytes.Equal(k, key) {
		return fmt.Errorf("%q %w", clip(key), errTwice)
	}
	if _, taken := s.other[string(key)]; taken {
		return fmt.Errorf("%q %w", clip(key), errTwice)
	}
	if s.other == nil {
		s.other = map[string]uint32{}
	}
	s.other[string(key)] = at
	return nil
}

// unpacked is the first text of packed ones, nil when it is absent, and the rest.
func unpacked(b []byte) (text, rest []byte) {
	n, size := binary.Uvarint(b)
	if n == 0 {
		return nil, b[size:]
	}
	end := size + int(n) - 1
	return b[size:end:end], b[end:]
}

// find gives the row of a key, or the field of it that the table gives.
func (s *tableRows) find(t *Table, key string) (v any, found bool, err error) {
	at, ok := s.first[s.hash([]byte(key))]
	if !ok {
		return nil, false, nil
	}
	k, rest := unpacked(s.bytes[at:])
	if string(k) != key {
		if at, ok = s.other[key]; !ok {
			return nil, false, nil
		}
		_, rest = unpacked(s.bytes[at:])
	}
	if s.document {
		text, _ := unpacked(rest)
		v, err := decodeJSON(text)
		if o, ok := v.(map[string]any); ok && t.options.Value != "" {
			v = o[t.options.Value]
		}
		return v, true, err
	}
	row := make(map[string]any, len(s.fields))
	for i := range s.fields {
		var text []byte
		text, rest = unpacked(rest)
		if s.value >= 0 && s.value != i {
			continue
		}
		got, err := value{set: text != nil, text: text}.any(&s.fields[i])
		if err != nil || s.value == i {
			return got, true, err
		}
		row[s.fields[i].name] = got
	}
	return row, true, nil
}
