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
// durable in the spool, commits the row and only then answers. A connection that drops publishes nothing: pkg/sftp calls
// TransferError and then Close on every open handle, and only a Close without it publishes. What a broken upload left
// lies in the mailbox under its name, to be resumed, and expires after 24 h. A name that is temporary
// ([waybill/watcher.Ignored]) is only kept; renaming it to an ordinary one is what lands it.
package sftpd
