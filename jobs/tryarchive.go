package jobs

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"

	"waybill/formats"
	"waybill/formats/unpack"
	"waybill/ledger"
)

// tryArchive tries the members of an archive, one after the other, and shows all of it as one trial: what each came to is a finding.
func (p *Plan) tryArchive(ctx context.Context, in Input, most int) (Trial, error) {
	all := Trial{Job: p.name, State: ledger.Accepted, Shown: []TrialMessage{}, Rejects: []ledger.Reject{}, Findings: []string{}, File: clip([]byte(in.File.Path))}
	members, passed := 0, 0
	for m, err := range p.unpacker.Members(in.Blob, unpack.Staging{At: in.File.Landed}) {
		if err == nil && !p.takesMember(m.Name) {
			passed++
			continue
		}
		if err == nil {
			members++
			err = p.tryMember(ctx, in, m, most, &all)
		}
		var bad *formats.FileError
		switch {
		case errors.As(err, &bad):
			return p.badArchive(&all, bad), nil
		case err != nil:
			return Trial{}, err
		}
	}
	if members == 0 {
		return p.badArchive(&all, &formats.FileError{Offset: -1, Reason: fmt.Sprintf("the job takes none of the %s in the archive (members)", several(int64(passed), "file"))}), nil
	}
	if passed > 0 {
		all.Findings = append(all.Findings, fmt.Sprintf("the job does not take %s of the archive (members)", several(int64(passed), "file")))
	}
	return all, nil
}

// badArchive is the trial of an archive that is rejected as a whole.
func (p *Plan) badArchive(all *Trial, bad *formats.FileError) Trial {
	var c collector
	c.file(bad)
	return Trial{Job: p.name, File: all.File, State: ledger.Rejected, Reason: c.whole.Reason, Rejected: 1, Shown: []TrialMessage{},
		Rejects: []ledger.Reject{*c.whole}, Findings: []string{}}
}

// tryMember tries one member, as the file that it will be, and adds the outcome.
func (p *Plan) tryMember(ctx context.Context, in Input, m formats.Blob, most int, all *Trial) (err error) {
	f, err := formats.TempFile()
	if err != nil {
		return fmt.Errorf("try %s: %w: a temporary file is needed for it", ledger.Shown(m.Name), err)
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	sum := sha256.New()
	size, err := io.Copy(io.MultiWriter(f, sum), m.Reader)
	if err != nil {
		return err
	}
	if _, err := f.Seek(0, io.SeekStart); err != nil {
		return err
	}
	of := in.File
	in.File.Parent, in.File.Member, in.File.Path = -1, m.Name, of.Path+"/"+m.Name
	in.File.Size, in.File.ModTime, in.File.Digest = size, m.ModTime, sum.Sum(nil)
	in.Entry.Name = ledger.Shown(in.File.Path)
	a := ledger.Arrival{Source: of.Source, Path: in.File.Path, Size: size, ModTime: m.ModTime, Partner: in.Partner.Name}
	if a.Partner != "" {
		a.Path = a.Partner + "/" + a.Path
	}
	in.Entry.Identity = ledger.Identity(p.policy(a).Identity, a, in.File.Digest)
	in.Blob = formats.Blob{Name: m.Name, Reader: f, ReaderAt: f, Size: size, Unpacked: true}
	t, err := p.Try(ctx, in, max(0, most-len(all.Shown)))
	if err != nil {
		return err
	}
	all.add(ledger.Shown(m.Name), &t)
	return nil
}

// add adds what became of a member.
func (t *Trial) add(name string, m *Trial) {
	t.Records, t.Messages, t.Rejected = t.Records+m.Records, t.Messages+m.Messages, t.Rejected+m.Rejected
	t.Shown, t.Told = append(t.Shown, m.Shown...), append(t.Told, m.Told...)
	for _, r := range m.Rejects {
		r.Reason = name + ": " + r.Reason
		t.Rejects = append(t.Rejects, r)
	}
	says := fmt.Sprintf("%s: %s, %s", name, m.State, several(m.Records, "record"))
	if m.Reason != "" {
		says += ": " + m.Reason
	}
	t.Findings = append(t.Findings, says)
	for _, f := range m.Findings {
		t.Findings = append(t.Findings, name+": "+f)
	}
}
