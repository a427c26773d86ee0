package jobs

import (
	"cmp"
	"strings"

	"waybill/ledger"
	"waybill/outbox"
)

// A Set is the jobs of one configuration, in its order. It is safe for concurrent use and does not change.
type Set struct {
	Plans    []*Plan
	Partners map[string]map[string]string // the vars of each partner, by name
}

// Partner returns a partner with his variables; one that is not configured any more has none.
func (s *Set) Partner(name string) Partner { return Partner{Name: name, Vars: s.Partners[name]} }

// Plan returns the job called name, nil when there is none.
func (s *Set) Plan(name string) *Plan {
	for _, p := range s.Plans {
		if p.name == name {
			return p
		}
	}
	return nil
}

// ManualSource is the source of files that `waybill run` lands: the prefix, then the job's name. Only that job takes them.
const ManualSource = "run/"

// Route says which jobs an arrival belongs to (ledger.Router).
func (s *Set) Route(a ledger.Arrival) []ledger.Policy {
	if a.Kind == ledger.Manual {
		if p := s.Plan(strings.TrimPrefix(a.Source, ManualSource)); p != nil {
			return []ledger.Policy{p.policy(a)}
		}
		return nil
	}
	var found []ledger.Policy
	for _, p := range s.Plans {
		if p.Wants(a.Source, a.Within()) || a.Landed && p.Drains(a.Source, a.Within()) {
			policy := p.policy(a)
			policy.Together = p.set(a.Within())
			found = append(found, policy)
		}
	}
	return found
}

// Judge returns the judge of a batch's route, nil when the job has none or is gone.
func (s *Set) Judge(route string) outbox.Judge {
	job, name, _ := strings.Cut(route, "/")
	for _, p := range s.Plans {
		if p.origin != job {
			continue
		}
		for _, r := range p.routes {
			if r.origin == name {
				return r.judge
			}
		}
	}
	return nil
}

// Known tells the jobs under which names keys know them and their destinations, as the ledger remembers it. It is to be called
// before the set is used.
func (s *Set) Known(o ledger.Origins) {
	for _, p := range s.Plans {
		p.origin = o.Of(ledger.Job, p.name)
		for _, r := range p.routes {
			r.known(o.Of(ledger.Destination, r.destination))
		}
	}
}

// Name returns the job's name.
func (p *Plan) Name() string { return p.name }

// Config returns the digest of the job's configuration, which its entries keep.
func (p *Plan) Config() string { return p.config }

// Options returns the job as configured.
func (p *Plan) Options() Options { return p.options }

// Takes reports whether a file of a source belongs to the job, by its path below the source's folder or the partner's. One that drains takes nothing.
func (p *Plan) Takes(source, path string) bool {
	return p.files != nil && !p.options.Drain && p.options.Receive.Source == source && p.files.Match(path) && !p.belongs(source, path)
}

// Drains reports whether a file of a source would belong to the job if that did not drain.
func (p *Plan) Drains(source, path string) bool {
	return p.files != nil && p.options.Drain && p.options.Receive.Source == source && (p.files.Match(path) || p.belongs(source, path))
}

func (p *Plan) policy(a ledger.Arrival) ledger.Policy {
	id := p.options.Identity
	action := func(text string, v ledger.Verdict) ledger.Action {
		return cmp.Or(ledger.Action(text), ledger.DefaultAction(v))
	}
	policy := ledger.Policy{
		Job: p.name, Identity: cmp.Or(id.By, "content"),
		Actions: map[ledger.Verdict]ledger.Action{
			ledger.Fresh:      ledger.ToProcess,
			ledger.Redelivery: action(id.Redelivery, ledger.Redelivery),
			ledger.Suspect:    action(id.Suspect, ledger.Suspect),
			ledger.Correction: action(id.Correction, ledger.Correction),
			ledger.Empty:      action(id.Empty, ledger.Empty),
		},
	}
	for _, state := range []ledger.State{ledger.Held, ledger.Duplicate, ledger.Rejected} {
		if p.tells(a.Partner, state) {
			policy.Owes = append(policy.Owes, state)
		}
	}
	for _, a := range p.asides {
		policy.Companions = append(policy.Companions, a.role)
	}
	if p.options.Approve {
		policy.Hold = "waits for approval: waybill approve"
	}
	return policy
}

// one reports whether the job's entries are worked one at a time: ticks in their order, and keys and numbers that must see those before them.
func (p *Plan) one() bool { return p.options.Schedule != nil || p.unique != nil || p.numbers != nil }
