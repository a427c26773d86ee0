package main

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"waybill/config"
	"waybill/jobs"
	"waybill/watcher/sftpd"
)

// mailboxes are the sources that partners drop into.
func mailboxes(c *config.Config) (list []config.Item) {
	for _, item := range c.Sources {
		if item.Kind == "mailboxes" {
			list = append(list, item)
		}
	}
	return list
}

// partners compiles the partners with the folders that sources give them.
func (b *builder) partners() {
	sources := mailboxes(b.c)
	if b.c.SFTPServer == nil && len(sources) > 0 && b.c.Whole("sftp_server") {
		b.mistake("sources."+sources[0].Name+".mailboxes", "there is no sftp_server that partners could connect to: write sftp_server: {listen: \":2022\"}")
	}
	b.groups(sources)
	b.noCompanions()
	b.acknowledged(sources)
	told := map[string]bool{}
	var members []sftpd.Member
	for _, item := range b.c.Partners {
		p := item.Options.(*sftpd.Partner)
		members = append(members, sftpd.NewMember(item.Name, p, b.drops(item.Name, p, sources, told)))
	}
	b.out.roster = sftpd.NewRoster(members)
}

// noCompanions reports jobs that wait for a second file where none is listed: a mailbox shows nothing that has landed.
func (b *builder) noCompanions() {
	for _, item := range b.c.Jobs {
		r := item.Options.(*jobs.Options).Receive
		if r == nil || r.Companion == nil || r.Companion.Reads() {
			continue
		}
		if source := config.Find(b.c.Sources, r.Source); source != nil && source.Kind == "mailboxes" {
			b.mistake("jobs."+item.Name+".receive.companion", "goes with folders: a file in a mailbox is complete when the server has answered: leave it out, or say what it holds (format, fields)")
		}
	}
}

// acknowledged reports jobs that acknowledge into folders that a partner of their source does not pick up from: he would never see it.
func (b *builder) acknowledged(sources []config.Item) {
	for _, job := range b.c.Jobs {
		o := job.Options.(*jobs.Options)
		if o.Receive == nil {
			continue
		}
		source := slices.IndexFunc(sources, func(s config.Item) bool { return s.Name == o.Receive.Source })
		if source < 0 {
			continue
		}
		for i := range o.Acknowledge {
			at := fmt.Sprintf("jobs.%s.acknowledge[%d]", job.Name, i)
			folder := cmp.Or(o.Acknowledge[i].Folder, "out")
			if o.Acknowledge[i].Folder != "" {
				at += ".folder"
			}
			b.pickedUp(at, folder, sources[source])
		}
	}
}

// pickedUp reports the first partner of a source who does not pick up from a folder.
func (b *builder) pickedUp(at, folder string, source config.Item) {
	for _, item := range b.c.Partners {
		p := item.Options.(*sftpd.Partner)
		if !source.Options.(*sftpd.Mailboxes).Takes(item.Name, p) || !b.c.Whole("partners."+item.Name+".folders") {
			continue
		}
		list := p.PickUp()
		if slices.ContainsFunc(list, func(own string) bool { return folder == own || strings.HasPrefix(folder, own+"/") }) {
			continue
		}
		of := "nothing"
		if len(list) > 0 {
			of = strings.Join(list, ", ")
		}
		b.mistake(at, fmt.Sprintf("partner %s, who drops into source %s, does not pick up from %s, but from %s: he would never see it; name such a folder, or give him this one (partners.%s.folders)",
			item.Name, source.Name, folder, of, item.Name))
		return
	}
}

// groups reports sources for a group that nobody is of, which is most likely a slip of the pen. Before there are partners every group
// is empty.
func (b *builder) groups(sources []config.Item) {
	known := map[string]bool{}
	var names []string
	for _, item := range b.c.Partners {
		if g := item.Options.(*sftpd.Partner).Group; g != "" && !known[g] {
			known[g] = true
			names = append(names, g)
		}
	}
	for _, item := range sources {
		if g := item.Options.(*sftpd.Mailboxes).Group; g != "" && !known[g] && len(names) > 0 {
			b.mistake("sources."+item.Name+".mailboxes.group", fmt.Sprintf("no partner is of the group %q, %s", g, config.Suggest(g, names, "groups")))
		}
	}
}

// drops are the folders that a partner may drop into. Of folders that are not apart it says both places, once for all partners.
func (b *builder) drops(name string, p *sftpd.Partner, sources []config.Item, told map[string]bool) (drops []sftpd.Folder) {
	var places []string
	for _, path := range p.PickUp() {
		drops, places = append(drops, sftpd.Folder{Path: path}), append(places, "partners."+name+".folders")
	}
	pickUps := len(drops)
	add := func(f sftpd.Folder, place string) {
		for i, other := range drops {
			if !sftpd.Overlap(f.Path, other.Path) {
				continue
			}
			text := fmt.Sprintf("folder %s is not apart from folder %s, out of which partner %s picks up", f.Path, other.Path, name)
			if i >= pickUps {
				first := b.c.Locate(places[i], "")
				text = fmt.Sprintf("partner %s would drop into folder %s for source %s, and into folder %s for source %s (%s:%d:%d): they must be apart",
					name, f.Path, f.Source, other.Path, other.Source, first.File, first.Line, first.Column)
			}
			if !told[place+" "+places[i]] {
				told[place+" "+places[i]] = true
				b.mistake(place, text)
			}
			return
		}
		drops, places = append(drops, f), append(places, place)
	}
	for _, item := range sources {
		m := item.Options.(*sftpd.Mailboxes)
		if !m.Takes(name, p) {
			continue
		}
		at := "sources." + item.Name + ".mailboxes."
		keep, wanted := m.Unmatched == sftpd.KeepUnmatched, b.wanted(item.Name, name)
		add(sftpd.Folder{Path: m.Folder, Right: sftpd.Drop, Source: item.Name, Keep: keep, Names: wanted}, at+"folder")
		if m.Test != "" {
			add(sftpd.Folder{Path: m.Test, Right: sftpd.Drop, Source: item.Name, Trial: true, Keep: keep, Names: wanted}, at+"test")
		}
	}
	return drops[pickUps:]
}

// wanted is what names are like that jobs take from a source, as a partner may be told: nothing, where one of them has the name of another
// partner in it.
func (b *builder) wanted(source, partner string) (names []string) {
	for _, item := range b.c.Jobs {
		o := item.Options.(*jobs.Options)
		if o.Drain || o.Receive == nil || o.Receive.Source != source {
			continue
		}
		names = append(names, o.Receive.Files...)
	}
	for _, other := range b.c.Partners {
		tells := func(pattern string) bool {
			return strings.Contains(strings.ToLower(pattern), strings.ToLower(other.Name))
		}
		if other.Name != partner && slices.ContainsFunc(names, tells) {
			return nil
		}
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// partnerVars are the variables of each partner, for expressions.
func partnerVars(c *config.Config) map[string]map[string]string {
	vars := map[string]map[string]string{}
	for _, item := range c.Partners {
		if p, ok := item.Options.(*sftpd.Partner); ok {
			vars[item.Name] = p.Vars
		}
	}
	return vars
}
