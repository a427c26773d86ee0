package main

import (
	"github.com/spf13/cobra"

	"waybill/config"
	"waybill/jobs"
	"waybill/jobs/query"
	"waybill/outbox"
	"waybill/outbox/amqp"
	"waybill/outbox/file"
	"waybill/outbox/rest"
	"waybill/watcher"
	"waybill/watcher/local"
	"waybill/watcher/sftp"
	"waybill/watcher/sftpd"
)

// registry is every kind there is. A new kind is one package and one line here, and one case in build.go.
func registry() config.Registry {
	return config.Registry{
		Source: config.Union{
			Common: func() any { return new(watcher.Settings) },
			Kinds: map[string]func() any{
				"folder":    func() any { return new(local.Options) },
				"sftp":      func() any { return new(sftp.Options) },
				"mailboxes": func() any { return new(sftpd.Mailboxes) },
			},
			Later: []string{"http", "amqp", "mqtt", "kafka", "nats", "redis"},
		},
		Destination: config.Union{
			Common: func() any { return new(outbox.Options) },
			Kinds: map[string]func() any{
				"http": func() any { return new(rest.Options) },
				"amqp": func() any { return new(amqp.Options) },
				"file": func() any { return new(file.Options) },
			},
			Later: []string{"sftp", "odata", "sql", "mqtt", "stomp", "kafka", "nats", "redis", "soap", "graphql", "grpc", "command"},
		},
		Connection: func() any { return new(query.Options) },
		Table:      func() any { return new(jobs.TableOptions) },
		Job:        func() any { return new(jobs.Options) },
		Partner:    func() any { return new(sftpd.Partner) },
		SFTPServer: func() any { return new(sftpd.Options) },
	}
}

// commands lists the commands in the order of the help.
func (p *program) commands() []*cobra.Command {
	return []*cobra.Command{
		p.serve(), p.runOnce(), p.start(), p.infer(), p.try(), p.test(), p.check(), p.schema(),
		p.status(), p.list(), p.show(), p.rejectsOf(), p.why(), p.trace(), p.dead(),
		p.replay(), p.approve(), p.cancel(), p.resolve(), p.pause(), p.resume(), p.reload(), p.version(),
		p.partner(), p.systemd(), p.demo(), p.demoReceiver(),
	}
}
