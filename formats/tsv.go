package formats

import "strings"

// TSV is CSV with a tab between the cells, as spreadsheets write it: a cell that holds a tab or a line
// end stands in quotes. Where quotes mean nothing, as the registered text/tab-separated-values has it,
// say quote: none.

func tsvFormat() format {
	return format{name: "tsv", tabular: true, keys: tableKeys(),
		check:   func(o Options) []Problem { return checkCSV(tabbed(o)) },
		decoder: func(o Options, wants []Want) (Decoder, []Problem) { return newCSV(tabbed(o), wants) },
		parts:   func(o Options, parts []Part) (Decoder, []Problem) { return newCSVParts(tabbed(o), parts) },
		writes:  strings.Fields(csvWriting),
		checkWriting: func(w Writing) []Problem {
			w.Delimiter = "\t"
			return checkCSVWriting(w)
		},
		encoder: func(w Writing, columns []Column) (Encoder, []Problem) {
			w.Delimiter = "\t"
			return newCSVEncoder(w, columns)
		},
		partsEncoder: func(w Writing, parts []WrittenPart) (PartsEncoder, []Problem) {
			w.Delimiter = "\t"
			return newCSVParted(w, parts)
		}}
}

func tabbed(o Options) Options {
	o.Delimiter = "\t"
	return o
}
