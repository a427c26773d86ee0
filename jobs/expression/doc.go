// Package expression is the language of a job's mappings: values, expressions
// and templates.
//
// The syntax is that of github.com/expr-lang/expr, read by its parser. What the
// parser makes is compiled here, in one pass, into typed closures instead of
// being handed to that module's checker and machine, because three promises
// cannot be kept there: arithmetic is exact (the machine adds int wrapping
// around, and divides in float64), a mistake is named in the words of the
// configuration before anything runs (the checker knows Go types, not optional
// fields), and each run has a limit of steps, not of memory alone.
//
// A Scope says what may be referred to. It compiles text into a Value, a Program
// or a Template; those are immutable and safe for concurrent use. The caller
// fills an environment with the names that a program says it uses, with the Go
// values listed at Kind; nil is an absent value.
//
// Whole numbers are integers, and an overflow is an error. Literals with a point
// are decimals. Arithmetic on integers gives integers, except division; any other
// arithmetic gives decimals, exact, division to 34 digits. A binary number (a
// field of type number, or JSON that was read so) takes part as the shortest
// decimal that reads back as it.
package expression
