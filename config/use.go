package config

import (
	"fmt"
	"slices"
	"strings"

	"go.yaml.in/yaml/v4"
)

// uses expands jobs that take over others.
type uses struct {
	*loader
	jobs map[string]entry
	all  []string // names of jobs, in order
	done map[string]*yaml.Node
	way  []string // the jobs being expanded, for circles
}

// expand replaces each job that says use: by what it means.
func (l *loader) expand(root *yaml.Node) {
	_, jobs := get(root, "jobs")
	if jobs == nil || jobs.Kind != yaml.MappingNode {
		return
	}
	u := uses{loader: l, jobs: index(jobs), all: names(jobs), done: map[string]*yaml.Node{}}
	expanded := make([]*yaml.Node, 0, len(jobs.Content))
	for key, job := range pairs(jobs) {
		expanded = append(expanded, key, u.job(key, job))
	}
	jobs.Content = expanded
}

func (u *uses) job(key, job *yaml.Node) *yaml.Node {
	if u.bad[key] || u.bad[job] || job.Kind != yaml.MappingNode {
		return job
	}
	if done := u.done[key.Value]; done != nil {
		return done
	}
	u.done[key.Value] = job
	if base := u.base(key, job); base != nil {
		u.done[key.Value] = u.overlay(without(base, "formerly", "drain"), without(job, "use"))
	} else if _, use := get(job, "use"); use != nil {
		rest := u.derive(job)
		rest.Content = without(job, "use").Content
		u.partial[rest] = true
		u.done[key.Value] = rest
	}
	return u.done[key.Value]
}

// base finds what a job is built on; nil when on nothing.
func (u *uses) base(key, job *yaml.Node) *yaml.Node {
	_, use := get(job, "use")
	if use == nil || u.bad[use] {
		return nil
	}
	if use.Kind != yaml.ScalarNode {
		u.spoil(use, fmt.Sprintf("%q is %s, not a text", "use", kindOf(use)), "it names one job")
		return nil
	}
	u.way = append(u.way, key.Value)
	defer func() { u.way = u.way[:len(u.way)-1] }()
	if slices.Contains(u.way, use.Value) {
		u.spoil(use, "use goes in a circle: "+strings.Join(append(slices.Clone(u.way), use.Value), " → "), "")
		return nil
	}
	base, known := u.jobs[use.Value]
	if !known && u.lacking {
		return nil
	}
	if !known {
		u.spoil(use, fmt.Sprintf("use: there is no job %q", use.Value), u.suggest(use.Value, u.all, "jobs"))
		return nil
	}
	if base.value.Kind != yaml.MappingNode {
		return nil // reported where it stands
	}
	return u.job(base.key, base.value)
}

// overlay merges mappings, the upper over the lower; anything else the upper replaces.
// Every node that is taken over keeps its place.
func (u *uses) overlay(lower, upper *yaml.Node) *yaml.Node {
	if lower.Kind != yaml.MappingNode || upper.Kind != yaml.MappingNode {
		return upper
	}
	merged := u.derive(upper)
	if u.files[merged] == nil {
		u.files[merged] = u.files[lower]
	}
	merged.Content = nil
	for key, value := range pairs(lower) {
		if k, v := get(upper, key.Value); v != nil {
			key, value = k, u.overlay(value, v)
		}
		merged.Content = append(merged.Content, key, value)
	}
	for key, value := range pairs(upper) {
		if k, _ := get(lower, key.Value); k == nil {
			merged.Content = append(merged.Content, key, value)
		}
	}
	return merged
}

// without is a mapping less some keys.
func without(n *yaml.Node, names ...string) *yaml.Node {
	if n.Kind != yaml.MappingNode {
		return n
	}
	c := *n
	c.Content = nil
	for key, value := range pairs(n) {
		if !slices.Contains(names, key.Value) {
			c.Content = append(c.Content, key, value)
		}
	}
	return &c
}
