package jobs

import (
	"fmt"
	"slices"
	"strings"

	"waybill/formats"
	"waybill/jobs/expression"
	"waybill/ledger"
)

// Sender is the destination of acknowledgements: the mailboxes of the partners. No other destination may bear the name.
const Sender = "sender"

// notice is one compiled `acknowledge`.
type notice struct {
	after  []ledger.State
	folder string
	name   header
	body   []instruction // nil: an Acknowledgement
	shaper shaper        // nil: JSON
	media  string
	suffix string // of the names that are not the job's own
}

// ackName is what an acknowledgement is called unless the job says otherwise, without its suffix.
const ackName = "{file.stem}.{entry.number}"

// ackSuffix is the suffix of a layout.
func ackSuffix(as string) string {
	switch as {
	case "xml":
		return ".ack.xml"
	case "form", "text":
		return ".ack.txt"
	}
	return ".ack.json"
}

// notices compiles the acknowledgements of a job.
func (c *compiler) notices(o Options) {
	if len(o.Acknowledge) == 0 {
		return
	}
	if o.Receive == nil && !c.whole("receive") {
		return // it may be what was meant
	}
	if o.Receive == nil {
		c.problem("acknowledge", "goes with receive: what a schedule starts has no sender")
		return
	}
	if kind := c.env.Sources[o.Receive.Source]; kind != "" && kind != "mailboxes" {
		c.problem("acknowledge", "files of %s, a source of kind %s, have no sender: acknowledge what comes from mailboxes", o.Receive.Source, kind)
	}
	for i := range o.Acknowledge {
		c.notice(fmt.Sprintf("acknowledge[%d]", i), &o.Acknowledge[i])
	}
}

func (c *compiler) notice(path string, o *Acknowledge) {
	n := notice{folder: first(o.Folder, "out")}
	if len(o.After) == 0 {
		c.problem(path+".after", "is missing: name what the sender is told of: accepted, rejected, held, duplicate")
	}
	for _, after := range o.After {
		n.after = append(n.after, ledger.State(after))
	}
	if o.To != Sender {
		c.problem(path+".to", "write sender: other places for acknowledgements come later")
	}
	for part := range strings.SplitSeq(n.folder, "/") {
		if part == "" || strings.HasPrefix(part, ".") || strings.ContainsAny(part, "{}\\") || temporary(part) {
			c.problem(path+".folder", "%q is no folder of a mailbox: write plain names, as in out or out/acknowledgements", n.folder)
			break
		}
	}
	n.suffix = ackSuffix(o.As)
	name := first(o.Name, ackName+n.suffix)
	if strings.Contains(name, "/") {
		c.problem(path+".name", "has a /: the acknowledgement lies in folder, and there alone")
	} else if strings.HasPrefix(name, ".") || temporary(name) {
		c.problem(path+".name", "is a temporary name, which partners' programs pass over: end it with .json, for example")
	}
	scope := c.noticeScope()
	n.name, _ = c.template(scope, path+".name", ":name", name, expression.ModeFileName)
	w := formats.Writing{Format: o.As, Root: o.Root, Namespaces: o.Namespaces, Encoding: o.Encoding, Unmappable: o.Unmappable}
	if w.Format == "xml" && w.Root == "" {
		w.Root = "acknowledgement"
	}
	var shape formats.Shape
	n.shaper, shape, n.media = c.message(path, w)
	body := document(&o.Body)
	switch {
	case body != nil:
		before := len(c.problems)
		if n.body = c.root(scope, path+".body", body, false); len(c.problems) == before {
			c.shaped(path+".body", body, n.shaper, shape)
		}
	case shape == formats.FlatTree || shape == formats.OneValue:
		c.problem(path+".body", "is missing: only json and xml hold the whole acknowledgement")
	}
	c.plan.notices = append(c.plan.notices, n)
}

// noticeScope is where the names of an acknowledgement are looked up.
func (c *compiler) noticeScope() *scope {
	text, number, instant := expression.Of(expression.KindString), expression.Of(expression.KindInteger), expression.Of(expression.KindDateTime)
	list := func(kind expression.Kind, fields ...expression.Field) expression.Type {
		return expression.Type{Kind: kind, Fields: fields}
	}
	fault := []expression.Field{{Name: "record", Type: number}, {Name: "line", Type: number}, {Name: "field", Type: text}, {Name: "value", Type: text}, {Name: "reason", Type: text}}
	twin := list(expression.KindObject, expression.Field{Name: "number", Type: number}, expression.Field{Name: "name", Type: text})
	twin.Optional = true
	names := slices.DeleteFunc(slices.Clone(c.names), func(f expression.Field) bool {
		return f.Name == "record" || f.Name == "header" || f.Name == ledger.RoleCompanion
	})
	names = append(names, c.plan.told...)
	names = append(names, expression.Field{Name: "outcome", Type: expression.Type{Kind: expression.KindObject, Fields: []expression.Field{
		{Name: "state", Type: text}, {Name: "verdict", Type: text}, {Name: "reason", Type: text}, {Name: "test", Type: expression.Of(expression.KindBoolean)},
		{Name: "records", Type: number}, {Name: "messages", Type: number}, {Name: "rejects", Type: number},
		{Name: "time", Type: instant}, {Name: "text", Type: text}, {Name: "twin", Type: twin},
		{Name: "faults", Type: list(expression.KindList, fault...)},
	}}})
	return &scope{expression: c.scoped(nil, names...)}
}

// temporary reports whether a name says that its file is not complete, as package watcher has it.
func temporary(name string) bool {
	low := strings.ToLower(name)
	return strings.HasPrefix(low, ".") || strings.Contains(low, ".!") || strings.HasSuffix(low, ".part") || strings.HasSuffix(low, ".filepart") || strings.HasSuffix(low, ".tmp")
}

// tells reports whether the partner who sent a file is told that its entry came to a state.
func (p *Plan) tells(partner string, after ledger.State) bool {
	return partner != "" && slices.ContainsFunc(p.notices, func(n notice) bool { return slices.Contains(n.after, after) })
}

// Acknowledges reports whether the job tells senders anything.
func (p *Plan) Acknowledges() bool { return len(p.notices) > 0 }
