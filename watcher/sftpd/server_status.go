package sftpd

import (
	"cmp"
	"slices"
	"time"
)

// A Status is what a server is doing, for `waybill status`.
type Status struct {
	Listen       []string        `json:"listen"`
	LegacyListen []string        `json:"legacy_listen,omitempty"`
	Legacy       int             `json:"legacy_partners,omitempty"` // how many may use old algorithms
	HostKeys     []string        `json:"host_keys"`                 // fingerprints
	Open         int             `json:"open"`                      // sessions
	Sessions     []SessionStatus `json:"sessions"`                  // the first of them
	LoggingIn    int             `json:"logging_in,omitempty"`      // connections that have not logged in yet
	LockedOut    int             `json:"locked_out,omitempty"`      // addresses
	Logins       int64           `json:"logins"`                    // since the start
	Refused      int64           `json:"refused"`                   // since the start
}

// sessionsTold bounds the sessions that a Status lists.
const sessionsTold = 100

// A SessionStatus is one session.
type SessionStatus struct {
	Partner string    `json:"partner"`
	Address string    `json:"address"`
	Client  string    `json:"client"`
	Since   time.Time `json:"since"`
	In      int64     `json:"in"`  // bytes
	Out     int64     `json:"out"` // bytes
	Legacy  bool      `json:"legacy,omitempty"`
}

// Status tells what the server is doing. It may be called on any goroutine.
func (s *Server) Status() Status {
	st := Status{LoggingIn: s.gate.count(), LockedOut: s.penalties.count(), Legacy: s.roster.Load().legacies(), Listen: []string{}, Sessions: []SessionStatus{}}
	for _, k := range s.HostKeys {
		st.HostKeys = append(st.HostKeys, k.PublicKey().Type()+" "+k.Fingerprint())
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, a := range s.addr {
		if a.legacy {
			st.LegacyListen = append(st.LegacyListen, a.address)
		} else {
			st.Listen = append(st.Listen, a.address)
		}
	}
	for c := range s.sessions {
		st.Sessions = append(st.Sessions, SessionStatus{Partner: c.Account.Name, Address: c.Address.String(), Client: c.Client,
			Since: c.Login, In: c.in.Load(), Out: c.out.Load(), Legacy: c.legacy})
	}
	slices.SortFunc(st.Sessions, func(a, b SessionStatus) int {
		return cmp.Or(cmp.Compare(a.Partner, b.Partner), a.Since.Compare(b.Since))
	})
	st.Open = len(st.Sessions)
	st.Sessions = st.Sessions[:min(len(st.Sessions), sessionsTold)]
	st.Logins = s.logins
	s.denials.mu.Lock()
	st.Refused = s.denials.total
	s.denials.mu.Unlock()
	return st
}
