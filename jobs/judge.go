package jobs

import (
	"fmt"
	"maps"
	"slices"

	"waybill/jobs/expression"
	"waybill/outbox"
)

// judge compiles success and capture. They see response alone: status, headers, and body when it is JSON.
func (c *compiler) judge(path string, o *Send) outbox.Judge {
	if o.Success == "" && len(o.Capture) == 0 {
		return nil
	}
	s := &scope{expression: answerScope()}
	j := &judge{}
	if o.Success != "" {
		if success := c.condition(s, path+".success", o.Success); success != nil {
			j.success = success.program
		}
	}
	for _, name := range slices.Sorted(maps.Keys(o.Capture)) {
		if v := c.computed(s, path+".capture."+name, o.Capture[name]); v != nil {
			j.captures = append(j.captures, capture{name, v.program})
		}
	}
	return j.judge
}

type judge struct {
	success  *expression.Program // nil: the target's own judgement stands
	captures []capture
}

type capture struct {
	name    string
	program *expression.Program
}

// judge is an outbox.Judge. A body that should be looked at and is not JSON cannot be told: Opaque.
func (j *judge) judge(r outbox.Response) (outbox.Verdict, []outbox.Capture, string) {
	env, unreadable := answerEnv(r)
	if j.success != nil {
		ok, err := j.success.Bool(env)
		switch {
		case unreadable != nil && (err != nil || !ok):
			return outbox.Opaque, nil, "the answer is not JSON, so success cannot be told: " + clip(head(r.Body))
		case err != nil:
			return outbox.Opaque, nil, fmt.Sprintf("success cannot be told: %s; answer: %s", err, clip(head(r.Body)))
		case !ok:
			return outbox.Failed, j.capture(env), fmt.Sprintf("success does not hold: %s; answer: %s", j.success.Source(), clip(head(r.Body)))
		}
	}
	return outbox.Passed, j.capture(env), ""
}

func head(body []byte) []byte { return body[:min(len(body), 1024)] }

// capture takes what is there; what is not, or is no text, is left out: the delivery itself was good.
func (j *judge) capture(env map[string]any) []outbox.Capture {
	var list []outbox.Capture
	for _, c := range j.captures {
		v, err := c.program.Eval(env)
		if err != nil || v == nil {
			continue
		}
		text, err := expression.Text(v)
		if err == nil {
			list = append(list, outbox.Capture{Name: c.name, Value: text})
		}
	}
	return list
}

// headersObject shows headers under the names that an answer gave them; several values of one are the first.
func headersObject(h map[string][]string) map[string]any {
	o := make(map[string]any, len(h))
	for name, values := range h {
		if len(values) > 0 {
			o[name] = values[0]
		}
	}
	return o
}
