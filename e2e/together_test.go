package e2e_test

import (
	"strings"
	"testing"

	"waybill/ledger"
)

// A reload that wants fewer files lets those go on that waited for more, and leaves what is wanted no more where it lies, for whoever takes it later.
func TestAReloadLooksAgainAtWhatWaitsForFiles(t *testing.T) {
	t.Parallel()
	a := newAPI(t)
	config := `
sources: {drop: {folder: {path: drop}, poll: 200ms}}
destinations: {first: {http: {url: "` + a.URL + `"}}}
jobs:
  orders:
    receive:
      source: drop
      files: "{no}_lines.csv"
      together:
        header: {files: "{no}_head.csv", format: csv, fields: {customer: {}}}
        trailer: {files: "{no}_end.csv", format: csv, fields: {count: {}}}
    read: {format: csv, fields: {sku: {required: true}}}
    send: [{to: first, path: /orders, key: [=file.part.no, =sku], body: {sku: =sku}}]
`
	h := newHouse(t, config)
	h.serve()
	l := h.look()
	h.drop("1_head.csv", "customer\nC-1\n")
	h.drop("1_lines.csv", "sku\nA\n")
	h.drop("2_end.csv", "count\n1\n")
	h.drop("2_lines.csv", "sku\nB\n")
	h.until("both sets wait for the rest of them", func() bool {
		list := l.entries(t, "orders")
		return len(list) == 2 && strings.Count(list[0].Reason+list[1].Reason, "_") == 2 // in the names of those that are missing
	})
	h.configure(strings.Replace(config, "        trailer: {files: \"{no}_end.csv\", format: csv, fields: {count: {}}}\n", "", 1))
	h.runs(0, "reload")
	h.until("the set that is whole now is closed", func() bool { return h.there("drop/done/1_lines.csv") && h.there("drop/done/1_head.csv") })
	list := l.entries(t, "orders")
	held := list[0]
	if held.State != ledger.Held {
		held = list[1]
	}
	if held.State != ledger.Held || held.Reason != "waits for 2_head.csv" || !h.there("drop/2_end.csv") || len(a.arrived()) != 1 {
		t.Errorf("%+v; %v", list, a.arrived())
	}
}
