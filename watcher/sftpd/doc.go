// Package sftpd is waybill's own SFTP server: partners drop files into it and pick files up.
//
// It stands in two halves. The first is SSH: who may connect, from where, how often, with which key or password; it ends
// with a [Session] and a channel that speaks SFTP. The second is files: what a partner sees, what he may do there,
// and how an upload becomes a landed file. Nothing of the first knows a path, nothing of the second an algorithm.
//
//	listener ─► gate ─► handshake ─► account ─► session ─► subsystem sftp ─► Files.Serve ─► ledger
//	            limits,  strict KEX   key, CA,   at most 10                  view, jail,
//	            penalties             password                               admission
//
// # What a partner sees
//
// A partner's mailbox is a folder of its own below the data folder, mailboxes/NAME. In it lie the folders to pick up
// from, and uploads that are not finished. What has landed lies in the spool; a drop folder shows it until its entries are
// done, as a view of the ledger.
//
// # When CLOSE answers OK
//
// An upload of up to [waybill/spool.Inline] bytes stays in memory; a larger one is a file in the mailbox. CLOSE makes the bytes
// durable in the spool, commits the row and only then answers. Only a CLOSE that came publishes: a connection that drops does not, nor
// a CLOSE after a write that failed, or while bytes are missing. What a broken upload left
// lies in the mailbox under its name, to be resumed, and expires after 24 h. A name that is temporary
// ([waybill/watcher.Ignored]) is only kept; renaming it to an ordinary one is what lands it.
//
//	killed …                        what is left
//	while a small file is sent      nothing
//	while a large file is sent      what was sent, under its name; its mode says whether it has gaps
//	in CLOSE, before the rename     the same
//	after the rename to the spool   nothing that is seen: a file that no row names, which is swept
//	while it lands by being         its temporary name, until the commit. A large one has a name in the spool beside that. A pointer
//	renamed by its sender           tells the next start of both, or of the row of one that is copied: it takes away what is too much
//	after the commit                a landed file; sent again it is known as the same
//
// When the machine went down, the length of a file that was being written says little of its bytes: such files are taken away when the
// mailbox is opened first after the start of the machine.
//
// # One upload, one inode
//
// Every handle has bytes of its own. Of two that are open under one name the later holds the name, and the other goes on without: both land when they
// are closed, each as a version of its own. A client that opens without cutting off, beside an upload in progress, goes on with that if the
// first it writes is not the first byte; the older connection is taken for dead.
package sftpd
