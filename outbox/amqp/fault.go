package amqp

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"strings"

	"github.com/rabbitmq/amqp091-go"

	"waybill/outbox"
)

var (
	errClosed      = errors.New("amqp: destination is closed")                   // a Deliver after Close
	errInterrupted = errors.New("amqp: interrupted before the broker confirmed") // the grace time is over
)

// untried returns err as it is for a message that was not touched because another one met it.
func untried(err error) error {
	var e *outbox.Error
	if !errors.As(err, &e) || e.Fault != outbox.FaultUnavailable {
		return err
	}
	same := *e
	same.Untried = true
	return &same
}

// refusedConnection judges an error of opening a session: whether a person has to act.
func (t *Target) refusedConnection(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	say := func(remedy string) error {
		return fault(outbox.FaultStopped, err, fmt.Errorf("connect to %s: %w: %s", t.host, err, remedy))
	}
	var e *amqp091.Error
	var unknownCA x509.UnknownAuthorityError
	var host x509.HostnameError
	var invalid x509.CertificateInvalidError
	var alert tls.AlertError
	switch {
	case errors.As(err, &unknownCA), errors.As(err, &invalid), errors.As(err, &host):
		return say("the broker's certificate is not trusted: mend it or set tls.ca")
	case errors.As(err, &alert):
		return say("the broker refuses our side of TLS: see tls.cert and tls.min")
	case errors.Is(err, amqp091.ErrSASL):
		return say("the broker offers no way to authenticate that the URL allows: see its auth_mechanisms")
	case errors.As(err, &e) && e.Code == amqp091.AccessRefused:
		return say("mend user and password of the connection, or give the user access to the virtual host")
	case errors.As(err, &e) && e.Code == amqp091.NotAllowed && !strings.Contains(e.Reason, "limit") && !strings.Contains(e.Reason, "is down"):
		return say("the virtual host is missing or not for this user: mend the URL, or create it and give permissions")
	}
	return fault(outbox.FaultUnavailable, err, fmt.Errorf("connect to %s: %w", t.host, err))
}

// refusedExchange judges an error of declaring the exchange.
func (t *Target) refusedExchange(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	var e *amqp091.Error
	if errors.As(err, &e) && e.Server {
		switch e.Code {
		case amqp091.NotFound, amqp091.AccessRefused, amqp091.PreconditionFailed, amqp091.CommandInvalid, amqp091.NotAllowed:
			return fault(outbox.FaultStopped, err, fmt.Errorf("declare exchange %q: %w: %s", t.options.Exchange, err, remedy(e)))
		}
	}
	return fault(outbox.FaultUnavailable, err, fmt.Errorf("declare exchange %q: %w", t.options.Exchange, err))
}

// lost is what an error that closed the channel means for messages that were not published.
func (t *Target) lost(err error) error {
	var e *amqp091.Error
	if errors.As(err, &e) && e.Server {
		switch e.Code {
		case amqp091.NotFound, amqp091.AccessRefused, amqp091.PreconditionFailed:
			return fault(outbox.FaultStopped, err, fmt.Errorf("publish: %w: %s", err, remedy(e)))
		}
	}
	return outbox.Unavailable(fmt.Errorf("connection to %s lost: %w", t.host, err))
}

// rejected is what an error that closed a message's own channel means for it.
func (t *Target) rejected(l *letter, err error) error {
	subject := fmt.Errorf("publish to exchange %q with routing key %q: %w", l.exchange, l.routingKey, err)
	var e *amqp091.Error
	if !errors.As(err, &e) || !e.Server {
		return outbox.Unknown(subject)
	}
	switch e.Code {
	case amqp091.NotFound, amqp091.AccessRefused:
		what := outbox.FaultStopped
		if l.given { // one message's word must not stop the others
			what = outbox.FaultRefused
		}
		return fault(what, err, fmt.Errorf("%w: %s", subject, remedy(e)))
	case amqp091.PreconditionFailed:
		return fault(outbox.FaultRefused, err, fmt.Errorf("%w: %s", subject, remedy(e)))
	}
	return fault(outbox.FaultUnknown, err, subject)
}

// remedy says what to do about an answer of the broker.
func remedy(e *amqp091.Error) string {
	switch {
	case e.Code == amqp091.NotFound:
		return "create the exchange, mend its name, or write declare: create"
	case e.Code == amqp091.AccessRefused:
		return "give the user of the connection the permission (rabbitmqctl set_permissions, set_topic_permissions)"
	case strings.Contains(e.Reason, "larger than"):
		return "raise the broker's max_message_size or lower largest"
	case strings.Contains(e.Reason, "inequivalent arg 'type'"):
		return "the exchange has another type: mend kind, or name another exchange"
	case strings.Contains(e.Reason, "inequivalent arg"):
		return "the exchange was made with other properties: write declare: passive, or durable as it is"
	}
	return "mend what the broker names"
}

// fault makes an Error that carries the broker's reply code.
func fault(f outbox.Fault, cause, err error) error {
	out := &outbox.Error{Fault: f, Err: err}
	var e *amqp091.Error
	if errors.As(cause, &e) {
		out.Status = e.Code
	}
	return out
}
