package main

import (
	"slices"
	"testing"

	"waybill/config"
	"waybill/jobs"
	"waybill/watcher/sftpd"
)

func TestNamesThatJobsTakeAreToldUnlessTheyNameAnotherPartner(t *testing.T) {
	t.Parallel()
	job := func(name, source string, drain bool, files ...string) config.Item {
		return config.Item{Name: name, Options: &jobs.Options{Drain: drain, Receive: &jobs.Receive{Source: source, Files: files}}}
	}
	b := &builder{c: &config.Config{
		Jobs: []config.Item{
			job("orders", "shared", false, "orders_*.csv", "orders_*.xml"), job("again", "shared", false, "orders_*.csv"),
			job("over", "shared", true, "old_*.csv"), job("other", "private", false, "ACME_*.csv"), {Name: "clock", Options: &jobs.Options{}},
		},
		Partners: []config.Item{{Name: "acme", Options: &sftpd.Partner{}}, {Name: "bolt", Options: &sftpd.Partner{}}},
	}}
	for _, x := range []struct {
		source, partner string
		want            []string
	}{
		{"shared", "acme", []string{"orders_*.csv", "orders_*.xml"}},
		{"private", "acme", []string{"ACME_*.csv"}},
		{"private", "bolt", nil},
		{"nothing", "bolt", nil},
	} {
		if got := b.wanted(x.source, x.partner); !slices.Equal(got, x.want) {
			t.Errorf("%s is told of %s: %q, want %q", x.partner, x.source, got, x.want)
		}
	}
}
