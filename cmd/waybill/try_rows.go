package main

import (
	"bytes"
	"encoding/csv"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"path/filepath"
	"slices"
	"strings"

	"waybill/formats"
	"waybill/jobs"
	"waybill/ledger"
)

// rowsMost bounds a file of rows for a trial, which is read into memory.
const rowsMost = 64 << 20

// rowsOf reads rows as a query would have given them: lines of JSON objects, or CSV with titles, where an empty cell is NULL.
func rowsOf(name string) (*jobs.Rows, error) {
	f, _, err := openOrdinary(name)
	if err != nil {
		return nil, err
	}
	text, err := io.ReadAll(io.LimitReader(f, rowsMost+1))
	if err := errors.Join(err, f.Close()); err != nil {
		return nil, exit{exitUsage, fmt.Errorf("read %s: %w", ledger.Shown(name), err)}
	}
	if len(text) > rowsMost {
		return nil, usage("%s has more than 64 MiB: a trial needs only some rows", ledger.Shown(name))
	}
	rows, err := rowsIn(name, text)
	if err != nil {
		return nil, exit{exitUsage, err}
	}
	return rows, nil
}

// rowsIn reads the text of a file of rows: CSV by its name, or when the name tells nothing and it does not begin as JSON does.
func rowsIn(name string, text []byte) (*jobs.Rows, error) {
	var columns []string
	var rows [][]formats.Cell
	var err error
	ending := strings.ToLower(filepath.Ext(name))
	if ending == ".csv" || !strings.Contains(ending, "json") && !strings.HasPrefix(strings.TrimSpace(string(text)), "{") {
		columns, rows, err = csvRows(text)
	} else {
		columns, rows, err = jsonRows(text)
	}
	if err != nil {
		return nil, fmt.Errorf("rows of %s: %w", name, err)
	}
	return &jobs.Rows{Columns: columns, All: func(yield func([]formats.Cell, error) bool) {
		for _, row := range rows {
			if !yield(row, nil) {
				return
			}
		}
	}}, nil
}

func csvRows(text []byte) (columns []string, rows [][]formats.Cell, err error) {
	list, err := csv.NewReader(bytes.NewReader(text)).ReadAll()
	if err != nil || len(list) == 0 {
		return nil, nil, err
	}
	for _, line := range list[1:] {
		row := make([]formats.Cell, len(line))
		for n, cell := range line {
			row[n] = formats.Cell{Kind: formats.Null}
			if cell != "" {
				row[n] = formats.Cell{Kind: formats.Text, Bytes: []byte(cell)}
			}
		}
		rows = append(rows, row)
	}
	return list[0], rows, nil
}

func jsonRows(text []byte) (columns []string, rows [][]formats.Cell, err error) {
	known := map[string]int{}
	var objects []map[string]json.RawMessage
	dec := json.NewDecoder(bytes.NewReader(text))
	for {
		var o map[string]json.RawMessage
		err := dec.Decode(&o)
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return nil, nil, fmt.Errorf("row %d: %w; each line is one object", len(objects)+1, err)
		}
		for _, name := range sorted(o) {
			if _, ok := known[name]; !ok {
				known[name] = len(columns)
				columns = append(columns, name)
			}
		}
		objects = append(objects, o)
	}
	for _, o := range objects {
		row := make([]formats.Cell, len(columns))
		for name, at := range known {
			if row[at], err = jsonCell(o[name]); err != nil {
				return nil, nil, err
			}
		}
		rows = append(rows, row)
	}
	return columns, rows, nil
}

func jsonCell(v json.RawMessage) (formats.Cell, error) {
	switch {
	case len(v) == 0 || string(v) == "null":
		return formats.Cell{Kind: formats.Null}, nil
	case v[0] == '"':
		var s string
		err := json.Unmarshal(v, &s)
		return formats.Cell{Kind: formats.Text, Bytes: []byte(s)}, err
	case v[0] == '{' || v[0] == '[':
		return formats.Cell{Kind: formats.Tree, Bytes: v}, nil
	case v[0] == 't' || v[0] == 'f':
		return formats.Cell{Kind: formats.Bool, Bytes: v}, nil
	}
	return formats.Cell{Kind: formats.Number, Bytes: v}, nil
}

// sorted are the keys of a map in order.
func sorted[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }
