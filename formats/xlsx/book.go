// Package xlsx reads workbooks (Office Open XML, transitional and strict) as a stream: the cells of one sheet row by row, in flat memory, out of
// those parts of the file only that say what cells hold.
//
//	Open ─► Book ─► Sheet ─► Rows ─► Next ─► Cells
//	zip      parts   which    XML     row     what each holds, as it is meant
//
// Numbers come as they are meant, dates as ISO text by the number formats of their cells, formulas by the value kept with them. Nothing is run or
// fetched, each part is unpacked within its limit, and what is hostile about a file refuses it with a *fault.FileError. Which cells make a record is
// not known here: that is the format xlsx of package formats, which writes workbooks, too, and shares with this package what spreadsheets can hold.
package xlsx

import (
	"fmt"
	"io"
	"maps"
	"path"
	"slices"
	"strconv"
	"strings"

	"waybill/formats/fault"
)

// A Book is what stands around the sheets: which there are, how their cells are shown, and from when days are counted.
type Book struct {
	box     *container
	o       Options
	sheets  []bookSheet
	links   map[string]string // relations of the workbook: part by id
	strings string            // the part that holds the shared strings, "" for none
	styles  []shape           // by number of style
	since04 bool              // days are counted from 1904
	table   *sharedStrings    // nil until it is needed
}

type bookSheet struct {
	name, id string
	hidden   bool
}

const (
	maxStyles = 100_000
	maxSheets = 1000
)

// Options say how a workbook is read.
type Options struct {
	Macros bool // one with macros is read, too; they are not run
	Limits Limits
}

// Limits bound what a workbook may cost; each is the setting of that name.
type Limits struct {
	MaxRatio      int
	MaxRecord     fault.Bytes // of a row
	MaxField      fault.Bytes // of a cell
	MaxSheet      fault.Bytes
	MaxPart       fault.Bytes
	MaxStrings    fault.Bytes
	MaxSheetCells int
}

// Open reads the small parts of a workbook of so many bytes.
func Open(r io.ReaderAt, size int64, o Options) (*Book, error) {
	box, err := openContainer(r, size, o.Limits)
	if err != nil {
		return nil, err
	}
	w := &Book{box: box, o: o, links: map[string]string{}}
	if err := w.read(); err != nil {
		return nil, err
	}
	return w, nil
}

func (w *Book) read() error {
	if err := w.kind(); err != nil {
		return err
	}
	main := "xl/workbook.xml"
	err := w.relations("_rels/.rels", "", func(kind, _, target string) {
		if kind == "officeDocument" {
			main = target
		}
	})
	if err == nil && w.box.parts[main] == nil {
		err = w.none()
	}
	if err != nil {
		return err
	}
	styles := ""
	folder, name := path.Split(main)
	err = w.relations(folder+"_rels/"+name+".rels", folder, func(kind, id, target string) {
		switch kind {
		case "styles":
			styles = target
		case "sharedStrings":
			w.strings = target
		default:
			w.links[id] = target
		}
	})
	if err == nil {
		err = w.each(main, w.workbookElement)
	}
	if err == nil && styles != "" && w.box.parts[styles] != nil {
		err = w.readStyles(styles)
	}
	return err
}

// none says what a zip archive is that is no workbook.
func (w *Book) none() error {
	names := slices.Sorted(maps.Keys(w.box.parts))
	switch {
	case w.box.parts["word/document.xml"] != nil, w.box.parts["ppt/presentation.xml"] != nil:
		return refused("the file is a Word or PowerPoint document, not an xlsx workbook: ask for .xlsx")
	case w.box.parts["content.xml"] != nil && w.box.parts["META-INF/manifest.xml"] != nil:
		return refused("the file is an OpenDocument file (.ods), not an xlsx workbook: have it saved as .xlsx")
	case len(names) == 0:
		return refused("the file is an empty zip archive, not an xlsx workbook")
	case slices.ContainsFunc(names, func(n string) bool { return strings.HasPrefix(n, "xl/") }):
		return refused("the workbook has no part xl/workbook.xml: have it saved anew")
	}
	return refused(fmt.Sprintf("the file is a zip archive with %s in it, not an xlsx workbook: for the files in it say unpack: zip, and their format", fault.Cut([]byte(names[0]))))
}

// kind refuses what is a workbook of another kind.
func (w *Book) kind() error {
	const types = "[Content_Types].xml"
	macros, binary := false, false
	for name := range w.box.parts {
		macros = macros || strings.HasSuffix(strings.ToLower(name), "vbaproject.bin")
		binary = binary || strings.EqualFold(name, "xl/workbook.bin")
	}
	if w.box.parts[types] != nil {
		err := w.each(types, func(s *partScan) error {
			macros = macros || strings.Contains(string(s.attr("ContentType")), "macroEnabled")
			return nil
		})
		if err != nil {
			return err
		}
	}
	switch {
	case binary:
		return refused("the file is a binary workbook (.xlsb): save it as .xlsx")
	case macros && !w.o.Macros:
		return refused("the workbook holds macros (.xlsm): have it saved as .xlsx, or say macros: allow, which reads its values and runs nothing")
	}
	return nil
}

// each shows every start tag of a small part.
func (w *Book) each(part string, see func(s *partScan) error) error {
	r, err := w.box.open(part, w.o.Limits.MaxPart, "max_part")
	if err != nil {
		return err
	}
	defer r.close()
	s := newPartScan(r, part, int(w.o.Limits.MaxField))
	for {
		t, err := s.next()
		switch {
		case err == io.EOF:
			return nil
		case err != nil:
			return err
		case t == partStart:
			if err := see(s); err != nil {
				return err
			}
		}
	}
}

// relations reads which parts a part refers to. Those outside of the file are left alone.
func (w *Book) relations(part, folder string, see func(kind, id, target string)) error {
	if w.box.parts[part] == nil {
		return nil
	}
	n := 0
	return w.each(part, func(s *partScan) error {
		if n++; n > 10*maxSheets {
			return s.fail("there are too many relations")
		}
		if string(s.name) != "Relationship" || string(s.attr("TargetMode")) == "External" {
			return nil
		}
		target, ok := textOf(s.attr("Target"))
		if !ok {
			return s.fail("a target is no text")
		}
		if target = strings.ReplaceAll(target, `\`, "/"); !path.IsAbs(target) {
			target = path.Join(folder, target)
		}
		kind := string(s.attr("Type"))
		see(kind[strings.LastIndexByte(kind, '/')+1:], string(s.attr("id"))+string(s.attr("Id")), strings.TrimPrefix(path.Clean(target), "/"))
		return nil
	})
}

func textOf(raw []byte) (string, bool) {
	text, ok := appendText(nil, raw, false)
	return string(text), ok
}

func (w *Book) workbookElement(s *partScan) error {
	switch string(s.name) {
	case "workbookPr":
		v := string(s.attr("date1904"))
		w.since04 = v == "1" || v == "true"
	case "sheet":
		name, ok := textOf(s.attr("name"))
		if len(w.sheets) == maxSheets || !ok {
			return s.fail(fmt.Sprintf("there are more than %d sheets, or one has no name", maxSheets))
		}
		state := string(s.attr("state"))
		id := ""
		for rest := s.attrs; ; { // sheetId and r:id are told apart by the prefix
			n, v, more, ok := nextAttr(rest)
			if !ok {
				break
			}
			if rest = more; string(localName(n)) == "id" {
				id = string(v)
			}
		}
		w.sheets = append(w.sheets, bookSheet{name, id, state == "hidden" || state == "veryHidden"})
	}
	return nil
}

// readStyles finds out which styles show dates.
func (w *Book) readStyles(part string) error {
	codes := map[string]shape{}
	within := false // the styles of cells, not those that cells are styled after
	return w.each(part, func(s *partScan) error {
		switch string(s.name) {
		case "numFmt":
			code, ok := textOf(s.attr("formatCode"))
			if !ok || len(codes) == maxStyles {
				return s.fail("a number format is no text, or there are too many")
			}
			if s.depth() == 3 {
				codes[string(s.attr("numFmtId"))] = shapeOf(code)
			}
		case "cellXfs":
			within = true
		case "xf":
			if !within || s.depth() != 3 {
				return nil
			}
			if len(w.styles) == maxStyles {
				return s.fail(fmt.Sprintf("there are more than %d styles", maxStyles))
			}
			id := string(s.attr("numFmtId"))
			look, known := codes[id]
			if n, err := strconv.Atoi(id); !known && err == nil {
				look = builtinShape(n)
			}
			w.styles = append(w.styles, look)
		default:
			within = within && s.depth() > 2
		}
		return nil
	})
}

// Sheet finds the part of the sheet that is asked for: by name, else by position, else the first that shows.
func (w *Book) Sheet(want string) (string, error) {
	at := slices.IndexFunc(w.sheets, func(s bookSheet) bool { return s.name == want })
	if want == "" {
		at = slices.IndexFunc(w.sheets, func(s bookSheet) bool { return !s.hidden && w.holdsCells(s) })
	} else if n, err := strconv.Atoi(want); at < 0 && err == nil && n >= 1 && n <= len(w.sheets) {
		at = n - 1
	}
	if at < 0 {
		var names []string
		for _, s := range w.sheets[:min(len(w.sheets), 20)] {
			names = append(names, s.name)
		}
		return "", refused(fmt.Sprintf("there is no sheet %q%s; the workbook has %s: %q", want, fault.Meant(want, names), fault.Counted(len(w.sheets), "sheet"), names))
	}
	part := w.links[w.sheets[at].id]
	if part == "" || w.box.parts[part] == nil {
		return "", refused(fmt.Sprintf("the workbook names the sheet %q, but does not hold it", w.sheets[at].name))
	}
	return part, nil
}

// holdsCells tells sheets of cells from those that are one chart.
func (w *Book) holdsCells(s bookSheet) bool {
	return !strings.Contains(w.links[s.id], "chartsheets/") && !strings.Contains(w.links[s.id], "dialogsheets/")
}
