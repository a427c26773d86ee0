// Package infer looks at sample files and proposes how to read them: which fields their records have, of which types, and which are
// always there. What it proposes is a guess with its evidence beside it, for a person to go on from.
//
//	samples ─► formats decoder ─► value ─► shape ─► Field ─► YAML
//	           no fields named    a tree   counts   a guess
//
// A shape counts what was seen at one place of the records, whatever the format: how often it was there, whether it was an object, a list or a
// text, and (column) which types all of its texts have in common. Guessing errs on the side of text: what has leading zeros, or too many digits for
// a quantity, stays text, for a type that is too narrow loses something and one that is too wide does not.
package infer
