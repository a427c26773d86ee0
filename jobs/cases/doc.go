// Package cases compares what a job makes of a file with what is expected of it.
//
// A Case is one file of `tests/JOB/`, decoded strictly by package config: what goes in, and what is to come out. Whoever runs it
// makes a jobs.Trial of the input and asks Check what differs; Expectation writes a trial down as a case would expect it. Compare
// does the same for two trials of one file, which `waybill try --diff` shows.
//
//	case.yaml ─► Case ───► Check ──► Difference: path, expected, got
//	trial     ─► jobs.Trial ┘  └──── Expectation (--update)
//
// Bodies that are JSON are compared as JSON, by path; numbers by their text, since what goes out is text: 24.910 is not
// 24.91. Other bodies are compared as text, without regard to how lines end.
package cases
