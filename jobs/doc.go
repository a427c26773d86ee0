// Package jobs turns an entry into messages, in one transaction.
//
// A job is compiled once, when the configuration is loaded: Compile makes a Plan of its Options and reports every mistake with
// its path. Plan.Run then works one entry, in flat memory:
//
//	decoder ─► fields ─► only ─► group ─► check ─► render ─► unique ─► emit
//	formats    types,    skip    rows of   that,    bodies,   known     messages, in
//	           limits            one key   say      keys      keys      order
//
// Cells stay bytes all the way: a declared field is checked by a scanner and goes out as the text it came in as, made canonical
// (24.910 stays 24.910). Only what an expression needs becomes a Go value, and only when it is evaluated. Bodies are
// compiled to flat programs (body.go) of fixed text and values.
//
// What stands where: options*.go what can be configured; compile*.go and route.go from there to the plan; field.go, scan.go and
// layout.go checking of cells; frame.go and source.go what names mean and where values come from; grouping.go; deliver.go rendering; emit.go
// emitting, on a goroutine of its own for large files; written.go rows, sink.go files written of them by a route, document.go messages made of them; key.go the keys of messages; reject.go counting, outcome and report;
// around.go what stands around records: headers, trailers, blocks, totals, and the checks of a block and of the file; sequence.go and sequenced.go
// numbers without gaps; table.go and table_rows.go what lookup finds things in.
package jobs
