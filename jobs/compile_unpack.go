package jobs

import (
	"strings"

	"waybill/formats"
	"waybill/formats/unpack"
)

// unpack makes what undoes the packings.
func (c *compiler) unpack(o Options) {
	var limits formats.Limits
	if o.Read != nil {
		limits = o.Read.Limits
	}
	u, problems := unpack.New(o.Unpack, limits, unpack.Keys{PGP: o.PGP, Age: o.Age, Unknown: c.env.Blind})
	for _, p := range problems {
		c.problem(p.Path, "%s", p.Text)
	}
	c.plan.unpacker = u
	if len(o.Members) == 0 {
		return
	}
	members, bad := NewPattern(o.Members, nil)
	for _, p := range bad {
		c.problem(strings.Replace(p.Path, "files", "members", 1), "%s", p.Text)
	}
	switch {
	case u != nil && !u.Archive():
		c.problem("members", "goes with an archive: say unpack: zip or tar")
	case members != nil && len(members.fields()) > 0:
		c.problem("members", "captures no parts of names: file.part is that of the archive, from receive.files")
	}
	c.plan.members = members
}
