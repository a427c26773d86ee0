// Package ledger remembers each file and each entry once, and what became of it. It is also the queue: the
// entries that are received are the work that waits.
//
// A file is one version of a name at a source. An entry is a file for one job, a tick of a schedule, a
// request or a manual run. One file has one entry for each job that takes it, and may have none.
//
// # States of an entry
//
//	Land, Tick, Replay
//	  │
//	  ├──► duplicate, rejected (as the verdict's action says)
//	  │
//	  ├──► held ──Approve──┐      ┌── Retry, or the process was killed ──┐
//	  │                    ▼      ▼                                      │
//	  └──────────────────► received ──Working (big entries only)──► working
//	                          │                                       │
//	                          └────────────────┬──────────────────────┘
//	                                         Accept
//	                                           ├──► delivered (nothing to send), held, rejected, duplicate
//	                                           ▼
//	                                       accepted ──Finish──► delivered
//	                                           │                    ▲
//	                                        Finish               Finish (none is open any more)
//	                                           └──► failed ─────────┘
//	                                          (dead letters are open)
//
// Cancel leads from held, received and working to cancelled, Expire from held to rejected what is held for a time. Delivered, rejected, duplicate and cancelled are final; together
// with failed they are terminal: nothing more happens by itself. A replay is a new entry, run n+1 of the first.
//
// # States of a file
//
//	seen ──Land──► landed ──when all its entries are terminal──► closable ──Closed──► closed
//
// A member of an archive is never closable: nobody has it to close, so it is closed at once. The archive's own entry is accepted when its members have landed,
// in that transaction, and comes to its end in that of the last of them, see [Ledger.LandMembers].
//
// A file that no job takes stays landed; when a job takes it later, it lands once more.
//
// # Killed after step N: what a restart does
//
//	step                                 left behind                 a restart
//	Land: bytes received                 an object without a row     sees the file again and lands it; the spool sweeps the object
//	Land: committed, caller not told     file and entries            Land answers with them again
//	Claim                                nothing (claims are memory) claims it again, under a higher token
//	Working                              state working, old token    the same; what was staged under the old token is deleted
//	Accept: before the commit            state received or working   the same
//	Accept: committed                    accepted, messages ready    delivers them
//	Finish: before the commit            batches still settled       finishes again
//	Finish: committed                    file closable               closes it
//	Closed: file moved, not committed    file closable               closes it again, which finds it moved
//
// # What is written, and how often
//
// A small file costs three rows to land (object, file, entry); a routine landing has no event, since the entry says
// when it was received. Accepting and finishing write one event for up to 200 entries; such an event has
// the very instant that the entries carry as accepted or finished, which is how [Ledger.History] finds it.
//
// Events form a chain: each carries the SHA-256 of the one before on its node and of itself, see [Ledger.Verify].
// All processes on one data folder are one node.
package ledger
