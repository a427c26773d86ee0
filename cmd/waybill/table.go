package main

import (
	"encoding/json"
	"fmt"
	"io"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"waybill/ledger"
)

// table prints rows in columns; the first row is the heading.
func (p *program) table(rows [][]string) error {
	w := tabwriter.NewWriter(p.out, 0, 4, 2, ' ', 0)
	for _, r := range rows {
		if _, err := fmt.Fprintln(w, safe(strings.Join(r, "\t"))); err != nil {
			return err
		}
	}
	return w.Flush()
}

// print writes v as one line of JSON, in which nothing can steer a terminal either.
func (p *program) print(v any) error {
	var b strings.Builder
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(v); err != nil {
		return err
	}
	_, err := io.WriteString(p.out, safe(b.String()))
	return err
}

// An entryView is an entry as --json shows it.
type entryView struct {
	Entry    int64     `json:"entry"`
	Kind     string    `json:"kind"`
	Job      string    `json:"job"`
	Run      int       `json:"run"`
	Origin   int64     `json:"origin,omitempty"`
	Source   string    `json:"source,omitempty"`
	Partner  string    `json:"partner,omitempty"`
	Test     bool      `json:"test,omitempty"`
	Name     string    `json:"name"`
	Verdict  string    `json:"verdict"`
	Twin     int64     `json:"twin,omitempty"`
	State    string    `json:"state"`
	Reason   string    `json:"reason,omitempty"`
	Records  int64     `json:"records"`
	Messages int64     `json:"messages"`
	Rejects  int64     `json:"rejects"`
	Dead     int64     `json:"dead"`
	Attempts int       `json:"attempts,omitempty"`
	From     time.Time `json:"from,omitzero"`
	To       time.Time `json:"to,omitzero"`
	Received time.Time `json:"received"`
	Accepted time.Time `json:"accepted,omitzero"`
	Finished time.Time `json:"finished,omitzero"`
}

func viewOf(e ledger.Entry) entryView {
	return entryView{
		Entry: e.ID, Kind: e.Kind, Job: e.Job, Run: e.Run, Origin: e.Origin, Source: e.Source, Partner: e.Partner, Test: e.Trial, Name: e.Name,
		Verdict: string(e.Verdict), Twin: e.Twin, State: string(e.State), Reason: e.Reason, Records: e.Records, Messages: e.Messages,
		Rejects: e.Rejects, Dead: e.Dead, Attempts: e.Attempts, From: e.Since, To: e.Till,
		Received: e.Received, Accepted: e.Accepted, Finished: e.Finished,
	}
}

// entries prints entries: a table for people, a line of JSON each for scripts.
func (p *program) entries(list []ledger.Entry) error {
	if p.json {
		for _, e := range list {
			if err := p.print(viewOf(e)); err != nil {
				return err
			}
		}
		return nil
	}
	rows := [][]string{{"ENTRY", "JOB", "FILE OR TICK", "STATE", "RECORDS", "MESSAGES", "RECEIVED", "REASON"}}
	for _, e := range list {
		rows = append(rows, []string{
			"#" + strconv.FormatInt(e.ID, 10), e.Job, short(e.Name, 40), string(e.State), strconv.FormatInt(e.Records, 10),
			strconv.FormatInt(e.Messages, 10), clock(e.Received), short(reasonOf(e), 100),
		})
	}
	return p.table(rows)
}

// reasonOf says why an entry is where it is, in a few words.
func reasonOf(e ledger.Entry) string {
	switch {
	case e.Reason != "":
		return e.Reason
	case e.State == ledger.Duplicate && e.Twin != 0:
		return fmt.Sprintf("%s of #%d", e.Verdict, e.Twin)
	case e.Dead > 0:
		return count(e.Dead, "dead letter")
	case e.Rejects > 0:
		return count(e.Rejects, "record") + " rejected"
	}
	return ""
}

// short cuts a text for a table, at a character.
func short(s string, most int) string {
	r := []rune(strings.ReplaceAll(s, "\n", " "))
	if len(r) <= most {
		return string(r)
	}
	return string(r[:most-1]) + "…"
}

// clock shows a time to a person, in their zone; "–" when there is none.
func clock(t time.Time) string {
	if t.IsZero() {
		return "–"
	}
	return t.Local().Format("2006-01-02 15:04:05")
}
