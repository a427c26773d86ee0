// Package outbox keeps each message until its destination confirms it.
//
// # Lots, batches, payloads
//
// The messages of one entry are its lot. They stand in batches of up to 1,000 messages or about 1 MiB for one
// destination; a batch's payload is written once. A lot has no row: it is the batches of one
// parent (the entry) staged under one token (the claim).
//
//	         Lot.Add             Lot.Release                last message confirmed or set aside
//	nothing ────────► staged ──────────────────► ready ────────────────────────────────────────► done
//	                    │    (in the transaction   ▲ │ leased in memory by the executor, bitmap      │
//	                    │     that accepts)        └─┘ stored every 250 ms or 200 messages           │ settled = 1 on the last
//	                    ▼ Discard                                                                    ▼ batch of the lot
//	                  (gone)                                                              jobs claims it and finishes
//
// # Killed after step N: what a restart does
//
//	staged a batch          nothing staged is claimed; the entry is worked anew under another token, the old batches are deleted
//	released                delivery begins
//	sent, not stored        the messages since the last checkpoint go out again with the same keys and bytes (unknown: repeat);
//	                        with ask or hold their sending bits are stored first, so they are asked about or held
//	stored the last bitmap  settled stands in the same transaction; jobs finishes the entry
//
// # Whose fault
//
// A refusal is the message's: it becomes a dead letter, the rest goes on. A time-out, a refused connection or a 5xx counts
// against a message only if the destination has confirmed another message since that one's first try. Otherwise
// the destination is suspect: one trial at a time, over the waiting messages in turn, no attempts counted. A destination that says that
// the configuration is wrong (401, redirect) is paused until somebody acts.
package outbox
