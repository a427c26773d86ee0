// Package expression is the language of a job's mappings: values, expressions
// and templates.
package expression
